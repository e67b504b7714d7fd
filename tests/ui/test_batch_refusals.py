"""What is refused of many pictures, as a visitor reads it in Spanish; each is refused for real."""

import stat
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from dermsim.data.piles import Limits, list_pile, read_pile
from dermsim.ui import batching, i18n

LIMITS = Limits(pictures=4, file_bytes=20_000, total_bytes=50_000, entries=12)


def packed(folder: Path, *members, method: int = zipfile.ZIP_DEFLATED) -> Path:
    path = folder / "a.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path


def link(folder: Path) -> Path:
    info = zipfile.ZipInfo("a.png")
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    return packed(folder, (info, b"/etc/passwd"))


def encrypted(folder: Path) -> Path:
    path = packed(folder, ("a.png", b"x"))
    data = bytearray(path.read_bytes())
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(bytes(data))
    return path


def damaged(folder: Path) -> Path:
    path = packed(folder, ("a.png", bytes(range(200))), method=zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    data[data.index(bytes(range(200))) + 40] ^= 0xFF
    path.write_bytes(bytes(data))
    return path


def written(folder: Path, name: str, data: bytes) -> Path:
    (folder / name).write_bytes(data)
    return folder / name


def many(folder: Path, count: int, size: int = 1) -> Path:
    return packed(folder, *((f"{n:05d}.png", bytes(size)) for n in range(count)))


ROWS = {
    "batch_file_too_large": lambda folder: written(folder, "a.png", bytes(30_000)),
    "batch_gone": lambda folder: folder / "none.png",
    "batch_archive_damaged": lambda folder: written(folder, "a.zip", b"PK"),
    "batch_archive_empty": lambda folder: packed(folder, ("notes.txt", b"x")),
    "batch_archive_lists": lambda folder: many(folder, 100),
    "batch_archive_lists_more": lambda folder: many(folder, 400),
    "batch_member_path": lambda folder: packed(folder, ("../a.png", b"x")),
    "batch_member_link": link,
    "batch_member_archive": lambda folder: packed(folder, ("inner.zip", b"PK")),
    "batch_member_encrypted": encrypted,
    "batch_member_method": lambda folder: packed(folder, ("a.png", b"x"), method=zipfile.ZIP_LZMA),
    "batch_member_bomb": lambda folder: packed(folder, ("a.png", bytes(5_000_000))),
    "batch_member_damaged": damaged,
}
"""What becomes a row, while the others go on."""

AT_ONCE = {
    "batch_nothing": lambda folder: next(batching.run(None, [])),
    "batch_row": lambda folder: batching.detail([], "a.png"),
    "batch_too_many": lambda folder: list_pile([many(folder, 5)], limits=LIMITS),
    "batch_too_large": lambda folder: list_pile([many(folder, 3, 18_000)], limits=LIMITS),
}
"""What ends everything."""


def check(key: str, sentence: str) -> None:
    said = i18n.refusal(sentence, "es")
    spanish = i18n.translations()["es"][f"errors.{key}"]
    assert i18n._pattern(spanish).fullmatch(said), f"{said!r} is not {spanish!r}"
    assert said != sentence


@pytest.mark.parametrize("key", ROWS)
def test_a_row_is_refused_in_spanish(key, tmp_path):
    limits = Limits(file_bytes=10_000_000) if key == "batch_member_bomb" else LIMITS
    pile = list_pile([ROWS[key](tmp_path)], limits=limits)
    ((item, data),) = read_pile(pile, limits=limits)
    assert data is None
    check(key, item.reason)


@pytest.mark.parametrize("key", AT_ONCE)
def test_a_batch_is_refused_in_spanish(key, tmp_path):
    with pytest.raises(ValueError) as refused:
        AT_ONCE[key](tmp_path)
    check(key, str(refused.value))


def test_every_known_refusal_is_raised_here():
    known = {key for key in i18n.translations()["en"] if key.startswith("errors.batch_")}
    assert known == {f"errors.{key}" for key in [*ROWS, *AT_ONCE]}


def test_the_table_gives_the_reason_in_the_visitors_language(engine, tmp_path):
    Image.new("RGB", (40, 40), "red").save(tmp_path / "good.png")
    bad = written(tmp_path, "bad.png", b"Dear doctor")
    *_, (rows, _) = batching.run(engine, [str(tmp_path / "good.png"), str(bad)])
    header, cells = batching.table(engine, rows, "balanced", language="es")
    problems = [row[-1] for row in cells]
    assert header[-1] == i18n.say("batch.problem", "es")
    assert problems == ["", i18n.refusal(rows[1].reason, "es")]
    assert "no es una imagen" in problems[1]
