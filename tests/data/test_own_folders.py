"""Folders and tables as people leave them: what is read, and what a refusal says."""

import zipfile

import openpyxl
import pytest
from refusals import refuses

from dermsim.core.labels import CODES
from dermsim.core.refused import Phrase
from dermsim.data.class_folder import read_class_folder
from dermsim.data.dataset import open_source
from dermsim.data.matching import BESIDE, PictureIndex
from dermsim.data.part_names import part_called, parts_named
from dermsim.data.synthetic import draw_lesion, draw_outline

pytestmark = pytest.mark.filterwarnings("ignore:.*lesion of its own:UserWarning")


def draw(folder, *names, outline=False):
    for seed, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        drawn = draw_outline("mel", seed=1, size=(40, 30)) if outline else None
        (drawn or draw_lesion("nv", seed=seed, size=(40, 30))).save(path)
    return folder


def told(source, *columns, **options):
    opened = open_source(source, **options)
    facts = [opened.facts[row] for row in opened.kept]
    return [tuple(CODES[f[c]] if c == "dx" else f[c] for c in columns) for f in facts]


@pytest.fixture
def pictures(tmp_path):
    """Two pictures in a folder that is called like no diagnosis."""
    return draw(tmp_path / "own", "images/a.png", "images/b.png")


# ---------------------------------------------------------------- tables


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("labels.xls", b"\xd0\xcf\x11\xe0 old", Phrase("foreign_tables.xls", name="labels.xls")),
        ("labels.ods", b"PK\x03\x04 open", Phrase("foreign_tables.ods", name="labels.ods")),
        ("labels.json", b"[{}]", Phrase("foreign_tables.json", name="labels.json")),
        ("labels.csv.gz", b"\x1f\x8b", Phrase("foreign_tables.gz", name="labels.csv.gz")),
        ("labels.csv", b"PK\x03\x04 zip", Phrase("delimited.zip", name="labels.csv")),
        ("labels.csv", b"", Phrase("table_folder.no_rows", table="labels.csv")),
        ("labels.csv", b"image_id,dx\n", Phrase("table_folder.no_rows", table="labels.csv")),
        ("labels.csv", b"a,b\n1,2\n", Phrase("table_folder.no_pictures", columns=["a", "b"])),
        ("labels.csv", b"Our moles\n\nimage_id,dx\na,nv\n", "delimited.title"),
        (
            "labels.csv",
            b'image_id,dx\na,"nv\n',
            Phrase("delimited.separator", name="labels.csv", separator="delimited.commas"),
        ),
    ],
)
def test_a_table_that_cannot_be_used_is_what_the_refusal_is_about(pictures, name, content, reason):
    (pictures / name).write_bytes(content)
    with refuses("layouts.no_classes", why=reason, called="images"):
        open_source(pictures)
    if not name.endswith(".csv"):
        with refuses(reason):
            open_source(pictures / name)


def test_sheets_beside_the_table_are_named(pictures):
    book = openpyxl.Workbook()
    for row in (["image_id", "dx"], ["a", "nv"], ["b", "mel"]):
        book.active.append(row)
    book.create_sheet("Empty")
    book.save(pictures / "labels.xlsx")
    assert told(pictures, "image_id", "dx") == [("a", "nv"), ("b", "mel")]
    book.create_sheet("Notes").append(["made by me"])
    book.save(pictures / "labels.xlsx")
    with refuses(
        "layouts.no_classes",
        why=Phrase("workbook.sheets", name="labels.xlsx", count=2, filled=["Sheet", "Notes"]),
    ):
        open_source(pictures)


def test_a_letter_to_the_reader_is_no_table(pictures):
    (pictures / "README.txt").write_text("Dear reader,\n\nthese are moles.\n")
    with refuses("tables.row", reason=Phrase("label_mapping.unknown", label="images")):
        open_source(pictures)
    assert told(pictures, "dx", mapping={"images": "nv"}) == [("nv",), ("nv",)]


