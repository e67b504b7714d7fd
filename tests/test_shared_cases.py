"""The small inputs of ../shared/cases, and neighbours of each.

Each case is one folder with a README that says what must happen. The neighbours are made here of
the same pictures; more of them are in tests/data.
"""

import csv
import io
import shutil
import struct
import subprocess
import sys
import unicodedata
import zipfile
from pathlib import Path

import numpy as np
import pytest
from icc_builder import png_with
from PIL import Image
from refusals import refuses

from dermsim import DermSim, load_ham10000
from dermsim.core.labels import CODES
from dermsim.core.refused import Phrase
from dermsim.data.archives import OWN_FILES, list_photographs
from dermsim.data.dataset import open_source
from dermsim.data.folders import list_files
from dermsim.data.images import read_image
from dermsim.data.synthetic import draw_lesion, draw_outline

CASES = Path(__file__).resolve().parents[2] / "shared" / "cases"
RELEASED = Path(__file__).resolve().parents[1] / "hub" / "dermsim-ham10000"
IDS = [f"ISIC_{number:07d}" for number in range(6)]
DX = ["mel", "nv", "bcc", "akiec", "bkl", "df"]
TABLE = "HAM10000_metadata.csv"

pytestmark = [
    pytest.mark.skipif(not CASES.is_dir(), reason="needs ../shared/cases"),
    pytest.mark.filterwarnings("ignore:.*lesion of its own:UserWarning"),
]


def case(number: str) -> Path:
    return next(CASES.glob(f"{number}-*"))


@pytest.fixture
def copy(tmp_path):
    """Copy a case, to be changed."""

    def make(number: str) -> Path:
        folder = tmp_path / "set"
        shutil.copytree(case(number), folder, ignore=shutil.ignore_patterns("README.md"))
        return folder

    return make


def read(folder: Path) -> list[dict[str, str]]:
    with (folder / TABLE).open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def write(folder: Path, rows: list[dict[str, str]], delimiter=",", encoding="utf-8") -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    (folder / TABLE).write_bytes(text.getvalue().encode(encoding))


def column(folder: Path, name: str) -> list[object]:
    opened = open_source(folder)
    return [opened.facts[row][name] for row in opened.kept]


def check(folder: Path) -> None:
    """The six photographs, with the diagnoses that are theirs."""
    opened = open_source(folder)
    assert [opened.facts[row]["image_id"] for row in opened.kept] == IDS
    assert [CODES[opened.facts[row]["dx"]] for row in opened.kept] == DX


# ---------------------------------------------------------------- 01 colours


@pytest.fixture(scope="module")
def released():
    return DermSim.from_pretrained(RELEASED)


def alike(engine, pictures) -> None:
    """The same is said of all of them."""
    found = engine.predict(pictures)
    assert len({(one.label, one.is_malignant) for one in found}) == 1
    values = [one.malignancy for one in found]
    assert max(values) - min(values) <= 0.01


def test_01_one_picture_in_four_colour_spaces(released):
    alike(released, [case("01") / f"{name}.png" for name in ("srgb", "p3", "adobe", "prophoto")])


@pytest.mark.parametrize(
    "neighbour", ["WebP", "TIFF", "EXIF alone", "chunks alone", "as PIL images"]
)
def test_01_other_ways_to_say_so(released, neighbour):
    def written(kind, image, **options):
        stream = io.BytesIO()
        image.save(stream, kind, **options)
        return stream.getvalue()

    srgb, adobe = (Image.open(case("01") / f"{name}.png") for name in ("srgb", "adobe"))
    icc = adobe.info["icc_profile"]
    plain = Image.fromarray(np.asarray(adobe))
    if neighbour in ("WebP", "TIFF"):
        options = {"lossless": True} if neighbour == "WebP" else {}
        tagged = written(neighbour, plain, icc_profile=icc, **options)
    elif neighbour == "EXIF alone":
        exif = Image.Exif()
        exif.get_ifd(0x8769).update({0xA001: 65535, 0xA005: {1: "R03"}})
        tagged = written("PNG", plain, exif=exif.tobytes())
    elif neighbour == "chunks alone":
        colours = (0.3127, 0.3290, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)
        gamma = struct.pack(">I", round(100_000 * 256 / 563))
        corners = struct.pack(">8I", *(round(100_000 * value) for value in colours))
        tagged = png_with(written("PNG", plain), (b"gAMA", gamma), (b"cHRM", corners))
    else:
        tagged = adobe
    alike(released, [srgb, tagged])
    assert np.abs(np.asarray(read_image(tagged)).astype(int) - np.asarray(srgb)).max() <= 2


