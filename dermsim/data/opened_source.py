"""A source whose facts were read and checked, and whose pictures are read when it is loaded."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dermsim.core.labels import CODES
from dermsim.core.refused import Refused
from dermsim.data.label_mapping import LabelMapping
from dermsim.data.photographs import ENOUGH, is_outline
from dermsim.data.rows import Facts
from dermsim.data.sources import warn_clinical
from dermsim.data.tables import COLUMNS, schema

if TYPE_CHECKING:
    from datasets import Dataset

NAMED = 5
"""Pictures, and words, that a sentence names."""


@dataclass(frozen=True)
class OpenedSource:
    """A source whose facts were read and checked, and whose pictures were not.

    Attributes:
        source: As it was named.
        name: What figures call it: ``"HAM10000"`` and ``"synthetic"``, else the folder's own name.
        facts: Of each row of the source, as `normalise` returns them.
        kept: The first row of each image, sorted by image_id.
        pictures: Paths or encoded bytes, or what reads a column of them; in the order of `facts`.
        mapping: What the words for diagnoses were taken for.
    """

    source: str
    name: str
    facts: Sequence[Facts]
    kept: Sequence[int]
    pictures: Sequence[str | bytes] | Callable[[], Dataset]
    mapping: LabelMapping

    def load(self, *, more: bool = True, keep_other: bool = False) -> Dataset:
        """Read every picture once, and put it beside its facts.

        Args:
            more: Whether to return `MORE_COLUMNS`; without them only ``patient_id``, and that only
                where a patient is known, because splits must keep patients together.
            keep_other: As for `load_dataset`.

        Raises:
            ValueError: If a picture is missing, cannot be read or is no photograph.

        Warns:
            UserWarning: How many photographs of other diagnoses were left out; that some are
                clinical photographs, which an encoder of dermatoscopy does not know.
        """
        rows = list(self.kept)
        if not keep_other:
            rows = [row for row in rows if self.facts[row]["dx"] is not None]
            self._say_left_out([row for row in self.kept if self.facts[row]["dx"] is None])
        loaded = self._assemble(rows)
        _refuse_outlines(loaded, rows)
        warn_clinical(list(loaded["modality"]))
        patients = any(fact["patient_id"] is not None for fact in self.facts)
        narrow = [*COLUMNS, *(["patient_id"] if patients else [])]
        return loaded if more else loaded.select_columns(narrow)

    def _say_left_out(self, others: Sequence[int]) -> None:
        """Count the words of what is left out."""
        words = Counter(self.facts[row]["original_label"] or "no diagnosis" for row in others)
        counted = [f"{word} ({count})" for word, count in words.most_common(NAMED)]
        if len(others) == len(self.kept):
            raise Refused(
                "opened_source.no_photograph", source=self.source, codes=CODES, named=counted
            )
        if others:
            warnings.warn(
                f"{self.source}: {len(others):,} photographs of other diagnoses are left out: "
                f"{', '.join(counted)}{', …' if len(words) > NAMED else ''}",
                stacklevel=3,
            )

    def _assemble(self, rows: list[int]) -> Dataset:
        """Put pictures and facts side by side.

        Pictures stay where they are, on disk or memory-mapped, however many gigabytes they take.
        """
        from datasets import Dataset, Features, Image, concatenate_datasets

        features = schema(more=True)
        columns = [column for column in features if column != "image"]
        if callable(self.pictures):
            images = self.pictures().select_columns(["image"])
        else:
            encoded = [
                {"bytes": p, "path": None} if isinstance(p, bytes) else {"bytes": None, "path": p}
                for p in self.pictures
            ]
            images = Dataset.from_dict({"image": encoded}, features=Features({"image": Image()}))
        table = Dataset.from_dict(
            {column: [fact[column] for fact in self.facts] for column in columns},
            features=Features({column: features[column] for column in columns}),
        )
        images = images.cast_column("image", features["image"])
        beside = concatenate_datasets([images, table], axis=1).select(rows)
        # columns put side by side are described anew, and a photograph as any picture
        return beside.cast_column("image", features["image"])


def _refuse_outlines(dataset: Dataset, rows: Sequence[int]) -> None:
    """Read every picture, which finds what does not decode, and refuse what is no photograph."""
    from dermsim.data.pixels import map_images

    found = map_images(dataset, is_outline, at_least=ENOUGH, row_numbers=rows)
    outlines = [position for position, outline in enumerate(found) if outline]
    if outlines:
        names = dataset["image_id"]
        first = [names[position] for position in outlines[:NAMED]]
        more = ", …" if len(outlines) > NAMED else ""
        raise Refused(
            "opened_source.outlines",
            outlines_count=len(outlines),
            dataset_count=len(dataset),
            first=first,
            more=more,
        )
