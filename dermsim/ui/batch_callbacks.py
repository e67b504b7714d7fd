"""What happens in the tab *Batch*: plain functions of an engine and plain values; knows no Gradio.

A visitor's rows are kept in the memory of their session, with pictures no larger than a stamp; the
files themselves are read where they were uploaded, and nothing of an archive is written anywhere.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dermsim.core.labels import DISCLAIMER
from dermsim.core.refused import Refused
from dermsim.data.archives import ArchiveLimits, list_photographs
from dermsim.data.folders import may_be_picture
from dermsim.engine.batch import FileAnswer, classify_photographs, threshold_of
from dermsim.engine.batch_files import save_rows
from dermsim.ui import operating_slider, render
from dermsim.ui.i18n import number, say

if TYPE_CHECKING:  # it brings torch, and the page is served while that loads
    from dermsim.engine import DermSim
    from dermsim.tasks.enroll import ClassBank

LIMITS = ArchiveLimits(
    pictures=500, file_bytes=50 * 2**20, total_bytes=2**30, entries=5000, ratio=100
)
"""What a visitor may hand over at once."""

THUMBNAIL = 160
"""Longest side in pixels of the pictures that are kept."""

FILE_NAME = "dermsim-batch"

KINDS = ("csv", "xlsx")
"""What a batch can be saved as."""

Step = tuple[list[FileAnswer], str]
"""The rows so far, and how far that is, as HTML."""


def nothing_yet(language: str = "en") -> str:
    """Return what the tab says before there is anything."""
    limits = {"pictures": LIMITS.pictures, "size": LIMITS.file_bytes // 2**20}
    return render.empty(say("batch.none", language), say("batch.none_how", language, **limits))


def run(
    engine: DermSim,
    paths: Sequence[str] | None,
    bank: ClassBank | None = None,
    *,
    language: str = "en",
) -> Iterator[Step]:
    """Classify files and archives, a few pictures at a time.

    Args:
        engine: The loaded checkpoint.
        paths: Where they were uploaded; None or nothing when there are none.
        bank: Classes that the visitor taught, to compare with as well; None for none.
        language: The visitor's.

    Yields:
        First no row at all, then all rows so far; the last has one for every picture.

    Raises:
        ValueError: If there are none, too many, or they are too large together.
    """
    listed = list_photographs(_sources(paths), limits=LIMITS, with_folders=False)
    rows: list[FileAnswer] = []
    yield rows, progress_html(0, len(listed), language=language)
    found = classify_photographs(
        engine, listed, limits=LIMITS, bank=own_bank(bank), thumbnail=THUMBNAIL
    )
    for batch in found:
        rows = [*rows, *batch]
        _keep(item.path for item in listed[len(rows) :])
        yield rows, progress_html(len(rows), len(listed), language=language)


def data(engine: DermSim, paths: Sequence[str] | None, point: str = "balanced") -> dict[str, Any]:
    """Return the rows of files and archives as JSON-able values: the ``/batch`` endpoint.

    Raises:
        ValueError: As `run`, or if there is no such operating point.
    """
    threshold = threshold_of(engine.calibration, point)
    listed = list_photographs(_sources(paths), limits=LIMITS, with_folders=False)
    rows: list[FileAnswer] = []
    for batch in classify_photographs(engine, listed, limits=LIMITS):
        rows.extend(batch)
        _keep(item.path for item in listed[len(rows) :])
    return {
        "results": [_plain(row, threshold) for row in rows],
        "operating_point": point,
        "threshold": threshold,
        "encoder": engine.fingerprint,
        "disclaimer": DISCLAIMER,
    }


def summary(
    engine: DermSim,
    rows: Sequence[FileAnswer],
    stop: int,
    *,
    total: int | None = None,
    language: str = "en",
) -> str:
    """Count what deserves a look, as HTML; nothing for no rows.

    Args:
        engine: The loaded checkpoint.
        rows: What `run` found.
        stop: Where malignant begins, of `operating_slider.stops`.
        total: How many pictures there were; None when they were not all asked for, as after a stop.
        language: The visitor's.
    """
    threshold = operating_slider.point_at(engine.calibration, stop).threshold
    if not rows:
        return ""
    answers = [row.prediction for row in rows if row.prediction is not None]
    counts = {
        "malignant": sum(answer.verdict_at(threshold) == "malignant" for answer in answers),
        "withheld": sum(bool(answer.withheld) for answer in answers),
        "disagree": sum(row.agrees is False for row in rows),
        "unread": len(rows) - len(answers),
    }
    words = {name: number(count, ",", language) for name, count in counts.items()}
    words["malignant"] = f"<span data-counted>{words['malignant']}</span>"
    done = number(len(rows), ",", language)
    said = (
        say("batch.stopped", language, done=done)
        if total is None
        else say("batch.finished", language, done=done, total=number(total, ",", language))
    )
    return (
        f'<div class="ds ds-batch" role="status"><p><strong>{said}</strong> '
        f"{say('batch.summary', language, **words)}</p></div>"
    )


def progress_html(done: int, total: int, *, language: str = "en") -> str:
    """Say how far the work is."""
    words = say(
        "batch.progress",
        language,
        done=number(done, ",", language),
        total=number(total, ",", language),
    )
    return (
        f'<div class="ds ds-batch" role="status"><label>{words} '
        f'<progress value="{done}" max="{total}">{words}</progress></label></div>'
    )


def save(
    engine: DermSim, rows: Sequence[FileAnswer], stop: int, kind: str, folder: str | Path
) -> Path:
    """Write the rows into a file, under the name the visitor's download gets.

    Args:
        engine: The loaded checkpoint.
        rows: What `run` found.
        stop: Where malignant begins, of `operating_slider.stops`.
        kind: One of `KINDS`.
        folder: Where to.

    Raises:
        ValueError: If there is no such stop or kind.
    """
    if kind not in KINDS:
        raise Refused("batch_callbacks.no_kind", kind=kind, kinds=KINDS)
    path = Path(folder) / f"{FILE_NAME}.{kind}"
    calibration = engine.calibration
    threshold = operating_slider.point_at(calibration, stop).threshold
    names = {point.threshold: name for name, point in calibration.operating_points.items()}
    save_rows(
        path,
        rows,
        calibration=calibration,
        fingerprint=engine.fingerprint,
        point=names.get(threshold, threshold),
    )
    return path


def own_bank(bank: ClassBank | None) -> ClassBank | None:
    """Return a bank that holds a class of the visitor's own, and no other."""
    return bank if bank is not None and bank.enrolled else None


def pictures_of(paths: Sequence[str] | None) -> list[str]:
    """Return what of a folder is worth a row: all but hidden files, texts and tables."""
    return [path for path in paths or [] if may_be_picture(Path(path).name)]


def _sources(paths: Sequence[str] | None) -> list[Path]:
    if not paths:
        raise Refused("batch_callbacks.nothing")
    return [Path(path) for path in paths]


def _keep(paths: Iterable[Path]) -> None:
    """Mark uploads as still needed: a server may delete those that lay untouched for a while."""
    for path in set(paths):
        with suppress(FileNotFoundError):  # it becomes a row that says so
            os.utime(path)


def _plain(row: FileAnswer, threshold: float) -> dict[str, object]:
    if row.prediction is None:
        return row.to_dict()
    reached = row.prediction.malignancy >= threshold
    return {
        **row.to_dict(),
        "is_malignant": reached,
        "threshold": threshold,
        "verdict": row.prediction.verdict_at(threshold),
        "conflict": row.prediction.conflict_at(threshold),
        "neighbors_agree": row.agrees,
    }
