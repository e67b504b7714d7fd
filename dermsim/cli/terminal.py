"""How the `dermsim` command reads pictures and prints answers; the commands are in `cli`."""

from __future__ import annotations

import json
import sys
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from dermsim.core.labels import DISCLAIMER, DRAWN_DATA
from dermsim.core.refused import Refused

if TYPE_CHECKING:
    from PIL.Image import Image

    from dermsim.engine.batch import FileAnswer


T = TypeVar("T")

INTERRUPTED = 130
"""Exit status of a command that was stopped with Ctrl-C, as shells have it."""


def sentence(error: Exception) -> str:
    """Return an error's message on one line."""
    return " ".join(str(error).split())


@contextmanager
def notes_as_sentences() -> Iterator[None]:
    """Have warnings of this package printed as one sentence, without a line of program."""
    before = warnings.formatwarning

    def written(message: Warning | str, category: type[Warning], *place: Any) -> str:
        if category is UserWarning:
            return f"dermsim: {' '.join(str(message).split())}\n"
        return before(message, category, *place)

    warnings.formatwarning = written  # type: ignore[assignment]
    try:
        yield
    finally:
        warnings.formatwarning = before


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Align rows under a header.

    Args:
        header: Column titles.
        rows: Cells in the same order. None is shown as a dash, a float with three decimals, or
            without any when it is whole.

    Returns:
        Lines without trailing blanks, a rule under the header.
    """
    body = [[_cell(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *body, strict=True)]
    lines = [header, ["-" * width for width in widths], *body]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.0f}" if value.is_integer() else f"{value:.3f}"
    return str(value)


def show(
    document: dict[str, Any], readable: str, *, as_json: bool, drawn: bool | None = None
) -> None:
    """Print an answer with the disclaimer.

    Args:
        document: The answer as plain Python values.
        readable: The same for people.
        as_json: Print `document` as one JSON document instead of `readable`.
        drawn: Whether the model that answers was trained on drawings; None for no such answer.

    Raises:
        ValueError: If a number in `document` is not finite, which JSON cannot say.
    """
    if drawn is not None:
        document = {**document, "trained_on": "drawings" if drawn else "photographs"}
    if drawn:
        readable += f"\n\n{DRAWN_DATA}"
    if as_json:
        document = {**document, "disclaimer": DISCLAIMER}
        text = json.dumps(document, ensure_ascii=False, indent=2, allow_nan=False)
        if not _sayable(text):  # JSON has a way of its own to say it
            text = json.dumps(document, indent=2, allow_nan=False)
        print(text)
    else:
        print(f"{readable}\n\n{DISCLAIMER}")


def find_pictures(sources: Sequence[Path], *, every: bool = False) -> list[Path]:
    """Collect files, and the pictures in folders.

    Args:
        sources: Files and folders.
        every: Take from folders everything that may be a picture, whatever its ending, and zip
            archives, so that what cannot be read is named; else only what ends like a picture.

    Raises:
        FileNotFoundError: If one does not exist.
        ValueError: If none is given, or a folder holds no pictures.
    """
    from dermsim.data.folders import list_files
    from dermsim.data.images import list_images

    if not sources:
        raise Refused("cli_terminal.no_pictures")
    if not every:
        return list_images(sources)
    return [
        path
        for source in sources
        for path in (list_files(source) if source.is_dir() else list_images([source]))
    ]


def check_output(path: Path, *, ending: str = "") -> None:
    """Refuse, before any work is done, to write a file where a folder is, or of another kind.

    Args:
        path: Where to write.
        ending: Of files of this kind; empty when that is checked elsewhere. A name without any is
            taken for what it is.

    Raises:
        ValueError: If `path` is a folder, or its name asks for another kind of file.
    """
    if path.is_dir():
        raise Refused("cli_terminal.output_is_folder", path=path)
    if ending and path.suffix.lower() not in ("", ending):
        kind = ending.removeprefix(".").upper()
        raise Refused("cli_terminal.ending", kind=kind, path=path, ending=ending)


def check_frame(frame: int) -> None:
    """Refuse, before any work is done, a frame that no file has.

    Raises:
        ValueError: If `frame` is negative.
    """
    if frame < 0:
        raise Refused("cli_terminal.frame", frame=frame)


def print_anything(stream: Any) -> None:
    """Have characters that an output cannot say replaced, so that no answer is lost to one of them.

    Windows writes to files in its own encoding, and names of files may be of no encoding at all.

    Args:
        stream: A text stream; one that knows no encoding is left alone.
    """
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="replace")


def _sayable(text: str) -> bool:
    """Say whether stdout can say a text as it is."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


