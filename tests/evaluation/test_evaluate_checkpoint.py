"""What is measured of a checkpoint, beyond `evaluate`: corruptions and data of another origin."""

import zlib
from itertools import islice

import numpy as np
import pytest
from datasets import concatenate_datasets
from refusals import refuses
from sklearn import metrics as sk

from dermsim.core.bootstrap import Bootstrap
from dermsim.core.labels import CODES, LABEL2ID
from dermsim.core.metrics import balanced_accuracy
from dermsim.core.refused import Phrase
from dermsim.data.facts import facts_of
from dermsim.data.outlines import Outlines
from dermsim.data.splits import without
from dermsim.data.synthetic import synthetic_outlines
from dermsim.engine import DermSim
from dermsim.evaluation import checkpoint
from dermsim.evaluation.card import model_card
from dermsim.evaluation.checkpoint import (
    CELLS,
    evaluate_checkpoint,
    evaluate_corruptions,
    evaluate_facts,
    evaluate_shift,
    predict_corrupted,
)
from dermsim.evaluation.corruptions import CORRUPTIONS, STRENGTHS, corrupt
from dermsim.evaluation.explanations.explanation_report import BASELINES
from dermsim.evaluation.explanations.settings import Asked, Sizes
from dermsim.evaluation.report import Report
from dermsim.tasks.classify import POINTS, Calibration


@pytest.fixture(scope="module")
def rows(synthetic):
    """A few held-out photographs."""
    return synthetic["test"].select(range(0, len(synthetic["test"]), 3))


@pytest.fixture(scope="module")
def elsewhere(synthetic):
    """Held-out photographs of the three diagnoses that ISIC 2017 has."""
    codes = [LABEL2ID[code] for code in ("bkl", "mel", "nv")]
    labels = np.array(synthetic["validation"]["dx"])
    return synthetic["validation"].select(np.flatnonzero(np.isin(labels, codes)))


@pytest.fixture(scope="module")
def report(engine, rows, elsewhere):
    return evaluate_checkpoint(
        engine, rows, split="all", corruptions=True, shift=elsewhere, shift_name="Elsewhere"
    )


def test_the_checkpoint_tells_how_it_was_measured(checkpoint, engine, synthetic):
    kept = Report.load(checkpoint / "evaluation.json")
    again = evaluate_checkpoint(engine, synthetic["test"], split="all")
    assert again.to_dict() == kept.to_dict()
    assert "balanced accuracy" in (checkpoint / "README.md").read_text().lower()


def test_explanations_are_measured_beside_all_else(engine, synthetic, tmp_path):
    rows = concatenate_datasets(list(synthetic.values()))
    drawn = synthetic_outlines(len(set(rows["lesion_id"])), seed=0)
    outlines = Outlines({name: picture.copy for name, picture in drawn.items()})
    asked = Asked(outlines, ["gradcam"], Sizes().at_most(1))
    report = evaluate_checkpoint(engine, rows, split="validation", explanations=asked)
    plain = evaluate_checkpoint(engine, rows, split="validation")
    assert report.metrics == plain.metrics and plain.explanations is None
    maps = report.explanations.maps
    assert list(maps) == ["gradcam", "gradcam smooth", *BASELINES]
    assert maps["gradcam"].figures["energy"].n == maps["gradcam"].figures["road"].n == 7
    report.save(tmp_path / "evaluation.json")
    assert Report.load(tmp_path / "evaluation.json").markdown() == report.markdown()
    assert "Where the maps lie" in report.markdown()
    assert "Where the maps lie" in model_card(report, training={}, calibration=engine.calibration)


def test_explanations_need_validation_beside_what_is_measured(engine, synthetic):
    asked = Asked(Outlines({}))
    with refuses("evaluation_checkpoint.explanations_split"):
        evaluate_checkpoint(engine, synthetic["test"], split="all", explanations=asked)


def test_an_unknown_split_is_refused(engine, synthetic):
    with refuses("evaluation_checkpoint.split", split="train"):
        evaluate_checkpoint(engine, synthetic["test"], split="train")


