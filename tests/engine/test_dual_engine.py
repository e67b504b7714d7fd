"""A text-image encoder in a checkpoint: all that is done with an encoder, and no text loaded."""

import json
import shutil

import numpy as np
import pytest
import torch
from refusals import refuses
from tiny_duals import hf_clip, hf_siglip
from transformers import AutoModel, AutoModelForImageClassification

from dermsim import DermSim
from dermsim.core.checkpoint import TEXT
from dermsim.data.synthetic import draw_lesion
from dermsim.evaluation.explanations.untrained import untrained
from dermsim.models import DermSimDualConfig, DermSimDualModel, DermSimDualNetwork
from dermsim.models.conversion import convert
from dermsim.models.encode import fingerprint
from dermsim.models.encoder import copy_encoder, join_encoders, load_encoder


@pytest.fixture(scope="session")
def lesion():
    return draw_lesion("mel", seed=5)


def test_everything_is_asked_of_it_and_the_text_encoder_sleeps(dual_checkpoint, lesion):
    engine = DermSim.from_pretrained(dual_checkpoint)
    found = engine.analyze(lesion, k=3, explain="gradcam")
    assert len(found.neighbors) == 3 and found.heatmap.values.shape == lesion.size[::-1]
    assert abs(sum(found.prediction.probabilities.values()) - 1) < 1e-5
    bank = engine.class_bank()
    enrolled = bank.enroll("hairs", engine.embed([lesion] * 3, space=bank.space.name))
    assert "hairs" in enrolled.names
    assert engine.explain(lesion, like=lesion).values.max() <= 1
    assert len(engine.embed(lesion)[0]) == engine.model.config.embed_dim
    assert not engine.words.loaded


@pytest.mark.parametrize("method", ["gradcam", "layercam", "rollout", "gradattention", "occlusion"])
def test_a_tower_is_explained_like_any_transformer(dual_engine, lesion, method):
    assert dual_engine.explain(lesion, method=method).values.shape == lesion.size[::-1]


def test_it_is_written_as_it_was_read(dual_checkpoint, tmp_path):
    DermSim.from_pretrained(dual_checkpoint).save_pretrained(tmp_path / "copy")
    text = [f"{TEXT}/{name}" for name in ("config.json", "model.safetensors", "tokenizer.json")]
    parts = ("config.json", "model.safetensors", "preprocessor_config.json", "SOURCE.json")
    for name in (*text, *parts, "prompts.json"):
        assert (tmp_path / "copy" / name).read_bytes() == (dual_checkpoint / name).read_bytes()
    copy = DermSim.from_pretrained(tmp_path / "copy")
    ours, theirs = (
        engine.words.prompts.directions
        for engine in (copy, DermSim.from_pretrained(dual_checkpoint))
    )
    np.testing.assert_array_equal(ours.by_template, theirs.by_template)


def test_without_its_text_encoder_it_is_the_same_for_pictures(dual_checkpoint, lesion, tmp_path):
    folder = shutil.copytree(dual_checkpoint, tmp_path / "pictures")
    shutil.rmtree(folder / TEXT)
    engine, whole = (DermSim.from_pretrained(place) for place in (folder, dual_checkpoint))
    assert engine.fingerprint == whole.fingerprint
    np.testing.assert_array_equal(engine.embed(lesion), whole.embed(lesion))


def test_transformers_opens_the_folder(dual_checkpoint, dual_engine, lesion):
    model = AutoModel.from_pretrained(dual_checkpoint)
    assert isinstance(model, DermSimDualModel)
    classifier = AutoModelForImageClassification.from_pretrained(dual_checkpoint)
    pixels = dual_engine.processor(lesion, return_tensors="pt").pixel_values
    with torch.inference_mode():
        seen, logits = model(pixels), classifier(pixels).logits
    np.testing.assert_array_equal(seen.embeddings.numpy(), dual_engine.embed(lesion))
    found = dual_engine.predict(lesion)[0]
    probabilities = list(found.probabilities.values())
    np.testing.assert_allclose(logits.softmax(-1)[0], probabilities, atol=1e-5)


