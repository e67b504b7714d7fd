"""Several encoders as one: what comes out, what is kept, and which members belong together."""

import json
import math
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from refusals import refuses
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoImageProcessor, AutoModel, AutoModelForImageClassification

from dermsim.core.labels import CODES
from dermsim.models import (
    DermSimConfig,
    DermSimEnsembleConfig,
    DermSimEnsembleForImageClassification,
    DermSimEnsembleModel,
    DermSimEnsembleNetwork,
    DermSimImageProcessor,
    DermSimModel,
    DermSimNetwork,
)
from dermsim.models.encode import fingerprint
from dermsim.models.encoder import load_encoder, round_to_half, save_encoder
from dermsim.training.stacking import Stack

MEMBERS = (
    ("test_resnet", 8, None),
    ("test_efficientnet", 16, None),
    ("test_vit", 8, {"img_size": 64}),
)


def config(backbone="test_resnet", embed_dim=8, options=None, **others) -> DermSimConfig:
    return DermSimConfig(
        backbone=backbone, embed_dim=embed_dim, backbone_kwargs=options, image_size=64, **others
    )


@pytest.fixture(scope="module")
def members() -> list[DermSimModel]:
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(0)
        built = [DermSimModel(config(*member)).eval() for member in MEMBERS]
        with torch.no_grad():
            for member in built:
                member.classifier.weight.normal_(0, 1)  # so that they differ in opinion
    return built


@pytest.fixture
def model(members) -> DermSimEnsembleModel:
    joined = DermSimEnsembleModel.from_members(members)
    with torch.no_grad(), torch.random.fork_rng():
        torch.random.default_generator.manual_seed(1)
        joined.stack.weight.add_(torch.randn_like(joined.stack.weight) / 10)
        joined.stack.bias.normal_()
    return joined


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def same(first, second) -> bool:
    ours, theirs = first.state_dict(), second.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[n], theirs[n]) for n in ours)


# --- what comes out ------------------------------------------------------------------------------


def test_every_output_is_made_of_the_members(model, members, images):
    with torch.inference_mode():
        output = model(images)
        each = [member(images) for member in members]
    assert output.logits.shape == (3, 7)
    for row in range(3):
        answers = [float(p.log()) for o in each for p in o.logits[row].softmax(dim=0)]
        logits = [
            sum(w * a for w, a in zip(weights.tolist(), answers, strict=True)) + bias
            for weights, bias in zip(model.stack.weight, model.stack.bias.tolist(), strict=True)
        ]
        mean = sum(logits) / len(logits)
        for actual, expected in zip(output.logits[row].tolist(), logits, strict=True):
            assert actual == pytest.approx(expected - mean, abs=1e-4)
    assert output.embeddings.shape == (3, 32)
    assert output.pooler_output is output.embeddings
    assert torch.equal(output.pooled_features, torch.cat([o.pooled_features for o in each], dim=1))
    assert isinstance(output.features, tuple)
    for own, o in zip(output.features, each, strict=True):
        assert torch.equal(own, o.features)
    assert output.loss is None and output.malignancy_logits is None


def test_embeddings_are_unit_rows_and_their_cosine_is_the_members_mean(model, members, images):
    with torch.inference_mode():
        embeddings = model(images).embeddings
        cosines = [
            F.cosine_similarity(e[:1], e[1:]) for e in (m(images).embeddings for m in members)
        ]
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(3))
    expected = torch.stack(cosines).mean(dim=0)
    torch.testing.assert_close(F.cosine_similarity(embeddings[:1], embeddings[1:]), expected)


def test_a_new_ensemble_is_the_plain_average(members, images):
    joined = DermSimEnsembleModel.from_members(members)
    with torch.inference_mode():
        actual = joined(images).logits.softmax(dim=1)
        answers = [member(images).logits.log_softmax(dim=1) for member in members]
    expected = torch.stack(answers).mean(dim=0).softmax(dim=1)
    torch.testing.assert_close(actual, expected)


def test_the_model_computes_what_the_stack_was_fitted_for(model, members, images):
    stack = Stack(
        weight=model.stack.weight.detach().numpy(),
        bias=model.stack.bias.detach().numpy(),
        out_of_fold=torch.zeros(1, 7).numpy(),
        strength=1.0,
    )
    with torch.inference_mode():
        logits = torch.stack([member(images).logits for member in members])
        actual = model(images).logits
    torch.testing.assert_close(actual, torch.from_numpy(stack.logits(logits)), atol=1e-4, rtol=1e-4)


