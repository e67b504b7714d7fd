"""What `dermsim classify --prompts` and `dermsim similar --text` do and print."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dermsim.cli.terminal import Pictures, show, table
from dermsim.core.refused import say

if TYPE_CHECKING:
    from dermsim.core.refused import Keyed
    from dermsim.engine import DermSim
    from dermsim.tasks.prompt import Wording


def wording_of(prompts: Sequence[str]) -> Wording:
    """Read prompts: one TOML file, or the texts themselves.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If one cannot be asked.
    """
    from dermsim.tasks.prompt import own_wording, read_wording

    if len(prompts) == 1 and Path(prompts[0]).suffix == ".toml":
        return read_wording(Path(prompts[0]))
    return own_wording(prompts)


def classify_by_prompts(
    engine: DermSim, pictures: Pictures, wording: Wording, *, as_json: bool
) -> int:
    """Say of each picture which name it is most like, and print it."""
    results: list[dict[str, Any]] = []
    notes: tuple[Keyed, ...] = ()
    for name, image in pictures:
        (prediction,) = engine.predict(image)
        asked = engine.zero_shot(image, wording)
        notes = asked.notes
        results.append({"picture": name, "notice": prediction.notice, "prompts": asked.rows(0)})
    answer = {
        "results": results,
        "errors": pictures.errors,
        "notes": [say(note) for note in notes],
    }
    print_notes(notes)
    show(answer, prompts_table(results), as_json=as_json, drawn=engine.drawn)
    return pictures.status


def prompts_table(results: Sequence[Mapping[str, Any]]) -> str:
    """Lay out what pictures are like, a row for each name."""
    header = ["picture", "warning", "name", "probability", "by template", "cosine", "percentile"]
    rows = [
        [
            result["picture"],
            result["notice"] or "",
            row["name"],
            "" if row["probability"] is None else row["probability"],
            "{:.3f} to {:.3f}".format(*row["spread"]),
            row["similarity"],
            row["percentile"],
        ]
        for result in results
        for row in result["prompts"]
    ]
    lines = [
        table(header, rows),
        "",
        "by template: least and greatest with a single template, of probability, or of cosine",
        "where there is one name; percentile: share of past cases that the name fits less well",
    ]
    return "\n".join(lines)


def search_by_text(
    engine: DermSim,
    text: str,
    pictures: Pictures | None,
    *,
    as_json: bool,
    **options: Any,
) -> int:
    """Find the past cases that a text fits, and that are like each picture, and print them."""
    asked: list[tuple[str, Any]] = [("", None)] if pictures is None else list(pictures)
    results: list[dict[str, Any]] = []
    for name, image in asked:
        found = engine.search_text(text, like=image, **options)
        print_notes(found.notes if not results else ())
        results.append({"picture": name or None, **found.to_dict()})
    errors = [] if pictures is None else pictures.errors
    show(
        {"results": results, "errors": errors},
        text_table(results),
        as_json=as_json,
        drawn=engine.drawn,
    )
    return 0 if pictures is None else pictures.status


def text_table(results: Sequence[Mapping[str, Any]]) -> str:
    """Lay out past cases that a text fits, a row for each."""
    found = ("percentile", "dx", "image_id", "lesion_id")
    facts = ("age", "sex", "localization")
    rows = [
        [
            *([result["picture"]] if result["picture"] else []),
            *map(neighbor.get, found),
            *map(neighbor["facts"].get, facts),
        ]
        for result in results
        for neighbor in result["neighbors"]
    ]
    if results and not rows:
        return "No case has all these facts."
    pictures = ["picture"] if any(result["picture"] for result in results) else []
    note = "percentile: share of past cases that the text fits less well"
    return "\n".join([table([*pictures, *found, *facts], rows), "", note])


def print_notes(notes: Sequence[Keyed]) -> None:
    """Print what a reader must know of texts, each a line on stderr."""
    for note in notes:
        print(f"dermsim: {say(note)}", file=sys.stderr)
