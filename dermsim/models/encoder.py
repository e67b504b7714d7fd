"""The one door to encoders: what one is, how it is made, joined, saved and loaded.

Whoever works with an encoder sees an `Encoder`: whether it is one network or several, and whether
transformers can save it, is known in here alone. The classes of transformers take longer to import
than torch, so they are fetched when one is needed.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeAlias, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from dermsim.core.atomic import read_steadily
from dermsim.core.checkpoint import FORMAT
from dermsim.core.refused import Phrase, Refused
from dermsim.core.storage import LARGEST_CONFIG, existing, read_json
from dermsim.models.configuration_dermsim import DermSimConfig
from dermsim.models.configuration_dermsim_dual import DermSimDualConfig
from dermsim.models.configuration_dermsim_ensemble import DermSimEnsembleConfig
from dermsim.models.network_dermsim import DermSimNetwork, DermSimOutput
from dermsim.models.network_dermsim_dual import DermSimDualNetwork
from dermsim.models.network_dermsim_ensemble import DermSimEnsembleNetwork
from dermsim.models.preparation import ImagePreparation
from dermsim.models.shipped_sources import write_sources
from dermsim.models.undrawn import UndrawnWeights

if TYPE_CHECKING:
    from dermsim.models import DermSimEnsembleModel, DermSimImageProcessor, DermSimModel

Processor: TypeAlias = "ImagePreparation | DermSimImageProcessor"
"""What makes an encoder's input of photographs."""


