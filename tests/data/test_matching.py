"""Which picture a table means."""

import unicodedata

import pytest
from PIL import Image
from refusals import refuses

from dermsim.data.matching import PictureIndex, distinct_ids, picture_id
from dermsim.data.synthetic import draw_lesion, draw_outline


@pytest.fixture
def find(tmp_path):
    """Write pictures of these names, then look one up; returns its path within the folder."""

    def look(name, *names):
        for number, file in enumerate(names):
            path = tmp_path / file
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                draw_lesion("nv", seed=number, size=(40, 30)).save(path)
        index = PictureIndex([tmp_path / file for file in names], tmp_path)
        found = index.find(name)
        return found and found.relative_to(tmp_path).as_posix()

    return look


@pytest.mark.parametrize(
    "name",
    [
        *("ISIC_1", "ISIC_1.jpg", "ISIC_1.png", "isic_1", "ISIC_1.JPG", "part/ISIC_1.jpg"),
        *("part\\ISIC_1.jpg", "PART\\isic_1.JPG", "./part/ISIC_1", "C:\\data\\part\\ISIC_1.jpg"),
        *("/home/someone/part/ISIC_1.jpg", "other/ISIC_1.jpg"),
    ],
)
def test_a_name_in_any_spelling(find, name):
    assert find(name, "part/ISIC_1.jpg", "part/ISIC_2.jpg") == "part/ISIC_1.jpg"


@pytest.mark.parametrize(("name", "file"), [("7", "0007"), ("7.0", "0007"), ("0012", "12")])
def test_zeros_in_front_of_a_number_do_not_matter(find, name, file):
    assert find(name, "0007.png", "12.png") == f"{file}.png"


def test_zeros_matter_where_names_differ_in_them(find):
    assert find("07", "7.png", "07.png", "007.png") == "07.png"
    with refuses("matching.ambiguous", name="0007", first="7.png", other="07.png"):
        find("0007", "7.png", "07.png", "007.png")


@pytest.mark.parametrize("name", ["ISIC_3", "ISIC", "part", "1", "", "2.4E+11"])
def test_what_is_not_there(find, name):
    assert find(name, "part/ISIC_1.jpg", "part/ISIC_2.jpg") is None


def test_capitals_matter_where_names_differ_in_them(find):
    assert find("a", "A.png", "a.png") == "a.png"
    with refuses("matching.ambiguous"):
        find("aA", "AA.png", "aa.png")


def test_a_path_tells_pictures_of_one_name_apart(find):
    names = ("one/a.png", "two/a.png", "two/deep/a.png")
    assert find("two/a.png", *names) == "two/a.png"
    assert find("one\\a", *names) == "one/a.png"
    with refuses("matching.ambiguous", name="a.png", first="one/a.png", other="two/a.png"):
        find("a.png", *names)


def test_the_ending_tells_pictures_of_one_name_apart(find):
    assert find("a.png", "a.bmp", "a.png") == "a.png"


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_accents_however_they_are_written(find, form):
    file = unicodedata.normalize(form, "lesión.png")
    other = unicodedata.normalize("NFD" if form == "NFC" else "NFC", "lesión")
    assert find(other, file) == file


def test_of_a_photograph_and_its_outlines_the_photograph(find, tmp_path):
    for folder in ("GroundTruth", "masks"):
        (tmp_path / folder).mkdir()
        draw_outline("nv", seed=0, size=(40, 30)).save(tmp_path / folder / "a.png")
    assert find("a", "GroundTruth/a.png", "images/a.png", "masks/a.png") == "images/a.png"


def test_of_copies_the_first(find, tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    for folder in ("one", "two"):
        Image.new("RGB", (20, 20), "red").save(tmp_path / folder / "a.png")
    assert find("a", "one/a.png", "two/a.png") == "one/a.png"


def test_names_of_pictures(tmp_path):
    assert picture_id("images\\ISIC_1.JPEG") == "ISIC_1" and picture_id("a.b") == "a.b"
    paths = [tmp_path / name for name in ("x/1.png", "y/1.png", "y/2.jpg", "y/a.b.png")]
    assert list(distinct_ids(paths, tmp_path).values()) == ["x/1", "y/1", "2", "a.b"]
