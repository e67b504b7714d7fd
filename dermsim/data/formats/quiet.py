"""Silence of libraries that log what they stumble over: they quote the file, and it may be private.

What is wrong with a file is said once, in the sentence that refuses it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_reading: ContextVar[bool] = ContextVar("reading", default=False)


def _unless_reading(record: logging.LogRecord) -> bool:
    return not _reading.get()


@contextmanager
def quietly(library: str) -> Iterator[None]:
    """Have nothing logged of what this thread has a library read; other threads are heard.

    Args:
        library: The name of its logger.
    """
    log = logging.getLogger(library)
    if _unless_reading not in log.filters:
        log.addFilter(_unless_reading)
    token = _reading.set(True)
    try:
        yield
    finally:
        _reading.reset(token)
