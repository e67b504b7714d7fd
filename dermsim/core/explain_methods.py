"""The ways of asking an encoder where it looked, by name; `dermsim.tasks.explain` goes them.

Kept apart from the code, so that a menu or a command line can name them without loading torch.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Literal

from dermsim.core.labels import CODES, parse_dx
from dermsim.core.refused import Refused

MethodName = Literal[
    "gradcam",
    "gradcam++",
    "xgradcam",
    "scorecam",
    "hirescam",
    "layercam",
    "eigencam",
    "rollout",
    "gradattention",
    "occlusion",
    "finercam",
    "ablationcam",
    "shapleycam",
    "gradcamelementwise",
    "eigengradcam",
    "segeigencam",
    "kpcacam",
    "fem",
]
"""What a method is called in the API, on the command line and in files."""

DEFAULT: Final = "default"
"""Asks for the method that did best on validation, as the checkpoint says, or `UNMEASURED`."""

UNMEASURED = "gradcam"
"""The method of a checkpoint whose heatmaps were not measured."""

VANISHED = 0.01
"""Peak of a map of a likeness, a cosine, up to which there is nothing in particular: no one place
carries a hundredth of it. Near its top a cosine has hardly any gradient, however much of the
likeness rests on one place, so that a method of gradients then stays below."""

CLEAR = 0.1
"""Peak of a map of a likeness from which it is drawn at full strength."""

MethodChoice = Literal[MethodName, "default"]
"""A method, or `DEFAULT`."""


@dataclass(frozen=True)
class Method:
    """A way of making a heatmap.

    Attributes:
        name: What it is called in the API.
        title: What its authors call it.
        sentence: What it does, for who looks at the map.
        paper: Where it is described.
        needs_attention: Whether it reads the attention of a transformer, which a convolutional
            network does not have.
        follows_target: Whether another target makes another map.
        is_slow: Whether it asks the encoder, or its heads, many times.
        needs_maps: Whether the features must lie as a map with the channels first, as those of
            convolutional networks do and those of transformers do not.
        diagnoses_only: Whether it explains a diagnosis and nothing else.
        library: Whether `pytorch-grad-cam` draws it; the others are our own.
    """

    name: MethodName
    title: str
    sentence: str
    paper: str
    needs_attention: bool = False
    follows_target: bool = True
    is_slow: bool = False
    needs_maps: bool = False
    diagnoses_only: bool = False
    library: bool = False

    @property
    def may_be_default(self) -> bool:
        """Whether it answers whatever is asked for, and at once."""
        return self.follows_target and not (self.is_slow or self.diagnoses_only)


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method(
            "gradcam",
            "Grad-CAM",
            "Adds up the channels of the feature map, each as important as its mean gradient.",
            "https://arxiv.org/abs/1610.02391",
        ),
        Method(
            "gradcam++",
            "Grad-CAM++",
            "As Grad-CAM, but places that raise the score weigh more within a channel.",
            "https://arxiv.org/abs/1710.11063",
        ),
        Method(
            "xgradcam",
            "XGrad-CAM",
            "As Grad-CAM, with gradients averaged where the channel is active.",
            "https://arxiv.org/abs/2008.02312",
        ),
        Method(
            "scorecam",
            "Score-CAM",
            "Hides all but what a channel responds to and asks how high the score still is; slow.",
            "https://arxiv.org/abs/1910.01279",
            is_slow=True,
        ),
        Method(
            "hirescam",
            "HiResCAM",
            "Multiplies gradient and feature place by place: exactly what a linear head adds up.",
            "https://arxiv.org/abs/2011.08891",
        ),
        Method(
            "layercam",
            "LayerCAM",
            "As HiResCAM, keeping only gradients that raise the score.",
            "https://doi.org/10.1109/TIP.2021.3089943",
        ),
        Method(
            "eigencam",
            "Eigen-CAM",
            "Shows what dominates the features, whatever is asked for.",
            "https://arxiv.org/abs/2008.00299",
            follows_target=False,
        ),
        Method(
            "rollout",
            "Attention rollout",
            "Follows a transformer's attention from the answer back to the picture.",
            "https://arxiv.org/abs/2005.00928",
            needs_attention=True,
            follows_target=False,
        ),
        Method(
            "gradattention",
            "Gradient-weighted attention",
            "As rollout, counting only the attention that raises the score.",
            "https://arxiv.org/abs/2103.15679",
            needs_attention=True,
        ),
        Method(
            "occlusion",
            "Occlusion",
            "Blurs one part of the picture after another and asks how much of the score is lost.",
            "https://arxiv.org/abs/1311.2901",
            is_slow=True,
        ),
        Method(
            "finercam",
            "Finer-CAM",
            "As Grad-CAM, for what tells a diagnosis from the three that score most like it.",
            "https://arxiv.org/abs/2501.11309",
            diagnoses_only=True,
            library=True,
        ),
        Method(
            "ablationcam",
            "Ablation-CAM",
            "Switches off one channel after another and asks how much of the score is lost.",
            "https://doi.org/10.1109/WACV45572.2020.9093360",
            is_slow=True,
            needs_maps=True,
            library=True,
        ),
        Method(
            "shapleycam",
            "Shapley-CAM",
            "As Grad-CAM, with the curvature of the score taken into account.",
            "https://arxiv.org/abs/2501.06261",
            needs_maps=True,
            library=True,
        ),
        Method(
            "gradcamelementwise",
            "Element-wise Grad-CAM",
            "As HiResCAM, with what speaks against the score cut off channel by channel.",
            "https://github.com/jacobgil/pytorch-grad-cam",
            library=True,
        ),
        Method(
            "eigengradcam",
            "Eigen-Grad-CAM",
            "Shows what dominates the features after each is multiplied by its gradient.",
            "https://github.com/jacobgil/pytorch-grad-cam",
            library=True,
        ),
        Method(
            "segeigencam",
            "Seg-Eigen-CAM",
            "As Eigen-Grad-CAM, counting how strong a gradient is and not which way it points.",
            "https://doi.org/10.3390/app15137562",
            library=True,
        ),
        Method(
            "kpcacam",
            "KPCA-CAM",
            "As Eigen-CAM, with a component that need not be linear.",
            "https://arxiv.org/abs/2410.00267",
            follows_target=False,
            library=True,
        ),
        Method(
            "fem",
            "FEM",
            "Adds up the features where they are rare and strong, whatever is asked for.",
            "https://hal.science/hal-02963298",
            follows_target=False,
            library=True,
        ),
    )
}
"""All methods by name, in the order of menus and tables."""


def methods_for(*, has_attention: bool, has_maps: bool = True) -> tuple[Method, ...]:
    """Return the methods that an encoder can be asked with.

    Args:
        has_attention: Whether every part of it is a transformer with global attention.
        has_maps: Whether the features of every part are maps with the channels first.
    """
    return tuple(
        method
        for method in METHODS.values()
        if (has_attention or not method.needs_attention) and (has_maps or not method.needs_maps)
    )


_LAYER = re.compile(r"-?[0-9]{1,3}|[A-Za-z_][A-Za-z0-9_.]{0,127}")


def parse_layer(text: str | None) -> int | str | None:
    """Return a place in a backbone as people write it: a stage by its number, a module by its name.

    Args:
        text: Such as ``"-2"`` or ``"layer3.0.conv1"``; None for where the heads begin.

    Raises:
        ValueError: If it is neither a number nor the name of a module.
    """
    if text is None:
        return None
    if not _LAYER.fullmatch(text):
        raise Refused("explain_methods.layer")
    return int(text) if text.lstrip("-").isdigit() else text


def parse_target(name: str | None, enrolled: Collection[str] = ()) -> str | None:
    """Return what is to be explained, as people name it.

    Args:
        name: A diagnosis by any of its names, ``"malignancy"``, or an enrolled class; None for the
            model's own answer.
        enrolled: Names of the classes of a bank.

    Raises:
        ValueError: If it is none of these.
    """
    if name is None or name == "malignancy" or (name in enrolled and name not in CODES):
        return name
    return parse_dx(name)