def test_further_examinations_only_add(engine, rows, report):
    plain = evaluate_checkpoint(engine, rows, split="all").to_dict()
    full = report.to_dict()
    added = set(full["metrics"]) - set(plain["metrics"])
    assert added == {
        *CELLS,
        "corrupted_balanced_accuracy",
        "corruption_drop",
        "shift_balanced_accuracy",
        "shift_melanoma_auc",
        "shift_keratosis_auc",
        "shift_malignancy_auc",
        *(
            f"shift_{name}_at_{point}"
            for point in POINTS
            for name in ("sensitivity", "specificity")
        ),
    }
    assert len(CELLS) == len(CORRUPTIONS) * len(STRENGTHS) == 33
    assert full.pop("shift")["dataset"] == "Elsewhere"
    full["metrics"] = {name: full["metrics"][name] for name in plain["metrics"]}
    full["thresholds"] = full["thresholds"][: len(plain["thresholds"])]
    assert full == plain


def test_a_rerun_agrees_to_the_last_digit_and_survives_the_disk(
    engine, rows, elsewhere, report, tmp_path
):
    options = {"corruptions": True, "shift": elsewhere, "shift_name": "Elsewhere"}
    again = evaluate_checkpoint(engine, rows, split="all", **options)
    assert again.to_dict() == report.to_dict()
    report.save(tmp_path / "evaluation.json")
    loaded = Report.load(tmp_path / "evaluation.json")
    assert loaded.to_dict() == report.to_dict()
    assert loaded.markdown() == report.markdown()


# --- corruptions ---------------------------------------------------------------------------------


def test_predictions_are_those_of_each_corrupted_photograph(engine, rows, monkeypatch):
    few = rows.select(range(5))
    monkeypatch.setattr(checkpoint, "CHUNK", 2)
    predicted = predict_corrupted(engine, few)
    assert list(predicted) == list(CELLS)
    for name, (kind, strength) in list(CELLS.items())[1::4]:
        spoilt = [
            corrupt(
                row["image"], kind, strength=strength, seed=zlib.crc32(row["image_id"].encode())
            )
            for row in few
        ]
        assert predicted[name].tolist() == [p.label for p in engine.predict(spoilt)], name


def test_few_photographs_wait_in_memory():
    taken = []

    class Row(dict):
        def __getitem__(self, name):
            taken.append(name)
            return super().__getitem__(name)

    from PIL import Image

    row = {"image": Image.new("RGB", (20, 16)), "image_id": "a"}
    stream = checkpoint._corrupted([Row(row) for _ in range(60)])
    assert len(list(islice(stream, 3 * len(CELLS)))) == 3 * len(CELLS)
    assert taken.count("image") <= 3 + checkpoint.AHEAD + 1
    assert len(list(stream)) == 57 * len(CELLS)


