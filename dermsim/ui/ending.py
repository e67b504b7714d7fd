"""Waits for the end of a served page, and makes it an orderly one; see `dermsim.ui.stopping`."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import NoReturn

from dermsim.ui import gradio_seams, tabs
from dermsim.ui.stopping import GRACE, Work
from dermsim.ui.uploads import upload_folder

LOOK = 0.1
"""Seconds between two looks at whether the server is still there."""


def serve_until_stopped(
    app: tabs.Page, work: Work, load: Callable[[], None], *, asked: threading.Event
) -> None:
    """Wait until the server is asked to end, and end it in order.

    Answers under way are finished within `Work.grace` seconds; new work is refused meanwhile.

    Args:
        app: The launched page.
        work: What `launch` was given.
        load: What the page waits for, such as the checkpoint; done in a thread.
        asked: Set when the server is to end.

    Raises:
        Exception: What `load` raises.
    """
    loaded: Future[None] = Future()
    threading.Thread(target=_run, args=(load, loaded), daemon=True).start()
    while not loaded.done() and not asked.wait(LOOK):
        pass
    if loaded.done():
        loaded.result()
    while gradio_seams.is_served(app) and not asked.wait(LOOK):
        pass
    done = _end(app, work)
    if not (done and loaded.done()):
        leave_at_once()


def _run(load: Callable[[], None], loaded: Future[None]) -> None:
    try:
        load()
    except BaseException as error:  # it is raised again where it is waited for
        loaded.set_exception(error)
    else:
        loaded.set_result(None)


def _end(app: tabs.Page, work: Work) -> bool:
    """End the server; return whether all was answered and no thread of it is left."""
    if work.loop is None or not gradio_seams.is_served(app):
        return True

    async def finish() -> bool:
        done = await work.finish(lambda: gradio_seams.pending_calls(app))
        gradio_seams.stop_streams(app.app)
        return done

    done = asyncio.run_coroutine_threadsafe(finish(), work.loop).result(timeout=work.grace + GRACE)
    return gradio_seams.stop_server(app, seconds=1.0) and done


def leave_at_once() -> NoReturn:
    """End the program although threads of it still work; visitors' files go all the same."""
    upload_folder().remove()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
