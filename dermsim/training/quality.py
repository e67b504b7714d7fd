"""Fits the gate that tells pictures not to be judged: to pictures made of training photographs.

No encoder is asked. The gate reads pixels as the encoder sees them, so that it has to be fitted
again only for an encoder that sees pictures in another size.
"""

from __future__ import annotations

import warnings
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
from dermsim.tasks.detect.quality import CLIP

if TYPE_CHECKING:
    from datasets import Dataset

    from dermsim.data.outlines import Outlines

EACH = 600
"""Pictures of each fault; of skin without a lesion there are `MORE` times as many, since no other
fault is as hard to tell."""

MORE = 3

CHANGED = 6000
"""Good photographs that are changed in ways that are no fault, beside all as they are; as many of
each diagnosis, since lesions that are hard to see are of those with few photographs."""

ENOUGH = 900
"""Photographs as which a diagnosis counts that has fewer."""

NETS, HIDDEN, DECAY, EPOCHS = 3, 96, 0.7, 60
"""Networks whose log-odds are averaged, units of their hidden layers, weight decay, and passes over
the pictures."""

BUDGETS = {"no_lesion": (0.015, 0.05), "lesion_at_edge": (0.004, 0.015)}
"""Share of all good validation photographs, and of each diagnosis, that may be stopped for it."""

BUDGET = (0.002, 0.01)
"""The same for all other reasons."""

FLOORS = {"no_lesion": 0.1, "lesion_at_edge": 0.3}
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
    for rows in (train, validation):
        refuse_exam(rows["image_id"])
    made = list(_faulty(train, outlines, side, each, seed))
    good = list(_good(train, side, seed))
    rows = np.concatenate([part for part, _ in (*made, *good)])
    truth = np.concatenate([np.tile(flags, (len(part), 1)) for part, flags in (*made, *good)])
    mean, scale = rows.mean(axis=0), rows.std(axis=0) + 1e-6
    arrays = {
        "mean": mean,
        "scale": scale,
        **_network(np.clip((rows - mean) / scale, -CLIP, CLIP), truth, seed),
        "thresholds": np.full(len(REASONS), 0.5),
    }
    plain: dict[str, Any] = {k: np.asarray(array, np.float32) for k, array in arrays.items()}
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
        found: list[npt.NDArray[np.float64]] = []
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


def _good(rows: Dataset, side: int, seed: int) -> Iterator[Described]:
    """Describe good photographs, as they are and changed; diagnoses with few count more."""
    generator = np.random.default_rng(seed)
    labels = np.array(rows["dx"])
    counts = np.bincount(labels)[labels]  # of its own diagnosis, for each photograph
    plain = _described(rows, side, "good")
    yield np.repeat(plain, np.maximum(1, ENOUGH // counts), axis=0), _flags(None)
    weight = 1 / counts
    chosen = generator.choice(len(rows), min(CHANGED, len(rows)), p=weight / weight.sum())
    bar = tqdm(chosen.tolist(), desc="changed", unit="picture", disable=None)
    pictures = [changed(squares(rows[row], None, side)[0], generator) for row in bar]
    yield describe(np.stack(pictures)), _flags(None)


def _network(
    rows: npt.NDArray[np.floating], truth: npt.NDArray[np.int64], seed: int
) -> dict[str, npt.NDArray[np.floating]]:
    """Fit several networks; averaging their log-odds makes one of them, with all hidden units."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    nets = []
    for number in range(NETS):
        net = MLPClassifier(
            (HIDDEN,),
            alpha=DECAY,
            max_iter=EPOCHS,
            n_iter_no_change=EPOCHS,
            random_state=seed + number,
        )
        with warnings.catch_warnings():  # the number of passes is chosen, not a limit
            warnings.simplefilter("ignore", ConvergenceWarning)
            nets.append(net.fit(rows, truth))
    return {
        "hidden_weight": np.concatenate([net.coefs_[0] for net in nets], axis=1),
        "hidden_bias": np.concatenate([net.intercepts_[0] for net in nets]),
        "reason_weight": np.concatenate([net.coefs_[1] for net in nets]) / NETS,
        "reason_bias": np.mean([net.intercepts_[1] for net in nets], axis=0),
    }


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
