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

from dermsim.core.refused import Refused, RefusedFileNotFoundError

FILE, CLASSES, ROWS, VISIT = "file", "classes", "rows", "visit"
"""Kinds of things, and all that a visit holds together."""

LOST = 10_000
"""Visits that are remembered as lost, until their visitors are told."""


class Gone(RefusedFileNotFoundError):  # noqa: N818  (says how things stand, as `KeyboardInterrupt`)
    """What was held for a visitor is no longer there; the page has a sentence for each kind.

    Attributes:
        kind: Of the thing.
    """

    def __init__(self, kind: str) -> None:
        super().__init__("shelf.gone", kind=kind)
        self.kind = kind


class Held:
    """The name of a thing on a shelf; the shelf forgets the thing when its name is forgotten.

    Attributes:
        number: Which thing.
        kind: What kind of thing it is.
        told: Whether its visitor was told that it is gone.
    """

    __slots__ = ("__weakref__", "kind", "number", "told")

    def __init__(self, number: int, kind: str = FILE) -> None:
        self.number, self.kind, self.told = number, kind, False

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
        grace: Seconds for which it is held on when the page is closed.
        used: When it was last used, as a count of uses.
    """

    value: Any
    size: int
    session: str | None
    until: float
    grace: float
    used: int


class Shelf:
    """Things held for visitors; safe to share between threads.

    Attributes:
        most: Bytes of all things together; those of the visitor who was idle longest make room for
            a new one.
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
        self._numbers, self._uses = count(), count()
        # a name may be forgotten by the very thread that holds the lock
        self._places: dict[int, _Place] = {}
        self._lock = threading.RLock()
        self._closed: set[str] = set()
        self._last: dict[str, int] = {}  # session -> when it last used anything
        self._lost: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._places)

    @property
    def size(self) -> int:
        """Bytes held now."""
        with self._lock:
            return sum(place.size for place in list(self._places.values()))

    def put(
        self,
        value: Any,
        *,
        size: int,
        session: str | None = None,
        kind: str = FILE,
        grace: float | None = None,
    ) -> Held:
        """Hold a thing.

        Args:
            value: The thing; it must not be changed afterwards.
            size: Its bytes.
            session: Whose it is.
            kind: What kind of thing it is.
            grace: Seconds for which it is held on when the page is closed; None for the usual.

        Returns:
            Its name.

        Raises:
            ValueError: If it is larger than the whole shelf.
        """
        if size > self.most:
            raise Refused("shelf.full", size=size / 1e6, most=self.most / 1e6)
        with self._lock:
            if session is not None:
                self._last[session] = next(self._uses)
            while self.size + size > self.most:
                self._places.pop(self._idlest(), None)
            held = Held(next(self._numbers), kind)
            self._places[held.number] = _Place(
                value,
                size,
                session,
                until=self._clock() + self.longest,
                grace=self.grace if grace is None else grace,
                used=next(self._uses),
            )
            weakref.finalize(held, self._places.pop, held.number, None).atexit = False
        return held

    def get(self, held: Held) -> Any:
        """Return a thing by its name.

        Raises:
            Gone: If it was dropped.
        """
        with self._lock:
            place = self._places.get(held.number)
            if place is None or place.until <= self._clock():
                self._places.pop(held.number, None)
                raise Gone(held.kind)
            place.used = next(self._uses)
            if place.session is not None:
                self._last[place.session] = place.used
            came_back = place.session in self._closed
            place.until = self._clock() + (self.returned if came_back else self.longest)
            return place.value

    def adopt(self, held: Held, session: str) -> None:
        """Make a thing another session's, as when its visitor has loaded the page anew.

        Raises:
            Gone: If it was dropped.
        """
        with self._lock:
            self.get(held)
            place = self._places[held.number]
            place.session, place.until = session, self._clock() + self.longest

    def close(self, session: str) -> None:
        """Note that a visitor's page was closed, or its connection lost."""
        with self._lock:
            own = [place for place in list(self._places.values()) if place.session == session]
            if own:
                self._closed.add(session)
            for place in own:
                place.until = min(place.until, self._clock() + place.grace)

    def sweep(self) -> None:
        """Drop what has been held long enough."""
        with self._lock:
            now = self._clock()
            for number, place in list(self._places.items()):
                if place.until <= now:
                    self._places.pop(number, None)
            left = self.sessions()
            self._closed &= left
            self._last = {name: used for name, used in self._last.items() if name in left}

    def sessions(self) -> set[str]:
        """Return whose things are held."""
        with self._lock:
            places = list(self._places.values())
            return {place.session for place in places if place.session is not None}

    def lose(self, session: str) -> None:
        """Drop all that a visitor holds, who is to be told of it when he comes back."""
        with self._lock:
            own = [n for n, place in list(self._places.items()) if place.session == session]
            for number in own:
                self._places.pop(number, None)
            if own:
                self._lost[session] = None
                if len(self._lost) > LOST:
                    del self._lost[next(iter(self._lost))]

    def was_lost(self, session: str) -> bool:
        """Say, once, whether what a visitor held was dropped with the rest of the visit."""
        with self._lock:
            return session in self._lost and self._lost.pop(session) is None

    def _idlest(self) -> int:
        """Return the thing that makes room: the one used longest ago, of the idlest visitor."""

        def idle(item: tuple[int, _Place]) -> tuple[int, int]:
            place = item[1]
            return self._last.get(place.session or "", place.used), place.used

        return min(list(self._places.items()), key=idle)[0]
