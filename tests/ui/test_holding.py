"""Uploads on their way into memory, and what listeners are told when they cannot be answered."""

import gc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
from dicom_files import jpeg_file

from dermsim.data.admission import PixelBudget
from dermsim.data.images import read_image
from dermsim.data.synthetic import draw_lesion
from dermsim.engine.batch import FileAnswer
from dermsim.engine.shared_runs import Overloaded
from dermsim.ui import inline
from dermsim.ui.explain_callbacks import Explanation
from dermsim.ui.shelf import CLASSES, ROWS
from dermsim.ui.tabs import holding, wiring
from dermsim.ui.uploads import upload_folder

SECRET = "mrs-miller-left-arm"


@pytest.fixture
def upload():
    """Put a file where uploads lie; return it as the page tells of it."""
    folder = upload_folder().path

    def put(name="lesion.png", seed=0):
        path = folder / f"{seed}" / name
        path.parent.mkdir(exist_ok=True)
        if name.endswith(".png"):
            draw_lesion("mel", seed=seed, size=(80, 60)).save(path)
        else:
            path.write_text("Dear doctor")
        return {"path": str(path), "url": "/gradio_api/file=", "meta": {"_type": "gradio.FileData"}}

    yield put
    upload_folder().sweep(age=-1)


def content(held):
    return holding.SHELF.get(held)


take = wiring.sentences(holding.take)
take_several = wiring.sentences(holding.take_several)
chosen = wiring.sentences(holding.chosen)
length = wiring.sentences(lambda value: None if value is None else len(value))


def test_an_upload_is_read_once_and_listeners_get_it_when_its_file_is_gone(upload):
    raw = upload()
    size = Path(raw["path"]).stat().st_size
    path, last_good = take(raw)
    assert path is last_good
    upload_folder().sweep(age=-1)
    assert length(path) == size
    assert length(None) is None
    assert read_image(content(path)).size == (80, 60)


def test_a_picture_taken_away_leaves_the_last_good_one(upload):
    path, last_good = take(None)
    assert path is None
    assert last_good == gr.skip()
    assert take(inline.thumbnail(draw_lesion("nv", seed=0))) == (gr.skip(), gr.skip())


def test_what_is_no_picture_is_refused_by_its_name_and_nothing_is_held(upload):
    raw, before = upload("letter.jpg"), len(holding.SHELF)
    with pytest.raises(gr.Error, match=r"letter\.jpg is not an image"):
        take(raw)
    assert len(holding.SHELF) == before


def test_the_last_good_picture_is_shown_again_from_memory(upload):
    raw = upload()
    held = take(raw)[0]
    upload_folder().sweep(age=-1)
    shown, name = holding.show_again(held)
    assert inline.is_inline(shown)
    assert name is held
    # by which the browser knows that the answers it has are of this picture
    folder = Path(raw["path"]).parent.name
    assert f";picture={folder};" in shown["url"]
    assert wiring.of(content(held), "said") == f'<div data-picture="{folder}">said</div>'
    assert wiring.of(None, "said") == "said"
    assert holding.show_again(None) == (None, None)
    holding.SHELF._places.clear()
    assert holding.show_again(held) == (None, None)


def test_who_comes_too_late_is_told_so(upload):
    held = take(upload())[0]
    holding.SHELF.close("nobody")
    content(held)
    holding.SHELF._places.clear()
    with pytest.raises(gr.Error, match="no longer on the server: add it again"):
        length(held)


def gallery(*items):
    return [item if "image" in item else {"image": item, "caption": None} for item in items]


def test_pictures_of_a_class_are_held_until_they_are_enrolled(upload):
    shown, held = take_several(gallery(upload(seed=1), upload(seed=2)), None)
    assert [item["image"]["orig_name"] for item in shown] == ["lesion.png", "2-lesion.png"]
    upload_folder().sweep(age=-1)
    # the visitor takes the first away, and adds another
    shown, held = take_several([shown[1], *gallery(upload(seed=3))], held)
    assert [item["image"]["orig_name"] for item in shown] == ["2-lesion.png", "3-lesion.png"]
    upload_folder().sweep(age=-1)
    assert list(content(held)) == ["2-lesion.png", "3-lesion.png"]
    found = chosen([shown[1]], held)
    expected = np.asarray(draw_lesion("mel", seed=3, size=(80, 60)))
    assert [np.array_equal(np.asarray(read_image(data)), expected) for data in found] == [True]
    assert take_several([], held) == ([], None)


def test_pictures_that_are_not_held_any_more_are_missed(upload):
    shown, _ = take_several(gallery(upload(seed=1)), None)
    for known in (None, {"other.png": b""}):
        with pytest.raises(FileNotFoundError):
            holding.chosen([shown[0]["image"]], known)
        with pytest.raises(FileNotFoundError):
            holding.take_several([shown[0]["image"]], known)
    assert holding.chosen(["a path"], None) == ["a path"]
    assert holding.chosen(None, None) == []


