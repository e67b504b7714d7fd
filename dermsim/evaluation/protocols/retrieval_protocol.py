"""How alike in diagnosis the cases are that an encoder finds alike.

Held-out lesions query the gallery of training lesions. Beside each figure stands what a ranking by
chance gets, and figures of single diagnoses stand under their mean. Photographs of another origin
query the same gallery, and those of diagnoses that the encoder never met query a gallery that has
met them: Tschandl et al. (2019, https://doi.org/10.1111/bjd.18380) asked both of HAM10000, with
photographs, not lesions, kept apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dermsim.core.bootstrap import Bootstrap, Interval
from dermsim.core.labels import CODES, LABEL2ID
from dermsim.core.metrics import IntArray
from dermsim.core.refused import Refused
from dermsim.data.splits import grouped_splits
from dermsim.evaluation.protocols.protocol_cases import Cases, encode_cases, select
from dermsim.evaluation.protocols.protocol_tables import Table, TableRow
from dermsim.evaluation.retrieval import Rankings, rank_gallery

if TYPE_CHECKING:
    from datasets import Dataset

    from dermsim.engine import DermSim

COLUMNS = {
    "precision_at_1": "P@1",
    "precision_at_5": "P@5",
    "precision_at_10": "P@10",
    "mean_average_precision": "mAP",
    "majority_vote_at_5": "mMV@5",
    "neighbor_balanced_accuracy": "16-NN balanced accuracy (most votes)",
    "neighbor_balanced_accuracy_adjusted": "16-NN balanced accuracy (votes / class frequency)",
    "neighbor_malignancy_auc": "16-NN malignancy AUC",
}
"""What each figure is called at the head of its column; of one diagnosis the first are its own
means, and a balanced accuracy is its recall."""

SHUFFLES = 10
"""Random rankings behind the figures by chance."""

MACRO, CHANCE = "mean over diagnoses", "the same by chance"


def evaluate_retrieval_protocol(
    engine: DermSim,
    dataset: Dataset,
    *,
    split: str = "test",
    shift: Dataset | None = None,
    shift_name: str = "ISIC 2017",
    resamples: int = 1000,
    seed: int = 0,
) -> Table:
    """Run the protocol on a checkpoint.

    Args:
        engine: The checkpoint. If it was trained without some diagnoses, these are asked about
            too: training lesions of theirs join the gallery.
        dataset: Rows of the `load_ham10000` schema, with all lesions that the encoder was trained
            on.
        split: Whose lesions query: ``"test"`` or ``"validation"`` of `grouped_splits`.
        shift: Rows of another origin to query with as well.
        shift_name: What those are called.
        resamples: Lesion-bootstrap resamples.
        seed: Seed of the resamples and of the rankings by chance.

    Raises:
        ValueError: If the split is unknown, or an image or lesion that queries is in the
            checkpoint's gallery.
    """
    if split not in ("test", "validation"):
        raise Refused("retrieval_protocol.split", split=split)
    known = engine.known
    asked = encode_cases(engine, select(dataset, known, split=split), purpose="held-out lesions")
    gallery = _gallery_cases(engine)
    name = f"held-out lesions ({split})"
    measured = [_measure(name, asked, gallery, Bootstrap(asked.lesion_ids, resamples, seed))]
    if shift is not None:
        others = encode_cases(engine, select(shift, known), purpose=shift_name)
        bootstrap = Bootstrap(others.lesion_ids, resamples, seed)
        measured.append(_measure(shift_name, others, gallery, bootstrap))
    left_out = [code for code in CODES if code not in known]
    if left_out:
        name = f"diagnoses never trained on ({split})"
        strange, grown = _never_trained_on(engine, dataset, left_out, split, gallery)
        bootstrap = Bootstrap(strange.lesion_ids, resamples, seed)
        measured.append(_measure(name, strange, grown, bootstrap))
    return Table(
        "retrieval",
        f"Queries rank the {len(engine.gallery):,} training cases of the checkpoint by cosine "
        "similarity, cases of the query's own lesion left out; a case is right when it has the "
        "query's diagnosis. mAP is over the whole gallery, mMV@5 the share of queries whose "
        "diagnosis is the commonest of the 5 nearest. The 16 nearest vote with weight "
        "exp(similarity / 0.07). By chance: the gallery in random order, mean of "
        f"{SHUFFLES} orders and their range. Intervals are 95 %, from {resamples:,} bootstrap "
        "resamples of whole lesions; n counts images."
        + (f" The encoder was trained without {', '.join(left_out)}." if left_out else ""),
        tuple(row for rows in measured for row in rows),
        {"fingerprint": engine.fingerprint, "seed": seed, "resamples": resamples},
    )


Embedded = tuple[npt.NDArray[np.float32], IntArray, list[str | None]]
"""Embeddings ``(M, D)``, diagnoses ``(M,)`` and M lesions."""


def _gallery_cases(engine: DermSim) -> Embedded:
    records = engine.gallery.records
    labels = np.array([LABEL2ID[dx] for dx in records.values("dx")])
    return engine.gallery.embeddings, labels, records.values("lesion_id")


def _never_trained_on(
    engine: DermSim, dataset: Dataset, left_out: list[str], split: str, gallery: Embedded
) -> tuple[Cases, Embedded]:
    """Return the queries of new diagnoses, and the gallery with training lesions of theirs."""
    train = select(grouped_splits(dataset)["train"], left_out)
    taught = encode_cases(engine, train, purpose="gallery of new diagnoses")
    strange = encode_cases(engine, select(dataset, left_out, split=split), purpose="new diagnoses")
    return strange, _join(gallery, taught)


def _join(gallery: Embedded, cases: Cases) -> Embedded:
    return (
        np.concatenate([gallery[0], cases.encoding.embeddings]),
        np.concatenate([gallery[1], cases.labels]),
        [*gallery[2], *cases.lesion_ids],
    )


def _measure(name: str, asked: Cases, gallery: Embedded, bootstrap: Bootstrap) -> list[TableRow]:
    """Return the rows of one set of queries: the mean, by chance, and each diagnosis."""
    found = _rank(asked, gallery)
    shuffled = [
        _rank(asked, gallery, chance=np.random.default_rng((bootstrap.seed, number)))
        for number in range(SHUFFLES)
    ]

    def row(diagnosis: str, figures: dict[str, Interval]) -> TableRow:
        named = {COLUMNS[figure]: interval for figure, interval in figures.items()}
        return TableRow({"queries": name, "diagnosis": diagnosis}, named)

    metrics = found.metrics()
    rows = [
        row(MACRO, {name: bootstrap.interval(metric) for name, metric in metrics.items()}),
        row(CHANCE, {figure: _by_chance(shuffled, figure) for figure in metrics}),
    ]
    present = [label for label in range(len(CODES)) if (asked.labels == label).any()]
    for label in present if len(present) > 1 else ():
        rows_of = np.flatnonzero(asked.labels == label)
        own = bootstrap.take(rows_of)
        metrics = found.take(rows_of).metrics()
        figures = {figure: own.interval(metric) for figure, metric in metrics.items()}
        rows.append(row(CODES[label], figures))
    return rows


def _rank(
    asked: Cases, gallery: Embedded, *, chance: np.random.Generator | None = None
) -> Rankings:
    embeddings, labels, lesions = gallery
    return rank_gallery(
        asked.encoding.embeddings,
        asked.labels,
        asked.lesion_ids,
        gallery_embeddings=embeddings,
        gallery_labels=labels,
        gallery_lesions=lesions,
        chance=chance,
    )


def _by_chance(shuffled: Sequence[Rankings], figure: str) -> Interval:
    rows = np.arange(len(shuffled[0].labels))
    values = [rankings.metrics()[figure](rows) for rankings in shuffled]
    return Interval(float(np.mean(values)), min(values), max(values), len(rows))
