"""What happens in the tab Batch, as plain functions of a tiny checkpoint."""

import csv
import json
import os
import re
import zipfile
from html import escape
from io import BytesIO

import pytest
from refusals import refuses

from dermsim.core import refused
from dermsim.core.language import LANGUAGES
from dermsim.data.archives import ArchiveLimits
from dermsim.data.synthetic import draw_lesion
from dermsim.engine import answers
from dermsim.engine.batch import FileAnswer
from dermsim.engine.results import Prediction
from dermsim.ui import batch_callbacks, operating_slider, render, worklist


def drawing(code="mel", seed=0) -> bytes:
    buffer = BytesIO()
    draw_lesion(code, seed=seed, size=(120, 90)).save(buffer, "PNG")
    return buffer.getvalue()


def answer(**changes) -> Prediction:
    shares = {"akiec": 0.1, "bcc": 0.1, "bkl": 0.1, "df": 0.0, "mel": 0.5, "nv": 0.2, "vasc": 0.0}
    values = {
        "label": 4,
        "label_name": "mel",
        "probabilities": shares,
        "prediction_set": ("mel", "nv"),
        "malignancy": 0.7,
        "is_malignant": True,
        "ood_score": 9.0,
        "is_outlier": False,
    }
    return Prediction(**{**values, **changes})


@pytest.fixture(scope="module")
def uploads(tmp_path_factory):
    """An archive of two pictures and what is none, and a loose picture called like one of them."""
    folder = tmp_path_factory.mktemp("uploads")
    with zipfile.ZipFile(folder / "two.zip", "w") as archive:
        archive.writestr("a.png", drawing("mel"))
        archive.writestr("b.png", drawing("nv"))
        archive.writestr("c.png", b"Dear doctor")
    (folder / "a.png").write_bytes(drawing("vasc"))
    return [str(folder / "two.zip"), str(folder / "a.png")]


@pytest.fixture(scope="module")
def rows(engine, uploads):
    return list(batch_callbacks.run(engine, uploads))[-1][0]


def test_rows_grow_and_say_how_far(engine, uploads, monkeypatch):
    monkeypatch.setattr("dermsim.engine.batch.BATCH", 2)
    steps = list(batch_callbacks.run(engine, uploads))
    assert [len(found) for found, _ in steps] == [0, 2, 4]
    assert [f'value="{n}" max="4"' in html for n, (_, html) in zip((0, 2, 4), steps, strict=True)]
    assert "2 of 4 pictures" in steps[1][1]
    assert steps[1][0] == steps[2][0][:2]  # a step that is kept does not change later


def test_the_visitor_sees_file_names_and_no_folder_of_the_server(rows, uploads):
    assert [row.file for row in rows] == [
        "two.zip/a.png", "two.zip/b.png", "two.zip/c.png", "a.png"
    ]  # fmt: skip
    assert all(row.thumbnail for row in rows if row.prediction)
    folder = uploads[0].rsplit("/", 1)[0]
    assert not any(folder in str(row.reason) for row in rows)


USUAL = operating_slider.USUAL


def listed(page) -> list[int]:
    return [int(place) for place in re.findall(r'<tr data-row="(\d+)"', page)]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_worklist_has_a_row_for_every_file(engine, rows, language):
    page = worklist.table_html(engine, rows, USUAL, language=language)
    assert sorted(listed(page)) == list(range(len(rows)))
    cells = page.split("<tr data-row")[1:]
    for place, line in zip(listed(page), cells, strict=True):
        row = rows[place]
        assert f"{escape(row.file)}</button>" in line
        if row.prediction is None:
            assert escape(refused.say(row.reason, language)) in line
            assert "data-malignancy" not in line and "<img" not in line
            continue
        assert render.name_of(row.prediction.label_name, language) in line
        assert f'data-malignancy="{row.prediction.malignancy!r}"' in line
        assert line.count("data:image/jpeg;base64,") == 1
    assert worklist.table_html(engine, [], USUAL) == ""


