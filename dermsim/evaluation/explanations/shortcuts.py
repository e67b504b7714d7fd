"""How much of an answer rests on what surrounds the lesion: backgrounds are swapped and see.

A lesion is cut out along its outline and pasted into the skin of another photograph, whose own
lesion is filled in first. What is exchanged goes as it is, light and colour included, since these
are among what a model may go by.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dermsim.core.metrics import FloatArray, IntArray
from dermsim.core.refused import Refused
from dermsim.evaluation.explanations.removal import Filler, Image

FEATHER = 1 / 60
"""Width of the soft edge along which a lesion is pasted, as a share of the side."""

MARGIN = 1 / 30
"""How far beyond its outline a lesion is filled in, as a share of the side."""

ROOM = 0.2
"""Share of the square that must be skin for a photograph to lend its background."""


@dataclass(frozen=True, eq=False)
class Swapped:
    """Versions of one photograph, K of each, each with another of K photographs.

    Attributes:
        lesion_elsewhere: ``(K, 3, S, S)`` its lesion in the skin of the others.
        skin_elsewhere: ``(K, 3, S, S)`` the lesions of the others in its skin.
        pasted: ``(3, S, S)`` its lesion in its own skin seen in a mirror: cut and pasted, nothing
            exchanged.
    """

    lesion_elsewhere: npt.NDArray[np.float32]
    skin_elsewhere: npt.NDArray[np.float32]
    pasted: Image


@dataclass(frozen=True, eq=False)
class Cutout:
    """A photograph in its two parts.

    Attributes:
        image: ``(3, S, S)`` the photograph.
        skin: ``(3, S, S)`` the photograph with its lesion filled in from around it.
        alpha: ``(S, S)`` in [0, 1], how much of each pixel is the lesion's.
    """

    image: Image
    skin: Image
    alpha: npt.NDArray[np.float32]

    def on(self, skin: Image) -> Image:
        """Return the lesion in some skin, ``(3, S, S)``."""
        return (self.alpha * self.image + (1 - self.alpha) * skin).astype(np.float32)


def cut_out(
    image: Image, outline: npt.NDArray[np.bool_], filler: Filler, rng: np.random.Generator
) -> Cutout:
    """Take a photograph apart.

    Args:
        image: ``(3, S, S)``.
        outline: ``(S, S)`` bool, with some skin beside the lesion.
        filler: For images of this size.
        rng: Makes the noise on what is filled in.

    Raises:
        ValueError: If the lesion and its margin leave no skin.
    """
    from scipy.ndimage import binary_dilation, gaussian_filter

    side = outline.shape[0]
    beyond = binary_dilation(outline, iterations=max(1, round(MARGIN * side)))
    skin = filler.fill(image, np.flatnonzero(beyond), rng)
    alpha = gaussian_filter(outline.astype(np.float32), FEATHER * side)
    return Cutout(image=image, skin=skin, alpha=alpha)


def swap(own: Cutout, others: Sequence[Cutout]) -> Swapped:
    """Exchange the skin of a photograph with that of others."""
    return Swapped(
        lesion_elsewhere=np.stack([own.on(other.skin) for other in others]),
        skin_elsewhere=np.stack([other.on(own.skin) for other in others]),
        pasted=own.on(own.skin[:, :, ::-1]),
    )


def has_room(outlines: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Say which photographs show enough skin to be taken apart: ``(N, S, S)`` to ``(N,)``."""
    return 1 - outlines.mean(axis=(1, 2)) >= ROOM


