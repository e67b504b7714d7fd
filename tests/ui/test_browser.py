"""The page in a real browser with the network cut off: whatever leaves this host fails."""

import csv
import threading
from base64 import b64decode

import numpy as np
import pytest
from browsing import PLACE
from PIL import Image

from dermsim.data.synthetic import draw_lesion
from dermsim.engine.explain import Explaining

NAME = "clover <b>mark</b>"
TABS = ("Classify", "Explain", "Similar cases", "Compare", "Enrol a class", "Atlas")


@pytest.fixture(scope="module")
def five(tmp_path_factory) -> list[str]:
    folder = tmp_path_factory.mktemp("five")
    paths = [folder / f"{seed}.png" for seed in range(5)]
    for seed, path in enumerate(paths):
        draw_lesion("vasc", seed=seed, size=(120, 90)).save(path)
    return [str(path) for path in paths]


def tab(page, name: str) -> None:
    page.get_by_role("tab", name=name).click()


def classified(page, path: str) -> None:
    page.locator("#picture input[type=file]").set_input_files(path)
    page.locator("#verdict .ds-verdict").wait_for()


def chosen(page, menu: str, option: str) -> None:
    page.locator(f"{menu} input").click()
    page.get_by_role("option", name=option, exact=True).click()


def test_one_picture_fills_the_tabs(visit):
    page = visit()
    assert page.locator("#verdict").get_by_role("heading", name="Seven things").is_visible()
    page.locator("#examples button img").nth(4).click()
    page.locator("#verdict .ds-verdict").wait_for()

    tab(page, "Explain")
    page.locator("#evidence img").first.wait_for()
    chosen(page, "#target", "Dermatofibroma")
    page.locator("#evidence-words").get_by_text("Dermatofibroma").wait_for()

    tab(page, "Similar cases")
    page.locator(".ds-case").nth(5).wait_for()
    assert page.locator(".ds-case").count() == 6
    page.locator("#how-many input[type=number]").fill("2")
    page.get_by_role("heading", name="The 2 most similar").wait_for()
    page.locator("#similar-facts").get_by_text("Only cases with").click()
    page.locator("#similar-dx input").click()
    page.get_by_role("option", name="Melanoma").click()
    page.locator("#cases .ds-case h3", has_text="Melanoma").nth(1).wait_for()
    assert page.locator("#cases .ds-case").count() == 2

    tab(page, "Enrol a class")
    page.locator("#comparison .ds-bars li").nth(6).wait_for()
    assert page.locator("#disclaimer").is_visible()


def test_evidence_is_shown_by_any_method_beside_its_picture_and_downloaded(visit, tmp_path):
    page = visit()
    page.locator("#examples button img").nth(4).click()
    page.locator("#verdict .ds-verdict").wait_for()
    tab(page, "Explain")
    page.locator("#evidence img").nth(1).wait_for()
    words = page.locator("#evidence-words")
    words.get_by_text("Grad-CAM", exact=True).wait_for()
    chosen(page, "#method", "HiResCAM")
    words.get_by_text("HiResCAM", exact=True).wait_for()
    chosen(page, "#target", "Malignancy, against all that is benign")
    words.get_by_text("malignancy", exact=True).wait_for()
    chosen(page, "#target", "The model's own answer")  # for the other there is no evidence
    words.get_by_text("malignancy", exact=True).wait_for(state="detached")
    changed = "old => document.querySelectorAll('#evidence img')[1].src !== old"
    before = page.locator("#evidence img").nth(1).get_attribute("src")
    chosen(page, "#layer", "After layer3")
    page.wait_for_function(changed, arg=before)
    # before and after are two pictures of one size, the second uncovered by a handle
    first, second = (page.locator("#evidence img").nth(i) for i in (0, 1))
    assert first.get_attribute("src") != second.get_attribute("src")
    with page.expect_download() as download:
        page.locator("#evidence").get_by_label("Download").click()
    download.value.save_as(tmp_path / "map.png")
    with Image.open(tmp_path / "map.png") as saved:
        assert (saved.format, saved.size) == ("PNG", (900, 675))
    painted = b64decode(second.get_attribute("src").removeprefix("data:image/png;base64,"))
    assert (tmp_path / "map.png").read_bytes() == painted
    before = second.get_attribute("src")
    page.locator("#smooth input").check()
    page.wait_for_function(changed, arg=before)