def test_a_damaged_table_does_not_stop_classes_that_are_known(tmp_path):
    folder = draw(tmp_path / "own", "melanoma/a.png", "nevus/b.png")
    (folder / "notes.csv").write_bytes(b"PK\x03\x04")
    assert told(folder, "dx") == [("mel",), ("nv",)]


def test_a_table_below_the_folder_is_found(pictures):
    (pictures / "labels").mkdir()
    (pictures / "labels" / "truth.csv").write_text("image_id;dx\na;nv\nb;mel\n")
    (pictures / "labels" / "people.csv").write_text("patient;clinic\nP1;x\n")
    assert told(pictures, "image_id", "dx") == [("a", "nv"), ("b", "mel")]
    (pictures / "labels" / "truth (1).csv").write_text("image_id;dx\na;mel\nb;mel\n")
    with refuses("tables.different", name="truth (1).csv", other_name="truth.csv"):
        open_source(pictures)


@pytest.mark.parametrize("line", ["sep=;", "sep=;;;;", '"sep=;"', "SEP=;  ", '"sep=;";;'])
def test_a_line_that_names_the_separator(pictures, line):
    (pictures / "labels.csv").write_text(f"{line}\r\nimage_id;dx\r\na;nv\r\nb;mel\r\n")
    assert told(pictures, "dx") == [("nv",), ("mel",)]


# ---------------------------------------------------------------- links and archives


def test_a_linked_class_that_is_not_there_is_named(tmp_path):
    folder = draw(tmp_path / "own", "melanoma/a.png", "nevus/b.png")
    (folder / "scar").symlink_to(tmp_path / "nowhere")
    with refuses("layouts.broken_link", file=tmp_path / "own" / "scar"):
        open_source(folder)


def test_links_in_circles_are_followed_once(tmp_path):
    folder = draw(tmp_path / "own", "melanoma/a.png", "nevus/b.png")
    (folder / "nevus" / "again").symlink_to(folder)
    (folder / "all").symlink_to(folder)
    assert told(folder, "image_id", "dx") == [("a", "mel"), ("b", "nv")]


def test_archives_that_were_not_unpacked_are_named(tmp_path, pictures):
    (tmp_path / "packed").mkdir()
    with zipfile.ZipFile(tmp_path / "packed" / "part_1.zip", "w") as archive:
        archive.write(pictures / "images/a.png", "a.png")
    with refuses(
        "layouts.unknown",
        layouts="layouts.known",
        packed=Phrase("layouts.packed", zips=["part_1.zip"]),
    ):
        open_source(tmp_path / "packed")
    with refuses("layouts.archive", name="part_1.zip"):
        open_source(tmp_path / "packed" / "part_1.zip")
    (pictures / "labels.csv").write_text(
        "image_id,dx\na,nv\n" + "".join(f"c{n},nv\n" for n in range(7))
    )
    (tmp_path / "packed" / "part_1.zip").rename(pictures / "part_2.zip")
    with refuses(
        "tables.row",
        row=1,
        image_id="c0",
        reason=Phrase(
            "dataset.no_image_file",
            beside=Phrase("dataset.more_rows", count=6, named=["c1", "c2", "c3", "c4"], rest=", …"),
            packed=Phrase("layouts.packed", zips=["part_2.zip"]),
        ),
    ):
        open_source(pictures)


# ---------------------------------------------------------------- parts and outlines


@pytest.mark.parametrize(
    ("name", "part"),
    [
        *(("train", "train"), ("Train_Set", "train"), ("training data", "train")),
        *(("Entrenamiento", "train"), ("validación", "validation"), ("VAL", "validation")),
        *(("test images", "test"), ("prueba", "test"), ("testset", "test")),
        *(("patch-test", None), ("latest", None), ("melanoma", None), ("set", None)),
    ],
)
def test_what_a_part_is_called(name, part):
    assert part_called(name) == part


