"""What was found among the pictures of several sources: tables, and a sheet of pairs to look at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw

from dermsim.core.atomic import atomic_path
from dermsim.core.bootstrap import DECIMALS
from dermsim.core.csv_table import save_csv
from dermsim.core.refused import RefusedFileExistsError
from dermsim.data.components import COMPONENTS
from dermsim.data.duplicates.listing import Listed
from dermsim.data.duplicates.search import Pair, components
from dermsim.data.exam import exam_of
from dermsim.data.images import read_image

PAIRS = "duplicates.csv"
SHEET = "pairs-{:02d}.jpg"

PAIR_COLUMNS = (
    "component",
    "source",
    "image_id",
    "lesion_id",
    "patient_id",
    "exam",
    "other_source",
    "other_image_id",
    "other_lesion_id",
    "other_patient_id",
    "other_exam",
    "detail",
    "share",
    "turn",
    "hash_distance",
    "similarity",
)
"""Of each pair; ``detail`` ranks, ``share`` is how much of the larger picture the smaller shows,
``exam`` is the exam that a picture belongs to."""

COMPONENT_COLUMNS = ("component", "source", "image_id", "lesion_id", "patient_id")
"""Of each picture that has a near-duplicate; `dermsim.data.components` reads them."""

_SIDE, _ROWS, _COLUMNS, _GAP = 144, 8, 2, 16


@dataclass(frozen=True)
class Duplicates:
    """What was found.

    Attributes:
        pictures: All that were read.
        pairs: Of their numbers, those most alike first.
        unread: What could not be read, and why.
        outlines: How many files were black and white, and passed over.
    """

    pictures: Sequence[Listed]
    pairs: Sequence[Pair]
    unread: Sequence[tuple[Listed, str]] = ()
    outlines: int = 0

    @property
    def components(self) -> list[list[int]]:
        """The numbers of the pictures in each component of two or more."""
        return components(len(self.pictures), self.pairs)

    def between(self) -> Counter[tuple[str, str]]:
        """Count the pairs within and between sources."""
        return Counter(
            (self.pictures[a].source, self.pictures[b].source)
            for a, b in (pair.rows for pair in self.pairs)
        )

    def shared_names(self) -> tuple[int, int]:
        """Compare with what names say: pictures of several sources that bear the same one.

        Returns:
            How many pairs of different sources share a name, and how many of them were found.
        """
        rows: dict[str, list[int]] = {}
        for row, picture in enumerate(self.pictures):
            rows.setdefault(picture.image_id, []).append(row)
        named = {
            (a, b)
            for own in rows.values()
            for a in own
            for b in own
            if a < b and self.pictures[a].source != self.pictures[b].source
        }
        return len(named), len(named & {pair.rows for pair in self.pairs})

    def exam_copies(self) -> list[Listed]:
        """List pictures that are copies of an exam's under a name that does not say so."""
        copies = []
        for own in self.components:
            members = [self.pictures[row] for row in own]
            if any(exam_of(picture.image_id) for picture in members):
                copies += [picture for picture in members if not exam_of(picture.image_id)]
        return copies

    def save(self, folder: Path, *, sheets: int = 5) -> None:
        """Write both tables and the sheets into a new folder, atomically.

        Args:
            folder: A folder of its own.
            sheets: How many sheets of 16 pairs to write at most, the least alike first: what is
                doubtful is there.

        Raises:
            FileExistsError: If the folder holds anything else.
        """
        check_folder(folder)
        with atomic_path(folder) as fresh:
            fresh.mkdir()
            save_csv(fresh / PAIRS, PAIR_COLUMNS, self._pair_rows())
            save_csv(fresh / COMPONENTS, COMPONENT_COLUMNS, self._component_rows())
            doubtful = list(reversed(self.pairs))[: sheets * _ROWS * _COLUMNS]
            for number, start in enumerate(range(0, len(doubtful), _ROWS * _COLUMNS), start=1):
                shown = doubtful[start : start + _ROWS * _COLUMNS]
                _sheet(self.pictures, shown).save(fresh / SHEET.format(number), quality=90)

    def _pair_rows(self) -> Iterable[dict[str, object]]:
        of = {row: number for number, own in enumerate(self.components, start=1) for row in own}
        for pair in self.pairs:
            one, other = (self.pictures[row] for row in pair.rows)
            yield {
                "component": of[pair.rows[0]],
                **_facts(one),
                "exam": exam_of(one.image_id),
                **{f"other_{name}": value for name, value in _facts(other).items()},
                "other_exam": exam_of(other.image_id),
                "detail": round(pair.detail, DECIMALS),
                "share": round(pair.share, DECIMALS),
                "turn": pair.turn,
                "hash_distance": pair.hash_distance,
                "similarity": None if pair.similarity is None else round(pair.similarity, DECIMALS),
            }

    def _component_rows(self) -> Iterable[dict[str, object]]:
        for number, own in enumerate(self.components, start=1):
            for row in own:
                yield {"component": number, **_facts(self.pictures[row])}


def check_folder(folder: Path) -> None:
    """Refuse to write where anything else is.

    Raises:
        FileExistsError: If `folder` is a file, or a folder that holds other things.
    """
    taken = folder.exists() and not folder.is_dir()
    if folder.is_dir():
        names = {path.name for path in folder.iterdir()}
        taken = any(n not in (PAIRS, COMPONENTS) and not _is_sheet(n) for n in names)
    if taken:
        raise RefusedFileExistsError("duplicates_report.other_things", folder=folder)


def _is_sheet(name: str) -> bool:
    return name.startswith("pairs-") and name.endswith(".jpg")


def _facts(picture: Listed) -> dict[str, object]:
    return {name: getattr(picture, name) for name in COMPONENT_COLUMNS[1:]}


def _sheet(pictures: Sequence[Listed], pairs: Sequence[Pair]) -> Image.Image:
    """Put pairs side by side, each over a line that says what they are."""
    cell = (2 * _SIDE + _GAP, _SIDE + 3 * _GAP)
    sheet = Image.new("RGB", (cell[0] * _COLUMNS + _GAP, cell[1] * _ROWS + _GAP), "white")
    draw = ImageDraw.Draw(sheet)
    for place, pair in enumerate(pairs):
        left = _GAP // 2 + place % _COLUMNS * cell[0]
        top = _GAP // 2 + place // _COLUMNS * cell[1]
        for offset, row in enumerate(pair.rows):
            picture = pictures[row]
            small = read_image(picture.encoded(), at_least=(_SIDE, _SIDE)).copy()
            small.thumbnail((_SIDE, _SIDE))
            sheet.paste(small, (left + offset * _SIDE, top))
            name = f"{Path(picture.source).name}/{picture.image_id}"[-46:]
            draw.text((left, top + _SIDE + offset * _GAP), name, fill="black")
        draw.text((left + 2 * _SIDE - 60, top + _SIDE + _GAP), f"{pair.detail:.3f}", fill="black")
    return sheet
