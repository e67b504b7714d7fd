"""Fits the gate that tells pictures not to be judged: to pictures made of training photographs.

No encoder is asked. The gate reads pixels as the encoder sees them, so that it has to be fitted
again only for an encoder that sees pictures in another size.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from dermsim.core.version import __version__
from dermsim.data.exam import refuse_exam
from dermsim.data.spoiled import SPOILERS, changed, drawn_skin, framed, squares
from dermsim.models.looks import describe
from dermsim.tasks.detect import REASONS, QualityGate, choose_thresholds

if TYPE_CHECKING:
    from datasets import Dataset

    from dermsim.data.outlines import Outlines

EACH = 600
"""Pictures of each fault; of skin without a lesion there are `MORE` times as many, since no other
fault is as hard to tell."""

MORE = 3

GOOD = 4000
"""Good photographs as they are; half as many are changed in ways that are no fault."""

HIDDEN, DECAY, EPOCHS = 64, 1.0, 150
"""Units of the hidden layer, weight decay, and passes over the pictures."""

BUDGETS = {"no_lesion": (0.015, 0.045), "lesion_at_edge": (0.004, 0.015)}
"""Share of all good validation photographs, and of each diagnosis, that may be stopped for it."""

BUDGET = (0.002, 0.01)
"""The same for all other reasons."""

FLOORS = {"no_lesion": 0.15, "lesion_at_edge": 0.3}
"""Lowest threshold; half for all other reasons."""

FRAMES = 0.1
"""Share of the faulty pictures that have a dermatoscope's black frame."""


def fit_quality(
    train: Dataset,
    validation: Dataset,
    outlines: Outlines,
    *,
    side: int,
    each: int = EACH,
    seed: int = 0,
) -> QualityGate:
    """Fit a gate.

    Args:
        train: Rows of the `load_ham10000` schema, of which faulty pictures are made.
        validation: Rows of other lesions: how many of them are stopped sets the thresholds.
        outlines: Of the lesions of `train`.
        side: S, pixels along each side of what the encoder sees.
        each: Pictures of each fault.
        seed: Seed of all chance.

    Raises:
        ValueError: If a photograph has no outline, or there are too few photographs.
    """
    from sklearn.neural_network import MLPClassifier

    for rows in (train, validation):
        refuse_exam(rows["image_id"])
    made = list(_faulty(train, outlines, side, each, seed))
    good = list(_good(train, side, min(GOOD, len(train)), seed))
    rows = np.concatenate([part for part, _ in (*made, *good)])
    truth = np.concatenate([np.tile(flags, (len(part), 1)) for part, flags in (*made, *good)])
    mean, scale = rows.mean(axis=0), rows.std(axis=0) + 1e-6
    net = MLPClassifier((HIDDEN,), alpha=DECAY, max_iter=EPOCHS, random_state=seed)
    net.fit(np.clip((rows - mean) / scale, -8, 8), truth)
    (hidden_weight, reason_weight), (hidden_bias, reason_bias) = net.coefs_, net.intercepts_
    arrays: dict[str, Any] = {
        "mean": mean,
        "scale": scale,
        "hidden_weight": hidden_weight,
        "hidden_bias": hidden_bias,
        "reason_weight": reason_weight,
        "reason_bias": reason_bias,
        "thresholds": np.full(len(REASONS), 0.5),
    }
    plain = {name: np.asarray(array, np.float32) for name, array in arrays.items()}
    open_gate = QualityGate(**plain, side=side)
    unseen = open_gate.probabilities(_described(validation, side, "validation"))
    plain["thresholds"] = choose_thresholds(
        unseen,
        np.array(validation["dx"]),
        [BUDGETS.get(reason, BUDGET) for reason in REASONS],
        floors=[FLOORS.get(reason, 0.5) for reason in REASONS],
    )
    provenance = {
        "photographs": len(train),
        "faulty": int(sum(len(part) for part, _ in made)),
        "good": int(sum(len(part) for part, _ in good)),
        "validation": len(validation),
        "stopped of validation": float((unseen > plain["thresholds"]).any(axis=1).mean()),
        "seed": seed,
        "dermsim": __version__,
    }
    return QualityGate(**plain, side=side, provenance=provenance)


Described = tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]
"""Statistics ``(n, K)`` of pictures, and ``(R,)`` which reasons hold of all of them."""


def _faulty(
    rows: Dataset, outlines: Outlines, side: int, each: int, seed: int
) -> Iterator[Described]:
    """Make pictures of every fault, each of photographs in another order."""
    generator = np.random.default_rng(seed)
    for reason, spoil in SPOILERS.items():
        wanted = each * MORE if reason == "no_lesion" else each
        found = []
        order = generator.permutation(len(rows)).tolist()
        bar = tqdm(order, desc=reason, unit="picture", disable=None)
        for row in bar:
            if len(found) == wanted:
                break
            pixels, outline = squares(rows[row], outlines, side)
            picture = spoil(pixels, outline, generator)
            if picture is not None:
                found.append(_perhaps_framed(picture, generator))
        if found:
            yield describe(np.stack(found)), _flags(reason)
    skin = [_perhaps_framed(drawn_skin(side, generator), generator) for _ in range(each)]
    yield describe(np.stack(skin)), _flags("no_lesion")


def _good(rows: Dataset, side: int, count: int, seed: int) -> Iterator[Described]:
    generator = np.random.default_rng(seed)
    chosen = generator.permutation(len(rows))[:count].tolist()
    yield _described(rows.select(chosen), side, "good"), _flags(None)
    pictures = [changed(squares(rows[row], None, side)[0], generator) for row in chosen[::2]]
    yield describe(np.stack(pictures)), _flags(None)


def _described(rows: Dataset, side: int, purpose: str) -> npt.NDArray[np.float32]:
    """Return the statistics of photographs as they are."""
    bar = tqdm(rows, desc=purpose, unit="picture", disable=None)
    return np.concatenate([describe(squares(row, None, side)[0][None]) for row in bar])


def _perhaps_framed(
    picture: npt.NDArray[np.float64], generator: np.random.Generator
) -> npt.NDArray[np.float64]:
    return framed(picture, generator) if generator.random() < FRAMES else picture


def _flags(reason: str | None) -> npt.NDArray[np.int64]:
    return np.array([reason == known for known in REASONS], dtype=np.int64)