class Encoder(Protocol):
    """What makes embeddings and logits of images: one network, or several that answer as one.

    It is a `torch.nn.Module`. What it gives is a `DermSimOutput`; see `DermSimNetwork`.
    """

    config: Any
    training: bool

    @property
    def members(self) -> Sequence[DermSimNetwork]:
        """The networks of an ensemble; for a single encoder, itself alone."""

    @property
    def device(self) -> torch.device:
        """Where the weights are."""

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the weights."""

    def __call__(self, pixel_values: torch.Tensor, **options: Any) -> Any:
        """Encode images ``(B, 3, H, W)``."""

    def encode(self, pixel_values: torch.Tensor) -> Any:
        """Run the backbone, or those of all members, on pixels ``(B, 3, H, W)``."""

    def feature_map(self, features: Any) -> Any:
        """View what `encode` returned as maps ``(B, C, h, w)``."""

    def decode(self, features: Any) -> DermSimOutput:
        """Run the heads on what `encode` returned."""

    def state_dict(self) -> dict[str, Any]:
        """Return the weights by name."""

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> Any:
        """Copy weights into the encoder."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """Go through the weights that learn."""

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Say whether the weights learn."""

    def train(self, mode: bool = True) -> Self:
        """Switch to training, or back."""

    def eval(self) -> Self:
        """Switch to answering."""

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Move the weights, as `torch.nn.Module.to` does."""


def build_encoder(**shape: Any) -> DermSimNetwork:
    """Make an encoder to train, with weights drawn from torch's global generator.

    Args:
        shape: Fields of `DermSimConfig`, such as `backbone` and `embed_dim`.

    Raises:
        ValueError: If a field is out of range, or timm has no such backbone.
    """
    from dermsim.models import DermSimModel

    return DermSimModel(DermSimConfig(**shape))


def check_pictures(model: Encoder, side: int) -> None:
    """Refuse a backbone that makes no feature map of pictures of a side, by asking it once.

    Many of timm's can be made for any size and fail at some, and a few end in several maps.

    Args:
        model: A single encoder; what it learned stays as it is.
        side: Of the square pictures, in pixels.

    Raises:
        ValueError: If it cannot take them.
    """
    training = model.training
    try:
        # no inference mode: what some backbones keep for the next picture could not be trained
        with torch.no_grad():
            shape = model.eval()(torch.zeros(1, 3, side, side, device=model.device)).features.shape
    except (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError) as error:
        raise Refused(
            "encoder.map_failed",
            backbone=model.config.backbone,
            side=side,
            error=str(error).strip().splitlines()[0].rstrip("."),
        ) from error
    finally:
        model.train(training)
    if len(shape) != 4:
        raise Refused("encoder.no_map", backbone=model.config.backbone, shape=list(shape)[1:])


def join_encoders(members: Sequence[DermSimNetwork]) -> DermSimEnsembleNetwork:
    """Make one encoder of several, their weights copied; it answers with their plain average.

    Args:
        members: At least two, for the same classes and image size.

    Raises:
        ValueError: If they do not belong together.
    """
    from dermsim.models import DermSimEnsembleModel

    if any(isinstance(member, DermSimDualNetwork) for member in members):
        raise Refused("encoder.dual_member")
    return DermSimEnsembleModel.from_members(members)


def copy_encoder(model: Encoder, *, outputs: int | None = None) -> Encoder:
    """Make another encoder of the same shape with copies of the weights, in the same mode.

    Args:
        model: The encoder.
        outputs: How many logits the copy of a single encoder has, the first of its own; None for
            all of them.
    """
    # mypy finds the models of transformers too unlike torch's modules to be encoders
    if outputs is None:
        return cast("DermSimNetwork | DermSimEnsembleNetwork", _with_weights_of(model))
    config = copy.deepcopy(model.config)
    config.id2label = {place: config.id2label[place] for place in range(outputs)}
    config.label2id = {name: place for place, name in config.id2label.items()}
    with UndrawnWeights():
        fewer = _pretrained_class(config)(config)
    own, found = fewer.state_dict(), model.state_dict()
    # The classes are the rows of those layers that make logits.
    shorter = [name for name in own if own[name].shape != found[name].shape]
    fewer.load_state_dict({**found, **{name: found[name][:outputs] for name in shorter}})
    return cast("DermSimNetwork", fewer.train(model.training))


def redraw_encoder(model: Encoder) -> Encoder:
    """Make another encoder of the same shape, with the weights that training starts from.

    They are drawn from torch's global generator.
    """
    return cast("DermSimNetwork | DermSimEnsembleNetwork", _same_shape(model))


def round_to_half(model: Encoder) -> None:
    """Round the weights, in place, to what half precision can hold; they stay float32.

    An encoder so rounded takes half the space on disk and loses nothing when it is saved. The
    rounding is far below the noise of training, but it changes embeddings in their fourth digit,
    so it is done once, before anything is fitted to them.

    Raises:
        ValueError: If a weight is too large for half precision.
    """
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            tensor.copy_(tensor.half())
            if not tensor.isfinite().all():
                raise Refused("encoder.half_precision", name=name)


def save_encoder(
    model: Encoder,
    processor: Processor,
    folder: Path,
    *,
    temperature: float | None = None,
    temperature_facts: float | None = None,
) -> None:
    """Write weights, configuration and input processing, as transformers keeps them.

    The source files travel along (`dermsim.models.shipped_sources`), so that the ``Auto*`` classes
    and pipelines of transformers open the folder with ``trust_remote_code=True`` where dermsim is
    not installed. Tensors that lose nothing by it are stored in half precision; the configuration
    says to compute in float32.

    Args:
        model: The encoder.
        processor: Makes its input.
        folder: Where to; it may be there already.
        temperature: What calibrates the logits of images alone, for those who have the folder
            without dermsim; None for an encoder that is not calibrated.
        temperature_facts: The same for images with facts about the patient.
    """
    if isinstance(processor, ImagePreparation):
        processor = processor.to_processor()
    whole = as_pretrained(model)
    kind = f"modeling_{whole.config_class.__module__.rpartition('configuration_')[2]}"
    config, name = whole.config, type(whole).__name__
    config.auto_map = {
        "AutoConfig": f"{type(config).__module__.rpartition('.')[2]}.{type(config).__name__}",
        "AutoModel": f"{kind}.{name}",
        "AutoModelForImageClassification": (
            f"{kind}.{name.removesuffix('Model')}ForImageClassification"
        ),
    }
    processor.auto_map = {
        "AutoImageProcessor": f"image_processing_dermsim.{type(processor).__name__}"
    }
    config.checkpoint_format = FORMAT
    config.calibration_temperature = temperature
    config.calibration_temperature_facts = temperature_facts
    with _quiet_transformers():
        state = {name: _compact(tensor) for name, tensor in model.state_dict().items()}
        whole.save_pretrained(folder, state_dict=state)
        processor.save_pretrained(folder)
    write_sources(folder, modeling=kind)


def as_pretrained(model: Encoder) -> DermSimModel | DermSimEnsembleModel:
    """Make an encoder a model of transformers, with copies of its weights, unless it is one."""
    from transformers import PreTrainedModel

    whole: Any = model if isinstance(model, PreTrainedModel) else _with_weights_of(model)
    return whole


def _with_weights_of(model: Encoder) -> DermSimModel | DermSimEnsembleModel:
    with UndrawnWeights():
        whole = _same_shape(model)
    whole.load_state_dict(model.state_dict())
    whole.train(model.training)
    return whole


def _same_shape(model: Encoder) -> DermSimModel | DermSimEnsembleModel:
    return _pretrained_class(model.config)(model.config)


def _pretrained_class(config: Any) -> Any:
    """Return the class of transformers that is made from a configuration."""
    from dermsim.models import auto

    return auto.MODELS[type(config)]


def load_encoder(folder: Path) -> tuple[Encoder, ImagePreparation]:
    """Read what `save_encoder` wrote, and again if it is replaced meanwhile.

    Returns:
        The network, in eval mode and float32 on the CPU, and what prepares its input. Whether it is
        one encoder or an ensemble is for `config.json` to say. Neither is a class of transformers,
        which would take longer to import than torch: `as_pretrained` makes it one.

    Raises:
        ValueError: If a file is damaged, or a tensor is missing, left over or of another shape.
    """
    return read_steadily(folder, lambda: _load_encoder(folder))


def _load_encoder(folder: Path) -> tuple[Encoder, ImagePreparation]:
    try:
        with UndrawnWeights():
            model = _network(folder)
        preparation = ImagePreparation.load(folder)
        tensors = load_file(existing(folder / "model.safetensors"))
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        reason = str(error).strip().splitlines()[0].split(". ")[0].rstrip(".")
        raise Refused("encoder.unreadable", folder=folder, reason=reason) from error
    except (TypeError, AttributeError, KeyError) as error:  # transformers and timm check little
        raise Refused("encoder.bad_value", folder=folder, error=error) from error
    if wrong := misfit(model.state_dict(), tensors):
        raise Refused("encoder.misfit", folder=folder, misfit=wrong)
    model.load_state_dict(tensors)
    return model.eval(), preparation


def _network(folder: Path) -> Encoder:
    values = read_json(folder / "config.json", limit=LARGEST_CONFIG)
    if not isinstance(values, dict):
        raise Refused("encoder.no_config")
    kind = values.get("model_type")
    if kind == DermSimConfig.model_type:
        return DermSimNetwork(DermSimConfig.from_dict(values))
    if kind == DermSimEnsembleConfig.model_type:
        return DermSimEnsembleNetwork(DermSimEnsembleConfig.from_dict(values))
    if kind == DermSimDualConfig.model_type:
        return DermSimDualNetwork(DermSimDualConfig.from_dict(values))
    raise Refused("encoder.model_type", kind=kind)


def misfit(own: Mapping[str, torch.Tensor], found: Mapping[str, torch.Tensor]) -> Phrase | None:
    """Name the first tensor that a network lacks, does not know or has in another shape.

    Args:
        own: The network's tensors by name, of any shape ``(...)``.
        found: Those that are to be copied into it, likewise.
    """
    if missing := sorted(own.keys() - found.keys()):
        return Phrase("encoder.missing", name=missing[0])
    if unexpected := sorted(found.keys() - own.keys()):
        return Phrase("encoder.unexpected", name=unexpected[0])
    for name, tensor in sorted(found.items()):
        if tensor.shape != own[name].shape:
            shapes = {"shape": list(tensor.shape), "expected": list(own[name].shape)}
            return Phrase("encoder.mismatched", name=name, **shapes)
    return None


def _compact(tensor: torch.Tensor) -> torch.Tensor:
    half = tensor.half() if tensor.dtype == torch.float32 else tensor
    return half if torch.equal(half.to(tensor.dtype), tensor) else tensor


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """Keep transformers' own bars and tables off the terminal; what matters is raised."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def seen_side(processor: Processor) -> int:
    """Return S, the pixels along each side of the square that an encoder sees."""
    return int(dict(processor.crop_size)["height"])
