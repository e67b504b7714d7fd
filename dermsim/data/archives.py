"""Many photographs at once: loose files and zip archives, listed within bounds, read one at a time.

Archives come from strangers, so nothing in one is trusted: its list of contents is bounded before
it is parsed, every size is checked before a byte is unpacked, and nothing is ever written to disk.
A file that cannot be read keeps its place and says why, so that the others go on.
"""

from __future__ import annotations

import io
import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from dermsim.core.refused import Keyed, Phrase, Refused
from dermsim.data.folders import may_be_picture

ARCHIVE = ".zip"
"""How the name of an archive ends, in lower case."""

_ENTRY_BYTES = 512
"""Of an archive's list of contents that one name may take; longer ones leave room for fewer."""

_RATIO_FROM = 2**20
"""Unpacked bytes from which the ratio counts: a small drawing may well pack a thousandfold."""

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,  # a version or method of zip that Python does not know
    OSError,
    RuntimeError,  # a password is needed after all
    ValueError,
    IndexError,  # a hostile extra field
)


class _RefusedError(Refused):
    """Something was refused by a rule of this module, in a sentence of its own."""


@dataclass(frozen=True)
class ArchiveLimits:
    """How much may be handed over at once.

    Attributes:
        pictures: Photographs in all.
        file_bytes: Of one photograph, unpacked.
        total_bytes: Of all photographs together, unpacked.
        entries: Names in one archive, whatever they stand for.
        ratio: How many times smaller a large photograph may be inside an archive.
    """

    pictures: int = 500
    file_bytes: int = 50 * 2**20
    total_bytes: int = 2**30
    entries: int = 5000
    ratio: int = 100

    def __post_init__(self) -> None:
        """Refuse limits that nothing could keep."""
        for part in fields(self):
            value = getattr(self, part.name)
            if type(value) is not int or value < 1:
                raise Refused("archives.limit", name=part.name, value=value)


OWN_FILES = ArchiveLimits(
    pictures=10_000_000, total_bytes=2**50, file_bytes=2**30, entries=1_000_000, ratio=1000
)
"""For files of one's own on one's own machine: bounds that stop bombs, not work."""


@dataclass(frozen=True)
class Listed:
    """One photograph that was found, not yet read.

    Attributes:
        name: What it is called, different from all others of its list.
        path: The file, or the archive that it is in.
        member: Its place in the archive's list; None for a loose file.
        reason: Why it will not be read, one sentence; empty for those that will be tried.
    """

    name: str
    path: Path
    member: int | None = None
    reason: Keyed | str = ""


def list_photographs(
    sources: Sequence[Path], *, limits: ArchiveLimits, with_folders: bool = True
) -> list[Listed]:
    """List the photographs in files and archives; nothing is unpacked.

    Of an archive, everything that may be a picture is taken, whatever its ending: what turns out to
    be none keeps its row and says so. Archives inside it are named with the reason why they are not
    opened; folders, hidden files, texts and tables are passed over. A loose file is taken whatever
    its ending. An archive that cannot be listed, or holds no picture, is listed itself, with the
    reason, and so is a file that does not exist.

    Args:
        sources: Files; folders are to be walked before.
        limits: What may be handed over.
        with_folders: Whether a loose file is called by its path, or by its name alone.

    Returns:
        At least one photograph, in the order of the sources and within an archive by name.

    Raises:
        ValueError: If no source is given, there are too many pictures, or they are too large
            together.
    """
    found: list[Listed] = []
    total = 0
    for source in sources:
        name = str(source) if with_folders else source.name
        if not source.exists():
            key = "archives.broken_link" if source.is_symlink() else "archives.gone"
            found.append(Listed(name, source, reason=Phrase(key, name=source.name)))
            continue
        if source.suffix.lower() == ARCHIVE and source.is_file():
            try:
                inside, size = _list_archive(source, limits)
            except _RefusedError as error:
                inside, size = [Listed(name, source, reason=_reason(source.name, error))], 0
        else:
            size = source.stat().st_size
            inside = [Listed(name, source, reason=_too_large(source.name, size, limits) or "")]
        found += inside
        total += size
    if not found:
        raise Refused("archives.nothing_given")
    if len(found) > limits.pictures:
        raise Refused("archives.too_many", count=len(found), most=limits.pictures)
    if total > limits.total_bytes:
        raise Refused("archives.too_large", size=_size(total), most=_size(limits.total_bytes))
    return _told_apart(found)


def read_photographs(
    photographs: Sequence[Listed], *, limits: ArchiveLimits
) -> Iterator[tuple[Listed, bytes | None]]:
    """Read photographs one at a time, an archive open only while it is its turn.

    Args:
        photographs: What `list_photographs` found.
        limits: The same.

    Yields:
        Each with the bytes of its file, or None and the reason in `Listed.reason`.
    """
    with ExitStack() as stack:
        opened: Path | None = None
        archive: zipfile.ZipFile | None = None
        for item in photographs:
            data, reason = None, item.reason
            try:
                if not reason and item.member is None:
                    data = _read_loose(item.path, limits)
                elif not reason:
                    if archive is None or opened != item.path:
                        stack.close()
                        archive = stack.enter_context(_open(item.path, limits))
                        opened = item.path
                    data = _read_member(archive, item, limits)
            except _DAMAGED as error:
                reason = _reason(_last(item.name), error, loose=item.member is None)
            yield replace(item, reason=reason), data


# -- archives -------------------------------------------------------------------------------------