def test_parts_that_names_speak_of():
    assert parts_named(["ISIC_2019_Test_Input", "images"]) == {"test"}
    assert parts_named(["bcn_20k_train", "latest"]) == {"train"}
    assert parts_named([]) == set()


def test_parts_in_the_classes(tmp_path):
    names = ("melanoma/train/a.png", "melanoma/test/b.png", "nevus/train/c.png")
    assert told(draw(tmp_path / "own", *names), "image_id", "dx", "split") == [
        ("a", "mel", "train"),
        ("b", "mel", "test"),
        ("c", "nv", "train"),
    ]


@pytest.mark.parametrize(
    ("photographs", "outlines"),
    [
        (("melanoma/a.png", "nevus/b.png"), ("masks/a.png", "masks/b_mask.png")),
        (("images/mel/a.png", "images/nv/b.png"), ("Masks/mel/a.png", "Masks/nv/b.png")),
        (("mel/a.jpg", "nv/b.jpg"), ("mel/a-lesion-mask.png", "nv/mask_b.png", "nv/b.mask.png")),
        (("mel/a.jpg", "nv/b.jpg"), ("nv/Ground Truth/b.png", "mel/a_GT.PNG")),
    ],
)
def test_outlines_beside_the_classes_are_left_out(tmp_path, photographs, outlines):
    folder = draw(tmp_path / "own", *photographs)
    draw(folder, *outlines, outline=True)
    with pytest.warns(UserWarning, match=f"{len(outlines)} outlines, such as .* are left out"):
        assert told(folder, "image_id", "dx") == [("a", "mel"), ("b", "nv")]


def test_photographs_in_a_folder_called_masks_are_a_class_that_nobody_knows(tmp_path):
    folder = draw(tmp_path / "own", "melanoma/a.png", "nevus/b.png", "masks/a.png")
    with refuses("tables.row", reason=Phrase("label_mapping.unknown", label="masks")):
        open_source(folder)
    assert read_class_folder(tmp_path / "own")[-1]["dx"] == "nevus"


@pytest.mark.parametrize(
    ("name", "photograph"),
    [
        *(("a_segmentation", "a"), ("b-lesion-mask", "b"), ("mask_b", "b"), ("b.mask", "b")),
        *(("b_mask_1", "b"), ("IMD003_lesion", "IMD003"), ("case1", "case1"), ("labels", "labels")),
        ("ISIC_0000001", "ISIC_0000001"),
    ],
)
def test_what_outlines_are_called(name, photograph):
    assert BESIDE.sub("", name) == photograph


# ---------------------------------------------------------------- a picture of the folder named


@pytest.fixture
def parted(tmp_path):
    folder = draw(tmp_path / "own", "train/1.png", "test/1.png", "test/2.png")
    return folder, PictureIndex(sorted(folder.rglob("*.png")), folder)


def test_pictures_of_one_name_in_two_parts_are_not_mixed_up(parted):
    folder, index = parted
    assert index.find("train/1.png") == folder / "train/1.png"
    assert index.find(r"C:\somewhere\test\1.jpg") == folder / "test/1.png"
    assert index.find("1", part="train") == folder / "train/1.png"
    with refuses("matching.ambiguous", name="1", first="test/1.png", other="train/1.png"):
        index.find("1")
    assert index.find("train/2.png") is None
    assert index.find("2", part="train") is None
    assert index.find("2") == index.find("/data/own/2.png") == folder / "test/2.png"


def test_a_folder_that_is_not_there_is_where_it_lay_elsewhere(parted):
    folder, index = parted
    assert index.find("moles/2.png") == folder / "test/2.png"
    assert index.find("moles/2.png", exact=True) is None
    assert index.find("test/2.png", exact=True) == folder / "test/2.png"
    assert index.find("Training set/2.png") is None
