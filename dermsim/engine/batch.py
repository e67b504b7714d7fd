"""Many photographs through one engine: a row each, in batches, and the rows as a CSV file.

What `dermsim classify` does with folders and archives, and the tab *Batch* of the page.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from dermsim.core.csv_table import csv_text
from dermsim.core.csv_table import save_csv as write_csv
from dermsim.core.labels import CODES
from dermsim.core.refused import Keyed, Refused, renamed
from dermsim.core.version import __version__
from dermsim.data.archives import ArchiveLimits, Listed, read_photographs
from dermsim.data.formats.dicom_facts import read_dicom_facts
from dermsim.data.images import read_image
from dermsim.engine.answers import Classified, classify
from dermsim.tasks.classify import POINTS, check_threshold
from dermsim.tasks.retrieve import VOTERS

if TYPE_CHECKING:  # it brings torch
    from dermsim.data.facts import Facts
    from dermsim.engine import DermSim
    from dermsim.engine.results import Prediction
    from dermsim.tasks.classify import Calibration
    from dermsim.tasks.enroll import ClassBank

BATCH = 16
"""Photographs per forward pass; between two of them work can be stopped."""

BATCH_PIXELS = 32_000_000
"""Pixels that the photographs of one forward pass may have decoded, whatever their number."""

CHOSEN = "chosen"
"""What an operating point goes by that is none of the calibration's own."""


@dataclass(frozen=True)
class FileAnswer:
    """What is known of one file.

    Attributes:
        file: Its name.
        prediction: The classifier's answer, or None when the file could not be read.
        vote: Probability of each diagnosis by the vote of the nearest past cases; empty likewise.
        reason: Why it could not be read, one sentence; empty when it could.
        thumbnail: A small JPEG of it; empty when none was asked for.
        enrolled: Probability of each old and enrolled class; None without a bank.
        facts: What the file itself said of the patient; None when it was not asked.
    """

    file: str
    prediction: Prediction | None = None
    vote: dict[str, float] = field(default_factory=dict)
    reason: Keyed | str = ""
    thumbnail: bytes = b""
    enrolled: dict[str, float] | None = None
    facts: Facts | None = None

    def __post_init__(self) -> None:
        """Refuse a row that says neither what was found nor why nothing was."""
        if (self.prediction is None) != bool(self.reason):
            raise Refused("engine_batch.row", file=self.file)

    @property
    def neighbor_dx(self) -> str | None:
        """The diagnosis that the nearest past cases vote for; None without a vote."""
        return max(self.vote, key=lambda code: self.vote[code]) if self.vote else None

    @property
    def agrees(self) -> bool | None:
        """True if the vote and the classifier agree; None where nothing may be said."""
        return None if self.prediction is None else Classified(self.prediction, self.vote).agrees

    def to_dict(self) -> dict[str, object]:
        """Return what was found as plain Python values, without the thumbnail."""
        if self.prediction is None:
            return {"picture": self.file, "error": str(self.reason)}
        answer = Classified(self.prediction, self.vote, self.enrolled)
        found = {"picture": self.file, **answer.to_dict()}
        return found if self.facts is None else {**found, "facts": asdict(self.facts)}


def classify_photographs(
    engine: DermSim,
    photographs: Sequence[Listed],
    *,
    limits: ArchiveLimits,
    facts: Facts | None = None,
    dicom_facts: bool = False,
    frame: int = 0,
    bank: ClassBank | None = None,
    thumbnail: int = 0,
    operating_point: str | float = POINTS[0],
    exclude_lesion_ids: Sequence[str] = (),
) -> Iterator[list[FileAnswer]]:
    """Classify photographs, a batch at a time; whoever stops asking keeps what was found.

    A photograph is answered as `DermSim.predict` answers it alone.

    Args:
        engine: The loaded checkpoint.
        photographs: What `dermsim.data.archives.list_photographs` found.
        limits: The same as there.
        facts: What is known of the patient in all photographs; None for nothing.
        dicom_facts: Whether to tell the encoder what a DICOM file says of its patient instead.
        frame: Which picture of files that hold several, from 0.
        bank: Enrolled classes to compare with as well, or None.
        thumbnail: Longest side in pixels of the small pictures that are kept; 0 keeps none.
        operating_point: Where malignant begins, as for `DermSim.predict`.
        exclude_lesion_ids: Lesions that do not vote on any of them.

    Yields:
        The rows of the next files, in their order; all lists together have one for each.

    Raises:
        ValueError: If there are facts and the encoder takes none, or there is no such operating
            point.
    """
    if dicom_facts and engine.calibration_facts is None:
        raise Refused("engine_batch.no_facts")
    engine.check_lesions(exclude_lesion_ids)  # now, and not after the first pictures were read
    asked = partial(
        classify,
        engine,
        bank=bank,
        operating_point=operating_point,
        exclude_lesion_ids=exclude_lesion_ids,
    )
    side = max(*engine.pixels_needed, 2 * thumbnail)
    decode = partial(
        _decode, facts=facts, dicom_facts=dicom_facts, frame=frame, at_least=(side, side)
    )
    read = (decode(item, data) for item, data in read_photographs(photographs, limits=limits))
    for waiting in _batches(read):
        yield _rows(asked, waiting, thumbnail=thumbnail)