def test_encode_then_decode_is_forward(model, images):
    with torch.inference_mode():
        features = model.encode(images)
        output = model.decode(features)
        assert torch.equal(output.logits, model(images).logits)
        maps = model.feature_map(features)
    assert all(torch.equal(a, b) for a, b in zip(maps, output.features, strict=True))
    assert [own.ndim for own in maps] == [4, 4, 4]


def test_one_image_is_a_row_of_many(model, images):
    with torch.inference_mode():
        alone, together = model(images[1:2]), model(images)
    torch.testing.assert_close(alone.embeddings, together.embeddings[1:2])
    torch.testing.assert_close(alone.logits, together.logits[1:2])


def test_labels_give_the_cross_entropy_and_a_tuple_comes_on_request(model, images):
    labels = torch.tensor([0, 3, 6])
    output = model(images, labels=labels)
    torch.testing.assert_close(output.loss, F.cross_entropy(output.logits, labels))
    assert torch.equal(model(images, return_dict=False)[0], output.logits)


def test_an_answer_the_members_are_sure_of_still_has_a_gradient(members, images):
    joined = DermSimEnsembleModel.from_members(members)
    features = tuple(f.detach().requires_grad_() for f in joined.encode(images[:1]))
    with torch.no_grad():
        for member in joined.members:
            member.classifier.bias[4] = 60.0
    output = joined.decode(features)
    assert output.logits.softmax(dim=1)[0, 4] == 1
    for gradient in torch.autograd.grad(output.logits[0, 4], features):
        assert gradient.abs().max() > 1e-6


@pytest.mark.parametrize(
    ("backbone", "shape"),
    [
        ("resnet18", (2, 512, 2, 2)),
        ("densenet121", (2, 1024, 2, 2)),
        ("efficientnet_b0", (2, 1280, 2, 2)),
    ],
)
def test_the_usual_members_give_a_feature_map(backbone, shape, images):
    member = DermSimModel(config(backbone)).eval()
    with torch.inference_mode():
        output = member(images[:2])
        features = member.feature_map(member.encode(images[:2]))
    assert output.features.shape == features.shape == shape
    # both classifiers of timm pool the map by its mean
    torch.testing.assert_close(output.pooled_features, features.mean(dim=(2, 3)))
    torch.testing.assert_close(output.embeddings.norm(dim=1), torch.ones(2))


# --- what is kept --------------------------------------------------------------------------------


@pytest.mark.parametrize("rounded", [True, False])
def test_an_ensemble_comes_back_bit_for_bit(model, images, rounded, tmp_path):
    if rounded:
        round_to_half(model)
    processor = DermSimImageProcessor()
    save_encoder(model, processor, tmp_path)
    again, its_processor = load_encoder(tmp_path)
    assert isinstance(again, DermSimEnsembleNetwork)
    assert not again.training and again.dtype == torch.float32
    assert same(model, again)
    assert fingerprint(again, its_processor) == fingerprint(model, processor)
    with torch.inference_mode():
        first, second = model(images), again(images)
    assert torch.equal(first.logits, second.logits)
    assert torch.equal(first.embeddings, second.embeddings)


def test_a_single_encoder_still_comes_back_as_one(members, tmp_path):
    save_encoder(members[0], DermSimImageProcessor(), tmp_path)
    again, _ = load_encoder(tmp_path)
    assert isinstance(again, DermSimNetwork)
    assert same(members[0], again)
    assert not (tmp_path / "modeling_dermsim_ensemble.py").exists()


def test_members_are_copied(members):
    before = members[0].classifier.bias.clone()
    joined = DermSimEnsembleModel.from_members(members)
    assert same(joined.members[1], members[1])
    with torch.no_grad():
        joined.members[0].classifier.bias.add_(1)
    assert torch.equal(members[0].classifier.bias, before)


def test_config_is_plain_json(model, tmp_path):
    model.save_pretrained(tmp_path)
    written = json.loads((tmp_path / "config.json").read_text())
    assert written["model_type"] == "dermsim_ensemble"
    assert written["image_size"] == 64
    assert [member["backbone"] for member in written["members"]] == [m[0] for m in MEMBERS]
    assert [member["embed_dim"] for member in written["members"]] == [8, 16, 8]
    assert all("id2label" not in member for member in written["members"])
    assert written["id2label"] == {str(i): code for i, code in enumerate(CODES)}
    assert model.config.backbone == "test_resnet + test_efficientnet + test_vit"
    assert model.config.num_labels == 7
    assert DermSimEnsembleConfig.from_pretrained(tmp_path).to_dict() == model.config.to_dict()


