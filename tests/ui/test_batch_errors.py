"""What is refused of many pictures, as a visitor reads it in Spanish; each is refused for real."""

import io
import stat
import zipfile
from html import escape

import pytest
from PIL import Image
from refusals import refuses

from dermsim.core.refused import Keyed, say, sentences
from dermsim.data.archives import ArchiveLimits, list_photographs, read_photographs
from dermsim.engine.batch import FileAnswer
from dermsim.ui import batch_callbacks, worklist
from dermsim.ui.operating_slider import USUAL

SMALL = ArchiveLimits(pictures=4, file_bytes=20_000, total_bytes=50_000, entries=12)
ROOMY = ArchiveLimits(file_bytes=10_000_000)


def png() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (20, 20)).save(buffer, "PNG")
    return buffer.getvalue()


def packed(folder, *members, method=zipfile.ZIP_DEFLATED):
    path = folder / "a.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path


def written(folder, name: str, data: bytes):
    (folder / name).write_bytes(data)
    return folder / name


def link(folder):
    member = zipfile.ZipInfo("a.png")
    member.create_system, member.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    return packed(folder, (member, b"/etc/passwd"))


def altered(folder, change):
    path = packed(folder, ("a.png", png()), method=zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    change(data)
    path.write_bytes(bytes(data))
    return path


def encrypt(data: bytearray) -> None:
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1


def damage(data: bytearray) -> None:
    data[data.index(png()) + 40] ^= 0xFF


def many(folder, count: int):
    return packed(folder, *((f"{n:05d}.png", b"") for n in range(count)))


REASONS = {
    "archives.gone": lambda folder: folder / "none.png",
    "archives.file_too_large": lambda folder: written(folder, "a.png", bytes(30_000)),
    "archives.damaged": lambda folder: written(folder, "a.zip", b"PK"),
    "archives.no_pictures": lambda folder: packed(folder, ("notes.txt", b"x")),
    "archives.lists": lambda folder: many(folder, 100),
    "archives.lists_more": lambda folder: many(folder, 400),
    "archives.member_path": lambda folder: packed(folder, ("../a.png", png())),
    "archives.member_link": link,
    "archives.member_archive": lambda folder: packed(folder, ("inner.zip", b"PK")),
    "archives.member_encrypted": lambda folder: altered(folder, encrypt),
    "archives.member_method": lambda folder: packed(
        folder, ("a.png", png()), method=zipfile.ZIP_LZMA
    ),
    "archives.member_bomb": lambda folder: packed(folder, ("a.png", bytes(5_000_000))),
    "archives.member_damaged": lambda folder: altered(folder, damage),
}

ACTS = {
    "batch_callbacks.nothing": lambda folder: next(batch_callbacks.run(None, [])),
    "worklist.no_row": lambda folder: worklist.detail(None, [], 0, USUAL),
    "archives.too_many": lambda folder: list_photographs(
        [packed(folder, *((f"{n}.png", png()) for n in range(5)))], limits=SMALL
    ),
    "archives.too_large": lambda folder: list_photographs(
        [packed(folder, *((f"{n}.png", bytes(18_000)) for n in range(3)))], limits=SMALL
    ),
}


def check(key: str, said: Keyed) -> str:
    """The refusal has this key, and its own words in Spanish."""
    assert said.key == key
    spanish = say(said, "es")
    assert spanish not in (str(said), key)
    return spanish


@pytest.mark.parametrize("key", REASONS)
def test_a_row_says_in_spanish_why_it_could_not_be_read(key, tmp_path, engine):
    limits = ROOMY if key == "archives.member_bomb" else SMALL
    listed = list_photographs([REASONS[key](tmp_path)], limits=limits)
    ((item, data),) = read_photographs(listed, limits=limits)
    assert data is None
    said = check(key, item.reason)
    row = FileAnswer(item.name, reason=item.reason)
    assert escape(said) in worklist.table_html(engine, [row], USUAL, language="es")
    assert escape(said) in worklist.detail(engine, [row], 0, USUAL, language="es")


@pytest.mark.parametrize("key", ACTS)
def test_an_act_is_refused_in_spanish(key, tmp_path):
    with refuses(key) as refused:
        ACTS[key](tmp_path)
    check(key, refused.value)


def test_every_refusal_of_an_archive_is_raised_here():
    known = {key for key in sentences("en") if key.startswith("archives.member_")}
    assert known <= set(REASONS)
