"""The rows a protocol is run on: which diagnoses an encoder has met, and which rows it has not."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from dermsim.core.labels import CODES
from dermsim.core.refused import Refused
from dermsim.data.splits import grouped_splits
from dermsim.evaluation.held_out import refuse_learned
from dermsim.models.encode import Encoding, encode

if TYPE_CHECKING:
    from datasets import Dataset

    from dermsim.core.metrics import IntArray
    from dermsim.engine import DermSim

SPLITS = ("train", "validation", "test", "all")
"""Parts of a data set."""


@dataclass(frozen=True, eq=False)
class Cases:
    """N images as a protocol needs them.

    Attributes:
        encoding: What the encoder says of them.
        labels: ``(N,)`` indices into `CODES`.
        lesion_ids: N lesions; None where not known.
    """

    encoding: Encoding
    labels: IntArray
    lesion_ids: list[str | None]

    def __len__(self) -> int:
        """N."""
        return len(self.labels)

    def take(self, rows: IntArray) -> Cases:
        """Return the cases of some rows: their numbers ``(n,)``, or a mask ``(N,)``."""
        places = np.arange(len(self))[rows]
        picked = Encoding(
            self.encoding.embeddings[places],
            self.encoding.logits[places],
            self.encoding.pooled_features[places],
        )
        lesions = [self.lesion_ids[place] for place in places]
        return Cases(picked, self.labels[places], lesions)


def left_out_classes(engine: DermSim, wanted: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the diagnoses that an encoder was trained without.

    Args:
        engine: The checkpoint.
        wanted: Some of them; all when empty.

    Raises:
        ValueError: If it was trained with all seven, or with one of those wanted.
    """
    missing = tuple(code for code in CODES if code not in engine.known)
    if not missing:
        raise Refused("protocol_cases.all_known")
    if wrong := [code for code in wanted if code not in missing]:
        raise Refused("protocol_cases.known_class", wrong=wrong[0], missing=list(missing))
    return tuple(wanted) or missing


def select(dataset: Dataset, codes: Collection[str], *, split: str = "all") -> Dataset:
    """Take the rows of some diagnoses.

    Args:
        dataset: Rows of the `load_ham10000` schema, of all seven: splits are made before anything
            is left out, as for training.
        codes: Diagnoses to keep.
        split: One of `SPLITS` of `grouped_splits`; ``"all"`` for every row.

    Raises:
        ValueError: If the split is unknown, or nothing is left.
    """
    if split not in SPLITS:
        raise Refused("protocol_cases.split", split=split, splits=SPLITS)
    rows = dataset if split == "all" else grouped_splits(dataset)[split]
    kept = [row for row, dx in enumerate(rows["dx"]) if CODES[dx] in codes]
    if not kept:
        raise Refused("protocol_cases.no_image", codes=sorted(codes), split=split)
    return rows.select(kept)


def encode_cases(engine: DermSim, rows: Dataset, *, purpose: str, learned: bool = False) -> Cases:
    """Run the encoder over rows, by default such as it has not learned from.

    Args:
        engine: The checkpoint.
        rows: Rows of the `load_ham10000` schema.
        purpose: What they are for, shown beside the progress bar.
        learned: Whether they may be in the checkpoint's gallery.

    Raises:
        ValueError: If an image or its lesion is there and may not be.
    """
    if not learned:
        refuse_learned(engine.gallery, rows)
    pictures = tqdm(rows["image"], total=len(rows), desc=purpose, unit="picture", disable=None)
    encoding = encode(engine.model, engine.processor, pictures)
    return Cases(encoding, np.array(rows["dx"]), list(rows["lesion_id"]))
