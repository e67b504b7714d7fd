"""One run for many: what several threads ask for at the same time is worked off together.

Whoever asks first starts at once. Whoever asks while a run is going on waits for its end, and then
all that have gathered share the next one (Clipper calls this adaptive batching, with no window to
wait in: Crankshaw 2017, https://www.usenix.org/conference/nsdi17/technical-sessions/presentation/crankshaw).

There is no thread behind it. The run is made by one of those who wait for it, and the first of
those left over makes the next one: nothing has to be started or shut down, and nothing is left
behind when it is no longer used. Nothing here knows what is run; `DermSim` shares its encoder.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from dermsim.core.refused import Refused, RefusedRuntimeError, RefusedTimeoutError

AskedT = TypeVar("AskedT")
AnswerT = TypeVar("AnswerT")

_patience: ContextVar[float | None] = ContextVar("patience", default=None)


class Overloaded(RefusedRuntimeError):  # noqa: N818  (says how things stand, as `KeyboardInterrupt`)
    """More is being asked for than can be answered soon; asking again a little later helps."""


@contextmanager
def patience(seconds: float | None) -> Iterator[None]:
    """Limit how long each shared run is waited for, by this thread and within this block.

    What is waited for is the answer; a run that this thread makes itself is not broken off.

    Args:
        seconds: After so long a `TimeoutError` is raised; None waits for as long as it takes.

    Raises:
        ValueError: If that is not a positive number.
    """
    if seconds is not None and not seconds > 0:
        raise Refused("shared_runs.patience", seconds=seconds)
    token = _patience.set(seconds)
    try:
        yield
    finally:
        _patience.reset(token)


@dataclass(eq=False)
class _Ticket(Generic[AskedT, AnswerT]):
    """What one thread asks for, and what becomes of it.

    Attributes:
        asked: The question.
        size: How many images it is of.
        leads: Whether the thread that waits has been told to make the next run.
        done: Whether there is an answer or an error.
        gone: Whether the thread has stopped waiting.
    """

    asked: AskedT
    size: int
    turn: threading.Condition
    leads: bool = False
    done: bool = False
    gone: bool = False
    answer: AnswerT | None = None
    error: BaseException | None = None


@dataclass(eq=False)
class SharedRun(Generic[AskedT, AnswerT]):
    """A function that answers several questions in one go, shared by any number of threads.

    Attributes:
        run: Questions -> an answer to each, in order. It is never called by two threads
            at the same time. If it fails for several, each is run alone, so that an error reaches
            only those it concerns.
        most: Largest number of images in one run; a larger single question is run alone.
        waiting: Largest number of images that may wait; beyond it, `Overloaded` is raised. A
            single question may always wait, whatever its size.
    """

    run: Callable[[Sequence[AskedT]], Sequence[AnswerT]]
    most: int
    waiting: int
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)
    _queue: deque[_Ticket[AskedT, AnswerT]] = field(default_factory=deque, init=False, repr=False)
    _busy: bool = field(default=False, init=False, repr=False)

    def __post_init__(self) -> None:
        """Check the limits.

        Raises:
            ValueError: If one is below 1.
        """
        for name in ("most", "waiting"):
            if getattr(self, name) < 1:
                raise Refused("shared_runs.at_least_one", name=name, value=getattr(self, name))
        _shared.add(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return SharedRun, (self.run, self.most, self.waiting)  # a copy has nobody waiting

    @property
    def queued(self) -> int:
        """How many images wait now, without those of the run going on."""
        with self._lock:
            return self._queued()

    def __call__(self, asked: AskedT, *, size: int = 1, refusable: bool = True) -> AnswerT:
        """Ask one question and wait for its answer, no longer than `patience` says.

        Args:
            asked: The question.
            size: How many images it is of.
            refusable: Whether it may be refused when too much is waiting. The rest of a question
                that was let in should not be.

        Returns:
            What `run` returned for it.

        Raises:
            Overloaded: If too much is waiting already.
            TimeoutError: If there is no answer in time.
            Exception: Whatever `run` raised for this question.
        """
        until = None if (seconds := _patience.get()) is None else time.monotonic() + seconds
        ticket: _Ticket[AskedT, AnswerT] = _Ticket(asked, size, threading.Condition(self._lock))
        with self._lock:
            if not self._busy:
                self._busy = ticket.leads = True
            elif refusable and self._queue and self._queued() + size > self.waiting:
                raise Overloaded(
                    "shared_runs.overloaded", queued=self._queued(), waiting=self.waiting
                )
            self._queue.append(ticket)
            self._wait(ticket, until)
        if not ticket.done:
            self._lead(ticket)
        if ticket.error is not None:
            raise ticket.error
        return ticket.answer  # type: ignore[return-value]  # it is done, and there is no error

    def _queued(self) -> int:
        return sum(ticket.size for ticket in self._queue)

    def _wait(self, ticket: _Ticket[AskedT, AnswerT], until: float | None) -> None:
        """Wait, with the lock held, until there is an answer or the turn to make a run."""
        try:
            while not (ticket.done or ticket.leads):
                left = None if until is None else until - time.monotonic()
                if left is not None and left <= 0:
                    raise RefusedTimeoutError("shared_runs.late")
                ticket.turn.wait(left)
        except BaseException:  # an interrupt may come while waiting, too
            ticket.gone = True
            if ticket in self._queue:
                self._queue.remove(ticket)
            if ticket.leads and not ticket.done:
                self._pass_on()
            raise

    def _lead(self, own: _Ticket[AskedT, AnswerT]) -> None:
        """Make one run for this thread and others, then leave the next to one who waits."""
        batch = [own]
        try:
            with self._lock:
                batch = self._gather(own)
            self._answer(batch)
        finally:
            with self._lock:
                # there are some if this thread was interrupted; whoever still waits goes first
                others = [t for t in batch if not (t is own or t.done or t.gone)]
                self._queue.extendleft(reversed(others))
                for ticket in batch:
                    ticket.turn.notify_all()
                self._pass_on()

    def _gather(self, own: _Ticket[AskedT, AnswerT]) -> list[_Ticket[AskedT, AnswerT]]:
        """Take what is run with a ticket out of the queue: in order, as long as it fits."""
        self._queue.remove(own)
        batch, size = [own], own.size
        for ticket in list(self._queue):
            if size + ticket.size <= self.most:
                self._queue.remove(ticket)
                batch.append(ticket)
                size += ticket.size
        return batch

    def _answer(self, batch: Sequence[_Ticket[AskedT, AnswerT]]) -> None:
        try:
            answers = self.run([ticket.asked for ticket in batch])
        except Exception as error:
            if len(batch) == 1:
                batch[0].error, batch[0].done = error, True
                return
            for ticket in batch:
                self._answer([ticket])
            return
        for ticket, answer in zip(batch, answers, strict=True):
            ticket.answer, ticket.done = answer, True

    def _pass_on(self) -> None:
        """Tell the first who waits to make the next run; with the lock held."""
        self._busy = bool(self._queue)
        if self._queue:
            self._queue[0].leads = True
            self._queue[0].turn.notify_all()

    def _forget(self) -> None:
        """Begin anew where no thread but this one exists."""
        self._lock = threading.Lock()
        self._queue = deque()
        self._busy = False


_shared: weakref.WeakSet[SharedRun[Any, Any]] = weakref.WeakSet()


def _forget_all() -> None:
    """Begin anew in a forked process: those who waited, and a lock they held, stayed behind."""
    for shared in list(_shared):
        shared._forget()


if hasattr(os, "register_at_fork"):  # Windows cannot fork
    os.register_at_fork(after_in_child=_forget_all)
