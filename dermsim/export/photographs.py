"""The photographs that an export is compared on: of files, or of a data set that was held out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from dermsim.data.images import read_image

if TYPE_CHECKING:
    from datasets import Dataset

CALIBRATED = 256
"""Validation photographs that show a layer's range, spread over all there are."""


@dataclass(frozen=True)
class Files:
    """Photographs of files, read anew each time they are gone through.

    Attributes:
        paths: The files.
        at_least: As for `read_image`.
    """

    paths: Sequence[Path]
    at_least: tuple[int, int]

    def __iter__(self) -> Iterator[Image.Image]:
        """Read one after the other."""
        for path in self.paths:
            yield read_image(path, at_least=self.at_least)


@dataclass(frozen=True, eq=False)
class Rows:
    """Photographs of a data set, decoded anew each time they are gone through.

    Attributes:
        rows: With ``image`` and ``image_id``.
        at_least: As for `read_image`.
    """

    rows: Dataset
    at_least: tuple[int, int]

    def __iter__(self) -> Iterator[Image.Image]:
        """Decode one after the other."""
        from dermsim.data.pixels import map_images

        return map_images(self.rows, _as_it_is, at_least=self.at_least)


def spread(rows: Dataset, count: int = CALIBRATED) -> Dataset:
    """Choose so many rows, evenly spread over all."""
    step = max(1, len(rows) // count)
    return rows.select(range(0, len(rows), step)[:count])


def _as_it_is(image: Image.Image) -> Image.Image:
    return image