def draw(n=240, *, seed=0, cells=("corrupted_blur_1", "corrupted_blur_2", "corrupted_hair_3")):
    """Labels of lesions with several images, and predictions that are worse where corrupted."""
    rng = np.random.default_rng(seed)
    lesions = rng.integers(0, n // 2, size=n)
    labels = rng.integers(0, 7, size=n)[lesions]

    def predict(share):
        return np.where(rng.random(n) < share, labels, rng.integers(0, 7, size=n))

    corrupted = {name: predict(0.7 - 0.2 * i) for i, name in enumerate(cells)}
    return labels, [f"L{i}" for i in lesions], predict(0.8), corrupted


def test_corrupted_figures_against_plain_formulas():
    labels, lesions, clean, corrupted = draw()
    found = evaluate_corruptions(corrupted, labels, Bootstrap(lesions, resamples=60), clean=clean)
    for name, predicted in corrupted.items():
        assert found[name].value == pytest.approx(sk.balanced_accuracy_score(labels, predicted))

    def mean_over_cells(i):
        return np.mean([balanced_accuracy(labels[i], p[i], 7) for p in corrupted.values()])

    def drop(i):
        return balanced_accuracy(labels[i], clean[i], 7) - mean_over_cells(i)

    for name, metric in {
        "corrupted_balanced_accuracy": mean_over_cells,
        "corruption_drop": drop,
        "corrupted_hair_3": lambda i: balanced_accuracy(
            labels[i], corrupted["corrupted_hair_3"][i], 7
        ),
    }.items():
        expected = Bootstrap(lesions, resamples=60).interval(metric)
        measured = found[name]
        assert (measured.value, measured.low, measured.high, measured.n) == pytest.approx(
            (expected.value, expected.low, expected.high, 240)
        ), name
    assert found["corruption_drop"].low > 0


def test_the_drop_is_paired():
    labels, lesions, clean, _ = draw()
    found = evaluate_corruptions(
        {"corrupted_blur_1": clean}, labels, Bootstrap(lesions), clean=clean
    )
    drop, level = found["corruption_drop"], found["corrupted_balanced_accuracy"]
    assert (drop.value, drop.low, drop.high) == (0, 0, 0)
    assert level.low < level.value < level.high


def test_corrupted_rows_that_do_not_match_are_refused():
    labels, lesions, clean, corrupted = draw()
    with refuses("vectors.labels_shape", rows=239):
        evaluate_corruptions(corrupted, labels, Bootstrap(lesions[1:]), clean=clean[1:])
    with refuses("vectors.labels_shape", rows=240):
        evaluate_corruptions(
            {"corrupted_blur_1": clean[:9]}, labels, Bootstrap(lesions), clean=clean
        )


# --- another origin ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def calibration():
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 7, size=300)
    return Calibration.fit(rng.normal(size=(300, 7)) + 2 * np.eye(7)[labels], labels)


BENIGN = {f"shift_specificity_at_{point}" for point in POINTS}
MALIGNANT = {f"shift_sensitivity_at_{point}" for point in POINTS}


def shifted(codes, *, n=200):
    rng = np.random.default_rng(6)
    labels = rng.choice([LABEL2ID[code] for code in codes], size=n)
    return rng.normal(size=(n, 7)) + np.eye(7)[labels], labels


def test_shifted_figures_agree_with_sklearn(calibration):
    logits, labels = shifted(["bkl", "mel", "nv"])
    values = calibration.probabilities(logits)
    found = evaluate_shift(
        values, labels, Bootstrap([None] * 200, resamples=50), calibration=calibration
    )
    bad = [LABEL2ID[code] for code in ("akiec", "bcc", "mel")]
    recalls = [(values[labels == c].argmax(axis=1) == c).mean() for c in np.unique(labels)]
    expected = {
        "shift_balanced_accuracy": np.mean(recalls),
        "shift_melanoma_auc": sk.roc_auc_score(labels == LABEL2ID["mel"], values[:, 4]),
        "shift_keratosis_auc": sk.roc_auc_score(labels == LABEL2ID["bkl"], values[:, 2]),
        "shift_malignancy_auc": sk.roc_auc_score(
            labels == LABEL2ID["mel"], values[:, bad].sum(axis=1)
        ),
    }
    ill = labels == LABEL2ID["mel"]
    for point in POINTS:
        alarmed = values[:, bad].sum(axis=1) >= calibration.operating_points[point].threshold
        expected[f"shift_sensitivity_at_{point}"] = alarmed[ill].mean()
        expected[f"shift_specificity_at_{point}"] = (~alarmed[~ill]).mean()
    assert {name: figure.value for name, figure in found.items()} == pytest.approx(expected)
    sides = {"sensitivity": int(ill.sum()), "specificity": int((~ill).sum())}
    for name, figure in found.items():
        assert figure.low < figure.value < figure.high
        assert figure.n == sides.get(name.split("_")[1], 200)


