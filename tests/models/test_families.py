"""One small member of each family of backbones: made, saved, loaded, trained a step, explained."""

import pytest
import torch

from dermsim.models import DermSimImageProcessor
from dermsim.models.depthwise import QuickDepthwise
from dermsim.models.encoder import build_encoder, check_pictures, load_encoder, save_encoder
from dermsim.tasks.explain import draw, open_for
from dermsim.training.config import EncoderConfig, FreezeConfig
from dermsim.training.freezing import Freezing, parameter_groups
from dermsim.training.transfer import new_encoder

SIDE = 64

NARROW = {"img_size": SIDE, "embed_dim": 48, "depth": 3, "num_heads": 3}

FAMILIES = {  # how wide what the heads read is, where the map is narrower: timm has no one name
    "test_resnet": (96, None),
    "test_efficientnet": (256, None),
    "test_convnext": (64, None),
    "test_vit": (64, None),
    "mobilenetv3_small_050": (1024, None),
    "mobilenetv4_conv_small_035": (1280, None),
    "ghostnet_050": (1280, None),
    "lcnet_035": (1280, None),
    "regnety_002": (368, None),
    "efficientvit_b0": (1280, None),  # MIT's
    "efficientvit_m0": (192, None),  # Microsoft's
    "densenet121": (None, {"growth_rate": 8, "block_config": (2, 2, 2, 2)}),
    "vgg11": (4096, {"mlp_ratio": 0.03}),
    "deit_tiny_patch16_224": (48, NARROW),
    "deit_tiny_distilled_patch16_224": (48, NARROW),
    "vit_wee_patch16_reg1_gap_256": (48, NARROW),
    "vit_medium_patch16_reg4_gap_256": (48, NARROW),
    "eva02_tiny_patch14_224": (48, {**NARROW, "img_size": 56}),
    "swin_tiny_patch4_window7_224": (
        96,
        {"img_size": SIDE, "embed_dim": 12, "depths": (1, 1, 1, 1)},
    ),
    "maxvit_rmlp_pico_rw_256": (64, {"embed_dim": (32, 32, 64, 64), "depths": (1, 1, 1, 1)}),
    "coatnet_pico_rw_224": (64, {"embed_dim": (32, 32, 64, 64), "depths": (1, 1, 1, 1)}),
}
LARGE = {"hgnetv2_b0": (2048, None), "legacy_xception": (2048, None)}


@pytest.mark.parametrize(
    "name", [*FAMILIES, *(pytest.param(name, marks=pytest.mark.slow) for name in LARGE)]
)
def test_a_backbone_is_made_saved_loaded_trained_and_explained(name, tmp_path):
    width, options = {**FAMILIES, **LARGE}[name]
    side = (options or {}).get("img_size", SIDE)
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(0)
        model = build_encoder(backbone=name, backbone_kwargs=options, embed_dim=8, image_size=side)
        pixels = torch.randn(2, 3, side, side)
    check_pictures(model, side)

    save_encoder(model.eval(), DermSimImageProcessor(), tmp_path)
    loaded, _ = load_encoder(tmp_path)
    with torch.inference_mode():
        output, again = model(pixels), loaded(pixels)
    assert torch.allclose(again.logits, output.logits, atol=1e-5)
    assert output.features.ndim == 4
    assert output.pooled_features.shape[1] == width or width is None

    explain(loaded, pixels)
    learn(model, pixels)


def explain(model, pixels):
    """A logit or its opposite has evidence somewhere, and its map covers the picture."""
    looks = open_for("gradcam", model, pixels)
    peaks = []
    for sign in (1, -1):
        targets = [lambda output, sign=sign: sign * output.logits[:, 3]] * 2
        for heatmap in draw(looks, targets, ["bkl"] * 2, method="gradcam"):
            assert heatmap.values.shape == pixels.shape[2:]
            assert heatmap.values.min() >= 0 and heatmap.values.max() <= 1
            peaks.append(heatmap.peak)
    assert max(peaks) > 0


def learn(model, pixels):
    """A step in the trainer's way has a gradient for every weight."""
    before = {key: tensor.clone() for key, tensor in model.named_parameters()}
    Freezing(model, FreezeConfig(), epochs=1, random=True).apply(0)
    groups = parameter_groups(
        model, learning_rate=1e-2, backbone_rate=1, weight_decay=0.1, layer_decay=0.9
    )
    optimizer = torch.optim.AdamW(groups)
    with QuickDepthwise():
        trained = model.train()(pixels)
        loss = torch.nn.functional.cross_entropy(trained.logits, torch.tensor([1, 5]))
        (loss - trained.embeddings[0] @ trained.embeddings[1]).backward()
    optimizer.step()
    parameters = dict(model.named_parameters())
    # Of residual branches that begin with a factor of zero, only that moves in the first step.
    assert all(parameter.grad is not None for parameter in parameters.values())
    moved = [key for key, now in parameters.items() if not torch.equal(before[key], now)]
    assert len(moved) > len(before) / 2


@pytest.mark.parametrize(
    ("name", "sides", "words"),
    [
        (
            "eva02_tiny_patch14_224",
            (56, 64),
            r"^eva02_tiny_patch14_224 makes no feature map of pictures of 64 pixels \(Input height",
        ),
        ("test_vit4", (64, 72), "test_vit4"),
        ("efficientvit_m0", (64, 80), "takes no others, got .80, 80.: train and test it with one"),
        ("coat_tiny", (64, 64), "coat_tiny makes no feature map of pictures of 64 pixels"),
        ("pit_ti_224", (64, 64), "pit_ti_224 makes no feature map"),
        ("resnet1", (64, 64), "timm has no backbone 'resnet1': did you mean .*resnet1"),
    ],
)
def test_what_cannot_work_is_refused_before_it_is_trained(name, sides, words):
    size, test_size = sides
    with pytest.raises(ValueError, match=words) as caught:
        new_encoder(EncoderConfig(backbone=name, image_size=size, test_image_size=test_size))
    assert "\n" not in str(caught.value)


def test_asking_for_a_picture_changes_nothing():
    model = build_encoder(backbone="test_resnet", embed_dim=8, image_size=SIDE).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    check_pictures(model, 96)
    assert model.training
    assert all(torch.equal(before[name], now) for name, now in model.state_dict().items())
