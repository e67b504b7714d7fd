"""The page on a phone: what is seen first, what a finger can hit, what a swipe does."""

from pathlib import Path

import numpy as np
import pytest
from browsing import PLACE, opened

from dermsim.data.synthetic import draw_lesion

RELEASED = Path(__file__).parents[2] / "hub" / "dermsim-ham10000"

WIDTH, HEIGHT = 390, 844
SMALLEST = 40
PHONE = {
    "viewport": {"width": WIDTH, "height": HEIGHT},
    "has_touch": True,
    "is_mobile": True,
}
TABS = ("classify", "explain", "similar", "compare", "enroll", "atlas", "batch")

SMALL = """() => [...document.querySelectorAll(
  "button, a[href], input, select, summary, [role=tab]")]
  .filter(found => found.checkVisibility({ visibilityProperty: true }))
  .map(found => /checkbox|radio/.test(found.type) ? found.closest("label") ?? found : found)
  .map(found => [found.outerHTML.slice(0, 120), found.getBoundingClientRect()])
  .filter(([, box]) => box.width > 0 && box.height > 0 && box.right > 0 && box.bottom > 0)
  .filter(([, box]) => Math.round(box.width) < SMALLEST || Math.round(box.height) < SMALLEST)
  .map(([html, box]) => `${Math.round(box.width)}x${Math.round(box.height)} ${html}`)
""".replace("SMALLEST", str(SMALLEST))
"""What is there to be touched and too small for it."""


@pytest.fixture(scope="module")
def released(close):
    """The address of a page with the released checkpoint, whose lists are of a usual length."""
    from dermsim.engine import DermSim
    from dermsim.ui.app import build_app, launch

    engine = DermSim.from_pretrained(RELEASED)
    app = build_app(lambda: engine)
    yield launch(app, port=None)
    close(app)


@pytest.fixture
def phone(browser, address):
    yield from opened(browser, address, **PHONE)


@pytest.fixture
def released_phone(browser, released):
    yield from opened(browser, released, **PHONE)


@pytest.fixture(scope="module")
def lesion(tmp_path_factory):
    path = tmp_path_factory.mktemp("lesion") / "lesion.png"
    draw_lesion("mel", seed=4, size=(300, 220)).save(path)
    return str(path)


def classified(page, path):
    page.locator("#picture input[type=file]").first.set_input_files(path)
    page.locator("#verdict [data-picture]").wait_for(state="attached")
    page.locator("#picture img[src]").wait_for()


def open_tab(page, name):
    page.locator(f"[role=tab][data-tab-id={name}]").click()
    page.locator(f"body[data-tab={name}]").wait_for()


def top(page, selector):
    return page.locator(selector).first.bounding_box()["y"]


def test_picture_answer_and_tabs_are_in_the_first_screen_and_a_half(released_phone, lesion):
    phone = released_phone
    classified(phone, lesion)
    phone.locator("#summary .ds-summary").wait_for()
    places = [top(phone, "#picture img"), top(phone, "#summary .ds-summary"), top(phone, "#tabs")]
    assert places == sorted(places)
    last = phone.locator("[role=tab][data-tab-id=batch]").bounding_box()
    assert last["y"] + last["height"] <= 1.5 * HEIGHT


def test_drawings_are_folded_away_once_there_is_a_picture_and_can_be_had_again(phone, lesion):
    drawing = phone.locator("#examples button img").first
    assert drawing.is_visible()
    classified(phone, lesion)
    drawing.wait_for(state="hidden")
    phone.locator("#examples").get_by_text("synthetic drawing").click()
    drawing.wait_for()


def test_two_cases_stand_in_a_row(phone, lesion):
    classified(phone, lesion)
    open_tab(phone, "similar")
    phone.locator("#cases .ds-case").nth(3).wait_for()
    first, second, third = (
        phone.locator("#cases .ds-case").nth(n).bounding_box() for n in range(3)
    )
    assert first["y"] == second["y"] < third["y"]
    assert first["x"] < second["x"]


def test_whatever_is_to_be_touched_is_large_enough(phone, lesion):
    classified(phone, lesion)
    for name in TABS:
        open_tab(phone, name)
        if name == "atlas":  # its tools come with the map
            phone.locator("#atlas-plot .modebar-btn").first.wait_for()
        phone.wait_for_timeout(1500)
        assert phone.evaluate(SMALL) == [], name
        assert phone.evaluate("document.documentElement.scrollWidth") <= WIDTH, name


def swipe(page, x, y, by):
    session = page.context.new_cdp_session(page)

    def touch(kind, points):
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", [{"x": x, "y": y}])
    for step in range(1, 11):
        touch("touchMove", [{"x": x, "y": y + by * step / 10}])
        page.wait_for_timeout(30)
    touch("touchEnd", [])


def test_a_swipe_over_the_map_scrolls_and_a_tap_shows_a_case(phone, engine):
    open_tab(phone, "atlas")
    phone.locator("#atlas-plot .js-plotly-plot .legend").wait_for()
    phone.locator("#atlas-table [role=gridcell]").first.wait_for()
    phone.locator("#atlas-plot").evaluate("plot => plot.scrollIntoView({ block: 'center' })")
    before = phone.evaluate("scrollY")
    swipe(phone, WIDTH / 2, HEIGHT / 2, -250)
    phone.wait_for_function("before => scrollY > before + 100", arg=before)
    assert phone.locator("#atlas-list input:checked").get_attribute("value") != "circled"
    phone.locator("#atlas-plot").evaluate("plot => plot.scrollIntoView({ block: 'center' })")
    # where no other case is as near
    places = engine.atlas.coordinates
    gaps = ((places[:, None] - places[None]) ** 2).sum(axis=2) + 1e9 * np.eye(len(places))
    row = int(gaps.min(axis=1).argmax())
    phone.touchscreen.tap(*phone.evaluate(PLACE, row))
    phone.locator("#atlas-case .ds-case").first.get_by_text(engine.atlas.image_ids[row]).wait_for()
