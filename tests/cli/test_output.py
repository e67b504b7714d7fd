"""What the command writes: to consoles that cannot say all, to workbooks, and when stopped."""

import csv
import io
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_cli import StubEngine

from dermsim import engine
from dermsim.cli.command import QuickCommand
from dermsim.cli.main import main
from dermsim.cli.terminal import INTERRUPTED, table
from dermsim.engine.batch import BATCH

CASE = Path(__file__).resolve().parents[3] / "shared" / "cases" / "16-output-encoding" / "folder"


@pytest.fixture
def stub(monkeypatch):
    built = StubEngine()
    monkeypatch.setattr(engine.DermSim, "from_pretrained", lambda name: built)
    monkeypatch.setattr(QuickCommand, "quick_engine", lambda self, facts=False: self.engine())
    return built


def paint(folder, *names):
    folder.mkdir(exist_ok=True)
    for name in names:
        Image.new("RGB", (40, 30), "red").save(folder / name)
    return folder


@pytest.fixture
def printed(monkeypatch):
    """Run the command with an stdout of some encoding; return the status and the bytes."""

    def run(encoding, *arguments):
        stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict")
        monkeypatch.setattr(sys, "stdout", stream)
        status = main([str(argument) for argument in arguments])
        stream.flush()
        return status, stream.buffer.getvalue()

    return run


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "cp850", "utf-8", "latin-1"])
@pytest.mark.parametrize(
    "name", ["nueva 🙂.png", "病変.png", "→.png", "les\u0301ion.png", os.fsdecode(b"na\xefve.png")]
)
def test_no_answer_is_lost_to_a_letter(printed, stub, tmp_path, encoding, name):
    folder = paint(tmp_path / "pictures", "a.png", name)
    status, data = printed(encoding, "classify", folder)
    rows = data.decode(encoding).split("\n\n")[0].splitlines()[2:]
    assert status == 0 and len(rows) == 2
    assert all(" mel " in row for row in rows)


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
@pytest.mark.parametrize("name", ["nueva 🙂.png", os.fsdecode(b"na\xefve.png")])
def test_json_says_every_letter_in_its_own_way(printed, stub, tmp_path, encoding, name):
    folder = paint(tmp_path / "pictures", name)
    status, data = printed(encoding, "classify", folder, "--json")
    (result,) = json.loads(data.decode(encoding))["results"]
    assert status == 0 and result["picture"] == str(folder / name)


def test_json_of_a_console_that_can_is_written_as_it_is(printed, stub, tmp_path):
    folder = paint(tmp_path / "pictures", "lesión.png")
    assert "lesión.png" in printed("cp1252", "classify", folder, "--json")[1].decode("cp1252")


@pytest.mark.skipif(not CASE.is_dir(), reason="needs ../shared/cases")
def test_the_case(printed, stub):
    status, data = printed("cp1252", "classify", CASE)
    rows = data.decode("cp1252").split("\n\n")[0].splitlines()[2:]
    assert status == 0
    assert [row.split(" ")[0].rpartition("/")[2] for row in rows] == ["lesión.jpg", "nueva"]
    assert "nueva ?.jpg" in rows[1]


# ---------------------------------------------------------------- kinds of files


def rows_of(path):
    openpyxl = pytest.importorskip("openpyxl", reason="needs dermsim[excel]")
    header, *rows = openpyxl.load_workbook(path).active.iter_rows(values_only=True)
    return [dict(zip(header, row, strict=True)) for row in rows]


def test_a_workbook_says_what_the_csv_says(stub, tmp_path, capsys):
    folder = paint(tmp_path / "pictures", "a.png", "=1+1.png", "nueva 🙂.png")
    (folder / "b.jpg").write_text("no picture")
    (folder / "c\x07.jpg").write_text("no picture")  # a character that no workbook can hold
    for name in ("rows.xlsx", "rows.csv"):
        assert main(["classify", str(folder), "-o", str(tmp_path / name)]) == 2
    with (tmp_path / "rows.csv").open(encoding="utf-8", newline="") as stream:
        expected = list(csv.DictReader(stream))
    found = rows_of(tmp_path / "rows.xlsx")
    assert len(found) == len(expected) == 5
    for row, other in zip(found, expected, strict=True):
        told = {k: v.replace("\x07", "\ufffd") for k, v in other.items()}
        for column, value in row.items():
            number = isinstance(value, int | float)
            said = "" if value is None else value
            assert said == (float(told[column]) if number else told[column])
    assert found[0]["file"].startswith(str(folder)) and isinstance(found[1]["malignancy"], float)


@pytest.mark.parametrize("name", ["x.xls", "x.ods", "x.json", "x.pdf", "x.parquet"])
def test_rows_are_not_written_under_a_name_of_another_kind(stub, tmp_path, capsys, name):
    folder = paint(tmp_path / "pictures", "a.png")
    assert main(["classify", str(folder), "-o", str(tmp_path / name)]) == 2
    assert f"{name} must end in .csv or .xlsx" in capsys.readouterr().err
    assert stub.told == [] and not (tmp_path / name).exists()


def test_without_openpyxl_a_workbook_is_refused_before_any_work(
    stub, tmp_path, capsys, monkeypatch
):
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    folder = paint(tmp_path / "pictures", "a.png")
    assert main(["classify", str(folder), "-o", str(tmp_path / "x.xlsx")]) == 2
    assert 'pip install "dermsim[excel]"' in capsys.readouterr().err
    assert stub.told == []


