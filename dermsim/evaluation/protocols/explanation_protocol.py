"""Whether heatmaps are better than a blob in the middle, measured for the checkpoint to say so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dermsim.core.explain_methods import METHODS
from dermsim.core.explain_worth import GAINS, ExplanationWorth
from dermsim.core.refused import Refused
from dermsim.data.splits import grouped_splits
from dermsim.evaluation.explanations.worth import Counts, measure_worth
from dermsim.evaluation.held_out import refuse_learned
from dermsim.evaluation.protocols.protocol_tables import Table, TableRow

if TYPE_CHECKING:
    from datasets import Dataset

    from dermsim.data.outlines import Outlines
    from dermsim.engine import DermSim


def evaluate_explanations(
    engine: DermSim,
    dataset: Dataset,
    outlines: Outlines,
    *,
    dataset_name: str,
    split: str = "validation",
    counts: Counts | None = None,
    methods: Sequence[str] = (),
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[ExplanationWorth, Table]:
    """Run the protocol.

    Args:
        engine: The checkpoint.
        dataset: Rows of the `load_ham10000` schema.
        outlines: Of the lesions of the split.
        dataset_name: What the data are called.
        split: ``"validation"``, by which a method may be chosen, or ``"test"``.
        counts: How many photographs to take.
        methods: Only these.
        resamples: Lesion-bootstrap resamples.
        seed: Of the resamples and of all else that is left to chance.

    Returns:
        What the checkpoint is to keep, and the same as a table, best method first.

    Raises:
        ValueError: If the split or a method is unknown, a photograph has no outline or is in the
            checkpoint's gallery.
    """
    if split not in ("validation", "test"):
        raise Refused("incremental.split", split=split)
    rows = grouped_splits(dataset)[split]
    refuse_learned(engine.gallery, rows)
    counts = counts or Counts()
    found = measure_worth(
        engine,
        rows,
        outlines,
        dataset=dataset_name,
        split=split,
        counts=counts,
        methods=methods,
        resamples=resamples,
        seed=seed,
    )
    return found, _table(found, counts, engine.explanation_stages(), resamples, seed)


def _table(
    found: ExplanationWorth, counts: Counts, stages: Sequence[str], resamples: int, seed: int
) -> Table:
    ranked = sorted(found.methods, key=lambda one: one.rank, reverse=True)
    return Table(
        protocol="explanations",
        summary=(
            f"Heatmaps of the most probable diagnosis on lesions of {found.split} of "
            f"{found.dataset}, beside a Gaussian blob in the middle of the picture. Energy is the "
            "share of a map inside the dermatologist's outline; ROAD, by how much more the "
            "probability falls when what the map marks most is taken away than when what it marks "
            "least is. Gains are over the blob. Figures are means over diagnoses with 95 % "
            "intervals from whole lesions; layers were chosen on other lesions of the same split. "
            f"The default method is {METHODS[found.default].title}."
        ),
        rows=tuple(
            TableRow(
                keys={
                    "method": METHODS[one.method].title,
                    "layer": "" if one.layer is None else stages[one.layer],
                    "verdict": one.verdict.replace("_", " "),
                },
                figures={name: getattr(one, name) for name in ("energy", "road", *GAINS)},
            )
            for one in ranked
        ),
        facts={
            "fingerprint": found.fingerprint,
            "per_class": {
                "choosing": counts.choosing,
                "energy": counts.energy,
                "road": counts.road,
            },
            "spread": found.spread,
            "resamples": resamples,
            "seed": seed,
        },
    )
