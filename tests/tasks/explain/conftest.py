"""Tiny models to look into, and pytorch-grad-cam to compare with."""

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
from torch import nn

from dermsim.models.configuration_dermsim import DermSimConfig
from dermsim.models.modeling_dermsim import DermSimModel
from dermsim.models.modeling_dermsim_ensemble import DermSimEnsembleModel

CLASSES, DIMENSIONS, SIDE = 7, 16, 64

LIBRARY = {
    "gradcam": "GradCAM",
    "gradcam++": "GradCAMPlusPlus",
    "xgradcam": "XGradCAM",
    "scorecam": "ScoreCAM",
    "hirescam": "HiResCAM",
    "layercam": "LayerCAM",
    "eigencam": "EigenCAM",
}
"""What pytorch-grad-cam calls the methods it has."""


class TwoHeads(nn.Module):
    """A timm backbone cut at its last feature map, as DermSimModel is."""

    def __init__(self):
        super().__init__()
        self.backbone = timm.create_model("test_resnet", pretrained=False, num_classes=0)
        self.classifier = nn.Linear(self.backbone.num_features, CLASSES)
        self.projector = nn.Linear(self.backbone.num_features, DIMENSIONS)

    def encode(self, pixel_values):
        return self.backbone.forward_features(pixel_values)

    def feature_map(self, features):
        return features

    def decode(self, features):
        pooled = features.mean(dim=(2, 3))
        return SimpleNamespace(
            logits=self.classifier(pooled),
            embeddings=F.normalize(self.projector(pooled), dim=1),
        )


class Halves(nn.Module):
    """The same model seen as an ensemble: each half of the channels is a member's map."""

    def __init__(self, whole):
        super().__init__()
        self.whole = whole

    def encode(self, pixel_values):
        return self.whole.encode(pixel_values).chunk(2, dim=1)

    def feature_map(self, features):
        return tuple(own.contiguous() for own in features)

    def decode(self, features):
        return self.whole.decode(torch.cat(features, dim=1))


class Field(nn.Module):
    """One tensor of the output, which is what pytorch-grad-cam can index."""

    def __init__(self, model, field):
        super().__init__()
        self.model, self.field = model, field

    def forward(self, pixel_values):
        return getattr(self.model.decode(self.model.encode(pixel_values)), self.field)


def opened_up(build):
    """Build with a fixed seed; batch norms as random as they come pass almost nothing."""
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(0)
        built = build().eval()
        with torch.no_grad():
            for layer in built.modules():
                if isinstance(layer, nn.BatchNorm2d):
                    layer.weight.uniform_(0.5, 1.5)
                    layer.bias.uniform_(-0.5, 0.5)
    return built


@pytest.fixture(scope="session")
def model():
    return opened_up(TwoHeads)


@pytest.fixture(scope="session")
def halves(model):
    return Halves(model).eval()


@pytest.fixture(scope="session")
def transformers():
    """By how their heads pool: the class token, the mean of the patches, attention."""

    def build(name):
        options = {"img_size": SIDE}
        config = DermSimConfig(
            backbone=name, embed_dim=DIMENSIONS, image_size=SIDE, backbone_kwargs=options
        )
        return opened_up(lambda: _sharpened(DermSimModel(config)))

    names = {"token": "test_vit", "avg": "test_vit2", "map": "test_vit3"}
    return {pool: build(name) for pool, name in names.items()}


NARROW = {"embed_dim": 48, "depth": 3, "num_heads": 3}
SHAPES = {  # options, side of the picture, prefix tokens; None for a map with the channels last
    "deit_tiny_distilled_patch16_224": (NARROW, 64, 2),
    "vit_small_patch14_reg4_dinov2": (NARROW, 56, 5),
    "vit_medium_patch16_reg4_gap_256": (NARROW, 64, 4),
    "vit_wee_patch16_reg1_gap_256": (NARROW, 64, 1),
    "eva02_tiny_patch14_224": (NARROW, 56, 1),
    "swin_tiny_patch4_window7_224": ({"embed_dim": 12, "depths": (1, 1, 1, 1)}, 64, None),
}


@pytest.fixture(scope="session")
def shaped():
    """A narrow transformer by its name, the side of its pictures and its prefix tokens."""

    def build(name):
        options, side, prefix = SHAPES[name]
        config = DermSimConfig(
            backbone=name,
            embed_dim=DIMENSIONS,
            image_size=side,
            backbone_kwargs={"img_size": side, **options},
        )
        return opened_up(lambda: _sharpened(DermSimModel(config))), side, prefix

    return build


def _sharpened(model):
    """Let attention differ from place to place, as it hardly does with fresh weights."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".qkv.weight" in name:
                parameter *= 8
    return model


@pytest.fixture(scope="session")
def ensemble(transformers):
    """A convolutional network, a finer one and a transformer, for 64 pixels."""
    configs = [
        DermSimConfig(backbone=name, embed_dim=8, image_size=SIDE)
        for name in ("test_resnet", "test_efficientnet")
    ]
    members = [opened_up(lambda config=config: DermSimModel(config)) for config in configs]
    return DermSimEnsembleModel.from_members([*members, transformers["token"]])


@pytest.fixture(scope="session")
def ensemble_of_maps():
    """Two convolutional networks."""
    configs = [
        DermSimConfig(backbone=name, embed_dim=8, image_size=SIDE)
        for name in ("test_resnet", "test_efficientnet")
    ]
    members = [opened_up(lambda config=config: DermSimModel(config)) for config in configs]
    return DermSimEnsembleModel.from_members(members)


@pytest.fixture(scope="session")
def pixels():
    return torch.randn(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="session")
def library_maps():
    """The library's low-resolution maps with the ReLU it applies, before it scales them."""

    def run(method, model, field, pixels, target, *, layer, reshape=None, cut=True):
        import pytorch_grad_cam

        wrapped = Field(copy.deepcopy(model), field)
        module = wrapped.model.backbone.get_submodule(layer)
        raw = []
        kind = getattr(pytorch_grad_cam, LIBRARY.get(method, method))
        cam = kind(wrapped, [module], reshape_transform=reshape)
        cam_image = cam.get_cam_image
        cam.get_cam_image = lambda *args: raw.append(cam_image(*args)) or raw[0]
        cam(input_tensor=pixels, targets=[target] * len(pixels))
        found = raw[0]
        if method == "eigencam":  # the library leaves the sign of the component to chance
            sign = np.where(-found.min((1, 2)) > found.max((1, 2)), -1, 1)
            found = found * sign[:, None, None]
        return np.maximum(found, 0) if cut else found

    return run


@pytest.fixture(scope="session")
def own_maps():
    """Our raw maps at the resolution of the features."""
    from dermsim.tasks.explain import draw, open_for

    def run(method, model, pixels, target, *, layer=None):
        looks = open_for(method, model, pixels, layer=layer)
        (opened,) = looks
        grid = opened.as_maps([tap.detach() for (tap, *_) in opened.taps])[0].shape[2:]
        count = len(pixels)
        maps = draw(looks, [target] * count, ["t"] * count, method=method, size=tuple(grid))
        return np.stack([heatmap.values * heatmap.peak for heatmap in maps])

    return run