def test_other_classes_are_possible(tmp_path):
    labels = {0: "benign", 1: "malignant"}
    pair = [DermSimModel(config(id2label=labels, label2id={})) for _ in range(2)]
    joined = DermSimEnsembleModel.from_members(pair)
    assert joined.config.id2label == labels
    assert joined.stack.weight.shape == (2, 4)
    joined.save_pretrained(tmp_path)
    assert DermSimEnsembleModel.from_pretrained(tmp_path).config.id2label == labels


def test_the_fingerprint_follows_every_part(model):
    processor = DermSimImageProcessor()
    seen = {fingerprint(model, processor)}
    with torch.no_grad():
        for tensor in (model.stack.bias, *(m.classifier.bias for m in model.members)):
            tensor[0] += 1
            seen.add(fingerprint(model, processor))
    assert len(seen) == 1 + 1 + len(MEMBERS)


def test_hidden_states_are_the_members_side_by_side(model, members, images):
    with torch.inference_mode():
        plain, told = model(images), model(images, output_hidden_states=True)
        each = [member(images, output_hidden_states=True).hidden_states for member in members]
        values = model(images, output_hidden_states=True, return_dict=False)
    assert plain.hidden_states is None and torch.equal(plain.logits, told.logits)
    expected = tuple(state for states in each for state in states)
    assert len(told.hidden_states) == len(expected) == len(values[-1])
    assert all(map(torch.equal, told.hidden_states, expected))
    attentions = model(images, output_attentions=True).attentions  # of the one that attends
    assert len(attentions) == len(members[2].backbone.blocks)


def test_the_classifiers_logits_are_divided_once(model, members, images):
    """Those of the ensemble are; the members' temperatures were fitted to what no one asks."""
    for member in members:
        member.config.calibration_temperature = 9.0
    joined = DermSimEnsembleModel.from_members(members)
    for member in members:
        member.config.calibration_temperature = None
    assert all(m.config.calibration_temperature is None for m in joined.members)
    joined.load_state_dict(model.state_dict())
    joined.config.calibration_temperature = 0.25
    classifier = DermSimEnsembleForImageClassification(joined.config).eval()
    classifier.load_state_dict(model.state_dict())
    with torch.inference_mode():
        assert torch.equal(classifier(images).logits, model(images).logits / 0.25)
        assert torch.equal(joined(images).logits, model(images).logits)
        labels = torch.tensor([0, 3, 6])
        loss = classifier(images, labels=labels).loss
        torch.testing.assert_close(loss, F.cross_entropy(model(images).logits / 0.25, labels))


def test_an_impossible_temperature_is_refused():
    with pytest.raises(ValueError, match="calibration_temperature is -1, but must be a positive"):
        DermSimEnsembleConfig(members=[config().to_dict()] * 2, calibration_temperature=-1)


def test_auto_classes_know_ensembles(model, tmp_path):
    model.save_pretrained(tmp_path)
    DermSimImageProcessor().save_pretrained(tmp_path)
    assert isinstance(AutoConfig.from_pretrained(tmp_path), DermSimEnsembleConfig)
    assert isinstance(AutoModel.from_pretrained(tmp_path), DermSimEnsembleModel)
    classifier = AutoModelForImageClassification.from_pretrained(tmp_path)
    assert isinstance(classifier, DermSimEnsembleForImageClassification)
    assert isinstance(AutoImageProcessor.from_pretrained(tmp_path), DermSimImageProcessor)


STRANGER = """
import sys
sys.modules["dermsim"] = None  # as if it were not installed
import torch
from transformers import AutoImageProcessor, AutoModel, AutoModelForImageClassification
folder = sys.argv[1]
AutoImageProcessor.from_pretrained(folder, trust_remote_code=True)
for kind in (AutoModel, AutoModelForImageClassification):
    model = kind.from_pretrained(folder, trust_remote_code=True)
    with torch.inference_mode():
        output = model(torch.linspace(-1, 1, 3 * 64 * 64).reshape(1, 3, 64, 64))
    numbers = output.logits[0, 0].item(), output.embeddings[0, 0].item()
    print(kind.__name__, type(model).__name__, *numbers)
"""