# ---------------------------------------------------------------- 02 outlines


def shown(folder: Path) -> np.ndarray:
    return np.asarray(load_ham10000(folder)[0]["image"])


def test_02_photographs_and_not_their_outlines(copy):
    expected = np.asarray(Image.open(case("02") / "images" / f"{IDS[0]}.jpg"))
    assert np.array_equal(shown(case("02")), expected)
    folder = copy("02")
    for name in IDS:  # outlines of lesions, as JPEG, in a folder that sorts first
        path = folder / "GroundTruth" / f"{name}.png"
        path.unlink()
        draw_outline("mel", seed=3, size=(64, 48)).save(path.with_suffix(".jpg"))
    assert np.array_equal(shown(folder), expected)


@pytest.mark.parametrize("kind", ["1", "L", "P", "RGB"])
def test_02_outlines_alone_are_refused(copy, kind):
    folder = copy("02")
    shutil.rmtree(folder / "images")
    for number, name in enumerate(IDS):
        outline = draw_outline(DX[number], seed=number, size=(64, 48)).convert(kind)
        outline.save(folder / "GroundTruth" / f"{name}.png")
    with refuses(
        "opened_source.outlines",
        outlines_count=6,
        dataset_count=6,
        first=["ISIC_0000000", "ISIC_0000001", "ISIC_0000002", "ISIC_0000003", "ISIC_0000004"],
        more=", …",
    ):
        load_ham10000(folder)


# ---------------------------------------------------------------- 03 missing words


def test_03_missing_words_are_no_lesion_sex_or_site():
    assert column(case("03"), "lesion_id") == [*IDS[:4], "HAM_0000004", "HAM_0000005"]
    assert column(case("03"), "sex") == ["female", None] * 3
    assert set(column(case("03"), "localization")) == {None}


@pytest.mark.parametrize("word", ["NA", "n/a", "unknown", "UNK", "None", "#N/A", "<NA>", "-", "?"])
def test_03_other_words(copy, word):
    folder = copy("03")
    rows = [
        {**row, "lesion_id": word, "sex": word, "age": word, "dx_type": word}
        for row in read(folder)
    ]
    write(folder, rows)
    assert column(folder, "lesion_id") == IDS
    for name in ("sex", "age", "dx_type", "localization"):
        assert set(column(folder, name)) == {None}


# ---------------------------------------------------------------- 04 capitals


def test_04_capitals_and_letters():
    assert column(case("04"), "sex") == ["female", "male"] * 3
    assert set(column(case("04"), "localization")) == {"back"}
    check(case("04"))


@pytest.mark.parametrize(
    ("male", "female", "site", "read_as"),
    [
        ("HOMBRE", "Mujer", "Cuero cabelludo", "scalp"),
        ("H", "M", "ESPALDA", "back"),
        ("Männlich", "weiblich", "Rücken", "back"),
        ("m", "w", "Gesicht, links", "face"),
        ("MALE", "FEMALE", "Lower_Extremity", "lower extremity"),
    ],
)
def test_04_other_languages_composed_decomposed_and_without_accents(
    copy, male, female, site, read_as
):
    folder = copy("04")
    for write_so in (
        lambda word: word,
        lambda word: unicodedata.normalize("NFD", word),
        lambda word: unicodedata.normalize("NFD", word).encode("ascii", "ignore").decode(),
    ):
        words = {"F": write_so(female), "Male": write_so(male)}
        rows = [
            {**row, "sex": words.get(row["sex"], row["sex"]), "localization": write_so(site)}
            for row in read(case("04"))
        ]
        write(folder, rows)
        assert column(folder, "sex") == ["female", "male"] * 3
        assert set(column(folder, "localization")) == {read_as}


@pytest.mark.parametrize(("name", "word"), [("sex", "femail"), ("localization", "Bakc")])
def test_04_a_word_that_is_none_names_its_row(copy, name, word):
    folder = copy("04")
    rows = read(folder)
    rows[3][name] = word
    write(folder, rows)
    reason = Phrase(f"core_vocabulary.{name}", text=word)
    with refuses("tables.row", row=3, image_id="ISIC_0000003", reason=reason):
        open_source(folder)


# ---------------------------------------------------------------- 05, 20 text in all forms


def test_05_semicolons():
    check(case("05"))


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_05_other_separators_with_decimal_commas(copy, delimiter, encoding):
    folder = copy("05")
    rows = read(case("06"))[:6]
    write(folder, [{**row, "age": "40,5"} for row in rows], delimiter, encoding)
    check(folder)
    assert set(column(folder, "age")) == {40.5}


