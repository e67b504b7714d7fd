"""The small inputs of ../shared/cases that are about formats of picture files, and neighbours.

More of each format is in tests/data/formats.
"""

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
import tifffile
from dicom_files import as_file, elements, jpeg_file
from PIL import Image
from refusals import refuses

from dermsim.cli.main import main
from dermsim.data.images import read_image
from dermsim.data.synthetic import draw_lesion

CASES = Path(__file__).resolve().parents[2] / "shared" / "cases"
PICTURE = draw_lesion("mel", seed=1, size=(64, 48))
RGB = np.asarray(PICTURE).astype(int)

pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="needs ../shared/cases")


def case(number: str) -> Path:
    return next(CASES.glob(f"{number}-*"))


def saved(kind: str, **options) -> bytes:
    pillow_heif.register_heif_opener()
    stream = io.BytesIO()
    PICTURE.save(stream, kind, **options)
    return stream.getvalue()


# ---------------------------------------------------------------- 09 a row for every file


@pytest.fixture
def classified(checkpoint, tmp_path, capsys):
    """Run `dermsim classify -o` and return the rows: name and reason."""

    def run(source: Path) -> dict[str, str]:
        rows = tmp_path / "x.csv"
        main(["classify", str(source), "-o", str(rows), "--json", "--model", str(checkpoint)])
        answer = json.loads(capsys.readouterr().out)
        found = {Path(row["picture"]).name: "" for row in answer["results"]}
        found |= {Path(row["picture"]).name: row["error"] for row in answer["errors"]}
        assert len(rows.read_text().splitlines()) == len(found) + 1
        return found

    return run


@pytest.mark.parametrize("name", ["folder", "pictures.zip"])
def test_09_every_file_of_the_case_has_a_row(classified, name):
    rows = classified(case("09") / name)
    reasons = {"phone.heic": rows["phone.heic"]}  # only a header
    assert rows == {
        **dict.fromkeys(("lesion.jpg", "lesion2.jfif", "lesion3.jpe", "web.avif"), ""),
        **reasons,
    }
    assert reasons["phone.heic"].startswith("phone.heic is a damaged HEIC file: ")


@pytest.mark.parametrize("packed", [False, True])
def test_09_every_format_has_a_row_whatever_its_ending(classified, tmp_path, packed):
    files = {
        "phone.HEIC": saved("HEIF"),
        "web": saved("AVIF"),
        "scan.jp2": saved("JPEG2000"),
        "clinic.IMA": jpeg_file(PICTURE),
        "clinic.dcm": as_file(elements(np.asarray(PICTURE))),
        "new.jxl": saved_jxl(),
        "microscope.tif": saved("TIFF"),
        "cut.dcm": as_file(elements(np.asarray(PICTURE)))[:900],
    }
    folder = tmp_path / "folder"
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    if packed:
        with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
            for name, data in files.items():
                archive.writestr(f"sub/{name}", data)
    rows = classified(tmp_path / "all.zip" if packed else folder)
    bad = "cut.dcm is a damaged DICOM file: export it again"
    assert rows == {name: bad if name == "cut.dcm" else "" for name in files}


def saved_jxl() -> bytes:
    import pillow_jxl

    assert pillow_jxl  # registers the writer
    return saved("JXL", lossless=True)


# ---------------------------------------------------------------- 10 the format is named

NAMED = {"a.heic": "heif.damaged", "c.dcm": "dicom.damaged", "d.jxl": "jxl.damaged"}


def test_10_the_case_with_all_that_can_be_installed():
    for name, key in NAMED.items():
        with refuses(key, name=name):
            read_image(case("10") / name)
    for name in ("b.avif", "e.jp2"):
        assert read_image(case("10") / name).size == (64, 48)


WITHOUT = """
import sys
for package in ("pydicom", "pylibjpeg", "pillow_heif", "pillow_jxl", "imagecodecs"):
    sys.modules[package] = None
from dermsim.data.images import read_image
for path in sys.argv[1:]:
    try:
        print(read_image(path).size)
    except ValueError as error:
        print(error)
"""


