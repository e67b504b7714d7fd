"""How well classes that an encoder was trained without are told apart by a few pictures of each.

Two-way episodes, as in Meta-DermDiagnosis (Mahajan et al., 2020,
https://doi.org/10.1109/CVPRW50498.2020.00373), with two differences: pictures shown and asked about
are of different lesions, one picture of each, and the intervals are over lesions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dermsim.core.bootstrap import Bootstrap, number_lesions
from dermsim.core.labels import CODES
from dermsim.core.refused import Refused
from dermsim.evaluation.protocols.episodes import Answers, Episode, draw_episodes
from dermsim.evaluation.protocols.protocol_cases import (
    Cases,
    encode_cases,
    left_out_classes,
    select,
)
from dermsim.evaluation.protocols.protocol_tables import Key, Table, TableRow
from dermsim.tasks.enroll import HEADS, ClassBank, Space

if TYPE_CHECKING:
    from datasets import Dataset

    from dermsim.engine import DermSim

SHOTS = (1, 3, 5)
EPISODES = 600
ALL_PAIRS = "all pairs"


def evaluate_few_shot(
    engine: DermSim,
    dataset: Dataset,
    *,
    classes: Sequence[str] = (),
    shots: Sequence[int] = SHOTS,
    episodes: int = EPISODES,
    resamples: int = 1000,
    seed: int = 0,
) -> Table:
    """Run the protocol on a checkpoint.

    Args:
        engine: A checkpoint trained without some diagnoses.
        dataset: Rows of the `load_ham10000` schema; all photographs of the new classes are used,
            since none was trained on.
        classes: Which of those diagnoses; all when empty.
        shots: Numbers of pictures shown of each class.
        episodes: Episodes per number of shots, at least.
        resamples: Lesion-bootstrap resamples.
        seed: Seed of the episodes and resamples.

    Raises:
        ValueError: If the encoder was trained with one of the classes, or there are fewer than two.
    """
    left_out = left_out_classes(engine, classes)
    if len(left_out) < 2:
        raise Refused("few_shot.one_class", left_out=left_out[0])
    cases = encode_cases(engine, select(dataset, left_out), purpose="new classes")
    plain = ClassBank(space=Space("embeddings"), fingerprint=engine.fingerprint)
    banks = {engine.class_bank().space.name: engine.class_bank().blank(), "embeddings": plain}
    bootstrap = Bootstrap(cases.lesion_ids, resamples, seed)
    rows: list[TableRow] = []
    for count in shots:
        drawn = list(
            draw_episodes(cases.labels, cases.lesion_ids, shots=count, count=episodes, seed=seed)
        )
        rows += _of_all_heads(banks, cases, bootstrap, drawn, shots=count)
    pictures = ", ".join(
        f"{code} {int((cases.labels == CODES.index(code)).sum())}" for code in left_out
    )
    return Table(
        "few-shot",
        f"Two-way episodes of {', '.join(left_out)} ({pictures} photographs of "
        f"{len(set(cases.lesion_ids))} lesions), on which the encoder was not trained; it was on "
        f"{', '.join(engine.known)}. At least {episodes} episodes for each number of "
        "shots, every pair as often; pictures shown and asked about are of different lesions, one "
        f"of each. Intervals are 95 %, from {resamples:,} bootstrap resamples of the lesions asked "
        "about; n counts these lesions. The ± is that of papers on few-shot learning: over "
        "episodes, of the accuracy.",
        tuple(rows),
        {"fingerprint": engine.fingerprint, "episodes": episodes, "seed": seed},
    )


def _of_all_heads(
    banks: Mapping[str, ClassBank],
    cases: Cases,
    bootstrap: Bootstrap,
    episodes: Sequence[Episode],
    *,
    shots: int,
) -> list[TableRow]:
    """Return a row for each space and head, and of the first space's means one for each pair."""
    first, rows = next(iter(banks)), []
    for space, bank in banks.items():
        vectors = getattr(cases.encoding, space)
        for head in HEADS:
            answers = answer(bank, vectors, bootstrap, episodes, head=head)
            keys: dict[str, Key] = {
                "vectors": space.replace("_", " "),
                "head": head,
                "shots": shots,
            }
            rows.append(_row(keys, ALL_PAIRS, answers))
            if space == first and head == "mean":
                rows += _pairs(keys, episodes, answers)
    return rows


def answer(
    bank: ClassBank,
    vectors: npt.NDArray[np.float32],
    bootstrap: Bootstrap,
    episodes: Sequence[Episode],
    *,
    head: str,
) -> Answers:
    """Let a head answer two-way episodes.

    Args:
        bank: Without classes, `ClassBank.blank`.
        vectors: ``(N, D)`` of all photographs, as the encoder makes them.
        bootstrap: The N lesions and how they are resampled.
        episodes: Of rows of `vectors`, all with as many queries.
        head: One of `dermsim.tasks.enroll.HEADS`.
    """
    lesions = number_lesions(bootstrap.lesion_ids)
    margins = []
    for episode in episodes:
        taught = bank
        for place, shown in enumerate(episode.support):
            taught = taught.enroll(f"class {place}", vectors[shown], head=head)
        scores = taught.scores(vectors[episode.queries.ravel()])
        margins.append((scores[:, 1] - scores[:, 0]).reshape(episode.queries.shape))
    return Answers(
        np.stack(margins),
        np.stack([lesions[episode.queries] for episode in episodes]),
        bootstrap.resamples,
        bootstrap.seed,
    )


def _pairs(
    keys: Mapping[str, Key],
    episodes: Sequence[Episode],
    answers: Answers,
) -> list[TableRow]:
    """Return a row for each pair of classes."""
    rows = []
    for pair in sorted({episode.classes for episode in episodes}):
        own = np.array([episode.classes == pair for episode in episodes])
        name = " or ".join(CODES[label] for label in pair)
        part = replace(answers, margins=answers.margins[own], lesions=answers.lesions[own])
        rows.append(_row(keys, name, part))
    return rows


def _row(keys: Mapping[str, Key], classes: str, answers: Answers) -> TableRow:
    return TableRow(
        {"classes": classes, **keys},
        {
            "accuracy": answers.accuracy(),
            "AUC": answers.auc(),
        },
        {"± over episodes": answers.episode_error()},
    )
