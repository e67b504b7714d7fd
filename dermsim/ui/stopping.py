"""How a server ends: what is under way is answered, nothing new is begun, nothing stays on disk.

SIGTERM, which `docker stop`, systemd and the Hub send, and SIGHUP end a server as Ctrl-C does.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from types import FrameType
from typing import Any

from starlette.types import Scope

from dermsim.core.refused import Refused

GRACE = 8.0
"""Seconds that answers under way are waited for by default. Docker kills ten seconds after it
asked."""

_LOOK = 0.05  # seconds between two looks at whether all is done

_ENDLESS = (
    "/gradio_api/heartbeat/",
    "/gradio_api/queue/data",
    "/gradio_api/call/",
    "/gradio_api/upload_progress",
)
"""Where streams are read that may have no end; what comes in them is work of Gradio's queue."""

ENDINGS = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)
)
"""Signals that ask a server to end, besides that of Ctrl-C."""


class Work:
    """What a server is answering, and whether it takes on more; for one event loop.

    Attributes:
        grace: Seconds that answers under way are waited for at the end.
        starting: Whether the server is being launched, when it asks itself to begin.
        stopping: Whether new work is refused.
        loop: The server's event loop, once it runs.
    """

    def __init__(self, *, grace: float = GRACE) -> None:
        """Begin with nothing under way.

        Raises:
            ValueError: If the server could never end.
        """
        if not 0 <= grace < 3600:
            raise Refused("stopping.grace", grace=grace)
        self.grace = grace
        self.starting = self.stopping = False
        self.loop: asyncio.AbstractEventLoop | None = None
        self._requests = 0

    @contextlib.asynccontextmanager
    async def in_loop(self, app: Any) -> AsyncIterator[None]:
        """Know the loop for as long as a server runs: its lifespan."""
        self.loop = asyncio.get_running_loop()
        try:
            yield
        finally:
            self.loop = None

    def is_refused(self, scope: Scope) -> bool:
        """Say whether a request is new work that is no longer taken on; results may be fetched."""
        return self.stopping and scope["method"] not in ("GET", "HEAD")

    @contextlib.contextmanager
    def answering(self, scope: Scope) -> Iterator[None]:
        """Count a request for as long as it is answered."""
        reads = scope["method"] in ("GET", "HEAD")
        counts = not (reads and scope["path"].startswith(_ENDLESS))
        self._requests += counts
        try:
            yield
        finally:
            self._requests -= counts

    async def finish(self, pending: Callable[[], int]) -> bool:
        """Refuse new work, and wait for what is under way.

        Args:
            pending: Returns how many calls Gradio's queue still has, and how many of its answers
                wait to be fetched.

        Returns:
            Whether all of it was done in time.
        """
        self.stopping = True
        end = asyncio.get_running_loop().time() + self.grace
        while self._requests or pending():
            if asyncio.get_running_loop().time() > end:
                return False
            await asyncio.sleep(_LOOK)
        return True


@contextlib.contextmanager
def ended_by_signals() -> Iterator[threading.Event]:
    """Have the first signal set what this gives, and further ones nothing.

    Nothing is raised, as that may come where it is caught or cannot be raised. A second Ctrl-C
    does what it does otherwise. A signal that is ignored, as SIGHUP is under ``nohup``, stays so.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def end(number: int, frame: FrameType | None) -> None:
        asked.set()
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    before = {}
    for each in (signal.SIGINT, *ENDINGS):
        handler = signal.getsignal(each)
        if handler is not signal.SIG_IGN:
            before[each] = handler
            signal.signal(each, end)
    try:
        yield asked
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@contextlib.contextmanager
def ended_quietly() -> Iterator[None]:
    """Have a server of uvicorn that SIGTERM or SIGHUP ends leave with the exit status 0.

    uvicorn finishes what is under way, and then sends itself the signal once more; and it knows
    nothing of SIGHUP.
    """

    def nothing(number: int, frame: FrameType | None) -> None:
        """Take the signal that comes once more."""

    def end(number: int, frame: FrameType | None) -> None:
        signal.raise_signal(signal.SIGTERM)

    before = {}
    for each in ENDINGS:
        handler = signal.getsignal(each)
        if handler is not signal.SIG_IGN:
            before[each] = handler
            signal.signal(each, nothing if each == signal.SIGTERM else end)
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
