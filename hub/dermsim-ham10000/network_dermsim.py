"""The encoder's network: one image in; one embedding, seven logits and a feature map out.

Ships beside the weights, so it imports nothing of dermsim but its sibling configuration. It needs
torch and timm alone: `modeling_dermsim` makes it a model of transformers, which takes longer to
import than torch itself, and which neither loading a checkpoint nor asking it calls for.
"""

from __future__ import annotations

import difflib
import inspect
import math
from dataclasses import dataclass
from typing import Any

import timm
import torch
import torch.nn.functional as F
from torch import nn
from transformers.utils import ModelOutput

from .attention_dermsim import attention_weights
from .configuration_dermsim import DermSimConfig

FACTS_WIDTH = 32
"""Hidden units of the head for facts."""


@dataclass
class DermSimOutput(ModelOutput):
    """What the encoder says of a batch of B images.

    Attributes:
        loss: Cross-entropy against `labels`, a scalar; None without labels.
        logits: ``(B, num_labels)``, one score per diagnosis before the softmax.
        embeddings: ``(B, D)``, rows of unit length: the cosine of two is their similarity.
        features: ``(B, C, h, w)``, the backbone's last feature map; of an ensemble a tuple of its
            members' maps.
        pooled_features: ``(B, F)``, the feature map pooled by the backbone; what both heads read.
        pooler_output: `embeddings` again, under the name transformers pipelines look for.
        malignancy_logits: ``(B,)``, the score of malignant against benign before the sigmoid; None
            in a model without the head for it.
        hidden_states: With `output_hidden_states` what the backbone's stages give, first to last,
            ``(B, C, h, w)`` each; of an ensemble its members', one member after the other.
        attentions: With `output_attentions` the weights of each attention layer, first to last, as
            `attention_weights` gives them; None where there are no such layers, as in a CNN.
    """

    # ModelOutput wants a default for every field; `decode` fills all but those that may be None.
    loss: torch.Tensor | None = None
    logits: torch.Tensor = None  # type: ignore[assignment]
    embeddings: torch.Tensor = None  # type: ignore[assignment]
    features: torch.Tensor | tuple[torch.Tensor, ...] = None  # type: ignore[assignment]
    pooled_features: torch.Tensor = None  # type: ignore[assignment]
    pooler_output: torch.Tensor = None  # type: ignore[assignment]
    malignancy_logits: torch.Tensor | None = None
    hidden_states: tuple[torch.Tensor, ...] | None = None
    attentions: tuple[torch.Tensor, ...] | None = None


