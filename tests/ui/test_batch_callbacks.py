"""What happens in the tab Batch, as plain functions of a tiny checkpoint."""

import csv
import json
import os
import zipfile
from io import BytesIO

import pytest
from refusals import refuses

from dermsim.core import refused
from dermsim.data.archives import ArchiveLimits
from dermsim.data.synthetic import draw_lesion
from dermsim.engine.batch import FileAnswer
from dermsim.engine.results import Prediction
from dermsim.ui import batch_callbacks
from dermsim.ui.i18n import say


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
    assert not any(folder in row.reason for row in rows)


@pytest.mark.parametrize("language", ["en", "es"])
def test_the_table_has_a_row_for_every_file(engine, rows, language):
    header, cells = batch_callbacks.table(engine, rows, "balanced", language=language)
    assert len(header) == len(set(header)) == len(batch_callbacks.COLUMNS)
    assert [line[0] for line in cells] == [row.file for row in rows]
    for row, line in zip(rows, cells, strict=True):
        found = dict(zip(batch_callbacks.COLUMNS, line, strict=True))
        if row.prediction is None:
            assert found["problem"] == refused.say(row.reason, language)
            assert [found[name] for name in batch_callbacks.NUMBERS] == [None] * 3
            assert found["label"] == ""
            continue
        assert found["problem"] == ""
        assert found["label"] == row.prediction.label_name
        assert found["malignancy"] == pytest.approx(row.prediction.malignancy, abs=1e-3)
        kind = "malignant" if row.prediction.is_malignant else "benign"
        assert found["verdict"] == say(f"batch.{kind}", language)
        assert found["share"] == pytest.approx(row.vote[row.neighbor_dx], abs=1e-3)


def test_the_summary_counts_what_deserves_a_look(engine):
    threshold = engine.calibration.operating_points["balanced"].threshold
    sure, mild = min(threshold + 0.1, 1.0), max(threshold - 0.1, 0.0)
    found = [
        FileAnswer("a", answer(malignancy=sure), {"mel": 1.0}),
        FileAnswer("b", answer(malignancy=mild, is_outlier=True), {"nv": 1.0}),
        FileAnswer("c", reason="no picture"),
    ]
    text = batch_callbacks.summary(engine, found, "balanced", total=5)
    assert "Done: 3 of 5 pictures." in text
    assert "1 read as malignant, 1 without a verdict, 0 on which" in text
    assert "1 that could not be read" in text
    assert "Stopped: 3 pictures are kept." in batch_callbacks.summary(engine, found, "balanced")
    assert "Detenido: se conservan 3" in batch_callbacks.summary(
        engine, found, "balanced", language="es"
    )
    assert batch_callbacks.summary(engine, [], "balanced") == ""


def test_a_row_shows_its_picture_and_all_probabilities(rows):
    html = batch_callbacks.detail(rows, "a.png")
    assert html.count("data:image/jpeg;base64,") == 1
    assert html.count("ds-track") == 7
    assert 'alt="Small picture of a.png"' in html
    assert "is not an image" in batch_callbacks.detail(rows, "two.zip/c.png")


def test_what_is_strange_is_said_before_its_probabilities():
    html = batch_callbacks.detail(
        [FileAnswer("a.png", answer(is_outlier=True), {"mel": 1.0})], "a.png"
    )
    assert html.index("ds-warning") < html.index("ds-bars")


def test_a_file_name_is_no_markup():
    name = '<img src=x onerror="alert(1)">.png'
    for row in (
        FileAnswer(name, answer(), {"mel": 1.0}),
        FileAnswer(name, reason=f"{name} is damaged"),
    ):
        html = batch_callbacks.detail([row], name)
        assert "<img src=x" not in html and 'onerror="' not in html


def test_an_unknown_row_is_refused(rows):
    with refuses("batch_callbacks.no_row", file="z.png"):
        batch_callbacks.detail(rows, "z.png")


def test_the_file_to_save_has_every_row(engine, rows, tmp_path):
    path = batch_callbacks.save(engine, rows, "sensitivity_95", tmp_path)
    with path.open(encoding="utf-8", newline="") as stream:
        lines = list(csv.DictReader(stream))
    assert [line["file"] for line in lines] == [row.file for row in rows]
    assert {line["operating_point"] for line in lines} == {"sensitivity_95"}


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


@pytest.mark.parametrize("ask", [batch_callbacks.table, batch_callbacks.summary])
def test_an_unknown_operating_point_is_refused(engine, rows, ask):
    with refuses("engine_batch.operating_point", point="best"):
        ask(engine, rows, "best")


def test_of_a_folder_only_pictures_and_archives_are_taken():
    paths = ["x/a.PNG", "x/.DS_Store", "x/.b.png", "x/metadata.csv", "x/c.zip", "x/d.jpeg"]
    assert batch_callbacks.pictures_of(paths) == ["x/a.PNG", "x/c.zip", "x/d.jpeg"]
    assert batch_callbacks.pictures_of(None) == []


@pytest.mark.parametrize("language", ["en", "es"])
def test_the_empty_tab_says_the_limits(language):
    html = batch_callbacks.nothing_yet(language)
    assert "500" in html and "50 MB" in html
