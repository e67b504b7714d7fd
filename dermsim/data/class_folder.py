"""Reads a folder per class: pictures sorted into folders that are called like what they show."""

from __future__ import annotations

import filecmp
import re
import warnings
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from dermsim.core.labels import parse_dx
from dermsim.core.refused import Refused
from dermsim.data.images import list_images
from dermsim.data.matching import BESIDE, distinct_ids, shows_nothing
from dermsim.data.part_names import part_called
from dermsim.data.table_folder import LabelledRow

_OUTLINES = re.compile(
    r"masks?|seg|segmentations?|ground ?truth|gt|outlines?|contours?|annotations?|m[aá]scaras?|"
    r"Masken?|masques?|maschere",
    re.IGNORECASE,
)
"""What folders of outlines are called."""


def read_class_folder(folder: Path) -> list[LabelledRow] | None:
    """Read a folder per class, with folders train, val and test above or in them or without.

    The splits are noted and not trusted: splits are made anew, by lesion.

    Args:
        folder: Pictures may lie deeper in each class's folder.

    Returns:
        A row for each photograph, ``dx`` being the folder's name; None where the pictures lie in no
        folders of their own.

    Raises:
        ValueError: If pictures lie beside the classes' folders, or one photograph is in two.

    Warns:
        UserWarning: How many outlines, and copies of one name, were left out.
    """
    root = folder.absolute()
    pictures = list_images([root])
    above = _shared_folders(pictures, root)
    placed = {path: _place(path, above) for path in pictures}
    if all(place is None for place in placed.values()):
        return None
    pictures = _photographs(pictures, placed, root)
    above = _shared_folders(pictures, root)
    placed = {path: _place(path, above) for path in pictures}
    loose = [path for path, place in placed.items() if place is None]
    if loose:
        raise Refused("class_folder.loose", name=loose[0].name, folder=folder)
    kept = _single(pictures, placed, root)
    names = distinct_ids(kept, root)
    return [
        {"image": str(path), "image_id": names[path], "dx": place[1], "split": place[0]}
        for path in kept
        if (place := placed[path]) is not None
    ]


def _shared_folders(pictures: Sequence[Path], root: Path) -> Path:
    """Return the folder in which the classes' folders lie: below `root` there may be only one."""
    while True:
        inside = {path.relative_to(root).parts[0] for path in pictures}
        deeper = min(len(path.relative_to(root).parts) for path in pictures)
        only = next(iter(inside))
        if len(inside) > 1 or deeper < 3 or part_called(only) or is_diagnosis(only):
            return root
        root = root / only


def is_diagnosis(name: str) -> bool:
    """Say whether a folder is called like one of the seven."""
    try:
        parse_dx(name)
    except ValueError:
        return False
    return True


def _place(path: Path, above: Path) -> tuple[str | None, str] | None:
    """Return the split and the class of a picture; None where no folder says its class."""
    folders = path.relative_to(above).parts[:-1]
    split = next((part for name in folders if (part := part_called(name))), None)
    classes = [name for name in folders if not part_called(name)]
    return (split, classes[0]) if classes else None


def _photographs(
    pictures: Sequence[Path], placed: dict[Path, tuple[str | None, str] | None], root: Path
) -> list[Path]:
    """Leave out the outlines that bear the name of a photograph.

    They lie beside it, or in a folder that is called like outlines.
    """
    alike: dict[tuple[object, str], list[Path]] = defaultdict(list)
    apart: dict[str, list[Path]] = defaultdict(list)
    for path in pictures:
        stem = BESIDE.sub("", path.stem).casefold()
        if any(_OUTLINES.fullmatch(part) for part in path.relative_to(root).parts[:-1]):
            apart[stem].append(path)
        else:
            alike[placed[path], stem].append(path)
    drawn = {path for (_, stem) in alike for path in apart.pop(stem, []) if shows_nothing(path)}
    for group in alike.values():
        if len(group) > 1:
            nothing = [path for path in group if shows_nothing(path)]
            drawn.update(nothing if len(nothing) < len(group) else ())
    if drawn:
        warnings.warn(
            f"{len(drawn):,} outlines, such as {min(drawn).name}, lie among the photographs of "
            "their names and are left out",
            stacklevel=3,
        )
    return [path for path in pictures if path not in drawn]


def _single(
    pictures: Sequence[Path], placed: dict[Path, tuple[str | None, str] | None], root: Path
) -> list[Path]:
    """Leave out copies of a picture under its name; in two classes they are refused."""
    kept: dict[str, list[Path]] = defaultdict(list)
    copies: list[Path] = []
    for path in pictures:
        same = [o for o in kept[path.name.casefold()] if filecmp.cmp(path, o, shallow=False)]
        for other in same:
            here, there = placed[path], placed[other]
            if here and there and here[1] != there[1]:
                raise Refused(
                    "class_folder.two_classes",
                    other=other.relative_to(root),
                    path=path.relative_to(root),
                )
        (copies if same else kept[path.name.casefold()]).append(path)
    if copies:
        warnings.warn(
            f"{len(copies):,} pictures, such as {copies[0].relative_to(root)}, are copies of "
            "others of their names and are left out",
            stacklevel=3,
        )
    left_out = set(copies)
    return [path for path in pictures if path not in left_out]