@pytest.mark.filterwarnings("ignore:.*was read as Windows-1252:UserWarning")
@pytest.mark.parametrize("name", ["utf16", "cp1252", "sep"])
def test_20_the_tables_of_the_case(copy, name):
    folder = copy("20")
    tables = {path.stem: path.read_bytes() for path in folder.glob("*.csv")}
    for path in folder.glob("*.csv"):
        path.unlink()
    (folder / TABLE).write_bytes(tables[name])
    check(folder)
    assert set(column(folder, "localization")) == {"back"}


def test_20_the_encoding_is_named_where_it_is_a_guess(copy):
    folder = copy("20")
    shutil.copy(folder / "cp1252.csv", folder / TABLE)
    with pytest.warns(UserWarning, match="was read as Windows-1252, in which a letter is 'ü'"):
        open_source(folder)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32", "utf-8-sig"])
def test_20_other_encodings_with_a_sep_line(copy, encoding):
    folder = copy("20")
    text = (folder / "sep.csv").read_text(encoding="utf-8").replace("back", "Rücken")
    (folder / TABLE).write_bytes(text.encode(encoding))
    check(folder)
    assert set(column(folder, "localization")) == {"back"}


def test_20_what_is_no_text_is_named(copy):
    folder = copy("20")
    shutil.copy(folder / "images" / f"{IDS[0]}.jpg", folder / TABLE)
    with refuses("delimited.picture"):
        open_source(folder)


# ---------------------------------------------------------------- 06 blank rows


def test_06_blank_rows():
    check(case("06"))


@pytest.mark.parametrize("blank", [",,,,,,", "", "  , ,", '"","","","","","",""', ",,,,,,,,,"])
def test_06_blank_rows_elsewhere(copy, blank):
    folder = copy("06")
    lines = (folder / TABLE).read_text().splitlines()[:7]
    (folder / TABLE).write_text("\r\n".join([lines[0], blank, *lines[1:4], blank, *lines[4:]]))
    check(folder)


# ---------------------------------------------------------------- 07 ids


def test_07_ids_with_an_ending():
    check(case("07"))


@pytest.mark.parametrize(
    "spell",
    [
        lambda name: f"{name}.JPG",
        lambda name: f"{name}.png",
        lambda name: name.lower(),
        lambda name: f"images\\{name}.jpg",
        lambda name: f"C:\\Users\\me\\images\\{name}.jpg",
        lambda name: f" {name} ",
    ],
)
def test_07_ids_in_other_spellings(copy, spell):
    folder = copy("07")
    rows = read(folder)
    write(folder, [{**row, "image_id": spell(n)} for row, n in zip(rows, IDS, strict=True)])
    check(folder)


@pytest.mark.parametrize("name", ["lesion_id", "image_id"])
def test_07_ids_that_a_spreadsheet_shortened_are_refused(copy, name):
    folder = copy("07")
    write(folder, [{**row, name: "2.4E+11"} for row in read(folder)])
    with refuses("tables.row", reason=Phrase("rows.shortened", text="2.4E+11")):
        open_source(folder)


# ---------------------------------------------------------------- 08 stray Parquet files


def test_08_a_stray_parquet_file():
    check(case("08"))


@pytest.mark.parametrize("stray", ["gallery/records", "test", "HAM10000_metadata"])
def test_08_others(copy, stray):
    folder = copy("08")
    shutil.move(folder / "out", folder / "elsewhere")
    path = folder / f"{stray}.parquet"
    path.parent.mkdir(exist_ok=True)
    shutil.copy(folder / "elsewhere" / "embeddings.parquet", path)
    check(folder)


def test_08_a_damaged_one(copy):
    folder = copy("08")
    (folder / "out" / "embeddings.parquet").write_bytes(b"PAR1 and no more")
    with refuses("parquet_folder.unreadable", path=folder / "out" / "embeddings.parquet"):
        open_source(folder)


# ---------------------------------------------------------------- 09 every file gets its row

FILES = {"lesion.jpg", "lesion2.jfif", "lesion3.jpe", "phone.heic", "web.avif"}


def listed(source: Path) -> set[str]:
    sources = list_files(source) if source.is_dir() else [source]
    pile = list_photographs(sources, limits=OWN_FILES)
    return {item.name.rpartition("/")[2] for item in pile}


def test_09_every_file_of_the_folder_and_the_archive():
    assert listed(case("09") / "folder") == listed(case("09") / "pictures.zip") == FILES


