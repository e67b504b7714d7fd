"""One case in a real browser: what stands above the tabs, the alert line, two pictures compared."""

import base64
import shutil
import threading

import pytest
from browsing import opened

from dermsim.data.synthetic import draw_lesion
from dermsim.engine import DermSim
from dermsim.ui import operating_slider
from dermsim.ui.i18n import say

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on the path")

TABS = ("Classify", "Explain", "Similar cases", "Compare", "Enrol a class", "Atlas", "Batch")


@pytest.fixture(scope="module")
def address(engine, close):
    from dermsim.ui.app import build_app, launch

    app = build_app(lambda: engine)
    yield launch(app, port=None)
    close(app)


@pytest.fixture(scope="module")
def browser():
    camera = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage", *camera]
        )
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser, address):
    """The page of one visitor, who is told of no error."""
    size = {"width": 1280, "height": 1000}
    yield from opened(browser, address, viewport=size, permissions=["camera"])


@pytest.fixture(scope="module")
def second(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("second") / "second.png"
    draw_lesion("nv", seed=9, size=(120, 90)).save(path)
    return str(path)


def tab(page, name: str) -> None:
    page.get_by_role("tab", name=name).click()


def example(page, number: int) -> None:
    page.locator("#examples button img").nth(number).click()


def followed(page) -> None:
    """Wait until every tab has answered to a new picture: one after the other, this the last."""
    tab(page, "Enrol a class")
    page.locator("#comparison .ds-bars").wait_for()
    page.wait_for_timeout(1000)


def figure(page, name: str) -> str:
    return page.locator(f"#point-panel [data-figure={name}]").inner_text()


def drawn(page, engine, stop: int) -> None:
    """Wait until the page reads by this stop of the alert line."""
    texts = operating_slider.figures(engine, operating_slider.point_at(engine.calibration, stop))
    page.wait_for_function(
        "text => document.querySelector('#point-panel [data-figure=sensitivity_under]')"
        ".innerText == text",
        arg=texts["sensitivity_under"],
    )


def test_the_answer_in_short_stands_above_every_tab(page):
    assert not page.locator("#summary").is_visible()
    example(page, 4)
    short = page.locator("#summary .ds-summary")
    short.wait_for()
    label = page.locator("#summary .ds-cell-label .ds-said").inner_text()
    assert page.locator("#verdict").get_by_role("heading", name=label).count() == 0  # not twice
    for name in TABS:
        tab(page, name)
        if name == "Batch":  # it speaks of other pictures
            short.wait_for(state="hidden")
            continue
        assert short.is_visible()
        assert label in short.inner_text()
        assert short.bounding_box()["y"] < page.get_by_role("tab").first.bounding_box()["y"]
    assert page.locator("#summary").get_attribute("aria-live") == "polite"
    # a picture that is taken away takes its answer with it
    tab(page, "Classify")
    page.locator("#picture").get_by_label("Clear").or_(
        page.locator("#picture").get_by_label("Remove Image")
    ).first.click()
    short.wait_for(state="hidden")


def test_the_alert_line_moves_without_asking_anybody(page, engine):
    example(page, 4)
    page.locator("#verdict .ds-verdict").wait_for()
    followed(page)
    tab(page, "Classify")
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    points, presets = (
        operating_slider.stops(engine.calibration),
        operating_slider.presets(engine.calibration),
    )
    slider = page.locator("#point input[type=range]")
    malignancy = float(page.locator("#verdict [data-malignancy]").get_attribute("data-malignancy"))
    page.locator("#point-sensitivity_95").click()
    page.wait_for_function(
        "stop => document.querySelector('#point input[type=range]').value == stop",
        arg=str(presets["sensitivity_95"]),
    )
    assert page.locator("#point-sensitivity_95.is-chosen").count() == 1
    slider.focus()
    for key, stop in (("Home", 0), ("ArrowRight", 1), ("End", len(points) - 1)):
        page.keyboard.press(key)
        drawn(page, engine, stop)
        assert figure(page, "sensitivity").replace("\u00a0", " ") in slider.get_attribute(
            "aria-valuetext"
        ).replace("\u00a0", " ")
        word = "malignant" if malignancy >= points[stop].threshold else "benign"
        said = page.locator("#summary .ds-cell-risk").inner_text()
        assert f"Reads as {word}" in said
        other = {"malignant": "benign", "benign": "malignant"}[word]
        assert f"Reads as {other}" not in said
    assert [url for url in asked if "queue" in url] == []
    # the next picture is read by the line that was chosen
    page.keyboard.press("Home")
    drawn(page, engine, 0)
    before = page.locator("#verdict [data-picture]").get_attribute("data-picture")
    example(page, 5)
    page.wait_for_function(
        "old => document.querySelector('#verdict [data-picture]').dataset.picture != old",
        arg=before,
    )
    malignancy = float(page.locator("#verdict [data-malignancy]").get_attribute("data-malignancy"))
    word = "malignant" if malignancy >= points[0].threshold else "benign"
    page.locator("#summary .ds-cell-risk").get_by_text(f"Reads as {word}").wait_for()


@pytest.mark.parametrize(
    ("method", "name", "answer"),
    [
        ("analyze", "Classify", "#verdict .ds-verdict"),
        ("embed", "Similar cases", "#cases .ds-cases"),
    ],
)
def test_an_answer_is_never_seen_beside_another_picture(page, monkeypatch, method, name, answer):
    example(page, 4)
    tab(page, name)
    page.locator(answer).wait_for()
    followed(page)
    tab(page, name)
    page.locator(answer).wait_for()
    go, real = threading.Event(), getattr(DermSim, method)

    def slow(self, *values, **options):
        assert go.wait(60)
        return real(self, *values, **options)

    monkeypatch.setattr(DermSim, method, slow)
    try:
        example(page, 6)
        page.locator("#picture img[src*='vasc']").wait_for()
        page.locator(answer).wait_for(state="hidden")
        page.wait_for_timeout(500)
        assert not page.locator(answer).is_visible()
    finally:
        go.set()
    page.locator(answer).wait_for()
    shown = page.locator("#picture img").get_attribute("src").split("/")[-2]
    of = page.locator(answer).evaluate("found => found.closest('[data-picture]').dataset.picture")
    assert of == shown


def test_the_answer_is_seen_again_when_its_picture_is_put_back(page, tmp_path):
    letter = tmp_path / "letter.jpg"
    letter.write_text("Dear doctor")
    example(page, 4)
    page.locator("#verdict .ds-verdict").wait_for()
    followed(page)
    tab(page, "Classify")
    page.locator("#picture .source-selection button").first.click()
    page.locator("#verdict").get_by_text("Seven things").wait_for()
    assert not page.locator("#summary").is_visible()
    page.locator("#picture input[type=file]").last.set_input_files(str(letter))
    page.get_by_test_id("toast-text").get_by_text("letter.jpg is not an image").wait_for()
    page.locator("#picture img[src^='data:']").wait_for()
    page.locator("#verdict .ds-verdict").wait_for()
    assert page.locator("#summary .ds-summary").is_visible()
    mark = page.locator("#verdict [data-picture]").get_attribute("data-picture")
    assert f";picture={mark};" in page.locator("#picture img").get_attribute("src")


def test_a_report_is_written_with_the_chosen_line(page, engine):
    example(page, 4)
    page.locator("#verdict .ds-verdict").wait_for()
    followed(page)
    tab(page, "Classify")
    page.locator("#write-report").click()
    link = page.locator("#report-link a")
    link.wait_for()
    named = operating_slider.presets(engine.calibration).values()
    stop = next(n for n in range(len(operating_slider.stops(engine.calibration))) if n not in named)
    page.locator("#point input[type=range]").focus()
    page.keyboard.press("Home")
    for _ in range(stop):
        page.keyboard.press("ArrowRight")
    link.wait_for(state="detached")  # what it held was written with another line
    page.locator("#write-report").click()
    link.wait_for()
    address = link.get_attribute("href")
    text = base64.b64decode(address.partition(",")[2]).decode("utf-8")
    assert say("report.point_chosen") in text
    assert f"left:{operating_slider.stops(engine.calibration)[stop].threshold:.1%}" in text


def test_a_picture_from_the_camera_is_a_case_like_any_other(page):
    page.locator("#picture").get_by_label("Capture from camera").click()
    page.locator("#picture").get_by_text("Click to Access Webcam").click()
    # Gradio's button does nothing until the camera has shown something.
    page.wait_for_function("document.querySelector('#picture video')?.videoWidth > 0")
    page.locator("#picture").get_by_label("capture photo").click()
    # what a camera without a lesion before it shows has no verdict
    page.locator("#verdict .ds-anyway").wait_for()


def test_two_pictures_are_compared_and_follow_the_first(page, second):
    example(page, 4)
    page.locator("#verdict .ds-verdict").wait_for()
    tab(page, "Compare")
    page.locator("#second input[type=file]").set_input_files(second)
    likeness = page.locator("#likeness .ds-figure")
    likeness.wait_for()
    first = page.locator("#compared-first img")
    first.wait_for()
    page.locator("#compared-other img").wait_for()
    painted = first.get_attribute("src")
    page.get_by_label("Paint what makes them alike").uncheck()
    page.wait_for_function(
        "old => document.querySelector('#compared-first img').src != old", arg=painted
    )
    before = likeness.inner_text()
    example(page, 0)
    page.wait_for_function(
        "old => { const now = document.querySelector('#likeness .ds-figure');"
        " return now && now.checkVisibility({visibilityProperty: true}) && now.innerText != old }",
        arg=before,
    )
    # a past case takes the second picture's place
    page.locator("#second-case input").click()
    page.get_by_role("option").first.click()
    page.locator("#facts-other .ds-case").wait_for()
    page.locator("#second img").wait_for(state="detached")
    page.set_viewport_size({"width": 360, "height": 800})
    page.locator("#facts-other .ds-case").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_a_second_picture_that_is_none_is_refused_with_a_sentence(page, tmp_path):
    letter = tmp_path / "letter.jpg"
    letter.write_text("Dear doctor")
    example(page, 4)
    page.locator("#verdict .ds-verdict").wait_for()
    tab(page, "Compare")
    page.locator("#second input[type=file]").set_input_files(str(letter))
    page.get_by_test_id("toast-text").get_by_text("letter.jpg is not an image").wait_for()
    page.locator("#likeness").get_by_text("How alike are two pictures?").wait_for()
    page.locator("#second img").wait_for(state="detached")
