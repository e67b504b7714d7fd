"""How well names alone tell the diagnoses apart, and how much of it is the wording.

Nothing is fitted: each picture gets the name whose direction it is most alike. Beside the figure of
all templates together stand the least and the greatest of single ones. Where they lie far apart the
figure says more of the sentence than of the encoder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dermsim.core.bootstrap import Bootstrap
from dermsim.core.labels import CODES
from dermsim.core.metrics import balanced_accuracy, recall_per_class
from dermsim.core.refused import Refused
from dermsim.engine.words import refuse_without_words
from dermsim.evaluation.protocols.protocol_cases import encode_cases, select
from dermsim.evaluation.protocols.protocol_tables import Table, TableRow
from dermsim.tasks.prompt import Wording, make_directions

if TYPE_CHECKING:
    from datasets import Dataset

    from dermsim.engine import DermSim

BALANCED = "balanced accuracy"
"""The row of the mean recall."""


def measure_prompts(
    engine: DermSim,
    dataset: Dataset,
    *,
    split: str = "test",
    wording: Wording | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Table:
    """Measure a checkpoint by names.

    Args:
        engine: The checkpoint.
        dataset: Rows of the `load_ham10000` schema, of all seven diagnoses.
        split: Whose lesions, of `grouped_splits`; ``"all"`` for every row.
        wording: Names of the seven, and templates; by default those of the checkpoint.
        resamples: Lesion-bootstrap resamples.
        seed: Of them.

    Raises:
        ValueError: If the checkpoint knows pictures alone, the names are not of the seven, or an
            image or lesion is in the checkpoint's gallery.
    """
    words = refuse_without_words(engine.words)
    if wording is not None and tuple(wording.names) != CODES:
        raise Refused("prompt_protocol.names", names=list(wording.names), codes=CODES)
    directions = (
        words.prompts.directions if wording is None else make_directions(wording, words.embed)
    )
    cases = encode_cases(engine, select(dataset, CODES, split=split), purpose="held-out lesions")
    embeddings, labels = cases.encoding.embeddings, cases.labels
    named = (embeddings @ directions.prototypes.T).argmax(axis=1)
    single = [(embeddings @ rows.T).argmax(axis=1) for rows in directions.by_template]
    bootstrap = Bootstrap(cases.lesion_ids, resamples, seed)
    whole = bootstrap.interval(lambda r: balanced_accuracy(labels[r], named[r], len(CODES)))
    each = [balanced_accuracy(labels, own, len(CODES)) for own in single]
    rows = [TableRow({"diagnosis": BALANCED}, {"recall": whole}, _spread(each))]
    recalls = np.stack([recall_per_class(labels, own, len(CODES)) for own in single])
    for place, code in enumerate(CODES):
        among = labels == place
        if among.any():
            found = bootstrap.mean(named == labels, among=among)
            spread = _spread(recalls[:, place].tolist())
            rows.append(TableRow({"diagnosis": code}, {"recall": found}, spread))
    return Table(
        "prompts",
        "Each picture is given the name that it is most alike; nothing is fitted. The names stand "
        f"in {len(directions.by_template)} templates, and beside the recall of all together stand "
        "the least and the greatest of single templates. Intervals are 95 %, from "
        f"{resamples:,} bootstrap resamples of whole lesions; n counts images.",
        tuple(rows),
        {
            "fingerprint": engine.fingerprint,
            "text": words.prompts.text,
            "split": split,
            "seed": seed,
            "resamples": resamples,
        },
    )


def _spread(values: list[float]) -> dict[str, str | float]:
    return {"least": round(min(values), 4), "greatest": round(max(values), 4)}
