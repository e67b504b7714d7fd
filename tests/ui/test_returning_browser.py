"""Nothing is lost: a page that is loaded anew, in whatever way, has all that was given to it."""

import zipfile
from io import BytesIO

import pytest
from browsing import quiet, streams_of

from dermsim.data.synthetic import draw_lesion
from dermsim.ui import operating_slider
from dermsim.ui.i18n import say


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    path = tmp_path_factory.mktemp("archive") / "clinic.zip"
    with zipfile.ZipFile(path, "w") as packed:
        for seed, code in enumerate(("mel", "nv", "vasc")):
            buffer = BytesIO()
            draw_lesion(code, seed=seed, size=(120, 90)).save(buffer, "PNG")
            packed.writestr(f"{code}.png", buffer.getvalue())
    return str(path)


@pytest.fixture(scope="module")
def five(tmp_path_factory):
    folder = tmp_path_factory.mktemp("five")
    for seed in range(5):
        draw_lesion("vasc", seed=seed, size=(120, 90)).save(folder / f"{seed}.png")
    return sorted(str(path) for path in folder.iterdir())


def open_tab(page, name):
    page.locator(f"[role=tab][data-tab-id={name}]").click()


def teach(page, five, name="clover"):
    open_tab(page, "enroll")
    page.locator("#class-name textarea, #class-name input").fill(name)
    page.locator("#class-pictures input[type=file]").set_input_files(five)
    page.locator("#class-pictures img").nth(4).wait_for()
    page.locator("#enrol").click()
    page.locator("#bank li", has_text=name).wait_for()


def reload(page):
    page.reload(wait_until="domcontentloaded")
    return "en"


def change_language(page):
    page.get_by_role("link", name="Español").click()
    page.locator("html[lang=es]").wait_for()
    return "es"


def go_away_and_back(page):
    page.goto("about:blank")
    page.go_back(wait_until="domcontentloaded")
    return "en"


@pytest.mark.parametrize("leave", [reload, change_language, go_away_and_back])
def test_picture_threshold_tab_classes_and_batch_are_there_again(
    visit, engine, five, archive, tmp_path, leave
):
    lesion = tmp_path / "lesion.png"
    draw_lesion("vasc", seed=5).save(lesion)
    page = visit()
    streams = streams_of(page)
    page.locator("[data-points]").wait_for(state="attached")
    page.locator("#picture input[type=file]").last.set_input_files(str(lesion))
    page.locator("#verdict [data-malignancy]").wait_for(state="attached")
    teach(page, five)
    page.locator("#point-sensitivity_95").click()
    open_tab(page, "batch")
    page.locator("#batch-files input[type=file]").set_input_files(archive)
    page.locator("#batch-table tr[data-row]").nth(2).wait_for()
    page.locator("#batch-csv").wait_for()
    quiet(page, streams)

    language = leave(page)
    page.locator("#batch-table tr[data-row]").nth(2).wait_for()
    said = say("batch.finished", language, done=3, total=3)
    page.locator("#batch-told").get_by_text(said).wait_for()
    page.locator("#batch-csv").wait_for()
    stop = operating_slider.presets(engine.calibration)["sensitivity_95"]
    page.wait_for_function(
        "stop => document.querySelector('#point input[type=range]').value === String(stop)",
        arg=stop,
    )
    open_tab(page, "classify")
    shown = page.locator("#verdict [data-malignancy]")
    shown.wait_for(state="attached")
    malignancy = engine.predict(str(lesion))[0].malignancy
    assert float(shown.get_attribute("data-malignancy")) == pytest.approx(malignancy, abs=1e-9)
    page.locator("#summary .ds-cell-taught").wait_for()
    open_tab(page, "enroll")
    page.locator("#bank li", has_text="clover").wait_for()
    quiet(page, streams)
    assert page.evaluate("sessionStorage.getItem('dermsim-picture')") is None


def test_who_comes_back_after_the_server_forgot_the_picture_has_it_still(visit, tmp_path):
    from dermsim.ui.tabs.holding import SHELF

    lesion = tmp_path / "lesion.png"
    draw_lesion("mel", seed=5).save(lesion)
    page = visit()
    streams = streams_of(page)
    page.locator("#picture input[type=file]").last.set_input_files(str(lesion))
    page.locator("#verdict [data-malignancy]").wait_for(state="attached")
    malignancy = page.locator("#verdict [data-malignancy]").get_attribute("data-malignancy")
    quiet(page, streams)
    page.goto("about:blank")
    for session in SHELF.sessions():
        SHELF.lose(session)
        SHELF.was_lost(session)
    page.go_back(wait_until="domcontentloaded")
    shown = page.locator("#verdict [data-malignancy]")
    shown.wait_for(state="attached")
    assert float(shown.get_attribute("data-malignancy")) == pytest.approx(float(malignancy))
    quiet(page, streams)


def test_another_visitor_finds_nothing_of_this(visit, five):
    page, other = visit(), visit()
    page.locator("#picture input[type=file]").last.set_input_files(five[0])
    page.locator("#verdict [data-malignancy]").wait_for(state="attached")
    other.reload(wait_until="domcontentloaded")
    other.locator("#arrived [data-arrived=nothing]").wait_for(state="attached")
    assert other.locator("#summary .ds-summary").count() == 0


def test_taught_classes_stand_on_classify_in_the_strip_and_in_the_batch(visit, five, archive):
    page = visit()
    page.locator("#picture input[type=file]").last.set_input_files(five[0])
    page.locator("#verdict [data-malignancy]").wait_for(state="attached")
    open_tab(page, "enroll")
    field = page.locator("#class-name textarea, #class-name input")
    field.fill("angioma")
    page.locator("#class-name-hint").get_by_text("is Vascular lesion").wait_for()
    field.fill("")
    page.locator("#class-name-hint .ds-hint").wait_for(state="detached")
    page.locator("#class-pictures input[type=file]").set_input_files(five)
    page.locator("#class-pictures img").nth(4).wait_for()
    page.wait_for_timeout(500)
    frame = page.locator("#class-pictures").bounding_box()
    for picture in page.locator("#class-pictures .grid-container img").all():
        box = picture.bounding_box()
        assert box["y"] + box["height"] <= frame["y"] + frame["height"]
    teach(page, five)
    page.locator("#harm table tbody tr").nth(6).wait_for()
    open_tab(page, "classify")
    page.locator("#summary .ds-cell-taught").wait_for()
    page.locator("#verdict .ds-bars", has_text="clover").wait_for()
    open_tab(page, "batch")
    page.locator("#batch-files input[type=file]").set_input_files(archive)
    page.locator("#batch-table th", has_text="With your classes").wait_for()