def test_auto_classes_open_the_folder_where_dermsim_is_not(model, tmp_path):
    folder = tmp_path / "ensemble"
    save_encoder(model, DermSimImageProcessor(), folder, temperature=0.5)
    (tmp_path / "stranger.py").write_text(STRANGER)
    command = [sys.executable, tmp_path / "stranger.py", folder]
    answer = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    with torch.inference_mode():
        output = model(torch.linspace(-1, 1, 3 * 64 * 64).reshape(1, 3, 64, 64))
    lines = answer.stdout.strip().splitlines()[-2:]
    assert len(lines) == 2
    names = {"AutoModel": "DermSimEnsembleModel"}
    names["AutoModelForImageClassification"] = "DermSimEnsembleForImageClassification"
    for line, (auto, expected) in zip(lines, names.items(), strict=True):
        asked, name, logit, coordinate = line.split()
        assert (asked, name) == (auto, expected)
        temperature = 1.0 if auto == "AutoModel" else 0.5
        assert float(logit) == pytest.approx(output.logits[0, 0].item() / temperature, abs=1e-5)
        assert float(coordinate) == pytest.approx(output.embeddings[0, 0].item(), abs=1e-6)


# --- what does not belong together ---------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1])
def test_one_member_is_no_ensemble(count):
    with pytest.raises(ValueError, match=f"at least 2 members, got {count}"):
        DermSimEnsembleConfig(members=[config().to_dict()] * count)


@pytest.mark.parametrize("nonsense", [None, "resnet18", ["resnet18", "resnet50"]])
def test_members_must_be_configurations(nonsense):
    with pytest.raises(ValueError, match="must be a list of at least 2 configurations"):
        DermSimEnsembleConfig(members=nonsense)


def test_members_of_another_size_are_refused():
    pair = [{"backbone": "test_resnet", "image_size": size} for size in (64, 96)]
    with pytest.raises(ValueError, match="same image, but theirs are 64, 96 pixels wide"):
        DermSimEnsembleConfig(members=pair)
    with pytest.raises(ValueError, match="theirs are 64 pixels wide and its own 80"):
        DermSimEnsembleConfig(members=pair[:1] * 2, image_size=80)


def test_members_for_other_classes_are_refused():
    other = config(id2label={0: "benign", 1: "malignant"}, label2id={})
    with pytest.raises(ValueError, match="must tell the same classes apart"):
        DermSimEnsembleConfig(members=[config().to_dict(), other.to_dict()])


def test_members_that_take_facts_are_refused():
    other = config(facts_dim=1, facts_columns=["sex:female"])
    with pytest.raises(ValueError, match="none of its members may take facts"):
        DermSimEnsembleConfig(members=[config().to_dict(), other.to_dict()])


def test_facts_are_refused(model, images):
    with pytest.raises(ValueError, match="an ensemble takes none"):
        model(images, facts=torch.zeros(3, 2))


@pytest.mark.parametrize("shape", [(3, 64, 64), (1, 1, 64, 64)])
def test_wrong_shapes_are_refused(model, shape):
    with pytest.raises(ValueError, match=r"must be \(B, 3, H, W\)"):
        model(torch.zeros(shape))


@pytest.mark.parametrize("name", ["members.1.classifier.bias", "stack.weight"])
@pytest.mark.parametrize("change", ["missing", "shape"])
def test_a_tensor_that_is_missing_or_of_another_shape_is_one_sentence(
    model, name, change, tmp_path
):
    save_encoder(model, DermSimImageProcessor(), tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    tensors[name] = tensors[name][:-1].clone()
    if change == "missing":
        del tensors[name]
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with refuses("encoder.misfit") as error:
        load_encoder(tmp_path)
    assert "\n" not in str(error.value)
    if change == "missing":
        assert name in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "vit"}, "model_type 'vit', which is not one of dermsim"),
        ({"model_type": None}, "model_type None, which is not one of dermsim"),
        ({"members": []}, "at least 2 members, got 0"),
        ({"members": "all"}, "must be a list"),
    ],
)
def test_a_damaged_configuration_is_one_sentence(model, change, message, tmp_path):
    save_encoder(model, DermSimImageProcessor(), tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with refuses("encoder.unreadable", folder=tmp_path) as error:
        load_encoder(tmp_path)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_the_stack_weighs_no_more_than_its_members_can_say(members):
    """The plain average has the same scale as one member, whatever their number."""
    joined = DermSimEnsembleModel.from_members(members)
    assert joined.stack.weight.sum(dim=1).tolist() == pytest.approx([1.0] * 7)
    assert not joined.stack.bias.any()
    assert math.isclose(joined.stack.weight.abs().max().item(), 1 / len(members), rel_tol=1e-6)
