"""Checkpoints joined to one: built, kept, asked everything a single one is asked."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from refusals import refuses
from safetensors.torch import load_file, save_file

from dermsim import DermSim
from dermsim.core.labels import CODES
from dermsim.core.refused import Phrase
from dermsim.data.synthetic import draw_lesion
from dermsim.models import DermSimEnsembleNetwork
from dermsim.models.encode import add_to_bias, encode
from dermsim.models.encoder import load_encoder, save_encoder
from dermsim.tasks.classify import Calibration, add_left_out_bias, bias_of, fit_class_bias
from dermsim.training.ensemble import average_weights, build_ensemble, training_record
from dermsim.training.stacking import fit_stack


@pytest.fixture(scope="module")
def folders(checkpoint, second_checkpoint):
    return [checkpoint, second_checkpoint]


@pytest.fixture(scope="module")
def built(folders, synthetic) -> DermSim:
    return build_ensemble(folders, train=synthetic["train"], validation=synthetic["validation"])


@pytest.fixture(scope="module")
def kept(built, folders, tmp_path_factory):
    """The ensemble's folder; tests must not write to it."""
    folder = tmp_path_factory.mktemp("ensembles") / "pair"
    built.save_pretrained(folder, training=training_record(built, folders))
    return folder


@pytest.fixture(scope="module")
def ensemble(kept) -> DermSim:
    return DermSim.from_pretrained(kept)


@pytest.fixture(scope="module")
def members(folders) -> list[DermSim]:
    return [DermSim.from_pretrained(folder) for folder in folders]


@pytest.fixture(scope="module")
def lesion() -> Image.Image:
    return draw_lesion("mel", seed=5)


def test_saving_and_loading_changes_nothing(built, ensemble, lesion):
    assert isinstance(ensemble.model, DermSimEnsembleNetwork)
    assert ensemble.fingerprint == built.fingerprint
    assert ensemble.calibration == built.calibration
    ours, theirs = built.model.state_dict(), ensemble.model.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name].cpu(), theirs[name].cpu()) for name in ours)
    assert np.array_equal(ensemble.embed(lesion), built.embed(lesion))
    assert ensemble.predict(lesion) == built.predict(lesion)
    assert ensemble.search(lesion, 5) == built.search(lesion, 5)


def test_members_are_what_they_were(ensemble, members):
    for own, member in zip(ensemble.model.members, members, strict=True):
        state = member.model.state_dict()
        assert all(torch.equal(own.state_dict()[name], state[name]) for name in state)
    marks = {ensemble.fingerprint, *(member.fingerprint for member in members)}
    assert len(marks) == 3


def test_predictions_are_consistent(ensemble, lesion):
    first, second = ensemble.predict([lesion, draw_lesion("nv", seed=1)])
    for prediction in (first, second):
        assert sum(prediction.probabilities.values()) == pytest.approx(1)
        best = max(prediction.probabilities, key=prediction.probabilities.__getitem__)
        assert prediction.label_name == best == prediction.prediction_set[0]
        assert prediction.is_outlier == (prediction.ood_score > ensemble.detector.threshold)
    assert first.probabilities != second.probabilities


def test_likeness_is_the_mean_of_the_members(ensemble, members):
    pictures = [draw_lesion(code, seed=3) for code in CODES]
    embeddings = ensemble.embed(pictures)
    assert embeddings.shape == (7, 32)
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-6)
    each = [member.embed(pictures) for member in members]
    expected = np.mean([own @ own.T for own in each], axis=0)
    np.testing.assert_allclose(embeddings @ embeddings.T, expected, atol=1e-5)


def test_the_gallery_is_searched_with_the_ensembles_own_embeddings(ensemble, synthetic):
    row = synthetic["train"][3]
    nearest = ensemble.search(ensemble.embed(row["image"]), 3)[0]
    assert nearest[0].image_id == row["image_id"]
    assert nearest[0].similarity == pytest.approx(1, abs=1e-5)


