"""Do prediction sets keep their promise for every diagnosis, and what warns of a wrong answer?

Two tables. Coverage: of each diagnosis, the share of held-out photographs whose set holds it, at
every coverage the checkpoint was calibrated for, beside a binomial band: where that share falls 95
times in 100 if each photograph's chance is exactly the nominal one. The share of a valid conformal
set falls outside more often: its threshold rests on the validation images of the diagnosis, and
where these are few its own chance lies well off the nominal one, so that the share follows a
Beta-binomial law (Vovk, 2012, https://arxiv.org/abs/1209.2673). One outside proves no broken
promise. Warning: how well the entropy of the probabilities, the disagreement of similar cases and
the strangeness of the picture tell the wrong answers from the right ones.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from dermsim.core.bootstrap import Bootstrap
from dermsim.core.labels import CODES
from dermsim.core.metrics import BoolArray, FloatArray, IntArray, class_auc, entropy, macro_mean
from dermsim.core.refused import Refused
from dermsim.evaluation.protocols.protocol_cases import Cases, encode_cases, select
from dermsim.evaluation.protocols.protocol_tables import Table, TableRow

if TYPE_CHECKING:
    from datasets import Dataset

    from dermsim.engine import DermSim

NEIGHBORS = 16
"""Similar cases of other lesions whose diagnoses are compared with the predicted one."""

SURER = 0.8
"""Share of the photographs, the surest, on which the balanced accuracy is given again."""

EVERY = "all diagnoses"


def evaluate_ambiguity(
    engine: DermSim,
    dataset: Dataset,
    *,
    split: str = "test",
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[Table, Table]:
    """Run the protocol on a checkpoint.

    Args:
        engine: The checkpoint.
        dataset: Rows of the `load_ham10000` schema.
        split: ``"test"`` or ``"all"``. Not validation, to which the sets were fitted.
        resamples: Lesion-bootstrap resamples.
        seed: Their seed.

    Returns:
        The tables of coverage and of warning.

    Raises:
        ValueError: If the split is another, the checkpoint was calibrated for one coverage alone,
            or an image or its lesion is in its gallery.
    """
    if split not in ("test", "all"):
        raise Refused("ambiguity.split", split=split)
    if not engine.calibration.levels:
        raise Refused("ambiguity.one_coverage")
    known = engine.known
    cases = encode_cases(engine, select(dataset, known, split=split), purpose=split)
    probabilities = engine.calibration.probabilities(cases.encoding.logits)
    bootstrap = Bootstrap(cases.lesion_ids, resamples, seed)
    about = (
        f"{len(cases):,} photographs of {len(set(cases.lesion_ids)):,} lesions ({split}). "
        f"Intervals are 95 %, from {resamples:,} bootstrap resamples of whole lesions; n counts "
        "photographs."
    )
    facts = {"fingerprint": engine.fingerprint, "seed": seed}
    coverage = Table(
        "coverage",
        "Share of the photographs of each diagnosis whose prediction set holds it. The band is "
        "that of a binomial of n photographs at the nominal coverage, 95 % of it; it takes "
        f"photographs of one lesion for independent. {about}",
        tuple(_coverage(engine, cases, probabilities, bootstrap)),
        facts,
    )
    warning = Table(
        "warning",
        "How well a figure warns of a wrong answer (the most probable diagnosis): AUROC is how "
        "often it is higher for a wrong answer than for a right one, 0.5 by chance. Balanced "
        "accuracy over the "
        f"{SURER:.0%} of photographs where it is lowest, beside that over all. {about}",
        tuple(_warning(engine, cases, probabilities, bootstrap)),
        facts,
    )
    return coverage, warning


def binomial_band(nominal: float, n: int) -> tuple[float, float]:
    """Return the central 95 % of the share of n independent trials that succeed.

    Args:
        nominal: Probability of success.
        n: Number of trials.
    """
    from scipy.stats import binom

    low, high = binom.ppf([0.025, 0.975], n, nominal) / n
    return float(low), float(high)


def _coverage(
    engine: DermSim, cases: Cases, probabilities: FloatArray, bootstrap: Bootstrap
) -> list[TableRow]:
    rows = []
    for level in engine.calibration.levels:
        included = engine.calibration.included(probabilities, level=level)
        covered = included[np.arange(len(cases)), cases.labels]
        sizes = included.sum(axis=1).astype(np.float64)
        present = [label for label in range(len(CODES)) if (cases.labels == label).any()]
        for label in (None, *present):
            own = np.full(len(cases), True) if label is None else cases.labels == label
            figures = {
                name: bootstrap.mean(values, among=own)
                for name, values in (("coverage", covered), ("diagnoses in the set", sizes))
            }
            low, high = binomial_band(float(level), int(own.sum()))
            inside = low <= figures["coverage"].value <= high
            notes = {"band": f"{low:.3f} to {high:.3f}", "inside": "yes" if inside else "no"}
            name = EVERY if label is None else CODES[label]
            # the promise is made to each diagnosis, not to all together
            rows.append(
                TableRow(
                    {"nominal": level, "diagnosis": name}, figures, {} if label is None else notes
                )
            )
    return rows


def _warning(
    engine: DermSim, cases: Cases, probabilities: FloatArray, bootstrap: Bootstrap
) -> list[TableRow]:
    predicted = probabilities.argmax(axis=1)
    wrong = predicted != cases.labels
    if wrong.all() or not wrong.any():
        raise Refused("ambiguity.one_sided")
    signs = {
        "entropy": entropy(probabilities),
        "neighbour disagreement": _disagreement(engine, cases, predicted),
        "strangeness": engine.detector.score(cases.encoding),
    }
    everything = np.full(len(cases), True)
    rows = []
    for name, values in signs.items():
        figures = {
            "AUROC": partial(_auc, wrong=wrong, values=values),
            f"balanced accuracy, surest {SURER:.0%}": partial(
                _balanced,
                kept=values <= np.quantile(values, SURER),
                wrong=wrong,
                labels=cases.labels,
            ),
            "balanced accuracy, all": partial(
                _balanced, kept=everything, wrong=wrong, labels=cases.labels
            ),
        }
        measured = {column: bootstrap.interval(figure) for column, figure in figures.items()}
        rows.append(TableRow({"sign": name}, measured))
    return rows


def _auc(rows: IntArray, *, wrong: BoolArray, values: FloatArray) -> float:
    return class_auc(wrong[rows], values[rows])


def _balanced(rows: IntArray, *, kept: BoolArray, wrong: BoolArray, labels: IntArray) -> float:
    """Mean recall over the diagnoses that have a row among those kept."""
    own = rows[kept[rows]]
    hits = (~wrong[own]).astype(np.float64)
    return macro_mean(hits, labels[own], len(CODES)) if len(own) else float("nan")


def _disagreement(engine: DermSim, cases: Cases, predicted: IntArray) -> FloatArray:
    """Return the share of similar cases of other lesions with another than the predicted dx."""
    found = engine.gallery.search(
        cases.encoding.embeddings, NEIGHBORS, exclude_lesion_ids=cases.lesion_ids
    )
    codes = np.array(CODES)[predicted]
    return np.array(
        [
            np.mean([neighbor.dx != code for neighbor in neighbors])
            for neighbors, code in zip(found, codes.tolist(), strict=True)
        ]
    )