def test_unread_and_withheld_ones_come_first_and_then_the_most_malignant(engine):
    found = [
        FileAnswer("mild", answer(malignancy=0.1), {"mel": 1.0}),
        FileAnswer("strange", answer(malignancy=0.9, is_outlier=True), {"nv": 1.0}),
        FileAnswer("sure", answer(malignancy=0.8), {"mel": 1.0}),
        FileAnswer("letter", reason="no picture"),
        FileAnswer("dark", answer(malignancy=0.2, quality=("too_dark",)), {"nv": 1.0}),
    ]
    names = [found[place].file for place in worklist.order(found)]
    assert names == ["letter", "strange", "dark", "sure", "mild"]
    page = worklist.table_html(engine, found, USUAL)
    assert listed(page) == worklist.order(found)
    dark = page.split('data-row="4"')[1].split("</tr>")[0]
    assert "No verdict" in dark and "too dark" in dark
    for claim in ("ds-if-benign", "data-malignancy", "Melanoma", "20"):
        assert claim not in re.sub(r'src="[^"]*"', "", dark)


def test_classes_that_were_taught_have_a_column(engine, rows):
    assert "With your classes" not in worklist.table_html(engine, rows, USUAL)
    taught = [FileAnswer("a", answer(), {"mel": 1.0}, enrolled={"mel": 0.3, "<b>clover": 0.7})]
    page = worklist.table_html(engine, taught, USUAL)
    assert "With your classes" in page and "&lt;b&gt;clover 70" in page
    assert "&lt;b&gt;clover" in worklist.detail(engine, taught, 0, USUAL)


def test_the_summary_counts_what_deserves_a_look(engine):
    threshold = engine.calibration.operating_points["balanced"].threshold
    sure, mild = min(threshold + 0.1, 1.0), max(threshold - 0.1, 0.0)
    found = [
        FileAnswer("a", answer(malignancy=sure), {"mel": 1.0}),
        FileAnswer("b", answer(malignancy=mild, is_outlier=True), {"nv": 1.0}),
        FileAnswer("c", reason="no picture"),
    ]
    text = re.sub(r"</?span[^>]*>", "", batch_callbacks.summary(engine, found, USUAL, total=5))
    assert "Done: 3 of 5 pictures." in text
    assert "1 read as malignant, 1 without a verdict, 0 on which" in text
    assert "1 that could not be read" in text
    assert "Stopped: 3 pictures are kept." in batch_callbacks.summary(engine, found, USUAL)
    assert "Detenido: se conservan 3" in batch_callbacks.summary(
        engine, found, USUAL, language="es"
    )
    assert batch_callbacks.summary(engine, [], USUAL) == ""


def test_a_row_shows_its_picture_and_all_probabilities(engine, rows):
    html = worklist.detail(engine, rows, 3, USUAL)
    assert html.count("data:image/jpeg;base64,") == 1
    assert html.count('role="meter"') == 7
    assert 'alt="Small picture of a.png"' in html
    assert html.count("in the 90") == len(rows[3].prediction.prediction_set)
    assert "is not an image" in worklist.detail(engine, rows, 2, USUAL)


def test_what_is_strange_is_said_before_its_probabilities(engine):
    strange = [FileAnswer("a.png", answer(is_outlier=True), {"mel": 1.0})]
    html = worklist.detail(engine, strange, 0, USUAL)
    assert html.index("ds-warning") < html.index("Show it anyway") < html.index("ds-bars")


def test_a_file_name_is_no_markup(engine):
    name = '<img src=x onerror="alert(1)">.png'
    for row in (
        FileAnswer(name, answer(), {"mel": 1.0}),
        FileAnswer(name, reason=f"{name} is damaged"),
    ):
        html = worklist.detail(engine, [row], 0, USUAL)
        html += worklist.table_html(engine, [row], USUAL)
        assert "<img src=x" not in html and 'onerror="' not in html


@pytest.mark.parametrize("place", [-1, 4, True, "a.png", None])
def test_an_unknown_row_is_refused(engine, rows, place):
    with refuses("worklist.no_row", place=place):
        worklist.detail(engine, rows, place, USUAL)


def test_the_file_to_save_has_every_row_by_the_point_that_was_chosen(engine, rows, tmp_path):
    presets = operating_slider.presets(engine.calibration)
    between = next(n for n in range(100) if n not in presets.values())
    for stop, name in ((presets["sensitivity_95"], "sensitivity_95"), (between, "chosen")):
        path = batch_callbacks.save(engine, rows, stop, "csv", tmp_path)
        with path.open(encoding="utf-8", newline="") as stream:
            lines = list(csv.DictReader(stream))
        assert [line["file"] for line in lines] == [row.file for row in rows]
        assert {line["operating_point"] for line in lines} == {name}


