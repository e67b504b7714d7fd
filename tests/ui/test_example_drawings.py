"""The drawings that are offered to click: named by what they are, and taken for it."""

from pathlib import Path

import pytest

from dermsim.core.labels import CODES, diagnosis
from dermsim.ui import callbacks
from dermsim.ui.i18n import say

RELEASED = Path(__file__).resolve().parents[2] / "hub" / "dermsim-ham10000"


@pytest.fixture(scope="module")
def drawings(tmp_path_factory):
    return callbacks.draw_examples(tmp_path_factory.mktemp("drawings"))


def test_the_released_model_takes_each_drawing_for_what_it_was_drawn_as(drawings):
    from dermsim.engine import DermSim

    found = DermSim.from_pretrained(RELEASED, device="cpu").predict(drawings)
    assert [prediction.label_name for prediction in found] == list(CODES)
    assert not any(prediction.withheld for prediction in found)


def test_each_drawing_has_a_caption(visit):
    page = visit()
    page.wait_for_selector("#examples button.gallery-item img")
    page.wait_for_function("document.querySelectorAll('#examples button[aria-label]').length === 7")
    shown = page.eval_on_selector_all(
        "#examples button.gallery-item",
        "all => all.map(b => getComputedStyle(b, '::after').content.slice(1, -1))",
    )
    assert shown == [say("page.example", name=diagnosis(code).name) for code in CODES]
    assert all(text.startswith("Drawn as ") for text in shown)
    boxes = page.eval_on_selector_all(
        "#examples button.gallery-item", "all => all.map(b => b.scrollWidth <= b.clientWidth)"
    )
    assert all(boxes), "no caption is cut off"