def test_analyze_agrees_with_its_parts(ensemble, lesion):
    bank = ensemble.class_bank()
    shots = ensemble.embed([draw_lesion("vasc", seed=1)], space=bank.space.name)
    bank = bank.enroll("ulcer", shots)
    analysis = ensemble.analyze(lesion, k=3, target="nv", bank=bank)
    assert analysis.prediction == ensemble.predict(lesion)[0]
    assert list(analysis.neighbors) == ensemble.search(lesion, 3)[0]
    heatmap = ensemble.explain(lesion, target="nv")
    assert np.array_equal(analysis.heatmap.values, heatmap.values)
    assert heatmap.values.shape == (lesion.height, lesion.width)
    assert analysis.enrolled.keys() == {*CODES, "ulcer"}
    json.dumps(analysis.to_dict())


def test_likeness_to_another_case_can_be_explained(ensemble, lesion):
    heatmap = ensemble.explain(lesion, like=draw_lesion("mel", seed=6))
    assert heatmap.target == "similarity" and heatmap.peak >= 0


def test_calibration_sees_logits_that_were_fitted_without_the_lesion(built, members, synthetic):
    validation = synthetic["validation"]
    logits = [encode(m.model, m.processor, validation["image"]).logits for m in members]
    stack = fit_stack(np.stack(logits), validation["dx"], list(validation["lesion_id"]))
    # the weights are kept in half precision
    kept = built.model.stack.weight.detach().cpu().numpy()
    np.testing.assert_allclose(kept, stack.weight, rtol=1e-3, atol=1e-6)
    lesions = list(validation["lesion_id"])
    assert built.calibration == Calibration.fit(stack.out_of_fold, validation["dx"], lesions)
    own = encode(built.model, built.processor, validation["image"]).logits
    np.testing.assert_allclose(own, stack.logits(np.stack(logits)), atol=1e-2)
    assert built.calibration != Calibration.fit(own, validation["dx"], lesions)


def test_another_number_of_calibration_logits_is_refused(members, synthetic):
    with refuses("vectors.labels_shape"):
        DermSim.fit(
            members[0].model,
            members[0].processor,
            train=synthetic["train"].select(range(60)),
            validation=synthetic["validation"],
            calibration_logits=np.zeros((3, 7), dtype=np.float32),
        )


def test_the_record_tells_what_each_member_tells(built, folders):
    record = training_record(built, folders)
    assert record == {
        "command": "dermsim ensemble <member 1> <member 2> --data <source> --output <folder>",
        "parameters": sum(p.numel() for p in built.model.parameters()),
        "member 1": "test_resnet",
        "member 2": "test_efficientnet, by `accelerate launch train.py`",
    }
    known = training_record(built, [folders[1], folders[1]])
    assert (known["minutes"], known["hardware"]) == (6, "1 x cpu")


def test_a_record_that_is_no_json_is_one_sentence(built, folders, tmp_path):
    broken = shutil.copytree(folders[1], tmp_path / "broken")
    (broken / "training.json").write_text("{")
    with refuses("ensemble.not_json", path=tmp_path / "broken" / "training.json"):
        training_record(built, [folders[0], broken])


STRANGER = """
import sys
sys.modules["dermsim"] = None  # as if it were not installed
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModel
folder, image = sys.argv[1], Image.open(sys.argv[2])
processor = AutoImageProcessor.from_pretrained(folder, trust_remote_code=True)
model = AutoModel.from_pretrained(folder, trust_remote_code=True)
with torch.inference_mode():
    print(model(**processor(image, return_tensors="pt")).embeddings[0, 0].item())
"""


def test_the_folder_opens_where_dermsim_is_not(kept, ensemble, lesion, tmp_path):
    lesion.save(tmp_path / "lesion.png")
    (tmp_path / "stranger.py").write_text(STRANGER)
    command = [sys.executable, tmp_path / "stranger.py", kept, tmp_path / "lesion.png"]
    answer = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    value = float(answer.stdout.strip().splitlines()[-1])
    assert value == pytest.approx(ensemble.embed(lesion)[0, 0], abs=1e-6)


