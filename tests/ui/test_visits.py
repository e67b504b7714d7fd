"""What a tab of a browser finds again when its page is loaded anew."""

import pytest

from dermsim.ui.shelf import CLASSES, FILE, Gone, Shelf
from dermsim.ui.visits import Visits

TOKEN, OTHER = "0" * 32, "1" * 32


@pytest.fixture
def clock():
    class Clock:
        now = 0.0

        def __call__(self):
            return self.now

    return Clock()


@pytest.fixture
def shelf(clock):
    return Shelf(most=100, grace=30, longest=1000, clock=clock)


@pytest.fixture
def visits(shelf):
    return Visits(shelf, most=3)


def test_a_page_loaded_anew_has_what_the_one_before_held(shelf, visits, clock):
    assert visits.arrive(TOKEN, "first") == {}
    picture = shelf.put("p", size=1, session="first")
    bank = shelf.put("b", size=1, session="first", kind=CLASSES, grace=500)
    visits.note("first", FILE, picture)
    visits.note("first", CLASSES, bank)
    assert visits.arrive(TOKEN, "second") == {FILE: picture, CLASSES: bank}
    shelf.close("first")  # Gradio tells of it later than of the new page
    clock.now = 600
    assert shelf.get(picture) == "p"
    assert visits.arrive(OTHER, "third") == {}


def test_the_last_of_a_kind_is_found_and_what_was_taken_away_is_not(shelf, visits):
    visits.arrive(TOKEN, "first")
    one, two = shelf.put("1", size=1), shelf.put("2", size=1)
    visits.note("first", FILE, one)
    visits.note("first", FILE, two)
    assert visits.arrive(TOKEN, "second") == {FILE: two}
    visits.note("second", FILE, None)
    assert visits.arrive(TOKEN, "third") == {}


def test_what_was_dropped_is_not_held_for_this(shelf, visits, clock):
    visits.arrive(TOKEN, "first")
    picture = shelf.put("p", size=1, session="first")
    visits.note("first", FILE, picture)
    shelf.close("first")
    clock.now = 31
    assert visits.arrive(TOKEN, "second") == {}
    with pytest.raises(Gone):
        shelf.adopt(picture, "second")
    bank = shelf.put("b", size=1, session="second", kind=CLASSES)
    visits.note("second", CLASSES, bank)
    del bank  # no session's state names it any more
    assert visits.arrive(TOKEN, "third") == {}
    assert len(shelf) == 0


@pytest.mark.parametrize("token", ["", None, 7, "0" * 31, "g" * 32, "A" * 32])
def test_nothing_is_kept_for_what_is_no_token(shelf, visits, token):
    assert visits.arrive(token, "first") == {}
    visits.note("first", FILE, shelf.put("p", size=1))
    assert visits.arrive(token, "second") == {} and len(visits) == 0


def test_programs_have_no_tab(shelf, visits):
    assert visits.arrive(TOKEN, None) == {}
    visits.note(None, FILE, shelf.put("p", size=1))
    assert len(visits) == 0


def test_few_tabs_are_known_at_a_time(shelf, visits):
    held = []
    for number in range(5):
        visits.arrive(f"{number:032x}", f"session {number}")
        held.append(shelf.put(number, size=1))
        visits.note(f"session {number}", FILE, held[-1])
    assert len(visits) == 3
    assert visits.arrive(f"{0:032x}", "again") == {}
    assert visits.arrive(f"{4:032x}", "again") == {FILE: held[4]}
