"""What becomes of an answer when what a map marks is taken away, or when only that is shown.

Images are made here, in order; what a model says of them is for
`dermsim.evaluation.explanations.subject`.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from dermsim.core.metrics import FloatArray, IntArray
from dermsim.core.refused import Refused

Image = npt.NDArray[np.float32]
"""One image ``(3, S, S)`` as the encoder takes it; 0 is the mean colour of the training data."""

FRACTIONS = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Shares of an image that ROAD takes away."""

STEPS = 10
"""Equal steps in which insertion and deletion go from one end to the other."""

NOISE = 0.01
"""Standard deviation of the noise on pixels filled in, in units of the encoder's input."""


def ranking(heatmap: npt.NDArray[np.floating], rng: np.random.Generator) -> IntArray:
    """Order the pixels of a map, the most relevant first.

    Args:
        heatmap: ``(S, S)``.
        rng: Decides between equals, such as all the places without evidence: a flat map gives a
            random order.

    Returns:
        ``(S * S,)`` numbers of pixels, row by row.
    """
    return np.lexsort((rng.random(heatmap.size), -heatmap.ravel()))


class Filler:
    """Fills in missing pixels from those around them, as ROAD does.

    Noisy linear imputation (Rong et al. 2022, arxiv.org/abs/2202.00449): every missing pixel is the
    weighted mean of its eight neighbours, 1/6 for those beside it and 1/12 for those at its
    corners, missing neighbours included; the linear system is solved exactly. A pixel set to a
    constant would tell by its shape what was taken away; one filled in tells little.

    Args:
        side: S, of the images to fill.
    """

    def __init__(self, side: int) -> None:
        self.side = side

    def fill(self, image: Image, missing: IntArray, rng: np.random.Generator) -> Image:
        """Return an image with some of its pixels filled in.

        Safe to call from several threads.

        Args:
            image: ``(3, S, S)``.
            missing: ``(M,)`` numbers of pixels, row by row, not all of them.
            rng: Makes the noise.

        Raises:
            ValueError: If no pixel is left to fill from.
        """
        from scipy.sparse.linalg import splu

        pixels = self.side**2
        if len(missing) >= pixels:
            raise Refused("removal.all_missing")
        filled = image.reshape(3, -1).copy()
        if len(missing) == 0:
            return filled.reshape(image.shape)
        unknown = np.sort(missing)
        known = np.setdiff1d(np.arange(pixels), unknown, assume_unique=True)
        rows = self._system[unknown]
        # symmetric and positive definite, so that no pivoting is needed
        solver = splu(
            rows[:, unknown].tocsc(),
            permc_spec="MMD_AT_PLUS_A",
            diag_pivot_thresh=0.0,
            options={"SymmetricMode": True},
        )
        solution = solver.solve(-(rows[:, known] @ filled[:, known].T.astype(np.float64)))
        filled[:, unknown] = solution.T + NOISE * rng.standard_normal((3, len(unknown)))
        return filled.reshape(image.shape)

    @cached_property
    def _system(self) -> Any:
        """The sparse matrix of all pixels: each less the weighted mean of its neighbours."""
        from scipy.sparse import coo_matrix

        numbers = np.arange(self.side**2).reshape(self.side, self.side)
        rows, columns, weights = [], [], []
        for down, right in [(0, 1), (1, -1), (1, 0), (1, 1)]:  # the others are their mirror images
            here = numbers[: self.side - down, max(-right, 0) : self.side - max(right, 0)].ravel()
            there = here + down * self.side + right
            weight = np.full(len(here), 1 / 6 if 0 in (down, right) else 1 / 12)
            rows += [here, there]
            columns += [there, here]
            weights += [weight, weight]
        row, column, weight = (np.concatenate(part) for part in (rows, columns, weights))
        # at the rim there are fewer neighbours, and the mean is over those there are
        total = np.bincount(row, weights=weight, minlength=numbers.size)
        values = np.concatenate([-weight, total])
        diagonal = numbers.ravel()
        places = np.concatenate([row, diagonal]), np.concatenate([column, diagonal])
        return coo_matrix((values, places), shape=(numbers.size, numbers.size)).tocsr()


def without(
    image: Image, order: IntArray, filler: Filler, rng: np.random.Generator
) -> npt.NDArray[np.float32]:
    """Take the first pixels of an order away and fill them in, for each of `FRACTIONS`.

    Args:
        image: ``(3, S, S)``.
        order: ``(S * S,)`` from `ranking`; turned around, the least relevant go first.
        filler: For images of this size.
        rng: Makes the noise.

    Returns:
        ``(len(FRACTIONS), 3, S, S)``.
    """
    counts = [round(fraction * len(order)) for fraction in FRACTIONS]
    return np.stack([filler.fill(image, order[:count], rng) for count in counts])


def deletion(image: Image, order: IntArray) -> npt.NDArray[np.float32]:
    """Paint the first pixels of an order in the mean colour, in `STEPS` steps, down to the last.

    Petsiuk et al. 2018, RISE, arxiv.org/abs/1806.07421.

    Returns:
        ``(STEPS + 1, 3, S, S)``, the image itself first and an empty one last.
    """
    return _exchange(image, np.zeros_like(image), order)


def insertion(image: Image, order: IntArray) -> npt.NDArray[np.float32]:
    """Sharpen the first pixels of an order in a blurred image, in `STEPS` steps, up to the last.

    Petsiuk et al. 2018, RISE, arxiv.org/abs/1806.07421; the blur is as wide as there for the size
    of the image, a 45th of the side.

    Returns:
        ``(STEPS + 1, 3, S, S)``, the blurred image first and the image itself last.
    """
    from scipy.ndimage import gaussian_filter

    width = image.shape[-1] / 45
    return _exchange(gaussian_filter(image, sigma=(0, width, width)), image, order)


def area_under(probabilities: FloatArray) -> FloatArray:
    """Return the areas under curves ``(..., STEPS + 1)`` that go from 0 to 1, as ``(...)``."""
    return np.trapezoid(probabilities, dx=1 / (probabilities.shape[-1] - 1), axis=-1)


def _exchange(before: Image, after: Image, order: IntArray) -> npt.NDArray[np.float32]:
    states = []
    for step in range(STEPS + 1):
        state = before.reshape(3, -1).copy()
        changed = order[: round(step / STEPS * len(order))]
        state[:, changed] = after.reshape(3, -1)[:, changed]
        states.append(state.reshape(before.shape))
    return np.stack(states)
