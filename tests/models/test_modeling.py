"""The encoder: layouts of different backbones, round trips, refusals."""

import json
import math
from copy import deepcopy

import pytest
import torch
from transformers import AutoConfig, AutoImageProcessor, AutoModel, AutoModelForImageClassification

from dermsim.core.labels import CODES
from dermsim.data.facts import FACTS_COLUMNS, FACTS_DIM, Facts, encode_facts
from dermsim.models import (
    DermSimConfig,
    DermSimForImageClassification,
    DermSimImageProcessor,
    DermSimModel,
    configuration_dermsim,
)
from dermsim.models.configuration_dermsim import DIAGNOSIS_CODES

BACKBONES = {
    "test_resnet": None,
    "test_convnext": None,
    "test_vit": {"img_size": 64},
    "swin_tiny_patch4_window7_224": {"img_size": 64, "embed_dim": 12, "depths": (1, 1, 1, 1)},
}


def tiny(backbone: str = "test_resnet", **options) -> DermSimModel:
    config = DermSimConfig(
        backbone=backbone,
        backbone_kwargs=BACKBONES.get(backbone),
        embed_dim=16,
        image_size=64,
        **options,
    )
    return DermSimModel(config).eval()


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("backbone", BACKBONES)
def test_any_backbone_gives_every_output(backbone, images):
    with torch.inference_mode():
        output = tiny(backbone)(images)
    assert output.logits.shape == (3, 7)
    assert output.embeddings.shape == (3, 16)
    assert output.pooler_output is output.embeddings
    assert output.pooled_features.ndim == 2
    width = output.features.shape[1]
    assert output.features.shape == (3, width, *output.features.shape[2:])
    assert output.features.ndim == 4
    torch.testing.assert_close(output.embeddings.norm(dim=1), torch.ones(3))
    assert output.loss is None


@pytest.mark.parametrize("backbone", BACKBONES)
def test_saved_and_loaded_weights_answer_alike(backbone, images, tmp_path):
    model = tiny(backbone)
    model.save_pretrained(tmp_path)
    again = DermSimModel.from_pretrained(tmp_path)
    with torch.inference_mode():
        first, second = model(images), again(images)
    for name in ("logits", "embeddings", "features"):
        assert torch.equal(first[name], second[name]), name


def test_encode_then_decode_is_forward(images):
    model = tiny()
    with torch.inference_mode():
        assert torch.equal(model.decode(model.encode(images)).logits, model(images).logits)


def test_one_image_is_a_row_of_many(images):
    model = tiny()
    with torch.inference_mode():
        alone, together = model(images[1:2]), model(images)
    torch.testing.assert_close(alone.embeddings, together.embeddings[1:2])
    torch.testing.assert_close(alone.logits, together.logits[1:2])


def test_labels_give_the_cross_entropy(images):
    labels = torch.tensor([0, 3, 6])
    output = tiny()(images, labels=labels)
    expected = torch.nn.functional.cross_entropy(output.logits, labels)
    torch.testing.assert_close(output.loss, expected)


def test_a_tuple_on_request_starts_with_the_logits(images):
    model = tiny()
    torch.testing.assert_close(model(images, return_dict=False)[0], model(images).logits)


def test_the_configuration_may_ask_for_tuples(images):
    model = tiny()
    model.config.return_dict = False
    assert isinstance(model(images), tuple)
    assert model(images, return_dict=True).keys() == tiny()(images).keys()


def test_heads_are_initialised_and_the_backbone_keeps_timms_weights():
    model = tiny()
    assert model.classifier.weight.std().item() == pytest.approx(0.02, rel=0.2)
    assert not model.classifier.bias.any()
    # transformers' default would make every convolution N(0, 0.02).
    assert next(model.backbone.parameters()).std().item() > 0.05


def test_the_seven_diagnoses_are_those_of_the_labels():
    config = DermSimConfig()
    assert DIAGNOSIS_CODES == CODES
    assert tuple(config.id2label.values()) == CODES
    assert config.label2id == {code: index for index, code in enumerate(CODES)}
    assert config.num_labels == 7


