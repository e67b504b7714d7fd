"""The classes of a source that are none of the seven: what `dermsim enroll --from` teaches."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from dermsim.core.labels import fold
from dermsim.core.refused import Phrase, Refused
from dermsim.data.class_folder import is_diagnosis
from dermsim.data.dataset import read_rows_of
from dermsim.data.images import read_image
from dermsim.data.rows import known, modality_of
from dermsim.data.sources import warn_clinical
from dermsim.data.tables import OTHER, row_error

if TYPE_CHECKING:
    from PIL import Image

    from dermsim.data.layouts import Layout


def read_classes(
    source: str,
    *,
    label_column: str | None = None,
    names: Mapping[str, str] | None = None,
    only: str | None = None,
) -> dict[str, list[Image.Image]]:
    """Read the photographs of a source by what they are called there.

    Args:
        source: As for `load_dataset`.
        label_column: Likewise.
        names: What words of the source are to be called instead; ``"other"`` leaves one out.
        only: Take this class alone, by either name.

    Returns:
        Photographs by class, in the order of the source. Words for one of the seven diagnoses,
        which are old classes of every bank, and rows without a word are left out.

    Raises:
        FileNotFoundError: As `load_dataset`, as are the others.
        ConnectionError: Likewise.
        ValueError: Likewise; also if no class is left, or there is none called `only`.

    Warns:
        UserWarning: Which words are of the seven and were left out; that some are clinical
            photographs.
    """
    layout = read_rows_of(source, label_column=label_column)
    words = [known(row.get("original_label") or row.get("dx")) for row in layout.rows]
    there = list(dict.fromkeys(word for word in words if word))
    called = _called(there, names or {})
    classes: dict[str, list[int]] = defaultdict(list)
    for row, word in enumerate(words):
        if word and (not only or fold(only) in (fold(word), fold(called[word]))):
            classes[called[word]].append(row)
    old = [name for name in classes if is_diagnosis(name)]
    new = {n: rows for n, rows in classes.items() if n not in old and fold(n) != OTHER}
    if not new:
        key = "new_classes.none_called" if only else "new_classes.no_new_class"
        raise Refused(key, source=source, name=only, there=list(there))
    if old:
        warnings.warn(
            f"{', '.join(old)}: names of the seven diagnoses, which are old classes, and left out",
            stacklevel=2,
        )
    warn_clinical([modality_of(layout.rows[row]) for rows in new.values() for row in rows])
    return {name: _photographs(layout, rows) for name, rows in new.items()}


def _called(there: Sequence[str], names: Mapping[str, str]) -> dict[str, str]:
    """Say what each word of a source is called as a class."""
    known_words = {fold(word) for word in there}
    if strange := [word for word in names if fold(word) not in known_words]:
        raise Refused("new_classes.no_such_word", strange=strange[0], there=list(there))
    renamed = {fold(word): name for word, name in names.items()}
    return {word: renamed.get(fold(word), word) for word in there}


def _photographs(layout: Layout, rows: list[int]) -> list[Image.Image]:
    """Read some of the pictures of a source."""
    pictures: list[str | bytes]
    if callable(layout.pictures):
        from datasets import Image as ImageFeature

        column = layout.pictures().select(rows).cast_column("image", ImageFeature(decode=False))
        pictures = [image["bytes"] or image["path"] for image in column["image"]]
    else:
        pictures = [layout.pictures[row] for row in rows]
    found = []
    for row, picture in zip(rows, pictures, strict=True):
        image_id = known(layout.rows[row].get("image_id"))
        if not picture:
            raise row_error(row, image_id, Phrase("new_classes.no_image_file"))
        try:
            found.append(read_image(picture))
        except (OSError, ValueError) as error:
            raise row_error(row, image_id, error) from error
    return found