def test_a_likeness_is_shown_for_a_chosen_case_and_goes_with_its_picture(visit, monkeypatch):
    asked, explain = [], Explaining.explain

    def counted(*arguments, **options):
        asked.append(options)
        return explain(*arguments, **options)

    monkeypatch.setattr(Explaining, "explain", counted)
    page = visit()
    page.locator("#examples button img").nth(2).click()
    page.locator("#verdict .ds-verdict").wait_for()
    tab(page, "Explain")
    page.locator("#case input").click()
    page.get_by_role("option").first.click()
    page.locator("#alike img").wait_for()
    page.locator("#alike-words").get_by_text("What makes the picture like").wait_for()
    page.locator("#evidence").click()  # the menu is left, which is no second choice
    page.wait_for_timeout(500)
    assert len(asked) == 1
    page.locator("#examples button img").nth(5).click()
    page.locator("#alike img").wait_for(state="detached")


def test_a_class_of_ones_own_can_be_explained_until_it_is_removed(visit, five):
    page = visit()
    classified(page, five[0])
    tab(page, "Enrol a class")
    page.locator("#class-name textarea, #class-name input").fill("clover")
    page.locator("#class-pictures input[type=file]").set_input_files(five[:2])
    page.locator("#class-pictures img").nth(1).wait_for()
    page.locator("#enrol").click()
    page.locator("#bank li", has_text="clover").wait_for()
    tab(page, "Explain")
    chosen(page, "#target", "clover (yours)")
    page.locator("#evidence-words").get_by_text("clover").wait_for()

    tab(page, "Enrol a class")
    page.locator("#remove input").click()
    page.get_by_role("option", name="clover").click()
    page.locator("#remove button", has_text="Remove").click()
    page.locator("#bank li", has_text="clover").wait_for(state="detached")
    tab(page, "Explain")
    page.wait_for_function(
        "() => !document.querySelector('#target input').value.includes('clover')"
    )
    page.locator("#picture input[type=file]").last.set_input_files(five[3])
    page.locator("#evidence-words").get_by_text("clover").wait_for(state="detached")
    assert page.get_by_test_id("toast-text").count() == 0


def test_who_chooses_again_before_the_answer_gets_the_second_answer(visit, engine, monkeypatch):
    answered, go = [], threading.Event()

    def slowly(*values, own=engine.analyze, **options):
        if options["k"] > 1:  # the verdict's; the comparison with classes asks for one case
            answered.append(values)
        go.wait(10)
        return own(*values, **options)

    monkeypatch.setattr(engine, "analyze", slowly)
    page = visit()
    page.locator("#examples button img").nth(4).click()
    page.wait_for_function("() => document.querySelector('#picture img[src]')")
    while not answered:
        page.wait_for_timeout(50)
    page.locator("#examples button img").nth(0).click()
    page.wait_for_timeout(500)
    go.set()
    page.wait_for_function(
        "() => document.querySelector('#verdict .ds-verdict')"
        " && !document.querySelector('#verdict').closest('.is-stale')"
        " && !document.querySelector('#verdict .is-stale')"
        " && document.querySelector('#verdict [data-picture]').dataset.picture"
        " === document.querySelector('#picture img').src.split('/').at(-2)"
    )
    assert len(answered) == 2


def test_a_class_is_taught_saved_and_loaded_and_stays_with_its_visitor(visit, five, tmp_path):
    page, other = visit(), visit()
    classified(page, five[0])
    tab(page, "Enrol a class")
    page.locator("#class-name textarea, #class-name input").fill(NAME)
    page.locator("#class-pictures input[type=file]").set_input_files(five)
    page.locator("#class-pictures img").nth(4).wait_for()
    page.locator("#enrol").click()
    page.locator("#bank li", has_text=NAME).wait_for()
    page.locator("#comparison .ds-tag").wait_for()
    with page.expect_download() as download:
        page.locator("#save-bank").click()
    saved = tmp_path / download.value.suggested_filename
    download.value.save_as(saved)
    assert saved.suffix == ".safetensors"

    classified(other, five[0])
    tab(other, "Enrol a class")
    assert other.locator("#bank").get_by_text("None yet").is_visible()
    other.get_by_test_id("Load from a file-upload-button").set_input_files(saved)
    other.locator("#bank li", has_text=NAME).wait_for()
    other.locator("#remove input").click()
    other.get_by_role("option", name=NAME).click()
    other.locator("#remove button", has_text="Remove").click()
    other.locator("#bank").get_by_text("None yet").wait_for()
    assert page.locator("#bank li").count() == 1


