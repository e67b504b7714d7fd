"""How readily each diagnosis is named, against a known shift and an optimiser of torch's."""

import numpy as np
import pytest
import torch
from refusals import refuses

from dermsim.core.folds import deal_lesions
from dermsim.core.labels import CODES
from dermsim.core.metrics import class_auc
from dermsim.core.refused import Phrase
from dermsim.core.vectors import softmax
from dermsim.tasks.classify import add_left_out_bias, fit_class_bias

SHIFT = np.array([0.8, -0.5, 0.1, 0.0, -1.2, 0.9, -0.1])  # sums to 0
SHARPNESS = 0.6


@pytest.fixture(scope="module")
def drawn():
    """Logits that are right but for a temperature and a shift, and diagnoses drawn from them."""
    rng = np.random.default_rng(0)
    right = 2 * rng.normal(size=(20_000, 7)) + np.array([0, 0, 1, -2, 1, 3, -1])
    sums = np.cumsum(softmax(right), axis=1)
    labels = np.minimum((rng.random((len(right), 1)) > sums).sum(axis=1), 6)
    return right * SHARPNESS + SHIFT, labels


def test_a_known_shift_is_taken_back(drawn):
    found = fit_class_bias(*drawn, balance=0, penalty=0)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, -SHIFT, atol=0.06)


def test_it_is_the_optimum_that_torch_finds(drawn):
    logits, labels = (values[:800] for values in drawn)
    raw, targets = torch.from_numpy(logits), torch.from_numpy(labels)
    weights = torch.bincount(targets).double()[targets] ** -0.75
    point = torch.zeros(8, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([point], max_iter=500, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        answers = torch.log_softmax(point[0].exp() * raw + point[1:], dim=1)
        losses = -answers[torch.arange(len(raw)), targets]
        loss = (weights * losses).sum() / weights.sum() + 0.01 * (point[1:] ** 2).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    bias = (point[1:] / point[0].exp()).detach()
    expected = (bias - bias.mean()).numpy()
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(fit_class_bias(logits, labels), expected, atol=2e-3)


def test_what_was_never_named_is(drawn):
    logits, labels = (values[:2000] for values in drawn)
    mel = CODES.index("mel")
    before, after = logits, logits + fit_class_bias(logits, labels)
    recall = [(found.argmax(axis=1) == mel)[labels == mel].mean() for found in (before, after)]
    assert recall[1] > recall[0] + 0.1
    # one number for all photographs: their order by a logit stays
    areas = [class_auc(labels == mel, found[:, mel]) for found in (before, after)]
    assert areas[0] == areas[1]


def test_balance_names_rare_diagnoses_more(drawn):
    rare = int(np.bincount(drawn[1]).argmin())
    found = [fit_class_bias(*drawn, balance=balance)[rare] for balance in (0, 0.5, 1)]
    assert found[0] < found[1] < found[2]


def test_an_absent_diagnosis_is_held_by_the_penalty(drawn):
    logits, labels = drawn
    kept = labels != 3
    found = fit_class_bias(logits[kept], labels[kept])
    assert np.isfinite(found).all() and abs(found[3]) < 3
    assert fit_class_bias(logits[kept], labels[kept], penalty=100)[3] == pytest.approx(0, abs=0.01)


def test_no_lesion_has_a_say_in_the_bias_that_is_added_to_it(drawn):
    logits, labels = (values[:300] for values in drawn)
    lesions = [f"L{row // 3}" for row in range(300)]
    found = add_left_out_bias(logits, labels, lesions, seed=2)
    assert found.dtype == np.float32
    biases = []
    for kept, out in deal_lesions(labels, lesions, seed=2):
        biases.append(fit_class_bias(logits[kept], labels[kept]))
        np.testing.assert_allclose(found[out], logits[out] + biases[-1], atol=2e-3)
    assert np.abs(np.diff(biases, axis=0)).max() > 0.01
    # what lesions chose themselves names them rightly more often than what others chose
    rows = np.arange(300)
    own = softmax(logits + fit_class_bias(logits, labels))[rows, labels]
    assert np.log(own).mean() > np.log(softmax(found)[rows, labels]).mean()


@pytest.mark.parametrize(
    ("logits", "labels", "sentence"),
    [
        (np.zeros((3, 6)), [0, 1, 2], "class_bias.shape"),
        (np.zeros((0, 7)), [], "class_bias.shape"),
        (np.full((2, 7), np.nan), [0, 1], "class_bias.not_finite"),
        (np.zeros((2, 7)), [0, 7], Phrase("vectors.label_outside", label=7)),
        (np.zeros((2, 7)), [0], Phrase("vectors.labels_shape", rows=2)),
    ],
)
def test_bad_input_is_refused(logits, labels, sentence):
    with refuses(sentence):
        fit_class_bias(logits, labels)
