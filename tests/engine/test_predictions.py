"""Reading the encoder: two calibrations, each fitted to its like, and a heatmap's place."""

import numpy as np
import pytest
from refusals import refuses
from scipy.special import logsumexp

from dermsim.core.vectors import l2_normalize
from dermsim.data.facts import Facts, facts_of
from dermsim.engine.framing import Frame, place_heatmap
from dermsim.engine.predictions import calibrate_with_facts, read_predictions
from dermsim.models.encode import weigh_facts
from dermsim.models.encoding import Encoding
from dermsim.tasks.classify import Calibration
from dermsim.tasks.detect import OutlierDetector
from dermsim.tasks.detect.scores import EnergyScore
from dermsim.tasks.explain import Heatmap

NAMES = ("age", "sex", "localization")


def forget(rows, *, first: int):
    """The same rows, nothing known of the patients of the first few."""
    for name in NAMES:
        kept = [None] * first + list(rows[name])[first:]
        feature = rows.features[name]
        rows = rows.remove_columns(name).add_column(name, kept, feature=feature)
    return rows


def draw_logits(n: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, 7)).astype(np.float32)


def test_the_calibration_with_facts_is_of_the_rows_that_have_some(informed_engine, synthetic):
    rows = synthetic["validation"]
    logits, labels = draw_logits(len(rows)), np.array(rows["dx"])
    half = len(rows) // 2
    fitted = calibrate_with_facts(informed_engine.model, logits, forget(rows, first=half))
    added = weigh_facts(informed_engine.model, facts_of(rows))
    lesions = list(rows["lesion_id"])
    expected = Calibration.fit((logits + added)[half:], labels[half:], lesions[half:])
    assert fitted.temperature == pytest.approx(expected.temperature, rel=1e-4)
    assert fitted.set_thresholds == pytest.approx(expected.set_thresholds, abs=1e-5)
    assert fitted.temperature != pytest.approx(Calibration.fit(logits, labels).temperature)


def test_an_encoder_without_facts_has_none(engine, synthetic):
    rows = synthetic["validation"]
    assert calibrate_with_facts(engine.model, draw_logits(len(rows)), rows) is None


def test_validation_without_any_facts_is_refused(informed_engine, synthetic):
    rows = forget(synthetic["validation"], first=len(synthetic["validation"]))
    with refuses("predictions.no_facts"):
        calibrate_with_facts(informed_engine.model, draw_logits(len(rows)), rows)


@pytest.mark.parametrize(
    ("facts", "informed"),
    [
        (None, [False] * 4),
        ([None, Facts(), Facts(age=0), Facts(sex="male")], [False, False, True, True]),
    ],
)
def test_each_row_is_read_with_the_calibration_of_its_like(informed_engine, facts, informed):
    rng = np.random.default_rng(1)
    detector = informed_engine.detector
    embeddings = l2_normalize(rng.normal(size=(4, 16)))
    added = draw_logits(4) / 2
    encoding = Encoding(embeddings, draw_logits(4), np.zeros((4, 2), np.float32), added)
    plain, told = informed_engine.calibration, informed_engine.calibration_facts
    found = read_predictions(
        encoding, detector=detector, calibration=plain, calibration_facts=told, facts=facts
    )
    for i, known in enumerate(informed):
        calibration = told if known else plain
        logits = encoding.logits + added if known else encoding.logits
        (probabilities,) = calibration.probabilities(logits[i : i + 1])
        assert list(found[i].probabilities.values()) == pytest.approx(probabilities.tolist())
        assert found[i].prediction_set == calibration.prediction_sets(probabilities[None])[0]
        assert found[i].is_malignant == calibration.is_malignant(probabilities[None])[0]
        assert found[i].ood_score == pytest.approx(detector.score(encoding)[i])
        for level, codes in found[i].prediction_sets.items():
            assert codes == calibration.prediction_sets(probabilities[None], level=level)[0]
        assert list(found[i].prediction_sets) == ["0.80", "0.90", "0.95"]


def test_a_detector_that_looks_at_logits_is_given_those_of_the_image_alone(informed_engine):
    plain, pooled = draw_logits(4), np.ones((4, 8), np.float32)
    detector = OutlierDetector(EnergyScore(np.arange(7)), threshold=0.0)
    encoding = Encoding(np.zeros((4, 2), np.float32), plain, pooled, draw_logits(4) + 1)
    found = read_predictions(
        encoding,
        detector=detector,
        calibration=informed_engine.calibration,
        calibration_facts=informed_engine.calibration_facts,
        facts=[Facts(age=50)] * 4,
    )
    assert [p.ood_score for p in found] == pytest.approx((-logsumexp(plain, axis=1)).tolist())


def test_a_heatmap_lies_where_the_encoder_looked():
    square = Heatmap(values=np.ones((8, 8), np.float32), peak=2.0, method="gradcam", target="mel")
    placed = place_heatmap(square, (100, 60), Frame(0.5))
    assert placed.values.shape == (60, 100)
    assert np.array_equal(np.argwhere(placed.values)[[0, -1]], [[15, 35], [44, 64]])
    assert (placed.values[15:45, 35:65] == 1).all()
    assert (placed.peak, placed.method, placed.target) == (2.0, "gradcam", "mel")