def test_a_refused_picture_is_a_sentence_and_changes_nothing(visit, five, tmp_path):
    letter = tmp_path / "letter.jpg"
    letter.write_text("Dear doctor")
    page = visit()
    classified(page, five[1])
    verdict = page.locator("#verdict .ds-verdict").inner_text()
    page.locator("#picture .source-selection button").first.click()
    page.locator("#verdict").get_by_text("Seven things").wait_for()
    page.locator("#picture input[type=file]").last.set_input_files(str(letter))
    page.get_by_test_id("toast-text").get_by_text("letter.jpg is not an image").wait_for()
    assert page.get_by_test_id("toast-text").count() == 1
    page.locator("#picture img[src^='data:image/jpeg']").wait_for()
    page.locator("#verdict .ds-verdict").wait_for()
    assert page.locator("#verdict .ds-verdict").inner_text() == verdict
    tab(page, "Similar cases")
    page.locator(".ds-case").first.wait_for()
    # the tabs add none; the first goes by itself after a while
    assert page.get_by_test_id("toast-text").count() <= 1


def test_a_strange_picture_is_said_to_be_so_above_every_tab(visit, tmp_path):
    stripes = Image.new("RGB", (192, 150))
    for left in range(0, 192, 16):
        stripes.paste("white", (left, 0, left + 8, 150))
    stripes.save(tmp_path / "stripes.png")
    page = visit()
    # the verdict is withheld, and none is to be waited for
    page.locator("#picture input[type=file]").set_input_files(str(tmp_path / "stripes.png"))
    warning = page.get_by_role("heading", name="No label is given for this picture")
    warning.wait_for()
    for name in TABS:
        tab(page, name)
        assert warning.is_visible()
        assert warning.bounding_box()["y"] < page.get_by_role("tab").first.bounding_box()["y"]


FRAME = """() => {
  const drawn = document.querySelector("#atlas-plot .js-plotly-plot"), {_size} = drawn._fullLayout;
  const {x, y} = drawn.getBoundingClientRect();
  return [x + _size.l + 1, y + _size.t + 1, x + _size.l + _size.w - 1, y + _size.t + _size.h - 1];
}"""
"""The map's left, top, right and bottom on the screen."""


def open_atlas(page):
    tab(page, "Atlas")
    page.locator("#atlas-plot .js-plotly-plot .legend").wait_for()
    page.locator("#atlas-table [role=gridcell]").first.wait_for()
    page.locator("#atlas-plot").scroll_into_view_if_needed()


def circle(page, left, top, right, bottom):
    corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
    page.mouse.move(*corners[0])
    page.mouse.down()
    for corner in corners[1:]:
        page.mouse.move(*corner, steps=5)
    page.mouse.up()


def drawing_in(folder):
    draw_lesion("mel", seed=4, size=(120, 90)).save(folder / "drawing.png")
    return folder / "drawing.png"


