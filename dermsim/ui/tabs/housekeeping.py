"""What a served page does besides: it tidies up after its visitors, and keeps quiet about them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio.to_thread
import gradio.processing_utils
import gradio.queueing
import gradio.route_utils
import gradio.routes
import gradio.utils

from dermsim.core.discretion import Discretion, note_error
from dermsim.ui.tabs.holding import SHELF
from dermsim.ui.uploads import AGE, PERIOD, upload_folder

_PRINTING = (gradio.queueing, gradio.routes, gradio.route_utils, gradio.utils)
_TALKING = (gradio.queueing, gradio.routes, gradio.processing_utils)


@asynccontextmanager
async def housekeeping(app: Any) -> AsyncIterator[None]:
    """Tidy up now and then for as long as a server runs, and once more when it stops.

    Args:
        app: Gradio's server.
    """
    task = asyncio.create_task(_tidy_for_ever(app))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        upload_folder().sweep(age=0)


async def _tidy_for_ever(app: Any) -> None:
    while True:
        await asyncio.sleep(PERIOD)
        try:
            await anyio.to_thread.run_sync(tidy, app)
        except Exception as error:  # one failure must not be the end of tidying
            note_error(error)


def tidy(app: Any) -> None:
    """Delete old uploads, drop what closed sessions held, and what Gradio remembers of values.

    Gradio keeps the last value of every component of every session, for links that reopen a session
    elsewhere. There are no such links here, and the values are visitors' pictures.

    Args:
        app: Gradio's server.
    """
    upload_folder().sweep(age=AGE)
    SHELF.sweep()
    for session in list(app.state_holder.session_data.values()):
        for config in list(session.config_values.values()):
            if config and isinstance((config.get("props") or {}).get("value"), dict | list | str):
                config["props"]["value"] = None


def be_discreet() -> None:
    """Have Gradio print no more of errors than `note_error` does.

    It prints tracebacks and notices, in which there are names of visitors' files.
    """
    for module in _PRINTING:
        if hasattr(module, "traceback"):
            module.traceback = Discretion()  # type: ignore[attr-defined]
    for module in _TALKING:
        module.print = _say_nothing  # type: ignore[attr-defined]


def _say_nothing(*ignored: Any, **options: Any) -> None:
    """Take the place of `print`."""
