"""What is said of a class that a visitor teaches: by its name, and of what the others lose."""

import re

import pytest

from dermsim.data.synthetic import draw_lesion
from dermsim.engine import answers
from dermsim.ui import class_callbacks
from dermsim.ui.render import percent

NASTY = "<b>clover</b>"


@pytest.fixture(scope="module")
def bank(engine):
    shots = [draw_lesion("vasc", seed=seed, size=(90, 70)) for seed in range(4)]
    wrong = [draw_lesion("nv", seed=9, size=(90, 70))]
    taught = answers.teach(engine, [*shots, *wrong], name=NASTY)
    return answers.teach(engine, wrong, name="one", bank=taught)


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("angioma", "Vascular lesion"),
        ("  MELANOMA ", "Melanoma"),
        ("nv", "Melanocytic naevus"),
        ("Pyogenic  granuloma", "counts Pyogenic granuloma in already"),
    ],
)
def test_a_name_that_clashes_is_explained(engine, name, known):
    assert known in class_callbacks.known_as(engine, None, name)


@pytest.mark.parametrize("name", ["", "  ", None, "clover", "skin", "a"])
def test_of_any_other_name_nothing_is_said(engine, name):
    assert class_callbacks.known_as(engine, None, name) == ""


def test_ones_own_class_is_taken_too_and_no_markup(engine, bank):
    said = class_callbacks.known_as(engine, bank, NASTY.upper())
    assert "is a class already" in said
    assert "<b>clover" not in said.casefold()
    assert "clase" in class_callbacks.known_as(engine, bank, NASTY, language="es")


def test_what_the_old_classes_lose_is_told_as_it_was_measured(engine, bank):
    report = answers.enrollment(bank)
    page = class_callbacks.harm(engine, bank)
    text = re.sub(r"<[^>]*>", " ", page)
    assert f"{percent(report.before.value)} before, {percent(report.after.value)} after" in text
    rows = re.findall(r"<tr.*?</tr>", page.split("<tbody>")[1])
    assert len(rows) == len(report.old)
    for change, row in zip(report.old, rows, strict=True):
        assert ("is-lost" in row) == (change.after < change.before)
        assert row.count(percent(change.before)) >= 1
    assert "<b>clover" not in page and "&lt;b&gt;clover" in page
    assert "one picture, so nothing can be held back" in text


def test_pictures_that_look_wrong_are_named_by_their_number(engine, bank):
    new = answers.enrollment(bank).new[0]
    assert len(new.taken_for) == 5
    assert new.recognised == pytest.approx(sum(name == NASTY for name in new.taken_for) / 5)
    page = class_callbacks.harm(engine, bank)
    assert {int(n) for n in re.findall(r"Picture (\d) looks like", page)} == set(new.mistaken)


def test_where_nothing_was_taught_nothing_is_lost(engine):
    assert class_callbacks.harm(engine, None) == ""
    assert class_callbacks.harm(engine, engine.class_bank()) == ""
    blank = engine.class_bank().blank()
    nothing_kept = answers.teach(engine, [draw_lesion("nv", seed=0)], name="a", bank=blank)
    assert class_callbacks.harm(engine, nothing_kept) == ""