@pytest.mark.parametrize("name", ["raw.cr3", "IMG_0001", "scan.jp2", "layers.psd", "cut.jpg.part"])
def test_09_endings_that_nobody_foresaw(copy, tmp_path, name):
    folder = copy("09") / "folder"
    shutil.copy(folder / "lesion.jpg", folder / name)
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for path in folder.iterdir():
            archive.write(path, f"sub/{path.name}")
    assert listed(folder) == listed(tmp_path / "all.zip") == {*FILES, name}


# ---------------------------------------------------------------- 12 no end marker


def test_12_a_jpeg_without_its_end_marker():
    whole = np.asarray(read_image(case("12") / "whole.jpg"))
    with pytest.warns(UserWarning, match=r"^no-end\.jpg lacks its end marker"):
        assert np.array_equal(np.asarray(read_image(case("12") / "no-end.jpg")), whole)


@pytest.mark.parametrize("options", [{"progressive": True}, {"restart_marker_rows": 2}, {}])
def test_12_others(tmp_path, options):
    path = tmp_path / "camera.jpg"
    Image.open(case("12") / "whole.jpg").save(path, quality=90, **options)
    whole, data = np.asarray(read_image(path)), path.read_bytes()
    for lacking in (data[:-2], data[:-1], data[:-2] + bytes(4096)):
        path.write_bytes(lacking)
        with pytest.warns(UserWarning, match=r"^camera\.jpg lacks its end marker"):
            assert np.array_equal(np.asarray(read_image(path)), whole)
    for share in (0.01, 0.5, 0.99):
        path.write_bytes(data[: int(share * len(data))])
        with refuses(("images.damaged", "pixels.truncated"), name="camera.jpg"):
            read_image(path)


def test_12_a_data_set_with_one(copy):
    folder = copy("02")
    path = folder / "images" / f"{IDS[1]}.jpg"
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.warns(UserWarning, match="lacks its end marker"):
        assert len(load_ham10000(folder)) == 6


# ---------------------------------------------------------------- 17 pointers


def test_17_a_checkpoint_whose_weights_are_a_pointer(checkpoint, tmp_path):
    folder = tmp_path / "clone"
    shutil.copytree(checkpoint, folder)
    shutil.copy(case("17") / "pointer.txt", folder / "model.safetensors")
    with refuses("lfs.pointer", names=["model.safetensors"]):
        DermSim.from_pretrained(folder)


def test_17_a_picture_that_is_a_pointer(tmp_path):
    for name in ("lesion.jpg", "lesion.png"):
        shutil.copy(case("17") / "pointer.txt", tmp_path / name)
        with refuses("foreign.lfs_pointer", name=name):
            read_image(tmp_path / name)


def test_17_a_parquet_file_that_is_a_pointer(tmp_path):
    (tmp_path / "data").mkdir()
    shutil.copy(case("17") / "pointer.txt", tmp_path / "data" / "train-00000-of-00001.parquet")
    with refuses("lfs.pointer"):
        open_source(tmp_path)


# ---------------------------------------------------------------- 13 transformers and the engine


@pytest.fixture(scope="module")
def both():
    """The released checkpoint as dermsim and as transformers open it."""
    from transformers import AutoImageProcessor, pipeline

    processor = AutoImageProcessor.from_pretrained(RELEASED, trust_remote_code=True)
    options = {"model": str(RELEASED), "trust_remote_code": True, "device": "cpu"}
    classify = pipeline("image-classification", **options)
    return DermSim.from_pretrained(RELEASED, device="cpu"), processor, classify


def check_13(both, path: Path) -> dict[str, float]:
    """Transformers say of a picture what the engine says."""
    engine, processor, classify = both
    (prediction,) = engine.predict(path)
    for source in (path, str(path), Image.open(path)):
        pixels = processor(source, return_tensors="np").pixel_values
        shown = engine.processor(read_image(source), return_tensors="np").pixel_values
        np.testing.assert_array_equal(pixels, shown, strict=True)
    scores = {found["label"]: found["score"] for found in classify(str(path), top_k=7)}
    assert scores == pytest.approx(prediction.probabilities, abs=1e-6)
    assert classify(str(path), top_k=1)[0]["label"] == prediction.label_name
    return scores


def test_13_sixteen_bits(both):
    path = case("13") / "grey16.png"
    assert np.asarray(Image.open(path)).max() > 255
    check_13(both, path)