class FactsHead(nn.Module):
    """What facts about the patient add to the logits.

    A perceptron, since facts may mean more together than each alone; without biases, so that
    nothing known adds nothing: f(0) = 0.
    """

    def __init__(self, columns: int, classes: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(columns, FACTS_WIDTH, bias=False)
        self.output = nn.Linear(FACTS_WIDTH, classes, bias=False)

    def forward(self, facts: torch.Tensor) -> torch.Tensor:
        """Map facts ``(B, columns)`` to what they add, ``(B, classes)``."""
        return self.output(F.relu(self.hidden(facts)))


class DermSimNetwork(nn.Module):
    """A timm backbone with a projection head and a linear classifier.

    The projection head is the two-layer perceptron of SimCLR (Chen 2020,
    https://arxiv.org/abs/2002.05709). Unlike there, its output is what users keep: it is trained
    with labels (SupCon, Khosla 2020, https://arxiv.org/abs/2004.11362), so it holds what matters.

    A model with `config.facts_dim` also takes what is known of the patient. Facts add to the
    logits, as evidence adds to log-odds when its sources are independent given the diagnosis (naive
    Bayes). Their head has no biases, so that a row of zeros, nothing known, adds exactly nothing:
    without facts it is the image model. Embeddings and features never depend on facts: the same
    picture is alike to the same cases whoever it is of.
    """

    config: DermSimConfig
    backbone: Any
    only_size: tuple[int, int] | None
    facts_head: FactsHead | None
    malignancy_classifier: nn.Linear | None

    def __init__(self, config: DermSimConfig) -> None:
        """Build the network with weights as torch and timm draw them.

        Args:
            config: What to build.
        """
        super().__init__()
        self.config = config
        self.build(config)

    def build(self, config: DermSimConfig) -> None:
        """Make the layers.

        Args:
            config: What to build.

        Raises:
            ValueError: If timm has no such backbone, or cannot make it for pictures of this size.
        """
        self.backbone, self.only_size = new_backbone(config)
        # Some pool first and widen after it, so that the map has fewer channels than this.
        width: int = getattr(self.backbone, "head_hidden_size", self.backbone.num_features)
        self.projector = nn.Sequential(
            nn.Linear(width, width), nn.ReLU(inplace=True), nn.Linear(width, config.embed_dim)
        )
        self.dropout = nn.Dropout(config.drop_rate)
        classes = len(config.id2label or ())
        self.classifier = nn.Linear(width, classes)
        self.malignancy_classifier = nn.Linear(width, 1) if config.malignancy_head else None
        self.facts_head = FactsHead(config.facts_dim, classes) if config.facts_dim else None

    @property
    def members(self) -> tuple[DermSimNetwork, ...]:
        """The encoder itself; those of an ensemble are several."""
        return (self,)

    @property
    def device(self) -> torch.device:
        """Device that holds the weights."""
        return self.classifier.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the weights."""
        return self.classifier.weight.dtype

    @property
    def feature_width(self) -> int:
        """F, the numbers in a row of `pooled_features`."""
        return self.classifier.in_features

    def encode(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Run the backbone.

        Args:
            pixel_values: ``(B, 3, H, W)`` float, as `DermSimImageProcessor` makes them.

        Returns:
            The backbone's features in timm's own layout, as `decode` takes them.

        Raises:
            ValueError: If the backbone takes pictures of one size only, and these have another.
        """
        return self.backbone.forward_features(self._laid_out(pixel_values))

    def encode_stages(
        self, pixel_values: torch.Tensor
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        """Run the backbone and keep what each of its stages gives.

        Args:
            pixel_values: As for `encode`.

        Returns:
            What `encode` returns, and the stages' maps ``(B, C, h, w)``, first to last; a vision
            transformer's are those of its blocks, without prefix tokens. Where layers follow the
            last stage, as a final norm does, the features are not its map.

        Raises:
            ValueError: As for `encode`, and if timm cannot say what this backbone's stages give.
        """
        if not hasattr(self.backbone, "forward_intermediates"):
            raise ValueError(
                f"There are no hidden states: timm does not give those of {self.config.backbone}."
            )
        features, stages = self.backbone.forward_intermediates(self._laid_out(pixel_values))
        return features, tuple(stages)

    def _laid_out(self, pixel_values: torch.Tensor) -> torch.Tensor:
        if self.only_size and tuple(pixel_values.shape[-2:]) != self.only_size:
            raise ValueError(
                f"{self.config.backbone} was made for pictures of {self.only_size} pixels (height, "
                f"width) and takes no others, got {tuple(pixel_values.shape[-2:])}: train and test "
                "it with one size."
            )
        # With channels last oneDNN and cuDNN need not rearrange a picture for every convolution.
        return pixel_values.contiguous(memory_format=torch.channels_last)

    def feature_map(self, features: torch.Tensor) -> torch.Tensor:
        """Bring timm's features, whatever their layout, to ``(B, C, h, w)``.

        Args:
            features: What `encode` returned: a map ``(B, C, h, w)``, a map with the channels last
                ``(B, h, w, C)``, or tokens ``(B, prefix + h * w, C)``.

        Returns:
            A view of the same numbers as ``(B, C, h, w)``; prefix tokens are left out.
        """
        if features.ndim == 3:
            # Who does not count them has a class token, if that is what the heads read.
            first = int(getattr(self.backbone, "global_pool", None) == "token")
            tokens = features[:, getattr(self.backbone, "num_prefix_tokens", first) :]
            grid = getattr(getattr(self.backbone, "patch_embed", None), "grid_size", None)
            # A backbone that takes other sizes than it was made for says only the latter's grid.
            height = math.isqrt(tokens.shape[1])
            if grid and math.prod(grid) == tokens.shape[1]:
                height = grid[0]
            return tokens.unflatten(1, (height, -1)).permute(0, 3, 1, 2)
        if getattr(self.backbone, "output_fmt", "NCHW") == "NHWC":
            return features.permute(0, 3, 1, 2)
        return features

    def weigh_facts(self, facts: torch.Tensor) -> torch.Tensor:
        """Say what is known of patients speaks for and against each diagnosis.

        Args:
            facts: ``(B, facts_dim)`` float in [0, 1], as `config.facts_columns` describes; zero
                where a fact is not known.

        Returns:
            ``(B, num_labels)``, what the facts add to the logits; zero for a row of zeros.

        Raises:
            ValueError: If the model takes no facts, or `facts` is not ``(B, facts_dim)``.
        """
        if self.facts_head is None:
            raise ValueError("Facts were given, but this model takes none: its facts_dim is 0.")
        if facts.ndim != 2 or facts.shape[1] != self.config.facts_dim:
            raise ValueError(
                f"facts has shape {tuple(facts.shape)}, but must be (B, {self.config.facts_dim})."
            )
        return self.facts_head(facts.to(self.classifier.weight.dtype))

    def decode(self, features: torch.Tensor, facts: torch.Tensor | None = None) -> DermSimOutput:
        """Pool features and apply the heads: all that comes after the backbone.

        Args:
            features: As from `encode`.
            facts: ``(B, facts_dim)``, as for `weigh_facts`; None when nothing is known.

        Returns:
            The output without a loss.

        Raises:
            ValueError: If the model takes no facts, or they do not fit.
        """
        pooled = self.backbone.forward_head(features, pre_logits=True)
        # The length is taken in float32: in bfloat16 it would be off by up to 1 %.
        embeddings = F.normalize(self.projector(pooled).float(), dim=-1)
        seen = self.dropout(pooled)
        logits = self.classifier(seen)
        if facts is not None:
            known = self.weigh_facts(facts)
            if len(known) != len(logits):
                raise ValueError(f"{len(known)} rows of facts came with {len(logits)} images.")
            logits = logits + known
        malignancy = self.malignancy_classifier
        return DermSimOutput(
            logits=logits,
            embeddings=embeddings,
            features=self.feature_map(features),
            pooled_features=pooled,
            pooler_output=embeddings,
            malignancy_logits=malignancy(seen).squeeze(1) if malignancy is not None else None,
        )

    def forward(
        self,
        pixel_values: torch.Tensor,
        labels: torch.Tensor | None = None,
        return_dict: bool | None = None,
        facts: torch.Tensor | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
    ) -> DermSimOutput | tuple[Any, ...]:
        """Encode a batch of images.

        Args:
            pixel_values: ``(B, 3, H, W)`` float, as `DermSimImageProcessor` makes them.
            labels: ``(B,)`` int64 diagnoses; when given, the output has a `loss`.
            return_dict: False returns a tuple of the fields that are not None; None, here and
                below, does what the configuration says.
            facts: ``(B, facts_dim)``, as for `weigh_facts`; None when nothing is known.
            output_hidden_states: True returns `hidden_states`, as `encode_stages` gives them.
            output_attentions: True returns `attentions`, where the backbone has such layers.

        Returns:
            A `DermSimOutput`.

        Raises:
            ValueError: If `pixel_values` is not ``(B, 3, H, W)``, the model takes no facts, or they
                do not fit; as for `encode_stages`, where hidden states are asked for.
        """
        if pixel_values.ndim != 4 or pixel_values.shape[1] != 3:
            raise ValueError(
                f"pixel_values has shape {tuple(pixel_values.shape)}, but must be (B, 3, H, W)."
            )
        attended = chosen(output_attentions, self.config.output_attentions)
        with attention_weights(self, wanted=attended) as attentions:
            if chosen(output_hidden_states, self.config.output_hidden_states):
                features, stages = self.encode_stages(pixel_values)
            else:
                features, stages = self.encode(pixel_values), None
        output = self.decode(features, facts)
        output.hidden_states, output.attentions = stages, tuple(attentions) or None
        if labels is not None:
            output.loss = F.cross_entropy(output.logits.float(), labels)
        return output if chosen(return_dict, self.config.return_dict) else output.to_tuple()


def chosen(asked: bool | None, configured: bool | None) -> bool:
    """Say whether a caller, or else the configuration, wants something."""
    return bool(configured if asked is None else asked)


def new_backbone(config: DermSimConfig) -> tuple[Any, tuple[int, int] | None]:
    """Make a timm backbone with random weights.

    Returns:
        The backbone, and the one height and width in pixels of the pictures that it takes; None
        where it takes any.

    Raises:
        ValueError: If timm has no such backbone, or cannot make it for pictures of this size.
    """
    check_backbone(config.backbone)
    options = backbone_options(config)
    try:
        backbone: Any = timm.create_model(config.backbone, **options)
    except (AssertionError, ArithmeticError, LookupError, RuntimeError, TypeError) as error:
        place = f" for pictures of {options['img_size']} pixels" if "img_size" in options else ""
        raise ValueError(
            f"timm cannot make {config.backbone}{place} ({_first_line(error)}): choose another "
            "size, other backbone_kwargs or another backbone."
        ) from error
    side = options.get("img_size")
    if side is None or options.get("dynamic_img_size"):
        return backbone, None
    return backbone, (side, side) if isinstance(side, int) else tuple(side)


def backbone_options(config: DermSimConfig) -> dict[str, Any]:
    """Return the arguments of `timm.create_model` for a backbone without a classifier.

    A backbone made for pictures of one size is made for those of ``config.image_size``, and to
    take others, too, where it can: validation and use may show larger ones than training did.
    """
    options = {"num_classes": 0, **(config.backbone_kwargs or {})}
    known = timm.get_pretrained_cfg(config.backbone)
    if known is None or not known.fixed_input_size:
        return options
    with torch.device("meta"):  # no weights: only its class is asked for
        kind = type(timm.create_model(config.backbone, **options))
    sizes: dict[str, Any] = {"img_size": config.image_size}
    if "dynamic_img_size" in inspect.signature(kind).parameters:
        sizes["dynamic_img_size"] = True
    return {**sizes, **options}


def check_backbone(name: str) -> None:
    """Refuse a name that is none of timm's.

    Raises:
        ValueError: With the names nearest to it.
    """
    # a name with a colon, as "hf-hub:someone/model", would be asked for elsewhere
    if ":" not in name and timm.is_model(name):
        return
    near = difflib.get_close_matches(name, timm.list_models(), n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else "see timm.list_models()."
    raise ValueError(f"timm has no backbone {name!r}: {hint}")


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