def _batches(read: Iterable[_Waiting]) -> Iterator[list[_Waiting]]:
    """Gather what was read until a batch is full, of files or of pixels."""
    waiting: list[_Waiting] = []
    pixels = 0
    for found in read:
        size = found.image.width * found.image.height if found.image else 0
        if waiting and pixels + size > BATCH_PIXELS:
            yield waiting
            waiting, pixels = [], 0
        waiting.append(found)
        pixels += size
        if len(waiting) == BATCH:
            yield waiting
            waiting, pixels = [], 0
    if waiting:
        yield waiting


def columns() -> tuple[str, ...]:
    """Return the columns of the CSV file."""
    return (
        "file",
        "label",
        "probability",
        "malignancy",
        "verdict",
        "withheld",
        "prediction_set",
        "unfamiliar",
        "ood_score",
        "ood_limit",
        "past_case",
        "neighbors_label",
        "neighbors_share",
        "neighbors_agree",
        *(f"p_{code}" for code in CODES),
        "enrolled_label",
        "enrolled_probability",
        "error",
        "operating_point",
        "threshold",
        "voters",
        "encoder",
        "trained_on",
        "dermsim",
    )


def rows_csv(
    rows: Sequence[FileAnswer],
    *,
    calibration: Calibration,
    fingerprint: str,
    point: str | float = POINTS[0],
    informed: Calibration | None = None,
) -> str:
    """Write rows as CSV (RFC 4180): codes and numbers, the same in every language.

    Text that a spreadsheet would take for a formula, such as a file called ``=1+1.png``, begins
    with an apostrophe.

    Args:
        rows: What `classify_photographs` found.
        calibration: Whose operating point makes the verdict.
        fingerprint: Names the encoder.
        point: Name of the operating point, or a threshold on malignancy.
        informed: Makes it for rows with facts of their own; None where there are none.

    Raises:
        ValueError: If there is no such operating point.
    """
    cells = row_cells(
        rows, calibration=calibration, fingerprint=fingerprint, point=point, informed=informed
    )
    return csv_text(columns(), cells)


def row_cells(
    rows: Sequence[FileAnswer],
    *,
    calibration: Calibration,
    fingerprint: str,
    point: str | float = POINTS[0],
    informed: Calibration | None = None,
) -> Iterator[dict[str, object]]:
    """Yield the cells of each row by `columns`, as they are: who writes them makes them inert.

    Raises:
        ValueError: As `rows_csv`.
    """
    plain = threshold_of(calibration, point)
    with_facts = plain if informed is None else threshold_of(informed, point)
    for row in rows:
        threshold = with_facts if row.facts is not None and row.facts.known else plain
        facts = {
            "file": row.file,
            "error": str(row.reason),
            "operating_point": point if isinstance(point, str) else CHOSEN,
            "threshold": threshold,
            "voters": VOTERS,
            "encoder": fingerprint,
            "dermsim": __version__,
        }
        yield {**facts, **_answer(row, threshold)}


def save_csv(
    path: str | Path,
    rows: Sequence[FileAnswer],
    *,
    calibration: Calibration,
    fingerprint: str,
    point: str | float = POINTS[0],
    informed: Calibration | None = None,
) -> None:
    """Write `rows_csv` into a UTF-8 file, atomically.

    Raises:
        ValueError: As `rows_csv`.
    """
    cells = row_cells(
        rows, calibration=calibration, fingerprint=fingerprint, point=point, informed=informed
    )
    write_csv(path, columns(), cells)


