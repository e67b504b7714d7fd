"""Files and archives from strangers: what is read, what is refused, and that nothing is written."""

import io
import stat
import struct
import warnings
import zipfile
import zlib

import pytest
from PIL import Image
from refusals import refuses

from dermsim.core.refused import Phrase
from dermsim.data.archives import OWN_FILES, ArchiveLimits, list_photographs, read_photographs

SMALL = ArchiveLimits(pictures=4, file_bytes=20_000, total_bytes=50_000, entries=12)


def png(color="red", size=(20, 20)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, color).save(buffer, "PNG")
    return buffer.getvalue()


def packed(path, members, compression=zipfile.ZIP_DEFLATED):
    """Write a zip of names (or ZipInfos) and bytes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a name that comes twice
        with zipfile.ZipFile(path, "w", compression) as archive:
            for name, data in members:
                archive.writestr(name, data)
    return path


def read(sources, limits=SMALL):
    listed = list_photographs(sources, limits=limits)
    return [
        (item.name, str(item.reason), data)
        for item, data in read_photographs(listed, limits=limits)
    ]


def reason_of(path, limits=SMALL) -> str:
    ((_, reason, data),) = read([path], limits)
    assert data is None
    assert reason.endswith(".") and "\n" not in reason
    return reason


def test_files_and_archives_are_read_in_order(tmp_path):
    loose = tmp_path / "loose.png"
    loose.write_bytes(png("blue"))
    members = [("b.png", png("red")), ("folder/a.JPG", png("green")), ("notes.txt", b"hello")]
    archive = packed(tmp_path / "many.zip", members)
    found = read([loose, archive])
    assert found == [
        (str(loose), "", png("blue")),
        ("many.zip/b.png", "", png("red")),
        ("many.zip/folder/a.JPG", "", png("green")),
    ]


def test_two_archives_are_read_in_turn(tmp_path):
    one = packed(tmp_path / "one.zip", [("a.png", png("red")), ("b.png", png("blue"))])
    two = packed(tmp_path / "two.zip", [("a.png", png("green"))])
    assert [data for *_, data in read([one, two])] == [png("red"), png("blue"), png("green")]


@pytest.mark.parametrize(
    "name", [".hidden.png", "__MACOSX/a.png", "x/__MACOSX/._a.png", "folder/", ".git/a.png"]
)
def test_hidden_files_and_folders_are_passed_over(tmp_path, name):
    archive = packed(tmp_path / "a.zip", [(name, png()), ("real.png", png())])
    assert [item.name for item in list_photographs([archive], limits=SMALL)] == ["a.zip/real.png"]


@pytest.mark.parametrize(
    "name",
    ["../a.png", "x/../../a.png", "/etc/a.png", "C:/a.png", "C:\\a.png", "..\\a.png", "\\a.png"],
)
def test_a_path_out_of_the_archive_is_refused(tmp_path, name):
    archive = packed(tmp_path / "a.zip", [(name, png())])
    assert "leads out of its archive" in reason_of(archive)


def test_a_link_is_refused(tmp_path):
    link = zipfile.ZipInfo("a.png")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    archive = packed(tmp_path / "a.zip", [(link, b"/etc/passwd")])
    assert "is a link" in reason_of(archive)


def test_an_encrypted_file_is_refused(tmp_path):
    archive = packed(tmp_path / "a.zip", [("a.png", png())])
    data = bytearray(archive.read_bytes())
    data[6] |= 1  # of the file's own header
    data[data.index(b"PK\x01\x02") + 8] |= 1  # of the list's
    archive.write_bytes(bytes(data))
    assert "is encrypted" in reason_of(archive)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_unusual_method_is_refused(tmp_path, method):
    archive = packed(tmp_path / "a.zip", [("a.png", png())], method)
    assert "unusual way" in reason_of(archive)


def test_an_archive_in_an_archive_is_not_opened(tmp_path):
    inner = packed(tmp_path / "inner.zip", [("a.png", png())]).read_bytes()
    archive = packed(tmp_path / "a.zip", [("inner.zip", inner)])
    assert "archive inside an archive" in reason_of(archive)


def test_a_bomb_is_not_unpacked(tmp_path):
    archive = packed(tmp_path / "a.zip", [("a.png", bytes(5_000_000))])
    limits = ArchiveLimits(file_bytes=10_000_000)
    assert "when unpacked, which no photograph does" in reason_of(archive, limits)
    assert "a.png has 5 MB, more than the 20 kB accepted" in reason_of(archive)


def test_a_size_that_lies_is_noticed(tmp_path):
    # the list says 100 bytes; what is packed is much more
    archive = packed(tmp_path / "a.zip", [("a.png", bytes(3_000_000))])
    data = bytearray(archive.read_bytes())
    for header, place in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", data, data.index(header) + place, 100)
    archive.write_bytes(bytes(data))
    assert "is damaged inside its archive" in reason_of(archive)


def test_a_damaged_member_leaves_the_others(tmp_path):
    archive = packed(
        tmp_path / "a.zip", [("a.png", png()), ("b.png", png("blue"))], zipfile.ZIP_STORED
    )
    data = bytearray(archive.read_bytes())
    data[data.index(png()) + 40] ^= 0xFF
    archive.write_bytes(bytes(data))
    (_, reason, none), (_, no_reason, second) = read([archive])
    assert (none, no_reason, second) == (None, "", png("blue"))
    assert reason == "a.png is damaged inside its archive: pack the pictures again."


@pytest.mark.parametrize("cut", [0, 10, 60, -1])
def test_a_damaged_archive_is_a_sentence(tmp_path, cut):
    whole = packed(tmp_path / "a.zip", [("a.png", png())]).read_bytes()
    (tmp_path / "a.zip").write_bytes(whole[:cut])
    assert reason_of(tmp_path / "a.zip").startswith("a.zip is damaged or not a zip archive")


def test_a_damaged_archive_leaves_the_others(tmp_path):
    (tmp_path / "bad.zip").write_bytes(b"PK")
    good = packed(tmp_path / "good.zip", [("a.png", png())])
    assert [data for *_, data in read([tmp_path / "bad.zip", good])] == [None, png()]


def test_bytes_of_an_archive_turned_at_random_never_crash(tmp_path):
    import numpy as np

    rng = np.random.default_rng(0)
    whole = packed(tmp_path / "a.zip", [("a.png", png()), ("b.png", png("blue"))]).read_bytes()
    path, outcomes = tmp_path / "b.zip", set()
    for _ in range(400):
        data = np.frombuffer(whole, np.uint8).copy()
        places = rng.integers(0, len(data), rng.integers(1, 6))
        data[places] = rng.integers(0, 256, len(places))
        path.write_bytes(data.tobytes())
        for name, reason, data in read([path]):
            assert (data is None) == bool(reason)
            outcomes.add((name == str(path), data is not None))
    # the archive as a whole, or one file in it, can be refused, and a file can still be read
    assert outcomes == {(True, False), (False, False), (False, True)}


def test_a_list_of_contents_is_bounded_before_it_is_parsed(tmp_path):
    def archive(count):
        return packed(tmp_path / "a.zip", [(f"{n:05d}.png", b"") for n in range(count)])

    assert "a.zip lists 100 files, more than the 12 accepted" in reason_of(archive(100))
    # a list so long that it is not even read
    assert "a.zip lists more files than are accepted: split it" in reason_of(archive(400))


def test_too_many_pictures_are_refused_at_once(tmp_path):
    archive = packed(tmp_path / "a.zip", [(f"{n}.png", png()) for n in range(5)])
    with refuses("archives.too_many", count=5, most=4):
        list_photographs([archive], limits=SMALL)


def test_too_much_together_is_refused_before_anything_is_read(tmp_path):
    archive = packed(tmp_path / "a.zip", [(f"{n}.png", bytes(18_000)) for n in range(3)])
    with refuses("archives.too_large", size="53 kB", most="49 kB"):
        list_photographs([archive], limits=SMALL)


def test_a_loose_file_is_bounded_too(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(bytes(30_000))
    assert "a.png has 29 kB, more than the 20 kB accepted" in reason_of(path)


def test_a_file_that_grew_since_it_was_listed_is_not_read_whole(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(png())
    listed = list_photographs([path], limits=SMALL)
    path.write_bytes(bytes(30_000))
    ((item, data),) = read_photographs(listed, limits=SMALL)
    assert data is None and item.reason.key == "archives.file_too_large"
    assert str(item.reason.values["most"]) == "20 kB"


def test_a_file_that_went_away_is_a_row(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(png())
    archive = packed(tmp_path / "a.zip", [("b.png", png())])
    listed = list_photographs([path, archive], limits=SMALL)
    path.unlink()
    archive.unlink()
    found = list(read_photographs(listed, limits=SMALL))
    assert [data for _, data in found] == [None, None]
    assert found[0][0].reason == Phrase("archives.gone", name="a.png")
    assert found[1][0].reason == Phrase("archives.member_damaged", name="b.png")


def test_an_archive_exchanged_since_it_was_listed_is_checked_again(tmp_path):
    archive = packed(tmp_path / "a.zip", [("a.png", png())])
    listed = list_photographs([archive], limits=SMALL)
    packed(archive, [("../a.png", png())])
    ((item, data),) = read_photographs(listed, limits=SMALL)
    assert data is None and item.reason.key == "archives.member_path"


def test_nothing_in_it_is_a_sentence(tmp_path):
    assert (
        reason_of(packed(tmp_path / "a.zip", [("notes.txt", b"x")])) == "a.zip holds no pictures."
    )
    with refuses("archives.nothing_given"):
        list_photographs([], limits=SMALL)
    assert reason_of(tmp_path / "none.png") == "none.png is not there: add it again."


def test_names_that_come_twice_are_told_apart(tmp_path):
    archive = packed(tmp_path / "a.zip", [("a.png", png()), ("a.png", png("blue"))])
    names = [name for name, *_ in read([archive, archive], OWN_FILES)]
    assert names == [
        "a.zip/a.png",
        "a.zip/a.png (2)",
        "a.zip/a.png (3)",
        "a.zip/a.png (4)",
    ]


def test_a_loose_file_goes_by_its_name_where_its_folder_is_nobodys_business(tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.png").write_bytes(png())
    sources = [tmp_path / "one" / "a.png", tmp_path / "two" / "a.png"]
    listed = list_photographs(sources, limits=SMALL, with_folders=False)
    assert [item.name for item in listed] == ["a.png", "a.png (2)"]


def test_nothing_is_written(tmp_path):
    archive = packed(tmp_path / "a.zip", [("x/a.png", png()), ("../b.png", png())])
    read([archive])
    assert list(tmp_path.iterdir()) == [archive]


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "9"])
def test_limits_that_cannot_be_kept(value):
    with refuses("archives.limit", name="pictures"):
        ArchiveLimits(pictures=value)


def test_a_small_drawing_may_pack_well(tmp_path):
    data = bytes(15_000)
    assert len(zlib.compress(data)) * 100 < len(data)
    ((_, reason, back),) = read([packed(tmp_path / "a.zip", [("a.bmp", data)])])
    assert (reason, back) == ("", data)