def test_a_point_of_the_atlas_shows_its_case(visit, engine):
    page = visit(height=1100)
    open_atlas(page)
    # where nothing lies over it
    places = engine.atlas.coordinates
    gaps = ((places[:, None] - places[None]) ** 2).sum(axis=2) + 1e9 * np.eye(len(places))
    row = int(gaps.min(axis=1).argmax())
    place = page.evaluate(PLACE, row)
    page.mouse.click(*place)
    own = page.locator("#atlas-case .ds-case").first
    own.get_by_text(engine.atlas.image_ids[row]).wait_for()
    assert page.locator("#atlas-case .ds-case").count() == 7
    # the case is beside the map, and its point is marked
    plot, case = (page.locator(at).bounding_box() for at in ("#atlas-plot", "#atlas-case"))
    assert case["x"] >= plot["x"] + plot["width"] and abs(case["y"] - plot["y"]) < 60
    page.locator(f".ds-mark-ring[data-row='{row}']").wait_for()
    ring = page.locator(".ds-mark-ring").bounding_box()
    place = page.evaluate(PLACE, row)
    middle = (ring["x"] + ring["width"] / 2, ring["y"] + ring["height"] / 2)
    assert middle == pytest.approx(place, abs=2)
    # another is found by its id, and a name that is none is a sentence
    page.locator("#atlas-search input, #atlas-search textarea").fill(engine.atlas.image_ids[5])
    page.keyboard.press("Enter")
    page.locator(".ds-mark-ring[data-row='5']").wait_for()
    page.locator("#atlas-search input, #atlas-search textarea").fill("ISIC_nowhere")
    page.keyboard.press("Enter")
    page.get_by_test_id("toast-text").get_by_text("no case 'ISIC_nowhere'").wait_for()
    page.locator("#atlas-table [role=gridcell]").first.click()
    page.locator("#atlas-case .ds-case").first.get_by_text(
        page.locator("#atlas-table [role=gridcell]").first.inner_text()
    ).wait_for()


def test_cases_that_are_circled_are_listed_and_saved(visit, engine, tmp_path):
    page = visit(height=1100)
    classified(page, str(drawing_in(tmp_path)))
    open_atlas(page)
    page.locator("#atlas-plot .legend").get_by_text("Your picture").wait_for()
    circle(page, *page.evaluate(FRAME))
    page.locator("#atlas-list input:checked[value=circled]").wait_for(state="attached")
    page.locator("#atlas-count").get_by_text(f"{len(engine.atlas)} cases").wait_for()
    with page.expect_download() as download:
        page.locator("#atlas-csv").click()
    download.value.save_as(tmp_path / "all.csv")
    with (tmp_path / "all.csv").open(newline="", encoding="utf-8") as stream:
        saved = [case["image_id"] for case in csv.DictReader(stream)]
    assert sorted(saved) == sorted(engine.atlas.image_ids)

    # a change of colours keeps what was circled, a double click ends it
    page.locator("#atlas-color input").click()
    page.get_by_role("option", name="Distance from training").click()
    page.locator("#atlas-plot .colorbar").wait_for()
    assert page.locator("#atlas-list input:checked").get_attribute("value") == "circled"
    left, _, _, bottom = page.evaluate(FRAME)
    page.mouse.dblclick(left + 3, bottom - 3)
    page.locator("#atlas-list input:checked[value=isolation]").wait_for(state="attached")


def test_a_filter_of_the_atlas_leaves_its_cases_in_colour(visit, engine):
    page = visit(height=1100)
    open_atlas(page)
    page.locator("#atlas-facts").get_by_text("Only cases with").click()
    page.locator("#atlas-dx input").click()
    page.get_by_role("option", name="Melanoma").click()
    melanomas = sum(case["dx"] == "mel" for case in engine.gallery.records)
    page.locator("#atlas-plot .legend").get_by_text(f"Melanoma · {melanomas}").wait_for()
    page.locator("#atlas-plot .legend .traces").nth(1).wait_for(state="detached")
    page.locator("#atlas-layout").get_by_text("t-SNE").click()
    page.locator("#atlas-plot .legend").get_by_text(f"Melanoma · {melanomas}").wait_for()


def test_a_refused_class_keeps_what_was_typed(visit, five):
    page = visit()
    tab(page, "Enrol a class")
    page.locator("#class-name textarea, #class-name input").fill("mel <i>")
    page.locator("#enrol").click()
    page.get_by_test_id("toast-body").get_by_text("no pictures of 'mel <i>' yet").wait_for()
    field = page.locator("#class-name textarea, #class-name input")
    assert field.is_visible()
    assert field.input_value() == "mel <i>"


@pytest.mark.parametrize("width", [360, 1920])
def test_the_page_fits_its_window(visit, width):
    page = visit(width=width, height=800)
    page.locator("#examples button img").first.click()
    page.locator("#verdict .ds-verdict").wait_for()
    for name in TABS:
        tab(page, name)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("#disclaimer").is_visible()