@pytest.mark.parametrize(
    ("codes", "areas"),
    [
        (["nv"], BENIGN),
        (["bkl"], BENIGN),
        (["bkl", "nv"], {"shift_keratosis_auc", *BENIGN}),
        (["mel", "bcc"], {"shift_melanoma_auc", *MALIGNANT}),
    ],
)
def test_areas_without_two_sides_are_left_out(calibration, codes, areas):
    logits, labels = shifted(codes, n=40)
    values = calibration.probabilities(logits)
    found = evaluate_shift(
        values, labels, Bootstrap([None] * 40, resamples=5), calibration=calibration
    )
    assert set(found) == {"shift_balanced_accuracy"} | areas


def test_shifted_figures_of_a_checkpoint(engine, elsewhere, report):
    predictions = engine.predict(list(elsewhere["image"]))
    labels = np.array(elsewhere["dx"])
    scores = [prediction.probabilities["mel"] for prediction in predictions]
    expected = sk.roc_auc_score(labels == LABEL2ID["mel"], scores)
    assert report.metrics["shift_melanoma_auc"].value == pytest.approx(expected)
    assert report.metrics["shift_melanoma_auc"].n == len(elsewhere)
    counts = {code: int((labels == i).sum()) for i, code in enumerate(CODES)}
    assert report.shift.class_counts == counts
    assert counts["bcc"] == 0 < counts["bkl"]


def test_data_of_another_origin_share_no_case_with_the_gallery(engine, synthetic, rows):
    known = synthetic["train"][2]["image_id"]
    mixed = synthetic["train"].select([2])
    of = Phrase("held_out.of", name="Clinic")
    with refuses("held_out.learned_from", images_count=1, lesions_count=1, of=of, example=known):
        evaluate_checkpoint(engine, rows, split="all", shift=mixed, shift_name="Clinic")


@pytest.mark.parametrize("renamed", [False, True], ids=["same image", "same lesion"])
def test_what_the_checkpoint_has_learned_from_measures_nothing(engine, synthetic, renamed):
    learned = synthetic["train"].select([2])
    if renamed:
        learned = learned.remove_columns("image_id").add_column("image_id", ["new"])
    rows = concatenate_datasets([synthetic["test"].select([0]), learned])
    with refuses("held_out.learned_from", images_count=1 - renamed, lesions_count=1, of=""):
        evaluate_checkpoint(engine, rows, split="all")


# --- trained without some diagnoses --------------------------------------------------------------


@pytest.fixture(scope="module")
def partial_engine(engine, synthetic):
    """The tiny encoder with everything around it fitted without moles."""
    parts = {name: without(synthetic[name], ["nv"]) for name in ("train", "validation")}
    return DermSim.fit(engine.model, engine.processor, **parts)


def test_shift_leaves_out_what_the_checkpoint_was_trained_without(partial_engine, rows, elsewhere):
    report = evaluate_checkpoint(partial_engine, rows, split="all", shift=elsewhere)
    kept = np.array(elsewhere["dx"]) != LABEL2ID["nv"]
    assert report.shift.class_counts["nv"] == 0 < report.shift.class_counts["mel"]
    assert report.metrics["shift_balanced_accuracy"].n == kept.sum() < len(elsewhere)


def test_layers_are_chosen_without_what_the_checkpoint_was_trained_without(
    partial_engine, synthetic, monkeypatch
):
    seen = []

    def with_explanations(report, engine, rows, validation, asked):
        seen.extend([*rows["dx"], *validation["dx"]])
        return report

    monkeypatch.setattr(
        "dermsim.evaluation.explanations.measure.with_explanations", with_explanations
    )
    everything = concatenate_datasets(list(synthetic.values()))
    evaluate_checkpoint(partial_engine, everything, explanations=Asked(Outlines({})))
    assert LABEL2ID["mel"] in seen
    assert LABEL2ID["nv"] not in seen


# --- facts about the patient ---------------------------------------------------------------------

FACTS_METRICS = {
    "balanced_accuracy_with_facts",
    "melanoma_auc_with_facts",
    "mean_auc_with_facts",
    "facts_gain_balanced_accuracy",
}