class _Guarded(io.RawIOBase):
    """A file of which no more than so many bytes are read at once while a zip is being opened.

    `zipfile` reads an archive's list of contents in one piece, however long it says it is, and
    makes an object of every name.
    """

    def __init__(self, stream: BinaryIO, most: int, name: str) -> None:
        self.stream, self.name = stream, name
        self.most: int | None = most

    def read(self, size: int | None = -1) -> bytes:
        if self.most is not None and size is not None and size > self.most:
            raise _RefusedError("archives.lists_more", name=self.name)
        return self.stream.read(-1 if size is None else size)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self.stream.seek(offset, whence)

    def tell(self) -> int:
        return self.stream.tell()

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True


@contextmanager
def _open(path: Path, limits: ArchiveLimits) -> Iterator[zipfile.ZipFile]:
    with path.open("rb") as stream:
        guarded = _Guarded(stream, limits.entries * _ENTRY_BYTES, path.name)
        with zipfile.ZipFile(guarded) as archive:
            guarded.most = None
            yield archive


def _list_archive(path: Path, limits: ArchiveLimits) -> tuple[list[Listed], int]:
    """Return the pictures of an archive, and how many bytes they say they have."""
    try:
        with _open(path, limits) as archive:
            members = archive.infolist()
    except _RefusedError:
        raise
    except _DAMAGED as error:
        raise _RefusedError("archives.damaged", name=path.name) from error
    if len(members) > limits.entries:
        raise _RefusedError(
            "archives.lists", name=path.name, count=len(members), most=limits.entries
        )
    found, total = [], 0
    for place, member in enumerate(members):
        if member.is_dir() or not may_be_picture(member.filename):
            continue
        reason = _refusal(member, limits)
        found.append(Listed(f"{path.name}/{member.filename}", path, place, reason or ""))
        total += 0 if reason else member.file_size
    if not found:
        raise _RefusedError("archives.no_pictures", name=path.name)
    return sorted(found, key=lambda item: item.name), total


def _refusal(member: zipfile.ZipInfo, limits: ArchiveLimits) -> Phrase | None:
    """Say why a file in an archive is not unpacked; None when it is."""
    name = _last(member.filename)
    path = PurePosixPath(member.filename.replace("\\", "/"))
    mode = member.external_attr >> 16
    if path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
        return Phrase("archives.member_path", name=name)
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        return Phrase("archives.member_link", name=name)
    if name.lower().endswith(ARCHIVE):
        return Phrase("archives.member_archive", name=name)
    if member.flag_bits & 0x1:
        return Phrase("archives.member_encrypted", name=name)
    if member.compress_type not in _METHODS:
        return Phrase("archives.member_method", name=name)
    if large := _too_large(name, member.file_size, limits):
        return large
    packed = max(member.compress_size, 1)
    if member.file_size > _RATIO_FROM and member.file_size > limits.ratio * packed:
        return Phrase("archives.member_bomb", name=name, times=member.file_size // packed)
    return None


def _read_member(archive: zipfile.ZipFile, item: Listed, limits: ArchiveLimits) -> bytes:
    """Unpack one file; `zipfile` stops at the size that was checked and compares its CRC."""
    assert item.member is not None
    member = archive.infolist()[item.member]
    if reason := _refusal(member, limits):  # the file was exchanged since it was listed
        raise _RefusedError(reason.key, **reason.values)
    with archive.open(member) as stream:
        return stream.read(limits.file_bytes)


# -- loose files ----------------------------------------------------------------------------------


def _read_loose(path: Path, limits: ArchiveLimits) -> bytes:
    if not path.exists():
        raise _RefusedError("archives.gone", name=path.name)
    if not path.is_file():  # a pipe would block
        raise _RefusedError("archives.not_regular", name=path.name)
    with path.open("rb") as stream:
        data = stream.read(limits.file_bytes + 1)
    if reason := _too_large(path.name, len(data), limits):
        raise _RefusedError(reason.key, **reason.values)
    return data


def _too_large(name: str, size: int, limits: ArchiveLimits) -> Phrase | None:
    if size <= limits.file_bytes:
        return None
    return Phrase(
        "archives.file_too_large", name=name, size=_size(size), most=_size(limits.file_bytes)
    )


def _size(count: int) -> Phrase:
    large = count >= 2**20
    key = "archives.megabytes" if large else "archives.kilobytes"
    return Phrase(key, count=count / (2**20 if large else 2**10))


def _last(name: str) -> str:
    return PurePosixPath(name.replace("\\", "/")).name


def _reason(name: str, error: Exception, *, loose: bool = True) -> Phrase:
    """Word why a file could not be read; the error itself would keep the file's bytes alive."""
    if isinstance(error, _RefusedError):
        return Phrase(error.key, **error.values)
    if loose:
        reason = getattr(error, "strerror", None) or error
        return Phrase("archives.not_opened", name=name, reason=reason)
    return Phrase("archives.member_damaged", name=name)


def _told_apart(found: Sequence[Listed]) -> list[Listed]:
    """Number names that come more than once, as uploads from several folders may."""
    seen: Counter[str] = Counter()
    taken = {item.name for item in found}
    apart = []
    for item in found:
        seen[item.name] += 1
        name, number = item.name, seen[item.name]
        while number > 1 and name in taken:
            name, number = f"{item.name} ({number})", number + 1
        taken.add(name)
        apart.append(item if name == item.name else replace(item, name=name))
    return apart
