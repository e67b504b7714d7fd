"""Nothing in a DICOM file that tells who a person is reaches anything that dermsim writes or says.

A file is filled with words, dates and numbers in every element of the standard that is no part of
the picture; then every command and REST route is asked about it, and all they leave behind is read.
"""

import base64
import io
import logging
import re
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_files import as_file, elements, jpeg_file
from fuzz.running import application
from PIL import Image
from pydicom.datadict import DicomDictionary, dictionary_VR
from starlette.testclient import TestClient

from dermsim import load_dataset
from dermsim.cli.main import main
from dermsim.data.formats.dicom_elements import PICTURE
from dermsim.data.formats.dicom_facts import read_dicom_facts
from dermsim.data.images import read_image
from dermsim.data.synthetic import draw_lesion

WORD, NUMBER, DATE, CLOCK = "ZaphodSecret", "998877665544", "19550101", "112233"
TEXTS = {
    **dict.fromkeys(("LO", "SH", "ST", "LT", "UT", "UC"), WORD),
    "PN": f"{WORD}^Trillian",
    "UI": f"1.2.826.0.1.{NUMBER}",
    "DA": DATE,
    "TM": CLOCK,
    "DT": f"{DATE}{CLOCK}",
    "IS": NUMBER[:9],
    "UR": f"https://{WORD}.example",
    "AE": WORD,
}
GROUPS = (0x0008, 0x0010, 0x0012, 0x0018, 0x0020, 0x0028, 0x0032, 0x0038, 0x0040, 0x0088, 0x4008)
SECRETS = re.compile(f"{WORD}|Trillian|{NUMBER[:9]}|{DATE}".encode(), re.IGNORECASE)


def fill(dataset) -> pydicom.Dataset:
    """Put secrets into all that is no part of the picture."""
    for tag, (vr, _, _, retired, keyword) in DicomDictionary.items():
        wanted = tag >> 16 in GROUPS and vr in TEXTS and keyword and not retired
        if wanted and keyword not in (*PICTURE, "PixelDataProviderURL"):
            setattr(dataset, keyword, TEXTS[vr])
    dataset.PatientAge, dataset.PatientSex = "077Y", "F"
    dataset.BodyPartExamined = "FOOT"
    code = pydicom.Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "66643007", "SCT", WORD
    dataset.AnatomicRegionSequence = [code]
    other = pydicom.Dataset()
    other.PatientID, other.TypeOfPatientID = WORD, WORD
    dataset.OtherPatientIDsSequence = [other]
    block = dataset.private_block(0x0009, WORD, create=True)
    block.add_new(0x01, "LO", WORD)
    dataset.BurnedInAnnotation = "YES"
    return dataset


@pytest.fixture(scope="module")
def secret(tmp_path_factory) -> Path:
    """A photograph full of secrets, and its neighbours."""
    folder = tmp_path_factory.mktemp("clinic")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number, name in enumerate(("lesion.dcm", "other.dcm")):
            values = np.asarray(draw_lesion("mel", seed=number, size=(120, 90)))
            dataset = fill(elements(values))
            data = as_file(dataset)
            (folder / name).write_bytes(data)
            assert len(SECRETS.findall(data)) > 300
        (folder / "camera.dcm").write_bytes(
            jpeg_file(draw_lesion("nv", seed=3, size=(120, 90)), PatientName=WORD, PatientID=WORD)
        )
        (folder / "cut.dcm").write_bytes(data[: len(data) - 900])
        (folder / "report.dcm").write_bytes(as_file(fill(_report())))
        odd = fill(elements(values))
        odd.PhotometricInterpretation = "RGB"
        odd["PatientAge"]._value = f"{WORD}"
        odd["PatientSex"]._value = WORD
        (folder / "odd.dcm").write_bytes(as_file(odd))
    return folder


def _report() -> pydicom.Dataset:
    dataset = pydicom.Dataset()
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.88.11"
    dataset.SOPInstanceUID = "1.2.3"
    return dataset


def check(data: bytes | str, what: str) -> None:
    data = data.encode() if isinstance(data, str) else data
    found = SECRETS.search(data)
    assert found is None, f"{what} tells {found[0]!r}"


