"""What an encoder says of photographs, whatever runs it: NumPy arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dermsim.models.looks import Looks

if TYPE_CHECKING:
    from dermsim.models.encoder import Processor


@dataclass(frozen=True)
class Encoding:
    """What the encoder says of N images, as NumPy arrays.

    Attributes:
        embeddings: ``(N, D)`` float32, rows of unit length.
        logits: ``(N, 7)`` float32, of the images alone.
        pooled_features: ``(N, F)`` float32.
        facts_logits: ``(N, 7)`` float32, what facts about their patients add to the logits; None
            where nothing was told. Nothing else depends on facts.
        depths: ``(N, G)`` float32, what `dermsim.models.stages.sum_up` makes of several depths;
            None where it was not asked for.
        looks: What the pictures look like; None where nobody asked.
    """

    embeddings: npt.NDArray[np.float32]
    logits: npt.NDArray[np.float32]
    pooled_features: npt.NDArray[np.float32]
    facts_logits: npt.NDArray[np.float32] | None = None
    depths: npt.NDArray[np.float32] | None = None
    looks: Looks | None = None

    @property
    def informed_logits(self) -> npt.NDArray[np.float32]:
        """``(N, 7)``, of the images and of what is known of their patients."""
        return self.logits if self.facts_logits is None else self.logits + self.facts_logits


DETAIL = 6
"""How many times the pixels of its input's side an encoder is shown of a photograph at least, where
a JPEG is decoded at a fraction of its size: what is left of it then differs by a level of 255 at
most from what is left of the whole (two in white noise; `benchmarks/bench_read.py`)."""


def pixels_needed(processor: Processor) -> tuple[int, int]:
    """Return what `read_image` is to be told as ``at_least`` of pictures that only an encoder sees.

    Args:
        processor: Makes the encoder's input.
    """
    side = DETAIL * max(side for side in dict(processor.size).values() if side)
    return side, side


def join(
    parts: Sequence[Encoding], facts_logits: npt.NDArray[np.float32] | None = None
) -> Encoding:
    """Put what the encoder says of several batches together.

    Args:
        parts: Of the images alone, at least one.
        facts_logits: ``(N, 7)``, what `weigh_facts` says of all of them; None for nothing.
    """
    if len(parts) == 1:
        return replace(parts[0], facts_logits=facts_logits)
    looks = [part.looks for part in parts if part.looks is not None]
    summed = [part.depths for part in parts if part.depths is not None]
    return Encoding(
        np.concatenate([part.embeddings for part in parts]),
        np.concatenate([part.logits for part in parts]),
        np.concatenate([part.pooled_features for part in parts]),
        facts_logits,
        np.concatenate(summed) if len(summed) == len(parts) else None,
        None if not looks else Looks.join(looks),
    )
