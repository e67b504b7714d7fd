"""What a served page does besides: it tidies up after its visitors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio.to_thread

from dermsim.core.discretion import note_error
from dermsim.ui.gradio_seams import forget_values
from dermsim.ui.tabs.holding import SHELF
from dermsim.ui.uploads import AGE, PERIOD, upload_folder


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

    Args:
        app: Gradio's server.
    """
    upload_folder().sweep(age=AGE)
    SHELF.sweep()
    forget_values(app)