def test_logits_are_scaled_cosines_with_the_names(dual_engine, lesion):
    pixels = dual_engine.processor(lesion, return_tensors="pt").pixel_values
    with torch.inference_mode():
        output = dual_engine.model(pixels)
    names = dual_engine.words.prompts.directions.prototypes
    expected = np.exp(3.5) * output.embeddings.numpy() @ names.T
    # weights are rounded to half precision when a checkpoint is fitted
    np.testing.assert_allclose(output.logits.numpy(), expected, atol=0.02)


def test_another_activation_of_the_same_weights_is_another_encoder(tmp_path):
    marks = set()
    for act in ("quick_gelu", "gelu"):
        hf_clip(tmp_path / act, act=act)
        convert(str(tmp_path / act), tmp_path / f"{act}-out")
        marks.add(fingerprint(*load_encoder(tmp_path / f"{act}-out")))
    assert len(marks) == 2


def test_siglip_s_heatmap_covers_the_whole_photograph(tmp_path, synthetic):
    from dermsim.training.converted import fit_converted

    hf_siglip(tmp_path / "source")
    convert(str(tmp_path / "source"), tmp_path / "encoder")
    engine = fit_converted(tmp_path / "encoder", synthetic)
    wide = draw_lesion("mel", seed=5).resize((120, 60))
    heatmap = engine.explain(wide, method="gradcam")
    assert heatmap.values.shape == (60, 120) and heatmap.seen == (0, 0, 1, 1)


# --- what it cannot be ---------------------------------------------------------------------------


def test_it_is_no_member_of_an_ensemble(dual_engine):
    with refuses("encoder.dual_member"):
        join_encoders([dual_engine.model, dual_engine.model])


def test_a_copy_may_have_fewer_classes(dual_engine):
    fewer = copy_encoder(dual_engine.model, outputs=3)
    assert fewer.classifier.weight.shape[0] == 3
    same = torch.equal(fewer.classifier.weight, dual_engine.model.classifier.weight[:3])
    assert same


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"projection": "mlp"}, "projection"),
        ({"facts_dim": 23}, "facts"),
        ({"malignancy_head": True}, "second classifier"),
        ({"backbone_kwargs": {"act_layer": "relu6"}}, "act_layer"),
    ],
)
def test_configurations_that_are_none(options, word):
    with pytest.raises(ValueError, match=word):
        DermSimDualConfig(**options)


@pytest.mark.parametrize("options", [{"projection": "none", "embed_dim": 7}, {"double_norm": True}])
def test_networks_that_cannot_be_made(options):
    with pytest.raises(ValueError):
        DermSimDualNetwork(DermSimDualConfig(backbone="test_vit", image_size=160, **options))


def test_it_takes_no_facts(dual_engine, lesion):
    pixels = dual_engine.processor(lesion, return_tensors="pt").pixel_values
    with pytest.raises(ValueError, match="takes none"):
        dual_engine.model(pixels, facts=torch.zeros(1, 3))


def test_without_its_prompts_it_is_not_whole(dual_checkpoint, tmp_path):
    folder = shutil.copytree(dual_checkpoint, tmp_path / "copy")
    for name in ("prompts.json", "prompts.safetensors"):
        (folder / name).unlink()
    with refuses("load.unusable", error="words_of.no_prompts"):
        DermSim.from_pretrained(folder)


def test_prompts_of_another_encoder(dual_checkpoint, tmp_path):
    folder = shutil.copytree(dual_checkpoint, tmp_path / "copy")
    values = json.loads((folder / "prompts.json").read_text())
    (folder / "prompts.json").write_text(json.dumps({**values, "text": "0" * 16}))
    with refuses("load.unusable"):
        DermSim.from_pretrained(folder)


def test_the_same_tower_with_other_weights(dual_engine, lesion):
    other = untrained(dual_engine.model)
    pixels = dual_engine.processor(lesion, return_tensors="pt").pixel_values
    with torch.inference_mode():
        ours, theirs = dual_engine.model(pixels), other(pixels)
    assert ours.embeddings.shape == theirs.embeddings.shape
    assert not torch.allclose(ours.embeddings, theirs.embeddings, atol=1e-2)