def told_and_blind(calibration, *, n=240):
    """Labels of lesions, and probabilities of which the first know more."""
    labels, lesions, _, _ = draw(n)
    noise = np.random.default_rng(7).normal(size=(n, 7))
    told, blind = (
        calibration.probabilities(noise + strength * np.eye(7)[labels]) for strength in (2.0, 0.8)
    )
    return told, blind, labels, lesions


def test_figures_with_facts_against_plain_formulas(calibration):
    told, blind, labels, lesions = told_and_blind(calibration)
    found = evaluate_facts(
        told, blind, labels, Bootstrap(lesions, resamples=60), calibration=calibration
    )
    assert set(found) == FACTS_METRICS
    predicted = told.argmax(axis=1)
    areas = [sk.roc_auc_score(labels == c, told[:, c]) for c in range(7)]
    expected = {
        "balanced_accuracy_with_facts": sk.balanced_accuracy_score(labels, predicted),
        "melanoma_auc_with_facts": areas[LABEL2ID["mel"]],
        "mean_auc_with_facts": np.mean(areas),
    }
    for name, value in expected.items():
        assert found[name].value == pytest.approx(value), name

    def gain(i):
        right = [balanced_accuracy(labels[i], p[i].argmax(axis=1), 7) for p in (told, blind)]
        return right[0] - right[1]

    paired = Bootstrap(lesions, resamples=60).interval(gain)
    measured = found["facts_gain_balanced_accuracy"]
    assert measured == paired
    assert 0 < measured.low < measured.value < measured.high


def test_the_gain_is_paired(calibration):
    told, _, labels, lesions = told_and_blind(calibration)
    found = evaluate_facts(
        told, told, labels, Bootstrap(lesions, resamples=20), calibration=calibration
    )
    gain = found["facts_gain_balanced_accuracy"]
    assert (gain.value, gain.low, gain.high, gain.n) == (0, 0, 0, 240)


def test_without_melanomas_their_area_with_facts_is_left_out(calibration):
    logits, labels = shifted(["bkl", "nv"], n=40)
    values = calibration.probabilities(logits)
    found = evaluate_facts(
        values, values, labels, Bootstrap([None] * 40, resamples=5), calibration=calibration
    )
    assert set(found) == FACTS_METRICS - {"melanoma_auc_with_facts"}


def test_rows_with_facts_that_do_not_match_are_refused(calibration):
    told, blind, labels, lesions = told_and_blind(calibration)
    with refuses("evaluation_checkpoint.rows", told_count=240, blind_count=239):
        evaluate_facts(
            told, blind[1:], labels, Bootstrap(lesions, resamples=5), calibration=calibration
        )


def test_a_checkpoint_that_takes_facts_is_measured_with_and_without(
    informed_engine, synthetic, tmp_path
):
    rows = synthetic["test"]
    report = evaluate_checkpoint(informed_engine, rows, split="all")
    labels, images = np.array(rows["dx"]), list(rows["image"])
    blind = [p.label for p in informed_engine.predict(images)]
    told = [p.label for p in informed_engine.predict(images, facts=facts_of(rows))]
    without, with_facts = (balanced_accuracy(labels, np.array(p), 7) for p in (blind, told))
    figures = report.metrics
    assert figures["balanced_accuracy"].value == pytest.approx(without)
    assert figures["balanced_accuracy_with_facts"].value == pytest.approx(with_facts)
    assert figures["facts_gain_balanced_accuracy"].value == pytest.approx(with_facts - without)
    assert with_facts > without
    report.save(tmp_path / "evaluation.json")
    table = Report.load(tmp_path / "evaluation.json").markdown()
    assert table.count("age, sex and site") == len(FACTS_METRICS)
    card = model_card(report, training={}, calibration=informed_engine.calibration)
    assert "with_facts" in card


def test_one_that_takes_none_has_no_such_figures(report):
    assert not FACTS_METRICS & set(report.metrics)