def test_other_classes_are_possible(tmp_path):
    config = DermSimConfig(id2label={0: "benign", 1: "malignant"}, label2id={})
    config.save_pretrained(tmp_path)
    assert DermSimConfig.from_pretrained(tmp_path).id2label == {0: "benign", 1: "malignant"}


def test_auto_classes_know_dermsim(tmp_path):
    tiny().save_pretrained(tmp_path)
    DermSimImageProcessor().save_pretrained(tmp_path)
    assert isinstance(AutoConfig.from_pretrained(tmp_path), DermSimConfig)
    assert isinstance(AutoModel.from_pretrained(tmp_path), DermSimModel)
    assert isinstance(AutoModelForImageClassification.from_pretrained(tmp_path), DermSimModel)
    assert isinstance(AutoImageProcessor.from_pretrained(tmp_path), DermSimImageProcessor)


def test_config_is_plain_json(tmp_path):
    tiny().save_pretrained(tmp_path)
    written = json.loads((tmp_path / "config.json").read_text())
    assert written["model_type"] == "dermsim"
    assert written["backbone"] == "test_resnet"
    assert written["dtype"] == "float32"


@pytest.mark.parametrize("shape", [(3, 64, 64), (1, 1, 64, 64), (2, 64, 64, 3)])
def test_wrong_shapes_are_refused(shape):
    with pytest.raises(ValueError, match=r"must be \(B, 3, H, W\)"):
        tiny()(torch.zeros(shape))


@pytest.mark.parametrize(
    "wrong", [{"embed_dim": 0}, {"image_size": 0}, {"drop_rate": 1.0}, {"drop_rate": -0.1}]
)
def test_impossible_configurations_are_refused(wrong):
    with pytest.raises(ValueError, match="must be"):
        DermSimConfig(**wrong)


# --- facts about the patient ---------------------------------------------------------------------


@pytest.fixture
def informed() -> DermSimModel:
    """A model whose facts matter: a fresh one does not heed them yet."""
    model = tiny(facts_dim=FACTS_DIM)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in model.facts_head.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator))
    return model


@pytest.fixture(scope="module")
def facts() -> torch.Tensor:
    return torch.from_numpy(encode_facts([Facts(62, "male", "face"), None, Facts(age=20)]))


def test_zeros_are_bit_for_bit_no_facts(informed, images):
    with torch.inference_mode():
        without = informed(images)
        zeros = informed(images, facts=torch.zeros(3, FACTS_DIM))
        as_numbers = informed(images, facts=torch.from_numpy(encode_facts([None, Facts(), None])))
    assert torch.equal(without.logits, zeros.logits)
    assert torch.equal(without.logits, as_numbers.logits)


def test_facts_move_the_logits_of_their_own_row_and_nothing_else(informed, images, facts):
    with torch.inference_mode():
        without, with_facts = informed(images), informed(images, facts=facts)
        added = informed.weigh_facts(facts)
    moved = (without.logits != with_facts.logits).any(dim=1)
    assert moved.tolist() == [True, False, True]
    assert torch.equal(with_facts.logits, without.logits + added)
    for name in ("embeddings", "features", "pooled_features", "pooler_output"):
        assert torch.equal(without[name], with_facts[name]), name


def test_what_facts_add_is_a_perceptron_without_biases(informed, facts):
    hidden, output = (p.double() for p in informed.facts_head.parameters())
    expected = [output @ (hidden @ row).clamp(min=0) for row in facts.double()]
    torch.testing.assert_close(informed.weigh_facts(facts), torch.stack(expected).float())


def test_a_fresh_model_does_not_heed_facts_yet(images, facts):
    model = tiny(facts_dim=FACTS_DIM)
    assert model.facts_head.hidden.weight.std().item() == pytest.approx(0.2, rel=0.2)
    assert torch.equal(model(images, facts=facts).logits, model(images).logits)


