"""The list of concepts, and what a data set says of them in its rows."""

from __future__ import annotations

import functools
import tomllib
from collections import Counter
from collections.abc import Sequence
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dermsim.core.concept_schema import Concept, Schema
from dermsim.core.language import LANGUAGES, words
from dermsim.core.refused import Refused

if TYPE_CHECKING:
    from datasets import Dataset


@functools.cache
def load_schema() -> Schema:
    """Read ``concepts.toml``, which lies beside this module; it is checked as it is read.

    What the concepts are called stands in the files of `dermsim.core.language`.
    """
    text = files("dermsim.data").joinpath("concepts.toml").read_text(encoding="utf-8")
    said = {language: words(language, "concepts") for language in LANGUAGES}
    return Schema.parse(tomllib.loads(text), said)


def source_of(rows: Dataset) -> str:
    """Return the name of the data set that rows come from.

    Args:
        rows: As `dermsim.data.dataset.load_dataset` returns them, with all columns.

    Raises:
        ValueError: If they come from several, or the column is not there.
    """
    if "source" not in rows.column_names:
        raise Refused("data_concepts.no_source")
    names = Counter(rows["source"])
    if len(names) != 1:
        raise Refused("data_concepts.several_sources", count=len(names))
    (name,) = names
    return str(name)


def concept_labels(
    rows: Dataset, concepts: Sequence[Concept], *, source: str
) -> npt.NDArray[np.int8]:
    """Say for each row which concepts a person saw.

    Args:
        rows: With the column ``concepts``, as `dermsim.data.dataset.load_dataset` returns them.
        concepts: K concepts that the data set labels.
        source: Name of its adapter.

    Returns:
        ``(N, K)`` int8: 1 where the concept was seen, 0 where it was looked for and not seen, -1
        where nobody looked.
    """
    found = np.full((len(rows), len(concepts)), -1, dtype=np.int8)
    for row, pairs in enumerate(rows["concepts"]):
        states = {pair["concept"]: pair["state"] for pair in pairs or []}
        for column, concept in enumerate(concepts):
            labelling = concept.labels[source]
            if (state := states.get(labelling.criterion)) is not None:
                found[row, column] = state in labelling.positive
    return found
