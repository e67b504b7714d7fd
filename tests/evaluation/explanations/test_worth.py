"""What a checkpoint's heatmaps are worth, measured on drawn lesions."""

import pytest
from refusals import refuses

from dermsim.core.explain_methods import METHODS
from dermsim.core.explain_worth import ExplanationWorth
from dermsim.data.outlines import Outlines
from dermsim.data.synthetic import synthetic_outlines
from dermsim.evaluation.explanations.worth import Counts, measure_worth
from dermsim.evaluation.protocols.explanation_protocol import evaluate_explanations

ASKED = ("gradcam", "eigencam", "occlusion", "ablationcam", "finercam")
SMALL = Counts(choosing=1, energy=2, road=1)


@pytest.fixture(scope="module")
def outlines():
    return Outlines({name: drawn.copy for name, drawn in synthetic_outlines(140, seed=0).items()})


@pytest.fixture(scope="module")
def found(engine, synthetic, outlines):
    return measure_worth(
        engine,
        synthetic["validation"],
        outlines,
        dataset="drawings",
        split="validation",
        counts=SMALL,
        methods=ASKED,
        resamples=20,
    )


def test_every_method_has_all_figures(found, engine):
    assert [one.method for one in found.methods] == [m for m in METHODS if m in ASKED]
    for one in found.methods:
        assert 0 <= one.energy.value <= 1 and -1 <= one.road.value <= 1
        assert one.road.n <= one.energy.n
    assert (found.fingerprint, found.split) == (engine.fingerprint, "validation")
    assert found.default in ("gradcam",)  # the others are slow, blind to the target or for few
    assert 0 < found.spread < 0.5


def test_it_is_the_same_when_measured_again_and_when_kept(
    found, engine, synthetic, outlines, tmp_path
):
    again = measure_worth(
        engine,
        synthetic["validation"],
        outlines,
        dataset="drawings",
        split="validation",
        counts=SMALL,
        methods=("eigencam",),
        resamples=20,
    )
    assert again.of("eigencam").to_dict() == found.of("eigencam").to_dict()
    found.save(tmp_path / "w.json")
    kept = ExplanationWorth.load(tmp_path / "w.json", fingerprint=engine.fingerprint)
    assert kept.to_dict() == found.to_dict()


def test_gains_are_over_the_blob(found):
    """The blob's own figure is the same whatever it is taken from."""
    fast = [one for one in found.methods if not METHODS[one.method].is_slow]
    blobs = {round(one.energy.value - one.energy_gain.value, 6) for one in fast}
    assert len(blobs) == 1
    assert len({round(one.road.value - one.road_gain.value, 6) for one in found.methods}) == 1


def test_the_protocol_prints_the_best_first(engine, synthetic, outlines, monkeypatch):
    import dermsim.evaluation.protocols.explanation_protocol as module

    monkeypatch.setattr(module, "grouped_splits", lambda dataset: synthetic)
    kept, table = evaluate_explanations(
        engine,
        None,
        outlines,
        dataset_name="drawings",
        counts=SMALL,
        methods=("gradcam", "eigencam"),
        resamples=20,
    )
    ranked = sorted(kept.methods, key=lambda one: one.rank, reverse=True)
    assert [row.keys["method"] for row in table.rows] == [METHODS[o.method].title for o in ranked]
    assert METHODS[kept.default].title in table.summary


def test_what_cannot_be_measured_is_refused(engine, synthetic, outlines):
    with refuses("explanation_worth.counts"):
        Counts(road=0)
    with refuses("explanation_worth.counts"):
        Counts(energy=2, road=3)
    with refuses("measure.method", wrong="rollout"):
        measure_worth(
            engine,
            synthetic["validation"],
            outlines,
            dataset="drawings",
            split="validation",
            methods=["rollout"],
        )
    with refuses("explanation_worth.too_few"):
        measure_worth(
            engine,
            synthetic["validation"].select(range(2)),
            outlines,
            dataset="drawings",
            split="validation",
        )
    with refuses("incremental.split", split="train"):
        evaluate_explanations(engine, None, outlines, dataset_name="drawings", split="train")