@pytest.mark.parametrize("turn", [3, 6])
def test_13_turned_by_exif(both, turn, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = turn
    flat = Image.open(case("13") / "grey16.png")
    flat.save(tmp_path / "turned.png", exif=exif)
    turned = check_13(both, tmp_path / "turned.png")
    assert turned != pytest.approx(check_13(both, case("13") / "grey16.png"), abs=1e-4)


@pytest.mark.filterwarnings("ignore:.* of its 16 bits:UserWarning")
def test_13_twelve_bits_in_sixteen(both, tmp_path):
    values = np.asarray(Image.open(case("13") / "grey16.png")) >> 4
    Image.fromarray(values.astype(np.uint16)).save(tmp_path / "microscope.png")
    found = check_13(both, tmp_path / "microscope.png")
    assert found == pytest.approx(check_13(both, case("13") / "grey16.png"), abs=0.02)


def test_13_half_transparent_in_the_colors_of_a_telephone(both, tmp_path):
    from dermsim.data.icc_dermsim import D65, SRGB_CURVE, rgb_profile

    display_p3 = rgb_profile(((0.68, 0.32), (0.265, 0.69), (0.15, 0.06)), D65, SRGB_CURVE)
    image = draw_lesion("mel", seed=3).convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    image.save(tmp_path / "telephone.png", icc_profile=display_p3)
    image.save(tmp_path / "screen.png")
    telephone = check_13(both, tmp_path / "telephone.png")
    assert telephone != pytest.approx(check_13(both, tmp_path / "screen.png"), abs=1e-4)


# ---------------------------------------------------------------- 15 links


def test_15_linked_pictures(copy):
    folder = copy("15")
    subprocess.run(["bash", "make.sh"], cwd=folder, env={"PATH": "/usr/bin:/bin"}, check=False)
    check(folder / "runs" / "linked")
    assert len(list_files(folder / "runs" / "linked")) == 6


@pytest.mark.parametrize("how", ["each file", "a link to a link", "with a loop"])
def test_15_other_links(copy, how):
    folder = copy("15")
    linked = folder / "linked"
    (linked / "images").mkdir(parents=True)
    shutil.copy(folder / "table.csv", linked / TABLE)
    if how == "each file":
        for path in (folder / "elsewhere").iterdir():
            (linked / "images" / path.name).symlink_to(path)
    else:
        (folder / "second").symlink_to(folder / "elsewhere")
        (linked / "images" / "deep").symlink_to(folder / "second")
    if how == "with a loop":
        (linked / "images" / "loop").symlink_to(linked)
    check(linked)


def test_15_a_link_to_nothing_is_named(copy):
    folder = copy("15")
    linked = folder / "linked"
    linked.mkdir()
    shutil.copy(folder / "table.csv", linked / TABLE)
    for name in IDS:
        (linked / f"{name}.jpg").symlink_to(folder / "elsewhere" / f"{name}.jpg")
    (folder / "elsewhere" / f"{IDS[2]}.jpg").unlink()
    with refuses("tables.row", row=2, image_id="ISIC_0000002", reason="images.no_file"):
        load_ham10000(linked)


# ---------------------------------------------------------------- 14, 19: training


def train(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    script = Path(__file__).parents[1] / "train_accelerate.py"
    words = ["--preset", "smoke", "--cpu", "--optim.batch-size", "16", "--output", "runs/r"]
    command = [sys.executable, str(script), *words, "--trackers", *more]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_19_constant_pictures_are_refused_before_the_first_epoch(tmp_path):
    subprocess.run([sys.executable, str(case("19") / "make.py")], cwd=tmp_path, check=True)
    with refuses(
        "opened_source.outlines",
        outlines_count=119,
        dataset_count=119,
        first=["I000", "I001", "I002", "I003", "I004"],
        more=", …",
    ):
        load_ham10000(tmp_path / "runs" / "constant")
    done = train(tmp_path, "--data", "runs/constant", "--optim.epochs", "1")
    assert done.returncode == 2 and "epoch" not in done.stdout
    assert done.stderr.splitlines()[-1].startswith("train_accelerate.py: 119 of 119 pictures")


@pytest.mark.slow
def test_14_a_run_is_not_resumed_with_other_choices(tmp_path):
    assert train(tmp_path, "--optim.epochs", "1").returncode == 0
    other = ("--optim.epochs", "2", "--loss.contrastive", "triplet", "--seed", "7", "--resume")
    done = train(tmp_path, *other)
    assert done.returncode == 2
    assert "seed was 0 and is 7; loss.contrastive was 'supcon' and is 'triplet'" in done.stderr
    assert train(tmp_path, "--optim.epochs", "2", "--resume").returncode == 0
