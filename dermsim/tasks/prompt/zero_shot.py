"""Pictures compared with names that no classifier was trained with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dermsim.core.vectors import l2_normalize
from dermsim.tasks.prompt.directions import Directions


@dataclass(frozen=True, eq=False)
class ZeroShot:
    """What N pictures are like, among C names.

    Attributes:
        names: C of them.
        similarities: ``(N, C)`` cosines.
        probabilities: ``(N, C)``, of the softmax over scaled cosines; None where there is only one
            name, of which a softmax says nothing.
        spread: ``(N, C, 2)``, the least and the greatest probability over single templates, or
            cosine where there is one name: how much the wording alone moves.
        percentiles: ``(N, C)``, the share of past cases that a name fits less well than a picture,
            in [0, 1].
    """

    names: tuple[str, ...]
    similarities: npt.NDArray[np.float32]
    probabilities: npt.NDArray[np.float32] | None
    spread: npt.NDArray[np.float32]
    percentiles: npt.NDArray[np.float32]


def zero_shot(
    embeddings: npt.NDArray[np.float32],
    directions: Directions,
    *,
    scale: float,
    past: npt.NDArray[np.float32],
) -> ZeroShot:
    """Compare pictures with names.

    Args:
        embeddings: ``(N, D)`` unit rows.
        directions: Of the names.
        scale: What cosines are multiplied by, the encoder's ``exp(logit_scale)``.
        past: ``(M, D)`` unit rows of past cases.
    """
    cosines = embeddings @ directions.prototypes.T
    each = np.einsum("nd,tcd->tnc", embeddings, directions.by_template)
    alone = len(directions.names) == 1
    shown = each if alone else softmax(scale * each)
    known = np.sort(past @ directions.prototypes.T, axis=0)
    below = [np.searchsorted(known[:, name], cosines[:, name]) for name in range(known.shape[1])]
    return ZeroShot(
        names=directions.names,
        similarities=cosines,
        probabilities=None if alone else softmax(scale * cosines),
        spread=np.stack([shown.min(axis=0), shown.max(axis=0)], axis=-1),
        percentiles=(np.stack(below, axis=1) / max(1, len(known))).astype(np.float32),
    )


def softmax(scores: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Return the softmax of scores ``(..., C)`` over the last axis."""
    risen = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return (risen / risen.sum(axis=-1, keepdims=True)).astype(np.float32)


def center_rows(
    rows: npt.NDArray[np.float32], center: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Take off what all rows ``(N, D)`` share, center ``(D,)``, and bring them to unit length.

    A row that is nothing but that becomes 0.

    The embeddings of pictures and of texts lie apart (Liang et al. 2022,
    https://arxiv.org/abs/2203.02053). Without the mean of its own kind a text is compared by what
    tells it from other texts, and a picture by what tells it from other pictures.
    """
    apart = rows - center
    lengths = np.linalg.norm(apart, axis=1, keepdims=True)
    same = lengths <= 1e-6
    return np.where(same, 0.0, l2_normalize(np.where(same, 1.0, apart))).astype(np.float32)
