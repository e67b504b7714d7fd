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

MOST = 56_000_000
"""Pixels decoded at a time by default, more than the largest picture has: about eight bytes of each
are held."""

SMALL = 2_000_000
"""Pixels up to which a picture waits for other small ones only."""

RESERVE = 8_000_000
"""Pixels of small pictures decoded at a time, beside `MOST`: a photograph of ordinary size goes on
while larger ones wait for each other, and keeps a core busy that would else be idle."""

PATIENCE = 60.0
"""Seconds for which a server lets a request wait for room."""

_inside: ContextVar[bool] = ContextVar("inside", default=False)


class Room:
    """What somebody holds of a `PixelBudget`.

    Attributes:
        pixels: How much.
    """

    def __init__(self, lane: _Lane | None, pixels: int) -> None:
        self._lane, self.pixels = lane, pixels

    def keep(self, pixels: int) -> None:
        """Give back all but so many pixels: what was decoded turned out smaller."""
        if self._lane is not None and pixels < self.pixels:
            self._lane.give_back(self.pixels - pixels)
            self.pixels = pixels


class PixelBudget:
    """Room for pixels, given in the order in which it was asked for; safe to share by threads.

    Whoever asks for more than there is gets all of it, once nobody else holds any.

    Attributes:
        most: Pixels at a time, those of small pictures apart.
    """

    def __init__(self, most: int = MOST, *, small: int = 0, reserve: int = 0) -> None:
        """Make a budget.

        Args:
            most: Pixels at a time.
            small: Whoever asks for no more than this has a line and room of their own.
            reserve: Pixels at a time of those, beside `most`.

        Raises:
            ValueError: If it has no room at all.
        """
        if min(most, reserve if small else 1) < 1:
            raise Refused("admission.budget", most=min(most, reserve))
        self.most = most
        self._small = small
        self._lanes = (_Lane(most), _Lane(reserve))

    @property
    def peak(self) -> int:
        """The most pixels that were held so far: the sum of the most in either line."""
        return sum(lane.peak for lane in self._lanes)

    @property
    def held(self) -> int:
        """Pixels held now."""
        return sum(lane.held for lane in self._lanes)

    @property
    def waiting(self) -> int:
        """How many wait for room."""
        return sum(len(lane.queue) for lane in self._lanes)

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
            yield Room(None, 0)
            return
        lane = self._lanes[pixels <= self._small]
        room = Room(lane, min(pixels, lane.most))
        lane.take(room.pixels, seconds)
        token = _inside.set(True)
        try:
            yield room
        finally:
            _inside.reset(token)
            lane.give_back(room.pixels)


class _Lane:
    """One line of a budget: who came first is let in first."""

    def __init__(self, most: int) -> None:
        self.most, self.held, self.peak = most, 0, 0
        self.queue: deque[object] = deque()
        self._turn = threading.Condition()

    def take(self, pixels: int, seconds: float | None) -> None:
        ticket = object()

        def is_my_turn() -> bool:
            return self.queue[0] is ticket and self.held + pixels <= self.most

        with self._turn:
            self.queue.append(ticket)
            try:
                if not self._turn.wait_for(is_my_turn, seconds):
                    raise RefusedTimeoutError("admission.busy")
                self.held += pixels
                self.peak = max(self.peak, self.held)
            finally:
                self.queue.remove(ticket)
                self._turn.notify_all()  # the next one may fit as well

    def give_back(self, pixels: int) -> None:
        with self._turn:
            self.held -= pixels
            self._turn.notify_all()


PIXELS = PixelBudget(small=SMALL, reserve=RESERVE)
"""What all pictures that this process reads share."""
