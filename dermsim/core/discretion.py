"""What a server may say of its visitors: sizes and times, and where the program failed.

No line holds a name, a path of a file, an address, a value that was asked for or the words of an
error: all of them may come from a visitor. For the page's server and for REST's alike.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
import warnings
from pathlib import Path
from typing import Any

ACCESS = logging.getLogger("dermsim.access")
"""A line for each request, at level INFO."""

ERRORS = logging.getLogger("dermsim.errors")
"""A line for each mistake of the program, at level ERROR."""

_QUIET = {
    "GRADIO_ANALYTICS_ENABLED": "False",  # it must not phone home
    # nor make a table of its last 10,000 calls after each call, which takes it 20 ms
    "GRADIO_ANALYTICS_MAX_EVENTS": "1",
    "GRADIO_ANALYTICS_CACHE_FREQUENCY": "1000000000",
    "OMP_WAIT_POLICY": "PASSIVE",  # idle threads of torch and FAISS must not spin
}

_OTHERS = ("uvicorn.error", "uvicorn.asgi", "asyncio", "gradio", "gradio.route_utils", "starlette")
"""Loggers of libraries that tell errors with their words."""


def quieten() -> None:
    """Set what a server's libraries read from the environment, once, when they are imported.

    What the environment says already is left as it is.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)


def note_error(error: BaseException) -> None:
    """Write of a mistake of the program: its kind and where it was made, not its words."""
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames[-3:]]
    ERRORS.error("%s at %s", type(error).__name__, " > ".join(places) or "an unknown place")


class Discreet(logging.Filter):
    """Leaves of an error that another library logs its kind and place only."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Take the words out of a record that tells of an error."""
        error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        if error is not None:
            note_error(error)
            return False
        if record.levelno >= logging.WARNING and record.args:
            # the pattern is the library's, what stands in it is the visitor's
            record.msg, record.args = str(record.msg), ()
        return True


def be_discreet() -> None:
    """Have the libraries of a server tell no more of errors than `note_error` does."""
    warnings.showwarning = _note_warning  # type: ignore[assignment]
    # what an assistant sent is in the words of all its records
    logging.getLogger("mcp").setLevel(logging.CRITICAL + 1)
    for name in _OTHERS:
        logger = logging.getLogger(name)
        if not any(isinstance(known, Discreet) for known in logger.filters):
            logger.addFilter(Discreet())


def _note_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, *ignored: Any
) -> None:
    """Write of a warning its kind and place: its words may name a visitor's picture."""
    ERRORS.warning("%s at %s:%d", category.__name__, Path(filename).name, lineno)


class Discretion:
    """Stands in for the module `traceback` where a library prints what went wrong."""

    def __getattr__(self, name: str) -> Any:
        """Everything else is the module's."""
        return getattr(traceback, name)

    @staticmethod
    def print_exc(*ignored: Any, **options: Any) -> None:
        """Write of the error being handled as `note_error` does."""
        if (error := sys.exc_info()[1]) is not None:
            note_error(error)


def show_access() -> None:
    """Write the lines of `AccessLog` to stderr."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    ACCESS.addHandler(handler)
    ACCESS.setLevel(logging.INFO)
    ACCESS.propagate = False