def test_a_model_learns_from_facts_and_stays_the_image_model_without_them(images):
    """Only the facts tell the classes apart: every image is the same."""
    model = tiny(facts_dim=FACTS_DIM)
    same, labels = images[:1].expand(4, -1, -1, -1), torch.tensor([4, 4, 5, 5])
    told = torch.from_numpy(
        encode_facts([Facts(80, "male"), Facts(75), Facts(20, "male"), Facts(25)])
    )
    before = model(same).logits.detach()
    optimizer = torch.optim.Adam(model.facts_head.parameters(), lr=0.05)
    losses = []
    for _ in range(20):
        loss = model(same, labels=labels, facts=told).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 < 1 < losses[0]
    assert model(same, facts=told).logits.argmax(dim=1).equal(labels)
    assert torch.equal(model(same).logits, before)


def test_facts_for_a_model_that_takes_none_are_refused(images, facts):
    with pytest.raises(ValueError, match="this model takes none: its facts_dim is 0"):
        tiny()(images, facts=facts)


@pytest.mark.parametrize("shape", [(3, FACTS_DIM + 1), (FACTS_DIM,), (3, 1, FACTS_DIM)])
def test_facts_of_another_shape_are_refused(informed, images, shape):
    with pytest.raises(ValueError, match=rf"must be \(B, {FACTS_DIM}\)"):
        informed(images, facts=torch.zeros(shape))


def test_facts_of_fewer_rows_are_refused_rather_than_broadcast(informed, images):
    with pytest.raises(ValueError, match="1 rows of facts came with 3 images"):
        informed(images, facts=torch.zeros(1, FACTS_DIM))


def test_facts_take_the_precision_of_the_weights(informed, images, facts):
    output = informed.bfloat16()(images.bfloat16(), facts=facts)
    assert output.logits.dtype == torch.bfloat16


def test_the_columns_travel_with_the_weights(informed, images, facts, tmp_path):
    informed.save_pretrained(tmp_path)
    again = DermSimModel.from_pretrained(tmp_path)
    assert again.config.facts_dim == FACTS_DIM
    assert json.loads((tmp_path / "config.json").read_text())["facts_columns"] == list(
        FACTS_COLUMNS
    )
    with torch.inference_mode():
        assert torch.equal(again(images, facts=facts).logits, informed(images, facts=facts).logits)


def test_a_model_of_other_columns_keeps_them(tmp_path):
    columns = ["sex:male", "age:50"]
    tiny(facts_dim=2, facts_columns=columns).save_pretrained(tmp_path)
    assert DermSimModel.from_pretrained(tmp_path).config.facts_columns == columns


def test_the_columns_are_those_of_the_data():
    assert configuration_dermsim.FACTS_COLUMNS == FACTS_COLUMNS
    assert DermSimConfig(facts_dim=FACTS_DIM).facts_columns == list(FACTS_COLUMNS)
    assert DermSimConfig().facts_columns is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"facts_dim": 5},
        {"facts_dim": -1},
        {"facts_dim": 3, "facts_columns": ["sex:male"]},
        {"facts_columns": ["sex:male"]},
    ],
)
def test_a_count_that_is_not_that_of_the_columns_is_refused(wrong):
    with pytest.raises(ValueError, match="must be the number of facts_columns"):
        DermSimConfig(**wrong)


def test_a_checkpoint_from_before_facts_loads(images, tmp_path):
    model = tiny()
    model.save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    written = json.loads(path.read_text())
    for name in ("facts_dim", "facts_columns", "malignancy_head"):
        written.pop(name, None)
    path.write_text(json.dumps(written))
    again, loading = DermSimModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(loading.values())
    with torch.inference_mode():
        assert torch.equal(again(images).logits, model(images).logits)


# --- benign or malignant -------------------------------------------------------------------------


def test_without_the_head_the_outputs_are_as_before(images):
    model = tiny()
    assert model(images).malignancy_logits is None
    assert list(model(images)) == [
        "logits", "embeddings", "features", "pooled_features", "pooler_output"
    ]  # fmt: skip
    assert not any("malignancy" in name for name in model.state_dict())


