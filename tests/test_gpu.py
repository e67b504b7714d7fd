"""What a GPU computes is what a CPU computes; ``pytest -m gpu`` on a machine that has one."""

import threading

import numpy as np
import pytest
import torch

from dermsim.data.synthetic import draw_lesion
from dermsim.engine import DermSim

pytestmark = pytest.mark.gpu

LESIONS = [draw_lesion(dx, seed=seed) for seed in range(3) for dx in ("mel", "nv", "bcc", "vasc")]


@pytest.fixture(scope="module")
def device() -> str:
    if not torch.accelerator.is_available():
        pytest.skip("there is no accelerator")
    return str(torch.accelerator.current_accelerator())


@pytest.fixture(scope="module")
def there(checkpoint, device) -> DermSim:
    """The tiny checkpoint on the accelerator; `engine` is the same on the CPU."""
    return DermSim.from_pretrained(checkpoint, device=device)


def test_the_weights_are_there(there, device):
    assert {weight.device.type for weight in there.model.parameters()} == {device.partition(":")[0]}


def test_predictions_agree(there, engine):
    for ours, theirs in zip(there.predict(LESIONS), engine.predict(LESIONS), strict=True):
        assert ours.label == theirs.label
        assert ours.is_malignant == theirs.is_malignant
        assert ours.prediction_set == theirs.prediction_set
        assert ours.probabilities == pytest.approx(theirs.probabilities, abs=2e-3)
        assert ours.ood_score == pytest.approx(theirs.ood_score, rel=0.02)


def test_embeddings_agree_and_are_numpy_s(there, engine):
    ours, theirs = there.embed(LESIONS), engine.embed(LESIONS)
    assert isinstance(ours, np.ndarray) and ours.dtype == np.float32
    assert (ours * theirs).sum(axis=1).min() > 0.9999


def test_the_same_cases_are_found(there, engine):
    for ours, theirs in zip(there.search(LESIONS, k=3), engine.search(LESIONS, k=3), strict=True):
        assert ours[0].image_id == theirs[0].image_id
        assert [n.similarity for n in ours] == pytest.approx(
            [n.similarity for n in theirs], abs=1e-3
        )


def test_one_picture_gets_what_it_gets_among_others(there):
    alone = there.predict(LESIONS[0])[0].probabilities
    assert there.predict(LESIONS)[0].probabilities == pytest.approx(alone, abs=2e-3)


@pytest.mark.parametrize("method", ["gradcam", "gradcam++", "hirescam", "layercam", "scorecam"])
def test_heatmaps_agree(there, engine, method):
    ours = there.explain(LESIONS[0], method=method, target="mel")
    theirs = engine.explain(LESIONS[0], method=method, target="mel")
    assert ours.values.shape == theirs.values.shape
    np.testing.assert_allclose(ours.values, theirs.values, atol=0.02)


def test_likeness_agrees(there, engine):
    ours = there.explain(LESIONS[0], like=LESIONS[4])
    theirs = engine.explain(LESIONS[0], like=LESIONS[4])
    np.testing.assert_allclose(ours.values, theirs.values, atol=0.02)


def test_classes_taught_there_are_known_here(there, engine):
    def taught(asked):
        bank = asked.class_bank()
        return bank.enroll("clover", asked.embed(LESIONS[:4], space=bank.space.name))

    ours, theirs = taught(there), taught(engine)
    vectors = engine.embed(LESIONS, space=theirs.space.name)
    for a, b in zip(ours.predict(vectors), theirs.predict(vectors), strict=True):
        assert a == pytest.approx(b, abs=5e-3)


def test_visitors_at_once_get_their_own_answers(there):
    expected = [p.probabilities for p in there.predict(LESIONS)]
    found = {}

    def ask(number):
        found[number] = there.predict(LESIONS[number])[0].probabilities

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(len(LESIONS))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, probabilities in enumerate(expected):
        assert found[number] == pytest.approx(probabilities, abs=2e-3)


def test_a_training_step_in_bfloat16_is_finite(there, device):
    from dermsim.models.encoder import copy_encoder

    model = copy_encoder(there.model).to(device).train()
    pixels = torch.randn(8, 3, 64, 64, device=device)
    with torch.autocast(device.partition(":")[0], torch.bfloat16):
        output = model(pixels)
        loss = torch.nn.functional.cross_entropy(output.logits.float(), torch.arange(8) % 7)
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(w.grad).all() for w in model.parameters() if w.grad is not None)


def test_the_order_of_channels_in_memory_changes_nothing(there, device):
    pixels = torch.randn(4, 3, 64, 64, device=device)
    with torch.inference_mode():
        plain = there.model(pixels).logits
        last = there.model(pixels.to(memory_format=torch.channels_last)).logits
    torch.testing.assert_close(plain, last, atol=1e-3, rtol=1e-3)


def test_a_checkpoint_that_was_saved_there_opens_here(there, tmp_path):
    there.save_pretrained(tmp_path / "copy")
    here = DermSim.from_pretrained(tmp_path / "copy", device="cpu")
    assert here.fingerprint == there.fingerprint