def test_an_explanation_is_held_with_its_picture(engine, upload):
    from dermsim.ui import explain_callbacks

    data = content(take(upload())[0])
    explanation, _ = explain_callbacks.explain(engine, data)
    before = holding.SHELF.size
    held = holding.hold_explanation(explanation)
    assert holding.SHELF.size - before >= len(data)
    assert isinstance(content(held), Explanation)
    redraw = wiring.sentences(lambda found: explain_callbacks.blend(found, 0.5))
    assert redraw(held)[0].size == (900, 675)
    assert holding.hold_explanation(None) is None
    del held, explanation
    gc.collect()
    assert holding.SHELF.size == before


# What a listener that cannot answer says.


def failing(error):
    def listener():
        raise error

    return wiring.sentences(listener)


@pytest.mark.parametrize("error", [Overloaded("257 images"), TimeoutError("too late")])
def test_a_crowd_is_told_of_in_a_sentence(error):
    with pytest.raises(gr.Error, match="Many visitors are asking at the same time") as refused:
        failing(error)()
    assert not refused.value.print_exception


def test_a_mistake_of_the_program_is_not_told_in_its_own_words(caplog, capfd):
    with pytest.raises(gr.Error, match="Something went wrong on the server") as refused:
        failing(RuntimeError(f"/srv/{SECRET}.png"))()
    assert not refused.value.print_exception
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("RuntimeError at ")
    assert SECRET not in line + "".join(capfd.readouterr())


def test_a_refusal_made_for_the_page_is_passed_on():
    with pytest.raises(gr.Error, match="as it is"):
        failing(gr.Error("as it is"))()


def test_what_browsers_cannot_show_gets_a_copy_in_sight(uploaded_dicom):
    held, _ = holding.take(uploaded_dicom)
    raw = {"path": uploaded_dicom, "url": "/file"}
    shown = holding.in_sight(raw, held)
    assert inline.is_inline(shown) and ";picture=" in shown["url"]
    # the copy is a new value of the upload, and is left alone
    assert holding.in_sight(shown, held) == gr.skip()
    assert holding.in_sight(None, held) == holding.in_sight(raw, None) == gr.skip()
    holding.SHELF._places.clear()
    assert holding.in_sight(raw, held) == gr.skip()


def test_what_browsers_show_stays_itself(tmp_path):
    path = tmp_path / "mark" / "lesion.png"
    path.parent.mkdir()
    draw_lesion("nv", seed=1, size=(64, 48)).save(path)
    held, _ = holding.take(str(path))
    assert holding.in_sight({"path": str(path)}, held) == gr.skip()


@pytest.fixture
def uploaded_dicom(tmp_path) -> str:
    path = tmp_path / "mark" / "lesion.dcm"
    path.parent.mkdir()
    path.write_bytes(jpeg_file(draw_lesion("nv", seed=1, size=(64, 48))))
    return str(path)


# What was taught and what was classified.


@pytest.fixture
def visitor(monkeypatch):
    request = SimpleNamespace(session_hash="me", query_params={}, headers={})
    monkeypatch.setattr(holding, "visitor_request", lambda: request)
    monkeypatch.setattr(wiring, "visitor_request", lambda: request)
    return request


classes = wiring.sentences(lambda bank: bank)
rows = wiring.sentences(lambda found: found)


def test_classes_and_rows_are_counted(visitor, engine):
    before = holding.SHELF.size
    bank = engine.class_bank()
    held = holding.hold_classes(bank)
    assert classes(held) is bank
    assert holding.SHELF.size - before == len(bank.to_bytes()) > 1000
    before = holding.SHELF.size
    found = [FileAnswer("a.png", reason="It is no picture.", thumbnail=b"x" * 900)] * 300
    assert rows(holding.hold_rows(found)) is found
    del held, found
    gc.collect()


@pytest.mark.parametrize(
    ("hold", "words", "rest"),
    [
        (
            lambda: holding.hold(SimpleNamespace(), size=1, kind=CLASSES),
            "classes that you taught",
            None,
        ),
        (lambda: holding.hold([1], size=1, kind=ROWS), "rows of your batch", []),
    ],
)
def test_a_visitor_is_told_once_what_was_dropped(visitor, hold, words, rest):
    held = hold()
    holding.SHELF._places.pop(held.number)
    with pytest.raises(gr.Error, match=words):
        classes(held)
    assert classes(held) == rest


def test_a_visitor_whose_visit_was_dropped_is_told_before_an_answer_without_it(visitor):
    held = holding.hold("classes", size=1, kind=CLASSES)
    holding.SHELF.lose("me")
    with pytest.raises(gr.Error, match="because many others came"):
        classes(None)  # which is what the state of a new session holds
    assert classes(None) is None
    del held


def test_room_is_held_for_the_pixels_of_a_listeners_pictures(upload, monkeypatch):
    budget = PixelBudget(10_000)
    monkeypatch.setattr(wiring, "PIXELS", budget)
    seen = wiring.sentences(lambda *values: budget.held)
    raw = upload()
    assert seen(raw, "text") == 80 * 60
    assert seen([raw, raw]) == 2 * 80 * 60
    assert seen(take(raw)[0]) == 80 * 60
    assert wiring.sentences(lambda value: budget.held, holds=False)(raw) == 0
    assert budget.held == 0
    with budget.hold(10_000):
        monkeypatch.setattr(wiring, "PATIENCE", 0.05)
        told = ThreadPoolExecutor(1).submit(seen, raw)
        with pytest.raises(gr.Error, match="at the same time"):
            told.result()