def threshold_of(calibration: Calibration, point: str | float) -> float:
    """Return the malignancy from which an operating point calls a picture malignant.

    Args:
        calibration: Whose operating points have names.
        point: Name of one, or a threshold.

    Raises:
        ValueError: If there is no such operating point.
    """
    if not isinstance(point, str):
        return check_threshold(point)
    if point not in calibration.operating_points:
        known = sorted(calibration.operating_points)
        raise Refused("engine_batch.operating_point", point=point, known=known)
    return calibration.operating_points[point].threshold


@dataclass(frozen=True)
class _Waiting:
    """A file that was read; without an image, `reason` says why."""

    name: str
    image: Image.Image | None = None
    reason: Keyed | str = ""
    facts: Facts | None = None
    own_facts: bool = False


def _decode(
    item: Listed,
    data: bytes | None,
    *,
    facts: Facts | None,
    dicom_facts: bool,
    frame: int,
    at_least: tuple[int, int],
) -> _Waiting:
    """Decode a photograph, or say why that cannot be done."""
    if data is None:
        return _Waiting(item.name, reason=item.reason)
    try:
        image = read_image(data, frame=frame, at_least=at_least)
        known = read_dicom_facts(data) if dicom_facts else facts
    except ValueError as error:
        name = item.name.rsplit("/", 1)[-1]
        reason = renamed(error, name=name) if isinstance(error, Keyed) else str(error)
        return _Waiting(item.name, reason=reason)
    return _Waiting(item.name, image, facts=known, own_facts=dicom_facts)


def _rows(
    ask: Callable[..., list[Classified]], batch: Sequence[_Waiting], *, thumbnail: int
) -> list[FileAnswer]:
    """Ask about all that could be read in one go, and put the answers where they belong."""
    images = [item.image for item in batch if item.image is not None]
    if not images:
        return [FileAnswer(item.name, reason=item.reason) for item in batch]
    facts = [item.facts for item in batch if item.image is not None]
    answers = iter(ask(images, facts=facts))
    rows = []
    for item in batch:
        if item.image is None:
            rows.append(FileAnswer(item.name, reason=item.reason))
            continue
        small = _thumbnail(item.image, thumbnail) if thumbnail else b""
        own = item.facts if item.own_facts else None
        found = next(answers)
        rows.append(
            FileAnswer(
                item.name,
                found.prediction,
                found.vote,
                thumbnail=small,
                enrolled=found.enrolled,
                facts=own,
            )
        )
    return rows


def _thumbnail(image: Image.Image, side: int) -> bytes:
    small = Image.frombytes("RGB", image.size, image.tobytes())  # without the file's metadata
    small.thumbnail((side, side))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=75)
    return buffer.getvalue()


def _answer(row: FileAnswer, threshold: float) -> dict[str, object]:
    """Return the cells that only a file that could be read has."""
    found = row.prediction
    if found is None:
        return {}
    neighbors = row.neighbor_dx
    cells: dict[str, object] = {
        "label": found.label_name,
        "probability": _number(found.probabilities[found.label_name]),
        "malignancy": _number(found.malignancy),
        "verdict": found.verdict_at(threshold),
        "withheld": " ".join(found.withheld),
        "prediction_set": " ".join(found.prediction_set),
        "unfamiliar": "yes" if found.is_outlier else "no",
        "ood_score": _number(found.ood_score),
        "ood_limit": "" if found.ood_limit is None else _number(found.ood_limit),
        "trained_on": "drawings" if found.drawn else "photographs",
        "past_case": "" if found.recognised is None else found.recognised.image_id,
        "neighbors_label": neighbors or "",
        "neighbors_share": _number(row.vote[neighbors]) if neighbors else "",
        "neighbors_agree": {True: "yes", False: "no", None: ""}[row.agrees],
    }
    if row.enrolled:
        best = max(row.enrolled.items(), key=lambda item: item[1])
        cells |= {"enrolled_label": best[0], "enrolled_probability": _number(best[1])}
    return cells | {f"p_{code}": _number(p) for code, p in found.probabilities.items()}


def _number(value: float) -> float:
    return round(value, 6)
