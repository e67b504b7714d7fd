import gc
import multiprocessing
import os
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest
from refusals import refuses

from dermsim.engine.shared_runs import Overloaded, SharedRun, patience

PATIENCE = 60
"""Seconds after which a test is taken to hang."""


class Gate:
    """A run that answers n with n * n, notes what it was asked, and stops where it is told to."""

    def __init__(self):
        self.asked, self.running = [], 0
        self.entered, self.open = threading.Semaphore(0), threading.Semaphore(0)
        self.overlapped = False

    def __call__(self, questions):
        self.running += 1
        self.overlapped |= self.running > 1
        self.asked.append(list(questions))
        self.entered.release()
        assert self.open.acquire(timeout=PATIENCE)
        self.running -= 1
        if "bad" in questions:
            raise ValueError("bad is not a number")
        return [n * n for n in questions]


@pytest.fixture
def gate():
    return Gate()


@pytest.fixture
def pool():
    with ThreadPoolExecutor(40) as threads:
        yield threads


def held(gate, shared, pool, questions, **options):
    """Ask 0, and once its run is going on all the others, in order."""
    first = pool.submit(shared, 0)
    assert gate.entered.acquire(timeout=PATIENCE)
    rest = []
    for question in questions:
        count = shared.queued
        rest.append(pool.submit(shared, question, **options))
        while shared.queued == count and not rest[-1].done():
            threading.Event().wait(0.001)
    return first, rest


def go_on(gate, runs=100):
    gate.open.release(runs)


def test_a_lone_question_is_run_at_once_and_alone(gate):
    go_on(gate)
    shared = SharedRun(gate, most=8, waiting=8)
    assert [shared(n) for n in (1, 2, 3)] == [1, 4, 9]
    assert gate.asked == [[1], [2], [3]]


def test_what_arrives_while_a_run_goes_on_shares_the_next(gate, pool):
    shared = SharedRun(gate, most=4, waiting=100)
    first, rest = held(gate, shared, pool, range(1, 7))
    assert shared.queued == 6
    go_on(gate)
    assert first.result(PATIENCE) == 0
    assert [answer.result(PATIENCE) for answer in rest] == [n * n for n in range(1, 7)]
    assert gate.asked == [[0], [1, 2, 3, 4], [5, 6]]
    assert shared.queued == 0


def test_sizes_decide_what_is_run_together(gate, pool):
    shared = SharedRun(gate, most=10, waiting=100)
    first = pool.submit(shared, 0)
    assert gate.entered.acquire(timeout=PATIENCE)
    rest = []
    for question, size in [(1, 4), (2, 7), (3, 6), (4, 6), (5, 30)]:
        rest.append(pool.submit(shared, question, size=size))
        while question not in [ticket.asked for ticket in shared._queue]:
            threading.Event().wait(0.001)
    assert shared.queued == 53
    go_on(gate)
    assert [answer.result(PATIENCE) for answer in (first, *rest)] == [0, 1, 4, 9, 16, 25]
    assert gate.asked == [[0], [1, 3], [2], [4], [5]]


def test_forty_threads_each_get_their_own_answer_and_one_runs_at_a_time(pool):
    running, overlapped, sizes = [], [], []

    def run(questions):
        running.append(1)
        overlapped.append(len(running) > 1)
        sizes.append(len(questions))
        threading.Event().wait(0.001)
        running.pop()
        return [n * n for n in questions]

    shared = SharedRun(run, most=16, waiting=1000)

    def visitor(number):
        return [shared(number * 1000 + n) for n in range(20)]

    answers = list(pool.map(visitor, range(40)))
    assert answers == [[(v * 1000 + n) ** 2 for n in range(20)] for v in range(40)]
    assert sum(sizes) == 800
    assert 1 < max(sizes) <= 16
    assert not any(overlapped)
    assert shared.queued == 0


def test_an_error_reaches_only_who_asked_for_it(gate, pool):
    shared = SharedRun(gate, most=8, waiting=100)
    first, rest = held(gate, shared, pool, [1, "bad", 3])
    go_on(gate)
    assert first.result(PATIENCE) == 0
    assert rest[0].result(PATIENCE) == 1
    with pytest.raises(ValueError, match="bad is not a number"):
        rest[1].result(PATIENCE)
    assert rest[2].result(PATIENCE) == 9
    assert gate.asked == [[0], [1, "bad", 3], [1], ["bad"], [3]]
    assert shared(5) == 25