# --- the mean of their weights -------------------------------------------------------------------


@pytest.fixture(scope="module")
def alike(checkpoint, sibling_checkpoint):
    return [checkpoint, sibling_checkpoint]


@pytest.fixture(scope="module")
def averaged(alike, synthetic) -> DermSim:
    return average_weights(alike, train=synthetic["train"], validation=synthetic["validation"])


def test_every_weight_is_the_mean(averaged, alike, lesion, tmp_path):
    averaged.save_pretrained(tmp_path, training=training_record(averaged, alike, command="x"))
    loaded = DermSim.from_pretrained(tmp_path)
    first, second = (load_file(folder / "model.safetensors") for folder in alike)
    found = loaded.model.state_dict()
    assert found.keys() >= first.keys() == second.keys()
    for name, own in first.items():
        if name == "classifier.bias":
            continue
        expected = (own.double() + second[name].double()) / 2
        # the mean is kept in half precision like what it is of
        torch.testing.assert_close(found[name].double(), expected, rtol=1e-3, atol=1e-6)
    assert any(not torch.equal(first[name], second[name]) for name in first)
    assert np.array_equal(loaded.embed(lesion), averaged.embed(lesion))
    assert {averaged.fingerprint} & {DermSim.from_pretrained(f).fingerprint for f in alike} == set()
    record = json.loads((tmp_path / "training.json").read_text())
    assert record["command"] == "dermsim x <member 1> <member 2> --data <source> --output <folder>"
    assert record["member 1"] == "test_resnet"
    assert record["member 2"] == "test_resnet, by `accelerate launch train.py --seed 1`"


def test_diagnoses_are_named_as_readily_as_validation_asks(averaged, alike, synthetic):
    rows = synthetic["validation"]
    name = "classifier.bias"
    first, second = (load_file(folder / "model.safetensors")[name] for folder in alike)
    added = averaged.model.classifier.bias.detach().cpu().numpy() - ((first + second) / 2).numpy()
    assert np.abs(added).max() > 1e-3
    before = encode(averaged.model, averaged.processor, rows["image"]).logits - added
    np.testing.assert_allclose(added, fit_class_bias(before, rows["dx"]), atol=2e-3)  # as halves


def test_the_calibration_sees_no_bias_that_the_lesion_itself_chose(averaged, synthetic):
    rows = synthetic["validation"]
    lesions, kept = list(rows["lesion_id"]), averaged.calibration
    bias = bias_of(kept.cross_fit.class_bias)
    own = encode(averaged.model, averaged.processor, rows["image"]).logits
    left_out = add_left_out_bias(own - bias, rows["dx"], lesions)
    expected = Calibration.fit(left_out, rows["dx"], lesions, class_bias=bias)
    assert kept.temperature == pytest.approx(expected.temperature, rel=1e-4)
    found = kept.malignancy_curve.thresholds
    assert found == pytest.approx(expected.malignancy_curve.thresholds, abs=1e-4)
    fooled = Calibration.fit(own, rows["dx"], lesions)
    assert kept.temperature > 2 * fooled.temperature  # these answers look surer than they are


def test_an_ensemble_has_a_bias_already(ensemble, members, synthetic):
    with refuses("encode.stacked_bias"):
        add_to_bias(ensemble.model, np.zeros(7, dtype=np.float32))
    with refuses("predictions.biased"):
        DermSim.fit(
            members[0].model,
            members[0].processor,
            train=synthetic["train"],
            validation=synthetic["validation"],
            calibration_logits=np.zeros((len(synthetic["validation"]), 7), dtype=np.float32),
            fit_bias=True,
        )


