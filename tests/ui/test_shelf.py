import copy
import gc
import threading

import pytest
from refusals import refuses

from dermsim.ui.shelf import CLASSES, FILE, Gone, Shelf


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def shelf(clock):
    return Shelf(most=100, grace=30, longest=1000, returned=300, clock=clock)


def test_a_thing_is_found_by_its_name_and_by_no_other(shelf):
    one, other = shelf.put("a", size=1), shelf.put("b", size=1)
    assert (shelf.get(one), shelf.get(other)) == ("a", "b")
    assert copy.deepcopy(one) is one
    assert copy.deepcopy({"state": [one]})["state"][0] is one


def test_a_thing_goes_when_its_name_is_forgotten(shelf):
    held = shelf.put("a", size=10)
    copied = copy.deepcopy(held)
    del held
    gc.collect()
    assert shelf.get(copied) == "a"
    del copied
    gc.collect()
    assert (len(shelf), shelf.size) == (0, 0)


def test_the_least_recently_used_make_room(shelf):
    one, two = shelf.put(0, size=40), shelf.put(1, size=40)
    shelf.get(one)
    three = shelf.put(2, size=40)
    assert shelf.size == 80
    with pytest.raises(FileNotFoundError):
        shelf.get(two)
    assert (shelf.get(one), shelf.get(three)) == (0, 2)


def test_what_is_larger_than_the_shelf_is_refused_and_nothing_is_dropped_for_it(shelf):
    held = shelf.put("a", size=100)
    with refuses("shelf.full"):
        shelf.put("b", size=101)
    assert shelf.get(held) == "a"


def test_an_hour_with_the_page_open_is_not_too_long(shelf, clock):
    held = shelf.put("a", size=1, session="s")
    for _ in range(5):
        clock.now += 999
        shelf.sweep()
        assert shelf.get(held) == "a"
    clock.now += 1000
    with pytest.raises(FileNotFoundError):
        shelf.get(held)
    assert len(shelf) == 0


def test_a_closed_page_is_forgotten_within_the_grace_and_others_are_not(shelf, clock):
    mine, yours = shelf.put("a", size=1, session="me"), shelf.put("b", size=1, session="you")
    shelf.close("me")
    clock.now += 29
    shelf.sweep()
    assert len(shelf) == 2
    clock.now += 1
    shelf.sweep()
    assert len(shelf) == 1
    with pytest.raises(FileNotFoundError):
        shelf.get(mine)
    assert shelf.get(yours) == "b"


def test_who_comes_back_within_the_grace_keeps_it_for_a_while(shelf, clock):
    held = shelf.put("a", size=1, session="me")
    shelf.close("me")
    clock.now += 20
    assert shelf.get(held) == "a"
    clock.now += 299
    shelf.sweep()
    assert shelf.get(held) == "a"
    clock.now += 300
    shelf.sweep()
    assert len(shelf) == 0
    again = shelf.put("b", size=1, session="me")  # a session of the same name begins anew
    clock.now += 999
    assert shelf.get(again) == "b"


def test_threads_put_and_get_at_the_same_time(shelf):
    wrong = []

    def visitor(number):
        for n in range(200):
            held = shelf.put((number, n), size=1, session=str(number))
            if shelf.get(held) != (number, n):
                wrong.append((number, n))
            shelf.sweep()

    threads = [threading.Thread(target=visitor, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    gc.collect()
    assert wrong == []
    assert len(shelf) == 0


def test_the_visitor_who_was_idle_longest_makes_room(shelf):
    mine = [shelf.put(n, size=20, session="me", kind=CLASSES) for n in range(2)]
    yours = [shelf.put(n, size=20, session="you") for n in range(2)]
    shelf.get(mine[1])  # so the whole of my visit is fresh
    shelf.put("new", size=50, session="other")
    assert [shelf.get(held) for held in mine] == [0, 1]
    for held in yours:
        with pytest.raises(Gone) as gone:
            shelf.get(held)
        assert gone.value.kind == FILE


def test_what_was_taught_stays_for_whoever_returns(shelf, clock):
    picture = shelf.put("a", size=1, session="me")
    classes = shelf.put("b", size=1, session="me", kind=CLASSES, grace=500)
    shelf.close("me")
    clock.now = 31
    shelf.sweep()
    with pytest.raises(Gone):
        shelf.get(picture)
    assert shelf.get(classes) == "b"


def test_a_lost_visit_is_told_of_once(shelf):
    held = shelf.put("a", size=1, session="me")
    assert shelf.sessions() == {"me"}
    shelf.lose("me")
    shelf.lose("nobody")
    with pytest.raises(Gone):
        shelf.get(held)
    assert shelf.was_lost("me") and not shelf.was_lost("me") and not shelf.was_lost("nobody")


def test_not_every_lost_visit_is_remembered_for_ever(shelf, monkeypatch):
    monkeypatch.setattr("dermsim.ui.shelf.LOST", 2)
    held = [shelf.put(name, size=1, session=name) for name in "abc"]
    for name in "abc":
        shelf.lose(name)
    assert [shelf.was_lost(name) for name in "abc"] == [False, True, True]
    assert len(held) == 3
