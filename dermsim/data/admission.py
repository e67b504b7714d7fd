"""How many pixels are being decoded at a time: who comes when there are too many waits.

A picture of a few kilobytes may hold 50 million pixels, so neither requests nor bytes bound what
their memory comes to. `read_image` holds room for every picture while it decodes it; a server holds
room for all pictures of a request from before the first is decoded until they are answered.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from dermsim.core.refused import Refused, RefusedTimeoutError

MOST = 64_000_000
"""Pixels decoded at a time by default, more than the largest picture has: about eight bytes of each
are held."""

PATIENCE = 60.0
"""Seconds for which a server lets a request wait for room."""

_inside: ContextVar[bool] = ContextVar("inside", default=False)


class Room:
    """What somebody holds of a `PixelBudget`.

    Attributes:
        pixels: How much.
    """

    def __init__(self, budget: PixelBudget, pixels: int) -> None:
        self._budget, self.pixels = budget, pixels

    def keep(self, pixels: int) -> None:
        """Give back all but so many pixels: what was decoded turned out smaller."""
        if pixels < self.pixels:
            self._budget._give_back(self.pixels - pixels)
            self.pixels = pixels


class PixelBudget:
    """Room for pixels, given in the order in which it was asked for; safe to share by threads.

    Whoever asks for more than there is gets all of it, once nobody else holds any.

    Attributes:
        most: Pixels at a time.
        peak: The most that were held at a time so far.
    """

    def __init__(self, most: int = MOST) -> None:
        """Make a budget.

        Raises:
            ValueError: If it has no room at all.
        """
        if most < 1:
            raise Refused("admission.budget", most=most)
        self.most = most
        self.peak = 0
        self._held = 0
        self._turn = threading.Condition()
        self._queue: deque[object] = deque()

    @property
    def held(self) -> int:
        """Pixels held now."""
        return self._held

    @property
    def waiting(self) -> int:
        """How many wait for room."""
        return len(self._queue)

    @contextmanager
    def hold(self, pixels: int, *, seconds: float | None = None) -> Iterator[Room]:
        """Hold room for as long as the block lasts; within it, this thread asks for no more.

        Args:
            pixels: How much.
            seconds: How long to wait for it at most; None for as long as it takes.

        Raises:
            TimeoutError: If there was none in time.
        """
        if _inside.get() or pixels <= 0:
            yield Room(self, 0)
            return
        room = Room(self, min(pixels, self.most))
        self._take(room.pixels, seconds)
        token = _inside.set(True)
        try:
            yield room
        finally:
            _inside.reset(token)
            self._give_back(room.pixels)

    def _take(self, pixels: int, seconds: float | None) -> None:
        ticket = object()

        def is_my_turn() -> bool:
            return self._queue[0] is ticket and self._held + pixels <= self.most

        with self._turn:
            self._queue.append(ticket)
            try:
                if not self._turn.wait_for(is_my_turn, seconds):
                    raise RefusedTimeoutError("admission.busy")
                self._held += pixels
                self.peak = max(self.peak, self._held)
            finally:
                self._queue.remove(ticket)
                self._turn.notify_all()  # the next one may fit as well

    def _give_back(self, pixels: int) -> None:
        with self._turn:
            self._held -= pixels
            self._turn.notify_all()


PIXELS = PixelBudget()
"""What all pictures that this process reads share."""