def test_the_malignancy_head_reads_the_pooled_features(images, tmp_path):
    model = tiny(malignancy_head=True)
    head = model.malignancy_classifier
    assert head.weight.std().item() == pytest.approx(0.02, rel=0.4)
    assert not head.bias.any()
    model.save_pretrained(tmp_path)
    with torch.inference_mode():
        output = model(images)
        # a copy, since transformers leaves weights at the file's own alignment, whatever it is
        again = deepcopy(DermSimModel.from_pretrained(tmp_path))(images)
        expected = output.pooled_features @ head.weight[0] + head.bias
    assert output.malignancy_logits.shape == (3,)
    torch.testing.assert_close(output.malignancy_logits, expected)
    assert torch.equal(again.malignancy_logits, output.malignancy_logits)
    # last, so that no other field of the tuple moves
    assert torch.equal(model(images, return_dict=False)[-1], output.malignancy_logits)


@pytest.mark.parametrize("side", [32, 64, 160])
def test_a_transformer_that_takes_any_size_has_a_map_at_any_size(side):
    model = DermSimModel(DermSimConfig(backbone="test_vit", embed_dim=8, image_size=side)).eval()
    output = model(torch.zeros(1, 3, side, side))
    assert output.features.shape == (1, 64, side // 16, side // 16)


# --- hidden states -------------------------------------------------------------------------------


@pytest.mark.parametrize("backbone", BACKBONES)
def test_hidden_states_are_the_maps_of_the_stages(backbone, images):
    model = tiny(backbone)
    with torch.inference_mode():
        plain, told = model(images), model(images, output_hidden_states=True)
    assert plain.hidden_states is None and "hidden_states" not in plain
    assert isinstance(told.hidden_states, tuple) and len(told.hidden_states) > 3
    sides = [state.shape[-1] for state in told.hidden_states]
    assert all(state.ndim == 4 and len(state) == 3 for state in told.hidden_states)
    assert sides == sorted(sides, reverse=True) and sides[-1] == plain.features.shape[-1]
    for name in plain:
        assert torch.equal(plain[name], told[name]), name


def test_hidden_states_are_what_the_stages_gave(images):
    model = tiny("test_resnet")
    seen = []
    stages = [f"layer{number}" for number in range(1, 5)]
    for stage in stages:
        model.backbone.get_submodule(stage).register_forward_hook(
            lambda _module, _inputs, given: seen.append(given.clone())
        )
    with torch.inference_mode():
        states = model(images, output_hidden_states=True).hidden_states
    assert len(seen) == 4 and all(map(torch.equal, states[-4:], seen))


def test_hidden_states_are_the_configurations_choice_too(images):
    model = tiny(output_hidden_states=True)
    assert model(images).hidden_states is not None
    assert model(images, output_hidden_states=False).hidden_states is None
    assert isinstance(model(images, return_dict=False)[-1], tuple)


def test_hidden_states_can_be_learned_from(images):
    model = tiny()
    model(images, output_hidden_states=True).hidden_states[0].sum().backward()
    assert next(model.backbone.parameters()).grad.any()


@pytest.mark.parametrize("backbone", ["test_resnet", "test_convnext"])
def test_a_network_of_convolutions_has_no_attentions(backbone, images):
    model = tiny(backbone)
    output = model(images, output_attentions=True)
    assert output.attentions is None and list(output) == list(model(images))


def test_attentions_are_the_weights_that_tokens_are_mixed_by(images):
    model = tiny("test_vit")
    taken = []
    for block in model.backbone.blocks:
        block.attn.qkv.register_forward_hook(lambda _m, _i, given: taken.append(given))
    with torch.inference_mode():
        attentions = model(images, output_attentions=True).attentions
    assert isinstance(attentions, tuple) and len(attentions) == len(model.backbone.blocks)
    heads = model.backbone.blocks[0].attn.num_heads
    for weights, qkv in zip(attentions, taken, strict=True):
        query, key, _ = qkv.reshape(3, 17, 3, heads, -1).permute(2, 0, 3, 1, 4)
        scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
        assert weights.shape == (3, heads, 17, 17)
        torch.testing.assert_close(weights, scores.softmax(dim=-1))


def test_watching_attention_leaves_the_answers_and_no_trace(images):
    model = tiny("swin_tiny_patch4_window7_224")
    with torch.inference_mode():
        before = model(images)
        told = model(images, output_attentions=True, output_hidden_states=True)
        after = model(images)
    assert len(told.attentions) == 4 and len(told.hidden_states) == 4
    sums = [weights.sum(dim=-1) for weights in told.attentions]
    assert all(torch.allclose(total, torch.ones_like(total)) for total in sums)
    for name in before:
        torch.testing.assert_close(told[name], before[name])
        assert torch.equal(after[name], before[name]), name
    assert after.attentions is None


def test_watching_attention_ends_when_the_encoder_fails(monkeypatch, images):
    model = tiny("test_vit")
    fused = [block.attn.fused_attn for block in model.backbone.blocks]
    monkeypatch.setattr(model.backbone, "forward_features", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        model(images, output_attentions=True)
    assert [block.attn.fused_attn for block in model.backbone.blocks] == fused
    assert not any(block.attn.attn_drop._forward_pre_hooks for block in model.backbone.blocks)


def test_a_backbone_whose_stages_timm_does_not_give_is_named(monkeypatch, images):
    model = tiny()
    monkeypatch.delattr(type(model.backbone), "forward_intermediates")
    assert model(images).logits is not None
    with pytest.raises(ValueError, match="no hidden states: timm does not give those of test_res"):
        model(images, output_hidden_states=True)


# --- calibrated logits ---------------------------------------------------------------------------


def classifier_of(model: DermSimModel) -> DermSimForImageClassification:
    classifier = DermSimForImageClassification(model.config)
    classifier.load_state_dict(model.state_dict())
    return classifier.eval()


def test_the_classifiers_logits_are_divided_by_the_temperature(images):
    model = tiny(calibration_temperature=0.5)
    raw, calibrated = model(images), classifier_of(model)(images)
    assert torch.equal(calibrated.logits, raw.logits / 0.5)
    for name in set(raw) - {"logits"}:
        assert torch.equal(raw[name], calibrated[name]), name


def test_an_encoder_that_is_not_calibrated_keeps_its_logits(images):
    model = tiny()
    assert torch.equal(classifier_of(model)(images).logits, model(images).logits)


def test_a_classifiers_loss_is_that_of_its_logits(images):
    labels = torch.tensor([0, 3, 6])
    output = classifier_of(tiny(calibration_temperature=0.5))(images, labels=labels)
    expected = torch.nn.functional.cross_entropy(output.logits, labels)
    torch.testing.assert_close(output.loss, expected)


def test_images_with_facts_have_their_own_temperature(informed, images, facts):
    informed.config.calibration_temperature = 0.5
    informed.config.calibration_temperature_facts = 4.0
    calibrated = classifier_of(informed)(images, facts=facts).logits
    raw = informed(images, facts=facts).logits
    divisors = torch.tensor([[4.0], [0.5], [4.0]])  # of the second nothing is known
    assert torch.equal(calibrated, raw / divisors)


def test_calibrated_logits_take_the_precision_of_the_weights(images):
    classifier = classifier_of(tiny(calibration_temperature=0.5)).bfloat16()
    assert classifier(images.bfloat16()).logits.dtype == torch.bfloat16


def test_temperatures_travel_in_the_configuration(tmp_path):
    tiny(calibration_temperature=0.47007127892168543).save_pretrained(tmp_path)
    loaded = AutoModelForImageClassification.from_pretrained(tmp_path)
    assert isinstance(loaded, DermSimForImageClassification)
    assert loaded.config.calibration_temperature == 0.47007127892168543
    assert loaded.config.calibration_temperature_facts is None


@pytest.mark.parametrize("name", ["calibration_temperature", "calibration_temperature_facts"])
@pytest.mark.parametrize("wrong", [0, -1.0, float("inf"), float("nan"), "1", True])
def test_impossible_temperatures_are_refused(name, wrong):
    with pytest.raises(ValueError, match=f"{name} is .*, but must be a positive number"):
        DermSimConfig(**{name: wrong})