def test_the_same_is_saved_as_a_workbook(engine, rows, tmp_path):
    openpyxl = pytest.importorskip("openpyxl", reason="openpyxl is not installed")
    path = batch_callbacks.save(engine, rows, USUAL, "xlsx", tmp_path)
    assert path.name == "dermsim-batch.xlsx"
    header, *lines = openpyxl.load_workbook(path).active.iter_rows(values_only=True)
    assert [line[header.index("file")] for line in lines] == [row.file for row in rows]
    with refuses("batch_callbacks.no_kind", kind="pdf"):
        batch_callbacks.save(engine, rows, USUAL, "pdf", tmp_path)


def test_a_bank_is_asked_of_every_picture(engine, uploads):
    bank = answers.teach(engine, [draw_lesion("vasc", seed=1)], name="clover")
    (*_, (found, _)) = batch_callbacks.run(engine, uploads, bank)
    assert all("clover" in row.enrolled for row in found if row.prediction)
    (*_, (found, _)) = batch_callbacks.run(engine, uploads, engine.class_bank())
    assert all(row.enrolled is None for row in found)


def test_programs_get_the_same(engine, uploads, rows):
    found = batch_callbacks.data(engine, uploads)
    json.dumps(found, allow_nan=False)
    assert [result["picture"] for result in found["results"]] == [row.file for row in rows]
    bad = [result for result in found["results"] if "error" in result]
    assert [result["picture"] for result in bad] == ["two.zip/c.png"]
    good = found["results"][0]
    assert good["probabilities"] == pytest.approx(rows[0].prediction.probabilities, abs=1e-6)
    assert good["is_malignant"] == (good["malignancy"] >= found["threshold"])
    assert found["encoder"] == engine.fingerprint


@pytest.mark.parametrize("paths", [None, []])
def test_nothing_handed_over_is_a_sentence(engine, paths):
    with refuses("batch_callbacks.nothing"):
        next(batch_callbacks.run(engine, paths))
    with refuses("batch_callbacks.nothing"):
        batch_callbacks.data(engine, paths)


def test_too_many_are_refused_before_the_first(engine, uploads, monkeypatch):
    monkeypatch.setattr(batch_callbacks, "LIMITS", ArchiveLimits(pictures=3))
    with refuses("archives.too_many", count=4, most=3):
        next(batch_callbacks.run(engine, uploads))


def test_uploads_that_are_still_needed_are_not_left_untouched(engine, tmp_path, monkeypatch):
    monkeypatch.setattr("dermsim.engine.batch.BATCH", 1)
    paths = [tmp_path / f"{name}.png" for name in "abc"]
    for path in paths:
        path.write_bytes(drawing())
        os.utime(path, (0, 0))
    running = batch_callbacks.run(engine, [str(path) for path in paths])
    next(running)
    next(running)
    assert [path.stat().st_mtime > 0 for path in paths] == [False, True, True]
    paths[1].unlink()  # whoever deleted it nevertheless
    *_, (rows, _) = running
    assert [bool(row.prediction) for row in rows] == [True, False, True]


@pytest.mark.parametrize("ask", [worklist.table_html, batch_callbacks.summary])
def test_an_unknown_stop_is_refused(engine, rows, ask):
    with refuses("operating_slider.no_stop", stop=10_000):
        ask(engine, rows, 10_000)


def test_of_a_folder_only_pictures_and_archives_are_taken():
    paths = ["x/a.PNG", "x/.DS_Store", "x/.b.png", "x/metadata.csv", "x/c.zip", "x/d.jpeg"]
    assert batch_callbacks.pictures_of(paths) == ["x/a.PNG", "x/c.zip", "x/d.jpeg"]
    assert batch_callbacks.pictures_of(None) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_empty_tab_says_the_limits(language):
    html = batch_callbacks.nothing_yet(language)
    assert "500" in html and re.search(r"\b50\s(MB|Mo)\b", html)