def draw_partners(
    labels: IntArray,
    lesion_ids: Sequence[str | None],
    *,
    count: int,
    rng: np.random.Generator,
) -> IntArray:
    """Draw photographs to swap with: of another diagnosis, which is drawn first, evenly.

    With partners drawn evenly over photographs, two thirds would be naevi, and a background that
    says "naevus" would seldom contradict the lesion.

    Args:
        labels: ``(N,)`` integers.
        lesion_ids: N lesions.
        count: K, how many for each.
        rng: Draws them.

    Returns:
        ``(N, K)`` rows.

    Raises:
        ValueError: If a photograph has no possible partner.
    """
    partners = np.empty((len(labels), count), dtype=np.int64)
    for row, label in enumerate(labels):
        own = lesion_ids[row]
        others = [p for p in range(len(labels)) if own is None or lesion_ids[p] != own]
        pools = [
            pool
            for other in np.unique(labels)
            if other != label and (pool := [p for p in others if labels[p] == other])
        ]
        if not pools:
            raise Refused("shortcuts.backgrounds")
        for place in range(count):
            pool = pools[rng.integers(len(pools))]
            partners[row, place] = pool[rng.integers(len(pool))]
    return partners


def shares(
    both: FloatArray, inside: FloatArray, outside: FloatArray, neither: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Divide a probability between lesion and background, as Shapley (1953) divides a gain.

    What each adds depends on whether the other is there already, so that the mean of both orders
    is taken; the two shares add up to what both together add to neither.

    Args:
        both: ``(N,)`` probability for the photograph.
        inside: ``(N,)`` mean for its lesion in other skin.
        outside: ``(N,)`` mean for other lesions in its skin.
        neither: ``(N,)`` mean for the other photographs.

    Returns:
        What rests on the lesion, and what rests on the background, ``(N,)`` each.
    """
    lesion = ((inside - neither) + (both - outside)) / 2
    background = ((outside - neither) + (both - inside)) / 2
    return lesion, background


Classify = Callable[[npt.NDArray[np.float32]], FloatArray]
"""Images ``(N, 3, S, S)`` to calibrated probabilities ``(N, C)``."""


def measure(
    cutouts: Sequence[Cutout], partners: IntArray, classify: Classify, *, rows: IntArray
) -> dict[str, FloatArray]:
    """Swap the backgrounds of some photographs and ask the model.

    Args:
        cutouts: N photographs taken apart.
        partners: ``(N, K)`` from `draw_partners`.
        classify: The model.
        rows: ``(M,)`` which photographs to measure.

    Returns:
        For each of `rows`: ``background_flip`` and ``lesion_flip``, the share of swaps of the
        background, or of the lesion, after which another diagnosis is the most probable;
        ``paste_flip``, whether it is so after cutting and pasting alone; ``rests_on_lesion`` and
        ``rests_on_background``, what each adds to the probability of the diagnosis.
    """
    count = partners.shape[1]
    versions = [_versions(cutouts[row], [cutouts[p] for p in partners[row]]) for row in rows]
    said = classify(np.concatenate(versions)).reshape(len(rows), 2 + 3 * count, -1)
    labels = said[:, 0].argmax(axis=1)
    flips = said.argmax(axis=2) != labels[:, None]
    probability = said[np.arange(len(rows)), :, labels]
    # the photograph, pasted, lesion elsewhere, other lesions here, the others as they are
    parts = np.split(np.arange(2 + 3 * count), np.cumsum([1, 1, count, count]))
    both, _, inside, outside, neither = (probability[:, part].mean(axis=1) for part in parts)
    lesion, background = shares(both, inside, outside, neither)
    _, pasted, elsewhere, here, _ = (flips[:, part].mean(axis=1) for part in parts)
    return {
        "background_flip": elsewhere,
        "lesion_flip": here,
        "paste_flip": pasted,
        "rests_on_lesion": lesion,
        "rests_on_background": background,
    }


def _versions(own: Cutout, others: Sequence[Cutout]) -> npt.NDArray[np.float32]:
    """Return a photograph and its versions with K others, ``(2 + 3 K, 3, S, S)``."""
    swapped = swap(own, others)
    return np.concatenate(
        [
            own.image[None],
            swapped.pasted[None],
            swapped.lesion_elsewhere,
            swapped.skin_elsewhere,
            np.stack([other.image for other in others]),
        ]
    )