def test_it_sees_pictures_as_the_first_does(alike, synthetic, tmp_path):
    model, processor = load_encoder(alike[1])
    other = type(processor)(**{**processor.to_dict(), "size": {"shortest_edge": 72}})
    copy = tmp_path / "other"
    splits = {"train": synthetic["train"], "validation": synthetic["validation"]}
    DermSim.fit(model, other, **splits).save_pretrained(copy)
    for names, size in (([alike[0], copy], 64), ([copy, alike[0]], 72)):
        found = average_weights(names, **splits)
        assert found.processor.size["shortest_edge"] == size
    with refuses("preparation.pixels"):
        average_weights([alike[0], copy], **splits, test_image_size=0)


def test_other_layers_are_refused(folders, synthetic):
    message = refused(folders, synthetic, join=average_weights)
    assert f"{folders[1]} has other layers than {folders[0]}" in message
    message = refused(folders[:1], synthetic, join=average_weights)
    assert "at least 2 checkpoints to join, got 1" in message
    seen = synthetic["train"].select(range(8))
    message = refused(folders, synthetic, join=average_weights, validation=seen)
    assert "was trained on 4 lesions of this validation split" in message


# --- members that do not belong together ---------------------------------------------------------


def refused(names, synthetic, *, validation=None, join=build_ensemble):
    with pytest.raises(ValueError) as error:
        join(
            names,
            train=synthetic["train"],
            validation=synthetic["validation"] if validation is None else validation,
        )
    assert "\n" not in str(error.value)
    return str(error.value)


def test_one_member_is_no_ensemble(folders, synthetic):
    assert "at least 2 checkpoints to join, got 1" in refused(folders[:1], synthetic)


def test_the_same_encoder_twice_is_refused(folders, synthetic):
    assert "hold the same encoder" in refused([folders[0], *folders], synthetic)


def test_an_ensemble_is_no_member(folders, kept, synthetic):
    message = refused([folders[0], kept], synthetic)
    assert f"{kept} is an ensemble itself: name its members instead." in message


def test_a_member_that_takes_facts_is_refused(checkpoint, informed_checkpoint, synthetic):
    message = refused([checkpoint, informed_checkpoint], synthetic)
    assert "none of its members may take facts" in message


def test_a_member_trained_on_validation_is_refused(folders, synthetic):
    message = refused(folders, synthetic, validation=synthetic["train"].select(range(8)))
    assert "was trained on 4 lesions of this validation split, such as SYNL_" in message


@pytest.mark.parametrize(
    "change", [{"image_mean": [0.5, 0.5, 0.5]}, {"size": {"shortest_edge": 72}}]
)
def test_another_normalisation_or_size_is_refused(folders, synthetic, change, tmp_path):
    _, processor = load_encoder(folders[1])
    values = {**processor.to_dict(), **change}
    copy = shutil.copytree(folders[1], tmp_path / "other")
    model, _ = load_encoder(copy)
    save_encoder(model, type(processor)(**values), copy)
    message = refused([folders[0], copy], synthetic)
    assert f"{copy} sees images of another size or normalisation than {folders[0]}" in message


@pytest.mark.parametrize("name", ["members.0.projector.0.weight", "stack.bias"])
def test_a_missing_tensor_is_one_sentence(kept, name, tmp_path):
    copy = shutil.copytree(kept, tmp_path / "copy")
    tensors = load_file(copy / "model.safetensors")
    del tensors[name]
    save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
    misfit = Phrase("encoder.missing", name=name)
    with refuses("encoder.misfit", misfit=misfit) as error:
        DermSim.from_pretrained(copy)
    assert "\n" not in str(error.value)


def test_another_ensembles_gallery_is_refused(kept, tmp_path):
    copy = shutil.copytree(kept, tmp_path / "copy")
    tensors = load_file(copy / "model.safetensors")
    tensors["stack.bias"] += 1
    save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
    with refuses("load.unusable", error="detector.other_encoder"):
        DermSim.from_pretrained(copy)
