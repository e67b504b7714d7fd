"""Which files of a folder are looked at: links, loops, system files, and endings nobody knows."""

import os

import pytest
from refusals import refuses

from dermsim.data.folders import is_hidden, list_files, may_be_picture, walk_files
from dermsim.data.images import list_images


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def inside(folder, paths):
    return sorted(path.relative_to(folder).as_posix() for path in paths)


@pytest.mark.parametrize(
    "name",
    [
        *("a.jpg", "a.JFIF", "a.jpe", "a.heic", "a.avif", "a.jxl", "a.dcm", "a.cr2", "a.psd"),
        *("IMG_0001", "a.jpg.part", "a.zip", "a.rar", "a.pdf", "deep/er/a", "deep\\a.xyz"),
    ],
)
def test_what_may_be_a_picture(name):
    assert may_be_picture(name)


@pytest.mark.parametrize(
    "name",
    [
        *("a.txt", "a.CSV", "a.json", "a.safetensors", "a.parquet", "notes.md", ".hidden.jpg"),
        *("Thumbs.db", "desktop.ini", "__MACOSX/a.jpg", ".git/a.jpg", "x/._a.jpg", "x\\.a\\b.jpg"),
    ],
)
def test_what_is_none(name):
    assert not may_be_picture(name)


def test_a_path_to_the_folder_above_is_not_hidden():
    assert not is_hidden("../a.jpg") and not is_hidden("./a.jpg")


def test_links_to_folders_and_files_are_followed(tmp_path):
    touch(tmp_path, "elsewhere/a.jpg", "elsewhere/deep/b.jpg", "single/c.jpg", "set/d.jpg")
    (tmp_path / "set" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set" / "e.jpg").symlink_to(tmp_path / "single" / "c.jpg")
    found = ["d.jpg", "e.jpg", "linked/a.jpg", "linked/deep/b.jpg"]
    assert inside(tmp_path / "set", list_images([tmp_path / "set"])) == found
    assert inside(tmp_path / "set", list_files(tmp_path / "set")) == found


def test_links_in_a_circle_end(tmp_path):
    touch(tmp_path, "a.jpg", "deep/b.jpg")
    (tmp_path / "deep" / "up").symlink_to(tmp_path)
    (tmp_path / "deep" / "self").symlink_to(tmp_path / "deep")
    assert inside(tmp_path, walk_files(tmp_path)) == ["a.jpg", "deep/b.jpg"]


def test_a_folder_that_is_reached_twice_is_looked_into_once(tmp_path):
    touch(tmp_path, "real/a.jpg")
    (tmp_path / "again").symlink_to(tmp_path / "real")
    assert inside(tmp_path, walk_files(tmp_path)) == ["again/a.jpg"]


def test_a_link_to_nothing_is_named(tmp_path):
    touch(tmp_path, "a.jpg")
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    assert inside(tmp_path, list_files(tmp_path)) == ["a.jpg", "gone.jpg"]


@pytest.mark.skipif(os.name == "nt", reason="links need a permission there")
def test_a_folder_that_is_a_link_itself(tmp_path):
    touch(tmp_path, "real/a.jpg")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert inside(tmp_path / "link", walk_files(tmp_path / "link")) == ["a.jpg"]


def test_a_folder_of_texts_holds_no_pictures(tmp_path):
    touch(tmp_path, "a.txt", ".b.jpg")
    with refuses("folders.no_pictures"):
        list_files(tmp_path)
