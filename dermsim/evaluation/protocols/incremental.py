"""What is forgotten while an encoder learns one new class after another, its weights at rest.

Class-incremental learning from few pictures: the classes the encoder was trained without are
enrolled one at a time, from training lesions, and after each step everything known so far is asked
about, on test lesions. Forgetting is that of Chaudhry et al. (2018,
https://arxiv.org/abs/1801.10112): how much lower the recall of an earlier class is at the end than
it was at its best.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dermsim.core.bootstrap import Bootstrap, rows_by_lesion
from dermsim.core.labels import CODES
from dermsim.core.metrics import FloatArray, IntArray, macro_mean
from dermsim.core.refused import Refused
from dermsim.evaluation.protocols.protocol_cases import (
    Cases,
    encode_cases,
    left_out_classes,
    select,
)
from dermsim.evaluation.protocols.protocol_tables import Table, TableRow
from dermsim.tasks.enroll import HEADS, ClassBank

if TYPE_CHECKING:
    from datasets import Dataset

    from dermsim.engine import DermSim

SHOTS = (5, 20)
DRAWS = 20
"""Times that the pictures of the new classes are drawn anew."""

START = "start"
"""Name of the step before anything is enrolled."""


def evaluate_incremental(
    engine: DermSim,
    dataset: Dataset,
    *,
    classes: Sequence[str] = (),
    shots: Sequence[int] = SHOTS,
    draws: int = DRAWS,
    split: str = "test",
    resamples: int = 1000,
    seed: int = 0,
) -> Table:
    """Run the protocol on a checkpoint.

    Args:
        engine: A checkpoint trained without some diagnoses.
        dataset: Rows of the `load_ham10000` schema, of all seven diagnoses.
        classes: New classes in the order in which they are enrolled; all when empty.
        shots: Numbers of pictures of each, one of a lesion. A class with fewer training lesions
            gives all of them.
        draws: How often the pictures are drawn; figures are means over the draws.
        split: Part of the data on which figures are read, ``"test"`` or ``"validation"``.
        resamples: Lesion-bootstrap resamples.
        seed: Seed of draws and resamples.

    Raises:
        ValueError: If the encoder was trained with one of the classes, or the split is unknown.
    """
    if split not in ("validation", "test"):
        raise Refused("incremental.split", split=split)
    new = left_out_classes(engine, classes)
    old = engine.known
    pictures = encode_cases(engine, select(dataset, new, split="train"), purpose="new classes")
    cases = encode_cases(engine, select(dataset, (*old, *new), split=split), purpose=split)
    bank = engine.class_bank()
    bootstrap = Bootstrap(cases.lesion_ids, resamples, seed)
    rows: list[TableRow] = []
    for count in shots:
        for head in ("auto", *HEADS):
            course = run_course(
                bank, pictures, cases, new, shots=count, head=head, draws=draws, seed=seed
            )
            rows += _rows(course, count, head, bootstrap)
    return Table(
        "class-incremental",
        f"{', '.join(new)} enrolled one after another beside {', '.join(old)}, the encoder as it "
        f"is; pictures from training lesions, one of each, drawn {draws} times. Figures are of the "
        f"{split} split, {len(cases):,} photographs of {len(set(cases.lesion_ids)):,} lesions: "
        "mean recall over the old classes, over those enrolled so far, and over both. Forgetting "
        "is the recall that earlier classes, old and new, have lost since it was highest, their "
        f"mean. Means over the draws; intervals are 95 %, from {resamples:,} bootstrap resamples "
        "of whole lesions; n counts photographs.",
        tuple(rows),
        {"fingerprint": engine.fingerprint, "draws": draws, "seed": seed},
    )


@dataclass(frozen=True, eq=False)
class Course:
    """What was right after each step.

    Attributes:
        steps: Their names: `START`, then each new class.
        labels: ``(N,)`` indices into `CODES`.
        classes: Which labels are known after each step: the old ones, then one more each.
        hits: ``(steps, N)`` share of the draws in which each image was right after each step; 0
            while its class is not known.
    """

    steps: tuple[str, ...]
    labels: IntArray
    classes: tuple[tuple[int, ...], ...]
    hits: FloatArray

    def recall(self, step: int, rows: IntArray, *, among: Sequence[int]) -> float:
        """Return the mean recall of the rows ``(n,)`` over some classes; NaN if none has a row."""
        own = rows[np.isin(self.labels[rows], among)]
        if len(own) == 0:
            return float("nan")
        return macro_mean(self.hits[step][own], self.labels[own], len(CODES))

    def forgetting(self, step: int, rows: IntArray) -> float:
        """Return what the classes known before a step have lost by then, over the rows ``(n,)``."""
        lost = []
        for label in self.classes[step - 1]:
            since = next(s for s, known in enumerate(self.classes) if label in known)
            recalls = [self.recall(s, rows, among=[label]) for s in range(since, step + 1)]
            lost.append(max(recalls[:-1]) - recalls[-1])
        return float(np.nanmean(lost)) if not np.isnan(lost).all() else float("nan")


def run_course(
    bank: ClassBank,
    pictures: Cases,
    cases: Cases,
    new: Sequence[str],
    *,
    shots: int,
    head: str,
    draws: int,
    seed: int,
) -> Course:
    """Enrol classes one after another and ask about everything known, again and again.

    Args:
        bank: With the old classes.
        pictures: Of the new classes.
        cases: To ask about, old and new.
        new: Names of the new classes, in order.
        shots: Pictures of each.
        head: One of `dermsim.tasks.enroll.HEADS`, or ``"auto"``.
        draws: How often pictures are drawn.
        seed: Seed of the draws.
    """
    asked = getattr(cases.encoding, bank.space.name)
    shown = getattr(pictures.encoding, bank.space.name)
    names = np.array(CODES)[cases.labels]
    rng = np.random.default_rng(seed)
    hits = np.zeros((len(new) + 1, len(cases)))
    for _ in range(draws):
        taught = bank
        hits[0] += _right(taught, asked, names)
        for step, name in enumerate(new, start=1):
            rows = _draw(pictures, CODES.index(name), shots, rng)
            taught = taught.enroll(name, shown[rows], head=head)
            hits[step] += _right(taught, asked, names)
    old = tuple(CODES.index(name) for name in bank.old_names)
    added = [CODES.index(name) for name in new]
    known = tuple((*old, *added[:step]) for step in range(len(new) + 1))
    return Course((START, *new), cases.labels, known, hits / draws)


def _right(
    bank: ClassBank, vectors: npt.NDArray[np.float32], names: npt.NDArray[np.str_]
) -> npt.NDArray[np.bool_]:
    return np.array(bank.names)[bank.scores(vectors).argmax(axis=1)] == names


def _draw(pictures: Cases, label: int, shots: int, rng: np.random.Generator) -> IntArray:
    """Draw lesions of a class without replacement, and one photograph of each."""
    own = np.flatnonzero(pictures.labels == label)
    groups = rows_by_lesion([pictures.lesion_ids[row] for row in own.tolist()])
    chosen = rng.permutation(len(groups))[:shots]
    return np.array([own[rng.choice(groups[place])] for place in chosen], dtype=np.int64)


def _rows(course: Course, shots: int, head: str, bootstrap: Bootstrap) -> list[TableRow]:
    """Return a row for each step."""
    rows = []
    old = course.classes[0]
    for step, name in enumerate(course.steps):
        known = course.classes[step]
        # only images of what is known count: a class not yet enrolled cannot be right
        asked = np.flatnonzero(np.isin(course.labels, known))
        metrics: dict[str, Callable[[IntArray], float]] = {
            "old": partial(course.recall, step, among=old),
            "all": partial(course.recall, step, among=known),
        }
        if step:
            metrics["new"] = partial(course.recall, step, among=known[len(old) :])
            metrics["forgetting"] = partial(course.forgetting, step)
        figures = {
            column: bootstrap.interval(metric, among=asked) for column, metric in metrics.items()
        }
        rows.append(TableRow({"shots": shots, "head": head, "after": name}, figures))
    return rows
