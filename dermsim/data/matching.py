"""Finds the picture that a table means: by name, whatever ending, capitals or slashes it was given.

The picture is the truth: what it is called becomes the ``image_id``, so that one photograph has one
name whoever typed it.
"""

from __future__ import annotations

import filecmp
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from dermsim.core.refused import Refused
from dermsim.data.images import IMAGE_SUFFIXES, read_image
from dermsim.data.part_names import Part, parts_named
from dermsim.data.photographs import ENOUGH, is_blank, is_outline

_WORD = r"(?:segmentation|seg|superpixel|mask|lesion|roi|gt|label|outline|contour|attribute[^.]*)s?"
BESIDE = re.compile(
    rf"^{_WORD}[_. -]+|(?:[_. -]+(?:{_WORD}|\d+))*[_. -]+{_WORD}(?:_?\d+)?$", re.IGNORECASE
)
"""What outlines are called after, or before, the name of their photograph."""


class PictureIndex:
    """The pictures below a folder, by everything that a table may call them.

    Args:
        paths: The pictures.
        folder: Names in tables are paths within it, or parts of such paths.
    """

    def __init__(self, paths: Iterable[Path], folder: Path) -> None:
        self.paths = list(paths)
        self.folder = folder
        self._within = {path: _plain(path.relative_to(folder).as_posix()) for path in self.paths}
        self._folders = {name for path in self._within.values() for name in _folders(path)}
        self._by_stem: dict[str, list[Path]] = defaultdict(list)
        self._by_number: dict[int, list[Path]] = defaultdict(list)
        for path in self.paths:
            stem = _plain(path.stem)
            self._by_stem[stem.casefold()].append(path)
            if stem.isascii() and stem.isdigit():
                self._by_number[int(stem)].append(path)

    def find(self, name: str, *, exact: bool = False, part: Part | None = None) -> Path | None:
        """Find the picture that a table calls so.

        A picture of another folder than the one that is named is not taken for it: in train and
        test there may be two of one name.

        Args:
            name: A file name or path, with its ending, another or none; slashes and backslashes,
                capitals and the way accents are written do not matter where the names still
                differ, and neither do zeros in front of a plain number.
            exact: Whether all folders in `name` are the set's own. Otherwise those that it does not
                have are where the set lay on somebody's machine.
            part: What the table is about, if that is known: pictures below folders that are called
                like another part are not meant.

        Returns:
            The picture, or None where there is none. Of a photograph and outlines of one name it is
            the photograph, of copies that are the same to the last byte the first.

        Raises:
            ValueError: If several photographs are called so; the message names two.
        """
        wanted = _plain(name.replace("\\", "/")).removeprefix("./")
        for candidates in self._candidates(wanted, exact):
            meant = [path for path in candidates if self._may_be(path, wanted, part)]
            if meant:
                return _the_photograph(name, meant, self.folder)
        return None

    def _candidates(self, wanted: str, exact: bool) -> Iterator[Sequence[Path]]:
        """Yield the pictures that may be meant, the surest first."""
        stem = without_ending(PurePosixPath(wanted).name)
        alike = self._by_stem.get(stem.casefold(), [])
        # "images/a.jpg" may lie at "set/images/a.jpg", or "C:/set/images/a.jpg" at "images/a.jpg".
        for tail in [wanted] if exact else _tails(wanted):
            for same in (_exactly, _same, _same_but_for_capitals):
                yield [path for path in alike if same(self._within[path], tail)]
        if exact and _folders(wanted):
            return
        if stem.removesuffix(".0").isascii() and stem.removesuffix(".0").isdigit():
            yield self._by_number.get(int(stem.removesuffix(".0")), [])

    def _may_be(self, path: Path, wanted: str, part: Part | None) -> bool:
        """Say whether the folders of a picture speak against its being meant."""
        asked, own = _folders(wanted), _folders(self._within[path])
        parts = {part} if part else parts_named(asked)
        there = parts_named(own)
        if parts and there and not parts & there:
            return False
        nearest = asked[-1:]
        return not set(nearest) & self._folders or set(nearest) <= set(own)


def picture_id(name: str) -> str:
    """Return what a picture goes by: its file's name without folders and without its ending."""
    return without_ending(PurePosixPath(_plain(name.replace("\\", "/"))).name)


def distinct_ids(paths: Sequence[Path], folder: Path) -> dict[Path, str]:
    """Give every picture below a folder a name of its own.

    Returns:
        The name of each without its ending, and with its folders where another is called the same.
    """
    named: dict[str, list[Path]] = defaultdict(list)
    for path in paths:
        named[picture_id(path.name)].append(path)
    return {
        path: name
        if len(alike) == 1
        else without_ending(_plain(path.relative_to(folder).as_posix()))
        for name, alike in named.items()
        for path in alike
    }


def _the_photograph(name: str, candidates: Sequence[Path], folder: Path) -> Path:
    """Choose among pictures of one name."""
    if len(candidates) == 1:
        return candidates[0]
    shown = [path for path in candidates if not shows_nothing(path)] or list(candidates)
    first = shown[0]
    for other in shown[1:]:
        if not filecmp.cmp(first, other, shallow=False):
            raise Refused(
                "matching.ambiguous",
                name=name,
                first=first.relative_to(folder),
                other=other.relative_to(folder),
            )
    return first


def shows_nothing(path: Path) -> bool:
    """Say whether a picture file is an outline or blank; what cannot be read is neither."""
    try:
        image = read_image(path, at_least=ENOUGH)
    except (OSError, ValueError):
        return False
    return is_outline(image) or is_blank(image)


def _folders(path: str) -> list[str]:
    """Return the names of the folders of a path, in lower case."""
    return [name.casefold() for name in PurePosixPath(path).parts[:-1]]


def _tails(path: str) -> Iterable[str]:
    """Yield a path, then the path without its first folder, and so on to the bare name."""
    parts = PurePosixPath(path).parts
    for start in range(len(parts)):
        yield "/".join(parts[start:])


def _exactly(within: str, tail: str) -> bool:
    return within == tail or within.endswith(f"/{tail}")


def _same(within: str, tail: str) -> bool:
    """Say whether a path ends in another, whatever the endings of the two files are."""
    own, asked = without_ending(within), without_ending(tail)
    return own == asked or own.endswith(f"/{asked}")


def _same_but_for_capitals(within: str, tail: str) -> bool:
    return _same(within.casefold(), tail.casefold())


def without_ending(name: str) -> str:
    """Take the ending of a picture off a name, and no other: ``"a.b"`` keeps its dot."""
    path = PurePosixPath(name)
    return name[: -len(path.suffix)] if path.suffix.lower() in IMAGE_SUFFIXES else name


def _plain(name: str) -> str:
    """Write accents in one way: macOS and tables take them apart, Linux and Windows do not."""
    return unicodedata.normalize("NFC", name)
