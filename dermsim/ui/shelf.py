"""What visitors' sessions remember of pictures: in memory, within a budget, gone with the visitor.

A session's state holds a `Held`, which is only a name; the thing itself lies on the `Shelf`. It is
dropped when the session puts another in its place or the page is closed, and when memory is short.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

GONE = "what was held for a visitor is no longer there"
"""Why a `FileNotFoundError` is raised; the page has its own sentence for it."""


class Held:
    """The name of a thing on a shelf; the shelf forgets the thing when its name is forgotten."""

    __slots__ = ("__weakref__", "number")

    def __init__(self, number: int) -> None:
        self.number = number

    def __deepcopy__(self, memo: Mapping[int, object]) -> Held:
        return self  # two copies would each forget the thing


@dataclass
class _Place:
    """A thing on the shelf.

    Attributes:
        value: The thing.
        size: Its bytes.
        session: Whose it is; None for nobody's in particular.
        until: When it is dropped, by the shelf's clock.
    """

    value: Any
    size: int
    session: str | None
    until: float


class Shelf:
    """Things held for visitors; safe to share between threads.

    Attributes:
        most: Bytes of all things together; the least recently used make room for a new one.
        grace: Seconds that things are held on after their visitor's page was closed. Whoever comes
            back in that time keeps them.
        longest: Seconds that a thing nobody uses is held at most, whether or not its page is open.
        returned: The same for a visitor whose connection was lost and who came back.
    """

    def __init__(
        self,
        *,
        most: int = 2**29,
        grace: float = 30.0,
        longest: float = 12 * 3600.0,
        returned: float = 3600.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.most, self.grace, self.longest, self.returned = most, grace, longest, returned
        self._clock = clock
        self._numbers = count()
        # in the order of use; a name may be forgotten by the very thread that holds the lock
        self._places: dict[int, _Place] = {}
        self._lock = threading.RLock()
        self._closed: set[str] = set()

    def __len__(self) -> int:
        return len(self._places)

    @property
    def size(self) -> int:
        """Bytes held now."""
        with self._lock:
            return sum(place.size for place in list(self._places.values()))

    def put(self, value: Any, *, size: int, session: str | None = None) -> Held:
        """Hold a thing.

        Args:
            value: The thing; it must not be changed afterwards.
            size: Its bytes.
            session: Whose it is.

        Returns:
            Its name.

        Raises:
            ValueError: If it is larger than the whole shelf.
        """
        if size > self.most:
            raise ValueError(
                f"That is {size / 1e6:.0f} MB, more than the {self.most / 1e6:.0f} MB that can be "
                "held: take fewer or smaller files."
            )
        with self._lock:
            for number in list(self._places):
                if self.size + size <= self.most:
                    break
                self._places.pop(number, None)
            held = Held(next(self._numbers))
            self._places[held.number] = _Place(value, size, session, self._clock() + self.longest)
            weakref.finalize(held, self._places.pop, held.number, None).atexit = False
        return held

    def get(self, held: Held) -> Any:
        """Return a thing by its name.

        Raises:
            FileNotFoundError: If it was dropped.
        """
        with self._lock:
            place = self._places.pop(held.number, None)
            if place is None or place.until <= self._clock():
                raise FileNotFoundError(GONE)
            self._places[held.number] = place
            came_back = place.session in self._closed
            place.until = self._clock() + (self.returned if came_back else self.longest)
            return place.value

    def close(self, session: str) -> None:
        """Note that a visitor's page was closed, or its connection lost."""
        with self._lock:
            own = [place for place in list(self._places.values()) if place.session == session]
            if own:
                self._closed.add(session)
            for place in own:
                place.until = min(place.until, self._clock() + self.grace)

    def sweep(self) -> None:
        """Drop what has been held long enough."""
        with self._lock:
            now = self._clock()
            for number, place in list(self._places.items()):
                if place.until <= now:
                    self._places.pop(number, None)
            self._closed &= {place.session for place in list(self._places.values())}
