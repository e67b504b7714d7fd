"""Lists the pictures of any source without asking for diagnoses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dermsim.core.refused import Refused
from dermsim.data.dataset import read_rows_of
from dermsim.data.layouts import Layout
from dermsim.data.matching import without_ending
from dermsim.data.rows import known

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True, eq=False)
class Packed:
    """A picture in a column of pictures, which stays on disk until it is asked for.

    Attributes:
        rows: With a column ``image`` that is not decoded.
        row: Its number.
    """

    rows: Dataset
    row: int

    def read(self) -> str | bytes | None:
        """Return its path or encoded bytes; None where there is none."""
        image = self.rows[self.row]["image"]
        return image and (image["bytes"] or image["path"])


@dataclass(frozen=True)
class Listed:
    """One picture of a source, not yet read.

    Attributes:
        source: As the user named it.
        image_id: Its name there, as `load_dataset` has it.
        image: Path, encoded bytes or where they are; None where the file is missing.
        lesion_id: Its lesion, None where not known.
        patient_id: Its patient, None where not known.
    """

    source: str
    image_id: str
    image: str | bytes | Packed | None
    lesion_id: str | None = None
    patient_id: str | None = None

    def encoded(self) -> str | bytes:
        """Return a path or encoded bytes.

        Raises:
            ValueError: If there is no picture.
        """
        found = self.image.read() if isinstance(self.image, Packed) else self.image
        if not found:
            raise Refused("listing.no_file", image_id=self.image_id)
        return found


def list_source(source: str) -> list[Listed]:
    """List the pictures of a source, sorted by name.

    Args:
        source: As for `dermsim.data.dataset.load_dataset`, or any other folder of pictures; a
            table in it that names pictures says what belongs together.

    Returns:
        Each picture under the name that `load_dataset` gives it, so that what is found here holds
        there.

    Raises:
        FileNotFoundError: If there is nothing at the path.
        ConnectionError: If a Hub id cannot be reached.
        ValueError: If the source holds no pictures, or several data sets, or is damaged.
    """
    layout = read_rows_of(source, labelled=False)
    found = [
        Listed(
            source,
            without_ending(known(row.get("image_id")) or f"row-{number:06d}"),
            image,
            known(row.get("lesion_id")),
            known(row.get("patient_id")),
        )
        for number, (row, image) in enumerate(zip(layout.rows, _pictures(layout), strict=True))
    ]
    return sorted(found, key=lambda item: item.image_id)


def _pictures(layout: Layout) -> list[str | bytes | Packed | None]:
    if not callable(layout.pictures):
        return [picture or None for picture in layout.pictures]
    from datasets import Image

    rows = layout.pictures().select_columns(["image"]).cast_column("image", Image(decode=False))
    return [Packed(rows, number) for number in range(len(rows))]
