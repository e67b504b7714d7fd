"""Near-duplicates that `dermsim duplicates` found: read, and joined to the lesions of a source.

A ``components.csv`` that lies in a data set's folder holds for whatever loads the folder, so that
training, evaluation and every other command make the same splits.
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterable
from pathlib import Path

from dermsim.core.csv_table import plain
from dermsim.core.refused import Refused, RefusedFileNotFoundError
from dermsim.data.grouping import UnionFind
from dermsim.data.rows import Facts

COMPONENTS = "components.csv"
"""What the file is called."""


def load_components(path: str | Path, *, source: Path | None = None) -> list[list[str]]:
    """Read the components that `dermsim duplicates` wrote.

    Args:
        path: ``components.csv``, or the folder that holds it.
        source: Take the pictures of this source alone, where the file tells it from others.

    Returns:
        The image_ids of each component.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it lacks a column.
    """
    file = Path(path) / COMPONENTS if Path(path).is_dir() else Path(path)
    if not file.is_file():
        raise RefusedFileNotFoundError("components.no_file", components=COMPONENTS, path=path)
    found: dict[str, list[tuple[str, str]]] = {}
    with file.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            if not {"component", "image_id"} <= row.keys():
                raise Refused("components.no_columns", file=file)
            found.setdefault(row["component"], []).append(
                (plain(row.get("source") or ""), plain(row["image_id"]))
            )
    named = {name for members in found.values() for name, _ in members}
    own = {name for name in named if source and Path(name).resolve().name == source.resolve().name}
    return [
        names
        for members in found.values()
        if (names := [image_id for name, image_id in members if not own or name in own])
    ]


def join_lesions(facts: Iterable[Facts], components: Iterable[Collection[str]]) -> int:
    """Give lesions that have photographs in common one name: they are one lesion.

    Args:
        facts: Of each image; their ``lesion_id`` is changed.
        components: The image_ids of each component of near-duplicates.

    Returns:
        How many lesions there are fewer.
    """
    rows = list(facts)
    lesions = sorted({row["lesion_id"] for row in rows})
    place = {lesion: number for number, lesion in enumerate(lesions)}
    of_image = {row["image_id"]: place[row["lesion_id"]] for row in rows}
    sets = UnionFind(len(lesions))
    for names in components:
        own = [of_image[name] for name in names if name in of_image]
        for other in own[1:]:
            sets.union(own[0], other)
    for row in rows:
        row["lesion_id"] = lesions[sets.find(place[row["lesion_id"]])]
    return len(lesions) - len({row["lesion_id"] for row in rows})
