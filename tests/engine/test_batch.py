"""Many photographs through a real tiny checkpoint, and the CSV that comes of them."""

import csv
import io
import zipfile
from dataclasses import replace

import pytest
from PIL import Image
from refusals import refuses

from dermsim.core.labels import CODES
from dermsim.core.version import __version__
from dermsim.data.archives import ArchiveLimits, list_photographs
from dermsim.data.facts import Facts
from dermsim.data.synthetic import draw_lesion
from dermsim.engine import batch
from dermsim.engine.batch import FileAnswer, classify_photographs, columns, rows_csv, save_csv
from dermsim.engine.results import Prediction
from dermsim.tasks.classify import OperatingPoint
from dermsim.tasks.retrieve import VOTERS

LIMITS = ArchiveLimits()


def prediction(**changes) -> Prediction:
    values = {
        "label": 4,
        "label_name": "mel",
        "probabilities": {code: 0.4 if code == "mel" else 0.1 for code in CODES},
        "prediction_set": ("mel", "nv"),
        "malignancy": 0.6,
        "is_malignant": True,
        "ood_score": -1.25,
        "is_outlier": False,
    }
    return Prediction(**{**values, **changes})


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Seven drawings, one of each diagnosis, a text among them, in an archive."""
    path = tmp_path_factory.mktemp("pictures") / "lesions.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for seed, code in enumerate(CODES):
            buffer = io.BytesIO()
            draw_lesion(code, seed=seed, size=(120, 90)).save(buffer, "PNG")
            archive.writestr(f"{code}.png", buffer.getvalue())
        archive.writestr("letter.jpg", "Dear doctor")
    return path


def classified(engine, sources, **options) -> list[list[FileAnswer]]:
    listed = list_photographs(sources, limits=LIMITS)
    return list(classify_photographs(engine, listed, limits=LIMITS, **options))


def read(text) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_a_row_is_what_the_engine_says_of_the_picture_alone(engine, pictures):
    (rows,) = classified(engine, [pictures])
    assert [row.file for row in rows] == sorted(
        ["lesions.zip/letter.jpg", *(f"lesions.zip/{code}.png" for code in CODES)]
    )
    for row in rows:
        name = row.file.removeprefix("lesions.zip/").removesuffix(".png")
        if name == "letter.jpg":
            continue
        drawing = draw_lesion(name, seed=CODES.index(name), size=(120, 90))
        (alone,) = engine.predict(drawing)
        assert row.prediction.label_name == alone.label_name
        assert row.prediction.probabilities == pytest.approx(alone.probabilities, abs=1e-5)
        assert row.prediction.recognised == alone.recognised
        (vote,) = engine.vote([drawing])
        assert row.vote == pytest.approx(vote, abs=1e-4)
        assert row.neighbor_dx == max(vote, key=vote.get)
        agrees = row.neighbor_dx == alone.label_name
        assert row.agrees == (None if alone.withheld else agrees)


def test_what_cannot_be_read_is_a_row_with_its_reason(engine, pictures):
    (rows,) = classified(engine, [pictures])
    (bad,) = [row for row in rows if row.prediction is None]
    assert bad.file == "lesions.zip/letter.jpg"
    assert str(bad.reason) == (
        "letter.jpg is not an image: expected one of JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF, HEIC, "
        "JPEG 2000, JPEG XL, DICOM"
    )
    assert (bad.vote, bad.neighbor_dx, bad.agrees, bad.thumbnail) == ({}, None, None, b"")
    assert bad.to_dict() == {"picture": bad.file, "error": str(bad.reason)}


def test_nothing_readable_needs_no_forward_pass(engine, tmp_path):
    (tmp_path / "a.png").write_text("no picture")
    ((row,),) = classified(engine, [tmp_path / "a.png"])
    assert row.reason


def test_batches_are_bounded_in_number_and_pixels(engine, pictures, monkeypatch):
    monkeypatch.setattr(batch, "BATCH", 3)
    assert [len(rows) for rows in classified(engine, [pictures])] == [3, 3, 2]
    monkeypatch.setattr(batch, "BATCH_PIXELS", 2 * 120 * 90)
    sizes = [len(rows) for rows in classified(engine, [pictures])]
    assert sum(sizes) == 8 and max(sizes) == 3  # two pictures, and one that is none
    monkeypatch.setattr(batch, "BATCH_PIXELS", 1)  # a picture larger than allowed goes alone
    assert sum(len(rows) for rows in classified(engine, [pictures])) == 8


def test_whoever_stops_keeps_what_was_found(engine, pictures, monkeypatch):
    monkeypatch.setattr(batch, "BATCH", 2)
    asked, ask = [], type(engine).predict_and_vote

    def counted(self, images, **options):
        asked.append(len(images))
        return ask(self, images, **options)

    monkeypatch.setattr(type(engine), "predict_and_vote", counted)
    listed = list_photographs([pictures], limits=LIMITS)
    running = classify_photographs(engine, listed, limits=LIMITS)
    first = next(running)
    running.close()
    assert len(first) == 2 and asked == [2]


def test_a_thumbnail_is_small_and_carries_no_metadata(engine, tmp_path):
    exif = Image.Exif()
    exif[0x010E] = "the patient's name"
    drawing = draw_lesion("mel", seed=0, size=(300, 200))
    drawing.save(tmp_path / "a.jpg", exif=exif, comment=b"the patient's name")
    ((row,),) = classified(engine, [tmp_path / "a.jpg"], thumbnail=96)
    with Image.open(io.BytesIO(row.thumbnail)) as small:
        assert (small.format, small.size) == ("JPEG", (96, 64))
        assert not small.getexif() and "comment" not in small.info
    assert b"patient" not in row.thumbnail


def test_facts_reach_every_picture(informed_engine, pictures):
    (rows,) = classified(informed_engine, [pictures], facts=Facts(age=75, localization="face"))
    drawing = draw_lesion("mel", seed=CODES.index("mel"), size=(120, 90))
    (expected,) = informed_engine.predict(drawing, facts=Facts(age=75, localization="face"))
    (row,) = [row for row in rows if row.file.endswith("mel.png")]
    assert row.prediction.probabilities == pytest.approx(expected.probabilities, abs=1e-5)


def test_the_csv_has_every_figure(engine, pictures):
    (rows,) = classified(engine, [pictures])
    text = rows_csv(rows, calibration=engine.calibration, fingerprint=engine.fingerprint)
    lines = read(text)
    assert tuple(lines[0]) == columns()
    threshold = engine.calibration.operating_points["balanced"].threshold
    for row, line in zip(rows, lines, strict=True):
        assert (line["file"], line["error"]) == (row.file, str(row.reason))
        assert (line["encoder"], line["dermsim"]) == (engine.fingerprint, __version__)
        assert (line["operating_point"], float(line["threshold"])) == ("balanced", threshold)
        assert line["voters"] == str(VOTERS)
        if row.prediction is None:
            assert {line[name] for name in ("label", "probability", "verdict", "p_mel")} == {""}
            continue
        found = row.prediction
        assert line["label"] == found.label_name
        assert line["prediction_set"].split() == list(found.prediction_set)
        assert float(line["malignancy"]) == pytest.approx(found.malignancy, abs=1e-6)
        assert line["verdict"] == found.verdict
        assert line["withheld"].split() == list(found.withheld)
        assert float(line["ood_limit"]) == pytest.approx(engine.detector.threshold, abs=1e-6)
        assert line["trained_on"] == "drawings"
        assert line["unfamiliar"] == ("yes" if found.is_outlier else "no")
        assert line["neighbors_label"] == row.neighbor_dx
        assert line["neighbors_agree"] == {True: "yes", False: "no", None: ""}[row.agrees]
        for code in CODES:
            assert float(line[f"p_{code}"]) == pytest.approx(found.probabilities[code], abs=1e-6)


def test_the_verdict_is_the_operating_points(engine):
    points = {
        name: OperatingPoint(threshold, 0.9, 0.8)
        for name, threshold in {"balanced": 0.5, "sensitivity_95": 0.2}.items()
    }
    calibration = replace(engine.calibration, operating_points=points, malignancy_curve=None)
    row = FileAnswer("a.png", prediction(malignancy=0.3), {"mel": 1.0})
    for point, verdict in (("sensitivity_95", "malignant"), ("balanced", "benign")):
        (line,) = read(rows_csv([row], calibration=calibration, fingerprint="x", point=point))
        assert (line["verdict"], float(line["threshold"])) == (verdict, points[point].threshold)


@pytest.mark.parametrize(
    "name",
    ["=1+1.png", "+1.png", "-1.png", "@SUM(A1).png", "\t=1.png", "\r=1.png", " =1.png", "＝1.png"],
)
def test_a_file_name_is_no_formula(engine, name):
    text = rows_csv([FileAnswer(name, reason="x")], calibration=engine.calibration, fingerprint="x")
    assert read(text)[0]["file"] == f"'{name}"
    (row,) = read(
        rows_csv([FileAnswer("a", reason=name)], calibration=engine.calibration, fingerprint="")
    )
    assert row["error"] == f"'{name}"


@pytest.mark.parametrize("name", ["a.png", 'lesión, 3 "x".png', "a\nb.png", "1-2.png", "皮肤.png"])
def test_any_other_name_comes_back_as_it_was(engine, name, tmp_path):
    path = tmp_path / "rows.csv"
    rows = [FileAnswer(name, reason="x")]
    save_csv(path, rows, calibration=engine.calibration, fingerprint="x")
    with path.open(encoding="utf-8", newline="") as stream:
        assert next(csv.DictReader(stream))["file"] == name


def test_a_name_that_is_no_text_can_still_be_written(engine, tmp_path):
    path = tmp_path / "rows.csv"
    save_csv(
        path,
        [FileAnswer("\udce9.png", reason="x")],
        calibration=engine.calibration,
        fingerprint="x",
    )
    assert b"\\udce9.png" in path.read_bytes()


def test_an_unknown_operating_point_is_refused_and_nothing_written(engine, tmp_path):
    path = tmp_path / "rows.csv"
    with refuses("engine_batch.operating_point", point="youden"):
        save_csv(path, [], calibration=engine.calibration, fingerprint="x", point="youden")
    assert not path.exists()


@pytest.mark.parametrize(("found", "reason"), [(None, ""), (prediction(), "x")])
def test_a_row_says_either_what_or_why_not(found, reason):
    with refuses("engine_batch.row"):
        FileAnswer("a.png", found, reason=reason)