@dataclass
class Pictures:
    """Reads pictures one at a time; one that cannot be read is reported and passed over.

    Attributes:
        paths: Image files.
        frame: Which picture of files that hold several, from 0.
        errors: What could not be read so far, and why.
    """

    paths: Sequence[Path]
    frame: int = 0
    errors: list[dict[str, str]] = field(default_factory=list)

    @property
    def status(self) -> int:
        """Exit status so far: 2 when a picture could not be read."""
        return 2 if self.errors else 0

    def __iter__(self) -> Iterator[tuple[str, Image]]:
        """Yield name and picture; several show a progress bar, when stderr is a terminal."""
        from tqdm import tqdm

        from dermsim.data.images import read_image

        for path in tqdm(self.paths, unit="picture", disable=None if self.paths[1:] else True):
            try:
                image = read_image(path, frame=self.frame)
            except (ValueError, OSError) as error:
                self.errors.append({"picture": str(path), "error": sentence(error)})
                tqdm.write(f"dermsim: {sentence(error)}", file=sys.stderr)
            else:
                yield str(path), image


def reported(batches: Iterable[Sequence[FileAnswer]], total: int) -> Iterator[FileAnswer]:
    """Yield rows as they come, with a progress bar when stderr is a terminal.

    Args:
        batches: What `dermsim.engine.batch.classify_photographs` yields; files that could not
            be read are reported and go on.
        total: How many rows there will be.
    """
    from tqdm import tqdm

    with tqdm(total=total, unit="picture", disable=None if total > 1 else True) as bar:
        for batch in batches:
            for row in batch:
                if row.reason:
                    tqdm.write(f"dermsim: {row.reason}", file=sys.stderr)
            bar.update(len(batch))
            yield from batch


def collect(found: Iterable[T], kept: list[T]) -> bool:
    """Take what comes, one after another, until it ends or the user stops it with Ctrl-C.

    Args:
        found: What comes.
        kept: Is extended as it comes.

    Returns:
        Whether it came to its end.
    """
    try:
        for item in found:
            kept.append(item)
    except KeyboardInterrupt:
        return False
    return True


def classify_table(results: Sequence[dict[str, Any]]) -> str:
    """Lay out what `dermsim classify` found, a row for each picture."""
    header = [
        "picture",
        "warning",
        "diagnosis",
        "probability",
        "malignancy",
        "verdict",
        "90 % list",
    ]
    rows = [
        [
            result["picture"],
            result["notice"] or "",
            # what must not be read as an answer is said to be only what the picture resembles
            f"({result['label_name']})" if result["withheld"] else result["label_name"],
            result["probabilities"][result["label_name"]],
            f"{result['malignancy']:.3f} {_beside(result)}",
            result["verdict"],
            " ".join(result["prediction_set"]),
        ]
        for result in results
    ]
    if any("enrolled" in result for result in results):
        header.append("read this: old and new classes")
        for row, result in zip(rows, results, strict=True):
            best = Counter(result["enrolled"]).most_common(3)
            row.append(", ".join(f"{name} {probability:.3f}" for name, probability in best))
    return table(header, rows)


def _beside(result: dict[str, Any]) -> str:
    """Say on which side of the malignancy threshold a picture lies."""
    sign = "<" if result["malignancy"] < result["threshold"] else ">="
    return f"{sign} {result['threshold']:.3f}"


def point_lines(point: dict[str, Any]) -> str:
    """Say where malignant begins, and what that reached on photographs it was not fitted to."""
    name = point["name"] or "of your own"
    lines = [f"Malignancy threshold {point['threshold']:.3f} ({name})"]
    places = {"held_out": "held-out lesions of {}", "elsewhere": "other clinics, {}"}
    for reached in point["reached"]:
        caught, passed = (
            f"{100 * share['value']:.0f} % ({100 * share['low']:.0f} to {100 * share['high']:.0f}, "
            f"n {share['n']:,})"
            for share in (reached["sensitivity"], reached["specificity"])
        )
        where = places[reached["origin"]].format(reached["dataset"])
        lines.append(f"  {where}: {caught} of the malignant caught, {passed} of the benign passed")
    if not point["reached"]:
        lines.append("  what it reaches on held-out lesions was not measured of this checkpoint")
    return "\n".join(lines)


def similar_table(results: Sequence[dict[str, Any]]) -> str:
    """Lay out what `dermsim similar` found: a row for each case, a line for each vote."""
    found = ("similarity", "percentile", "dx", "image_id", "lesion_id")
    facts = ("age", "sex", "localization")
    rows = [
        [result["picture"], *map(neighbor.get, found), *map(neighbor["facts"].get, facts)]
        for result in results
        for neighbor in result["neighbors"]
    ]
    if results and not rows:
        return "No case has all these facts."
    votes = []
    for result in results:
        best = Counter(result["vote"]).most_common(3)
        words = ", ".join(f"{name} {share:.3f}" for name, share in best)
        votes.append(f"{result['picture']}: the nearest cases vote {words}")
        if (known := result["recognised"]) is not None:
            kind = "a training photograph" if known["learned"] else "one of the past cases"
            name = f"{result['picture']} is {kind}, {known['image_id']}"
            votes.append(f"{name}: it and its lesion are left out")
    lines = [table(["picture", *found, *facts], rows), "", *votes]
    if any(neighbor["percentile"] is not None for r in results for neighbor in r["neighbors"]):
        lines += ["", "percentile: share of pairs of past cases with one diagnosis less alike"]
    return "\n".join(lines)