def without_extras(*paths: Path) -> list[str]:
    """What is said by a program that has nothing but what dermsim needs."""
    command = [sys.executable, "-W", "ignore", "-c", WITHOUT, *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_10_the_case_without_extras():
    names = ["a.heic", "b.avif", "c.dcm", "d.jxl", "e.jp2"]
    say = '{} is a {} file: install what reads it with pip install "dermsim[{}]"'
    assert without_extras(*(case("10") / name for name in names)) == [
        say.format("a.heic", "HEIC", "heic"),
        "(64, 48)",
        say.format("c.dcm", "DICOM", "dicom"),
        say.format("d.jxl", "JPEG XL", "jxl"),
        "(64, 48)",
    ]


def test_10_whole_files_of_other_names_without_extras(tmp_path):
    files = {"a.jpg": saved("HEIF"), "b": as_file(elements(np.asarray(PICTURE))), "c": saved_jxl()}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    said = without_extras(*(tmp_path / name for name in files))
    assert [line.split(":")[0] for line in said] == [
        "a.jpg is a HEIC file",
        "b is a DICOM file",
        "c is a JPEG XL file",
    ]


# ---------------------------------------------------------------- 11 WhiteIsZero


def test_11_both_depths_of_the_case_read_alike():
    deep, plain = (
        np.asarray(read_image(case("11") / name)).astype(int)
        for name in ("grey16.tif", "grey8.tif")
    )
    assert np.abs(deep - plain).max() <= 1


@pytest.mark.parametrize("options", [{"tile": (16, 16)}, {"compression": "lzw", "byteorder": ">"}])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_11_other_depths_and_layouts(bits, options):
    grey = RGB[..., 1]
    values = np.rint((255 - grey) / 255 * ((1 << bits) - 1))
    values[0, 0] = (1 << bits) - 1
    stream = io.BytesIO()
    values = values.astype(np.uint8 if bits == 8 else np.uint16)
    tifffile.imwrite(stream, values, photometric="miniswhite", **options)
    found = np.asarray(read_image(stream.getvalue()))[..., 0].astype(int)
    assert np.abs(found - grey)[1:].max() <= 1


def test_11_the_like_in_dicom():
    values = 4095 - (RGB[..., 1] * 4095 // 255).astype(np.uint16)
    data = as_file(elements(values, colours="MONOCHROME1", bits=12))
    assert np.abs(np.asarray(read_image(data))[..., 0].astype(int) - RGB[..., 1]).max() <= 1


# ---------------------------------------------------------------- 18 previews


def test_18_the_picture_of_the_case_and_not_its_preview():
    found = read_image(case("18") / "pages.tif")
    with tifffile.TiffFile(case("18") / "pages.tif") as file:
        assert found.size == (120, 90)
        assert np.array_equal(np.asarray(found), file.pages[1].asarray())


@pytest.mark.parametrize("flag", [0, 1])
@pytest.mark.parametrize("scale", [2, 4])
def test_18_previews_of_other_sizes_flagged_or_not(flag, scale):
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as writer:
        preview = np.asarray(PICTURE.resize((64 // scale, 48 // scale)))
        writer.write(preview, photometric="rgb", subfiletype=flag)
        writer.write(np.asarray(PICTURE), photometric="rgb")
    assert np.array_equal(np.asarray(read_image(stream.getvalue())), RGB)


def test_18_of_equal_pages_the_first_is_read_and_it_is_said(checkpoint, tmp_path, capsys):
    path = tmp_path / "two.tif"
    second = Image.fromarray(255 - np.asarray(PICTURE))
    PICTURE.save(path, save_all=True, append_images=[second])
    with pytest.warns(UserWarning, match=r"^two\.tif has 2 pages with pictures: number 0 is read"):
        assert np.array_equal(np.asarray(read_image(path)), RGB)
    with pytest.warns(UserWarning, match="has 2 pages with pictures: number 1 is read"):
        assert main(["similar", str(path), "--frame", "1", "--model", str(checkpoint)]) == 0
    assert main(["similar", str(path), "--frame", "2", "--model", str(checkpoint)]) == 2
    assert "two.tif has 2 pictures, 0 to 1: there is no picture 2" in capsys.readouterr().err