def check_files(folder: Path) -> int:
    """Read all that was written, packed or not."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    for path in files:
        check(path.name, "the name of a file")
        data = path.read_bytes()
        check(data, path.name)
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                for name in archive.namelist():
                    check(archive.read(name), f"{name} in {path.name}")
        if path.suffix == ".png":
            check(repr(Image.open(path).info), path.name)
        for inside in re.findall(rb"data:image/\w+;base64,([A-Za-z0-9+/=]+)", data):
            check(base64.b64decode(inside), f"a picture in {path.name}")
    return len(files)


COMMANDS = {
    "classify": ("classify", "{in}/lesion.dcm"),
    "json": ("classify", "{in}", "--json"),
    "csv": ("classify", "{in}", "-o", "{out}/rows.csv"),
    "workbook": ("classify", "{in}", "-o", "{out}/rows.xlsx"),
    "frame": ("classify", "{in}/lesion.dcm", "--frame", "7"),
    "similar": ("similar", "{in}", "-k", "2"),
    "explain": ("explain", "{in}/lesion.dcm", "-o", "{out}/map.png"),
    "likeness": ("explain", "{in}/lesion.dcm", "--like", "{in}/other.dcm", "-o", "{out}/map.png"),
    "report": ("report", "{in}/lesion.dcm", "-o", "{out}/case.html"),
    "enroll": ("enroll", "{in}/lesion.dcm", "{in}/other.dcm", "--name", "odd", "--bank", "{out}/b"),
    "duplicates": ("duplicates", "{in}", "-o", "{out}/pairs"),
}
WRITES = {"csv", "workbook", "explain", "likeness", "report", "enroll", "duplicates"}


@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_tells_whose_picture_it_is(
    name, secret, checkpoint, tmp_path, capsys, caplog, recwarn
):
    caplog.set_level(logging.DEBUG)
    asked = [part.replace("{in}", str(secret)) for part in COMMANDS[name]]
    asked = [part.replace("{out}", str(tmp_path)) for part in asked]
    status = main([*asked, "--model", str(checkpoint)])
    said = capsys.readouterr()
    assert status in (0, 2) and len(said.out) + len(said.err) > 20
    check(said.out, "stdout")
    check(said.err, "stderr")
    check(caplog.text, "the log")
    check("".join(str(warning.message) for warning in recwarn), "a warning")
    assert (check_files(tmp_path) > 0) == (name in WRITES)
    assert "female" not in said.out or name == "similar"  # facts of past cases


@pytest.mark.filterwarnings("ignore:.*lesion of its own:UserWarning")
def test_no_data_set_gallery_or_chart_tells_whose_pictures_they_are(
    secret, checkpoint, tmp_path, capsys, caplog
):
    caplog.set_level(logging.DEBUG)
    for dx, name in (("mel", "lesion"), ("nv", "other")):
        (tmp_path / "set" / dx).mkdir(parents=True)
        (tmp_path / "set" / dx / f"{name}.dcm").write_bytes((secret / f"{name}.dcm").read_bytes())
    source, out, model = str(tmp_path / "set"), tmp_path / "out", ("--model", str(checkpoint))
    out.mkdir()
    asked = (
        (
            "gallery",
            "build",
            "--data",
            source,
            "-o",
            str(out / "gallery"),
            "--split",
            "all",
            *model,
        ),
        ("explore", source, "-o", str(out / "explored.html")),
    )
    for arguments in asked:
        assert main([*arguments]) == 0
        said = capsys.readouterr()
        check(said.out + said.err, "what was said")
    rows = load_dataset(source)
    check(repr(rows[:]) + str(rows.features), "a data set")
    assert all(row["age"] is None and row["sex"] is None for row in rows)
    check(caplog.text, "the log")
    assert check_files(out) > 3


def test_facts_that_were_asked_for_are_told_and_nothing_else(
    secret, informed_checkpoint, tmp_path, capsys, caplog, recwarn
):
    caplog.set_level(logging.DEBUG)
    rows = tmp_path / "rows.csv"
    asked = ["classify", str(secret), "--facts-from-dicom", "--json", "-o", str(rows)]
    assert main([*asked, "--model", str(informed_checkpoint)]) == 2  # two cannot be read
    said = capsys.readouterr()
    for text in (said.out, said.err, caplog.text, rows.read_text()):
        check(text, "what was said")
    check("".join(str(warning.message) for warning in recwarn), "a warning")
    assert '"age": 77.0' in said.out and '"localization": "back"' in said.out
    assert '"sex": "female"' in said.out


def test_odd_facts_are_not_repeated(secret):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        known = read_dicom_facts((secret / "odd.dcm").read_bytes())
    assert (known.age, known.sex, known.localization) == (None, None, "back")


def test_no_answer_of_rest_tells_whose_picture_it_is(secret, engine, caplog, recwarn):
    caplog.set_level(logging.DEBUG)
    with TestClient(application(engine)) as client:
        for path in sorted(secret.iterdir()):
            picture = {"images": (path.name, path.read_bytes())}
            single = {"image": (path.name, path.read_bytes())}
            answers = [
                client.post("/api/v1/predict", files=picture),
                client.post("/api/v1/embed", files=picture),
                client.post("/api/v1/similar", files=picture),
                client.post("/api/v1/enroll", files=picture, data={"name": "odd"}),
                client.post("/api/v1/explain", files=single),
            ]
            readable = path.name not in ("cut.dcm", "report.dcm")
            assert {answer.status_code for answer in answers} == {200 if readable else 422}
            for answer in answers:
                check(answer.content, f"the answer about {path.name}")
                check(repr(answer.headers), "a header")
                for inside in re.findall(rb'"([A-Za-z0-9+/=]{200,})"', answer.content):
                    check(base64.b64decode(inside), "a picture or bank in an answer")
    check(caplog.text, "the log")
    check("".join(str(warning.message) for warning in recwarn), "a warning")


def test_the_picture_itself_carries_nothing(secret):
    with pytest.warns(UserWarning, match="has text burned into its picture: see that it names nob"):
        image = read_image(secret / "lesion.dcm")
    assert image.info == {}
    stream = io.BytesIO()
    image.save(stream, "PNG")
    check(stream.getvalue(), "a saved picture")


def test_only_elements_of_the_picture_are_read():
    assert not {keyword for keyword in PICTURE if dictionary_VR(keyword) in ("PN", "DA", "LO")}