@pytest.mark.parametrize(
    "command",
    [
        ("evaluate", "some/model", "--data", "synthetic", "--output", "x.xlsx"),
        ("protocol", "few-shot", "some/model", "--data", "synthetic", "--output", "x.csv"),
        ("atlas", "export", "-o", "x.xlsx"),
    ],
)
def test_other_answers_are_not_either(command, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(list(command)) == 2
    assert "must end in ." in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------- Ctrl-C


@pytest.fixture
def many(stub, tmp_path, monkeypatch):
    """Three batches of pictures, in the second of which the user stops."""
    asked = []
    answer = stub.predict_and_vote

    def predict_and_vote(images, **options):
        asked.append(len(images))
        if len(asked) == 2:
            raise KeyboardInterrupt
        return answer(images, **options)

    monkeypatch.setattr(stub, "predict_and_vote", predict_and_vote)
    return paint(tmp_path / "pictures", *(f"{number:03d}.png" for number in range(3 * BATCH)))


@pytest.mark.parametrize("name", ["rows.csv", "rows.xlsx"])
def test_ctrl_c_keeps_what_was_done_and_says_so(many, tmp_path, capsys, name):
    output = tmp_path / name
    assert main(["classify", str(many), "-o", str(output)]) == INTERRUPTED
    if name.endswith(".csv"):
        with output.open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
    else:
        rows = rows_of(output)
    assert [row["label"] for row in rows] == ["mel"] * BATCH
    printed = capsys.readouterr()
    assert f"interrupted: {BATCH} of {3 * BATCH} pictures were done and are in {output}" in (
        printed.err
    )
    assert printed.out.count(" malignant ") == BATCH


def test_ctrl_c_without_a_file_prints_what_was_done(many, capsys):
    assert main(["classify", str(many), "--json"]) == INTERRUPTED
    printed = capsys.readouterr()
    document = json.loads(printed.out)
    assert len(document["results"]) == BATCH
    assert document["interrupted"] == {"done": BATCH, "of": 3 * BATCH}
    assert f"interrupted: {BATCH} of {3 * BATCH} pictures were done\n" in printed.err


def test_ctrl_c_elsewhere_is_one_line(monkeypatch, capsys, tmp_path):
    def from_pretrained(name):
        raise KeyboardInterrupt

    monkeypatch.setattr(engine.DermSim, "from_pretrained", from_pretrained)
    monkeypatch.setattr(QuickCommand, "quick_engine", lambda self, facts=False: self.engine())
    folder = paint(tmp_path / "pictures", "a.png")
    assert main(["classify", str(folder)]) == INTERRUPTED
    assert capsys.readouterr().err == "dermsim: interrupted\n"


# ---------------------------------------------------------------- every file gets its row


def test_every_file_of_a_folder_or_archive_gets_its_row(stub, tmp_path):
    folder = paint(tmp_path / "pictures", "lesion.png")
    Image.fromarray(np.zeros((30, 40, 3), np.uint8) + 200).save(folder / "a.jpg")
    for ending in ("jfif", "jpe"):
        shutil.copy(folder / "a.jpg", folder / f"{ending}.{ending}")
    for name in ("raw.cr2", "scan.pdf", "IMG_0001", "photos.rar", "deep/layers.psd"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"no picture of a known kind")
    for name in ("notes.txt", "table.csv", ".hidden.png", "Thumbs.db"):
        (folder / name).write_text("passed over")
    archive = shutil.make_archive(str(tmp_path / "all"), "zip", folder)
    for source in (folder, archive):
        output = tmp_path / "rows.csv"
        assert main(["classify", str(source), "-o", str(output)]) == 2
        with output.open(encoding="utf-8", newline="") as stream:
            rows = {row["file"].rpartition("/")[2]: row for row in csv.DictReader(stream)}
        read = {name for name, row in rows.items() if row["label"]}
        assert read == {"lesion.png", "a.jpg", "jfif.jfif", "jpe.jpe"}
        unread = {"raw.cr2", "scan.pdf", "IMG_0001", "photos.rar", "layers.psd"}
        assert set(rows) - read == unread
        assert all(name in rows[name]["error"] for name in unread)


def test_a_zip_in_a_folder_is_read_too(stub, tmp_path, capsys):
    folder = paint(tmp_path / "pictures", "a.png")
    shutil.make_archive(str(folder / "more"), "zip", paint(tmp_path / "others", "b.png"))
    assert main(["classify", str(folder), "--json"]) == 0
    names = [result["picture"] for result in json.loads(capsys.readouterr().out)["results"]]
    assert names == [str(folder / "a.png"), "more.zip/b.png"]


def test_a_link_to_nothing_gets_its_row(stub, tmp_path, capsys):
    folder = paint(tmp_path / "pictures", "a.png")
    (folder / "gone.png").symlink_to(tmp_path / "nowhere.png")
    assert main(["classify", str(folder)]) == 2
    assert "gone.png is a link to a file that is not there" in capsys.readouterr().err


def test_similar_names_what_it_cannot_read(stub, tmp_path, capsys):
    folder = paint(tmp_path / "pictures", "a.png")
    (folder / "raw.cr2").write_bytes(b"no picture of a known kind")
    assert main(["similar", str(folder), "-k", "1"]) == 2
    printed = capsys.readouterr()
    assert "raw.cr2" in printed.err and "a.png" in printed.out


def test_tables_are_aligned_by_letters():
    assert table(["a", "b"], [["lesión", 1]]).splitlines()[2] == "lesión  1"