def test_too_much_is_refused_at_once_and_what_was_let_in_is_answered(gate, pool):
    shared = SharedRun(gate, most=8, waiting=3)
    first, rest = held(gate, shared, pool, [1, 2, 3])
    with refuses("shared_runs.overloaded", Overloaded, queued=3, waiting=3):
        shared(4)
    late = pool.submit(shared, 5, refusable=False)  # the rest of what was let in before
    while shared.queued < 4:
        threading.Event().wait(0.001)
    go_on(gate)
    answers = [answer.result(PATIENCE) for answer in (first, *rest, late)]
    assert answers == [0, 1, 4, 9, 25]
    assert shared(6) == 36


def test_one_question_larger_than_all_that_may_wait_is_not_refused(gate, pool):
    shared = SharedRun(gate, most=8, waiting=3)
    first, rest = held(gate, shared, pool, [7], size=50)
    go_on(gate)
    assert [first.result(PATIENCE), rest[0].result(PATIENCE)] == [0, 49]


def test_patience_ends_while_waiting_and_leaves_no_trace(gate, pool):
    shared = SharedRun(gate, most=8, waiting=10)

    def hurried():
        with patience(0.01):
            return shared(4)

    first, rest = held(gate, shared, pool, [1])
    with refuses("shared_runs.late", TimeoutError):
        hurried()
    assert shared.queued == 1
    go_on(gate)
    assert [first.result(PATIENCE), rest[0].result(PATIENCE)] == [0, 1]
    assert gate.asked == [[0], [1]]  # what nobody waits for any more is not run
    with patience(PATIENCE):
        assert shared(3) == 9


def test_who_loses_patience_during_the_run_disturbs_nobody(gate, pool):
    shared = SharedRun(gate, most=8, waiting=10)
    first = pool.submit(shared, 0)
    assert gate.entered.acquire(timeout=PATIENCE)

    def hurried():
        with patience(0.2):
            return shared(2)

    one = pool.submit(shared, 1)
    while shared.queued < 1:
        threading.Event().wait(0.001)
    two = pool.submit(hurried)
    while shared.queued < 2 and not two.done():
        threading.Event().wait(0.001)
    gate.open.release()  # of 0; the run of the others is held
    assert gate.entered.acquire(timeout=PATIENCE)
    with pytest.raises(TimeoutError):
        two.result(PATIENCE)
    go_on(gate)
    assert [first.result(PATIENCE), one.result(PATIENCE), shared(3)] == [0, 1, 9]


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_patience_is_a_positive_time(seconds):
    with refuses("shared_runs.patience"), patience(seconds):
        pytest.fail("the block was entered")


@pytest.mark.parametrize("limit", ["most", "waiting"])
def test_limits_are_at_least_one(limit):
    with refuses("shared_runs.at_least_one", name=limit, value=0):
        SharedRun(list, **{"most": 1, "waiting": 1, limit: 0})


def test_an_interrupted_thread_leaves_the_rest_to_others(pool):
    entered, interrupt = threading.Semaphore(0), threading.Semaphore(0)
    asked = []

    def run(questions):
        asked.append(list(questions))
        entered.release()
        assert interrupt.acquire(timeout=PATIENCE)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return [n * n for n in questions]

    shared = SharedRun(run, most=8, waiting=10)
    answers = [pool.submit(shared, 0)]
    assert entered.acquire(timeout=PATIENCE)
    for n in (1, 2, 3):
        answers.append(pool.submit(shared, n))
        while shared.queued < n:
            threading.Event().wait(0.001)
    interrupt.release(10)
    assert answers[0].result(PATIENCE) == 0
    with pytest.raises(KeyboardInterrupt):
        answers[1].result(PATIENCE)
    assert [answer.result(PATIENCE) for answer in answers[2:]] == [4, 9]
    assert asked == [[0], [1, 2, 3], [2, 3]]


def test_nothing_is_started_and_nothing_is_kept():
    def run(questions):
        return list(questions)

    before = threading.active_count()
    shared = SharedRun(run, most=2, waiting=2)
    assert shared(1) == 1
    assert threading.active_count() == before
    reference = weakref.ref(shared)
    del shared
    assert reference() is None, gc.get_referrers(reference())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_process_forked_during_a_run_begins_anew(gate, pool):
    shared = SharedRun(gate, most=2, waiting=1)
    first, rest = held(gate, shared, pool, [1])
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)

    def work():
        gate.open.release(10)
        sender.send([shared.queued, shared(6)])

    process = context.Process(target=work, daemon=True)
    process.start()
    assert receiver.poll(PATIENCE), "the forked process waits for ever"
    assert receiver.recv() == [0, 36]
    process.join(PATIENCE)
    go_on(gate)
    assert [first.result(PATIENCE), rest[0].result(PATIENCE)] == [0, 1]
