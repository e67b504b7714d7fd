"""What happens in the tab *Batch*: plain functions of an engine and plain values; knows no Gradio.

A visitor's rows are kept in the memory of their session, with pictures no larger than a stamp; the
files themselves are read where they were uploaded, and nothing of an archive is written anywhere.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dermsim.core import refused
from dermsim.core.labels import DISCLAIMER
from dermsim.core.refused import Refused
from dermsim.data.archives import ArchiveLimits, list_photographs
from dermsim.data.folders import may_be_picture
from dermsim.engine.batch import FileAnswer, classify_photographs, save_csv, threshold_of
from dermsim.tasks.retrieve import VOTERS
from dermsim.ui import notices, opinions, render
from dermsim.ui.i18n import number, say

if TYPE_CHECKING:  # it brings torch, and the page is served while that loads
    from dermsim.engine import DermSim

LIMITS = ArchiveLimits(
    pictures=500, file_bytes=50 * 2**20, total_bytes=2**30, entries=5000, ratio=100
)
"""What a visitor may hand over at once."""

THUMBNAIL = 160
"""Longest side in pixels of the pictures that are kept."""

CSV_NAME = "dermsim-batch.csv"

COLUMNS = (
    *("file", "unfamiliar", "label", "probability", "malignancy", "verdict", "set"),
    *("neighbors", "share", "agree", "problem"),
)
"""Columns of the table, by their texts; what must be read before a label stands before it."""

NUMBERS = ("probability", "malignancy", "share")
"""Those of them that are numbers, and sorted as such."""

_AGREES = {True: "yes", False: "no"}

Step = tuple[list[FileAnswer], str]
"""The rows so far, and how far that is, as HTML."""


def nothing_yet(language: str = "en") -> str:
    """Return what the tab says before there is anything."""
    limits = {"pictures": LIMITS.pictures, "size": LIMITS.file_bytes // 2**20}
    return render.empty(say("batch.none", language), say("batch.none_how", language, **limits))


def run(engine: DermSim, paths: Sequence[str] | None, *, language: str = "en") -> Iterator[Step]:
    """Classify files and archives, a few pictures at a time.

    Args:
        engine: The loaded checkpoint.
        paths: Where they were uploaded; None or nothing when there are none.
        language: The visitor's.

    Yields:
        First no row at all, then all rows so far; the last has one for every picture.

    Raises:
        ValueError: If there are none, too many, or they are too large together.
    """
    listed = list_photographs(_sources(paths), limits=LIMITS, with_folders=False)
    rows: list[FileAnswer] = []
    yield rows, progress_html(0, len(listed), language=language)
    for batch in classify_photographs(engine, listed, limits=LIMITS, thumbnail=THUMBNAIL):
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


def table(
    engine: DermSim, rows: Sequence[FileAnswer], point: str, *, language: str = "en"
) -> tuple[list[str], list[list[Any]]]:
    """Return the header and the cells of the table.

    Args:
        engine: The loaded checkpoint.
        rows: What `run` found.
        point: Name of the operating point that makes the verdict.
        language: The visitor's.

    Raises:
        ValueError: If there is no such operating point.
    """
    threshold = threshold_of(engine.calibration, point)
    header = [say(f"batch.{name}", language, voters=VOTERS) for name in COLUMNS]
    cells = []
    for row in rows:
        answer = _words(row, threshold, language)
        cells.append([answer.get(name, "") for name in COLUMNS])
    return header, cells


def summary(
    engine: DermSim,
    rows: Sequence[FileAnswer],
    point: str,
    *,
    total: int | None = None,
    language: str = "en",
) -> str:
    """Count what deserves a look, as HTML; nothing for no rows.

    Args:
        engine: The loaded checkpoint.
        rows: What `run` found.
        point: Name of the operating point.
        total: How many pictures there were; None when they were not all asked for, as after a stop.
        language: The visitor's.
    """
    if not rows:
        return ""
    threshold = threshold_of(engine.calibration, point)
    answers = [row.prediction for row in rows if row.prediction is not None]
    counts = {
        "malignant": sum(answer.verdict_at(threshold) == "malignant" for answer in answers),
        "withheld": sum(bool(answer.withheld) for answer in answers),
        "disagree": sum(row.agrees is False for row in rows),
        "unread": len(rows) - len(answers),
    }
    words = {name: number(count, ",", language) for name, count in counts.items()}
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


def detail(rows: Sequence[FileAnswer], file: str, *, language: str = "en") -> str:
    """Show one row: its picture and all probabilities, or why there are none.

    Raises:
        ValueError: If there is no such row.
    """
    row = next((row for row in rows if row.file == file), None)
    if row is None:
        raise Refused("batch_callbacks.no_row", file=file)
    name = escape(row.file)
    if row.prediction is None:
        reason = escape(refused.say(row.reason, language))
        return f'<div class="ds"><h2>{name}</h2><p>{reason}</p></div>'
    found = row.prediction
    order = sorted(found.probabilities.items(), key=lambda item: -item[1])
    if found.withheld:
        bars = render.anyway(found, language=language)
    else:
        bars = render.bars(dict(order), language=language)
    alt = escape(say("batch.alt", language, name=row.file), quote=True)
    image = base64.b64encode(row.thumbnail).decode("ascii")
    return (
        f'<div class="ds">{notices.notices(found, language=language)}<div class="ds-row"><div>'
        f'<img src="data:image/jpeg;base64,{image}" alt="{alt}"></div><div><h2>{name}</h2>'
        f'{bars}<h3 class="ds-sub">{say("batch.vote", language, voters=VOTERS)}</h3>'
        f"{opinions.vote_line(row.vote, language=language)}</div></div></div>"
    )


def save(engine: DermSim, rows: Sequence[FileAnswer], point: str, folder: str | Path) -> Path:
    """Write the rows into a CSV file, under the name the visitor's download gets.

    Raises:
        ValueError: If there is no such operating point.
    """
    path = Path(folder) / CSV_NAME
    save_csv(
        path, rows, calibration=engine.calibration, fingerprint=engine.fingerprint, point=point
    )
    return path


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


def _words(row: FileAnswer, threshold: float, language: str) -> dict[str, Any]:
    found = row.prediction
    if found is None:
        return {"file": row.file, "problem": refused.say(row.reason, language)} | dict.fromkeys(
            NUMBERS
        )
    neighbors = row.neighbor_dx
    verdict = found.verdict_at(threshold)
    said = (
        f"{say('quality.withheld_short', language)}: {notices.reasons(found, language=language)}"
        if verdict == "withheld"
        else say(f"batch.{verdict}", language)
    )
    return {
        "file": row.file,
        "unfamiliar": say("batch.yes", language) if found.is_outlier else "",
        "label": found.label_name,
        "probability": round(found.probabilities[found.label_name], 3),
        "malignancy": round(found.malignancy, 3),
        "verdict": said,
        "set": " ".join(found.prediction_set),
        "neighbors": neighbors or "",
        "share": round(row.vote[neighbors], 3) if neighbors else None,
        "agree": "" if row.agrees is None else say(f"batch.{_AGREES[row.agrees]}", language),
    }


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
