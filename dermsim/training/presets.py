"""The named recipes of the trainer, and a run's options as words on a command line."""

from __future__ import annotations

import json
import shlex
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dermsim.training.config import (
    AugmentConfig,
    EncoderConfig,
    FreezeConfig,
    LossConfig,
    OptimConfig,
    TrainConfig,
)
from dermsim.training.config_dict import to_dict

_STRONG = AugmentConfig(
    min_scale=0.2,
    max_aspect=1.33,
    brightness=0.15,
    contrast=0.4,
    saturation=0.4,
    hue=0.04,
    white_balance=0.1,
    cooldown=0.0,
)
_LABELS_ALONE = LossConfig(contrastive_weight=0.0)

PRESETS: Mapping[str, TrainConfig] = types.MappingProxyType(
    {
        # How the release begins; hub/train.sh goes on from it at 160 pixels.
        "release": TrainConfig(
            encoder=EncoderConfig(
                backbone="tf_efficientnet_lite0",
                pretrained="package",
                image_size=128,
                test_image_size=144,
            ),
            augment=AugmentConfig(
                views=1,
                min_scale=0.35,
                max_scale=1.2,
                max_aspect=1.4,
                brightness=0.1,
                contrast=0.25,
                saturation=0.25,
                white_balance=0.08,
                coarse=0.3,
                cooldown=0.0,
            ),
            optim=OptimConfig(
                epochs=2,
                batch_size=32,
                learning_rate=5e-4,
                weight_decay=0.02,
                layer_decay=0.9,
            ),
        ),
        "supcon": TrainConfig(output=Path("runs/supcon")),
        # SimCLR (Chen 2020) with the lesion's other photographs as positives (MICLe, Azizi 2021).
        "simclr": TrainConfig(
            output=Path("runs/simclr"),
            encoder=EncoderConfig(drop_rate=0.0),
            augment=_STRONG,
            loss=LossConfig(positives="lesion", contrastive_weight=1.0, cross_entropy_weight=0.0),
            optim=OptimConfig(
                epochs=100, batch_size=256, learning_rate=3e-3, weight_decay=0.01, balance=0.0
            ),
        ),
        "linear-probe": TrainConfig(
            output=Path("runs/linear-probe"),
            encoder=EncoderConfig(drop_rate=0.0),
            augment=AugmentConfig(views=1),
            loss=_LABELS_ALONE,
            optim=OptimConfig(epochs=15, learning_rate=1e-2, weight_decay=1e-4),
            freeze=FreezeConfig(epochs=15),
        ),
        # Raigoso's project: the head alone first, then the backbone from its last stage down.
        "efficientnet-b4": TrainConfig(
            output=Path("runs/efficientnet-b4"),
            encoder=EncoderConfig(
                backbone="efficientnet_b4",
                pretrained="hub",
                image_size=380,
                test_image_size=380,
                drop_rate=0.4,
            ),
            augment=AugmentConfig(views=1, mixup=0.2, cutmix=1.0),
            loss=LossConfig(
                contrastive_weight=0.0, class_weighting=1.0, label_smoothing=0.1, fit_bias=True
            ),
            optim=OptimConfig(
                epochs=30, batch_size=16, learning_rate=1e-3, weight_decay=1e-4, balance=0.0
            ),
            freeze=FreezeConfig(epochs=5, unfreeze_epochs=10, backbone_rate=0.1),
        ),
        # Keras counts the entry convolutions as a block: its block 13 is timm's stage 12.
        "xception": TrainConfig(
            output=Path("runs/xception"),
            encoder=EncoderConfig(
                backbone="legacy_xception",
                pretrained="hub",
                image_size=299,
                test_image_size=299,
                drop_rate=0.5,
            ),
            augment=AugmentConfig(views=1),
            loss=_LABELS_ALONE,
            optim=OptimConfig(epochs=30, batch_size=32, learning_rate=1e-3, balance=1.0),
            freeze=FreezeConfig(never=12, backbone_rate=0.1),
        ),
        "two-head": TrainConfig(
            output=Path("runs/two-head"),
            encoder=EncoderConfig(malignancy_head=True),
            augment=AugmentConfig(views=1),
            loss=LossConfig(contrastive_weight=0.0, focal=2.0, malignancy_weight=0.5),
        ),
        "smoke": TrainConfig(
            data="synthetic",
            output=Path("runs/smoke"),
            encoder=EncoderConfig(backbone="test_resnet", image_size=64, test_image_size=64),
            optim=OptimConfig(epochs=8, batch_size=32, mixed_precision="no"),
        ),
    }
)
"""The named starting points of `train_accelerate.py --preset`."""


def flatten(config: TrainConfig) -> dict[str, Any]:
    """Join nested names by dots and lists by spaces: what every tracker accepts.

    Returns:
        Option by its name, such as ``"optim.epochs"``; numbers, booleans and text only.
    """
    return _flat(to_dict(config), "")


def command_line(config: TrainConfig) -> str:
    """Write the command that makes this configuration from the preset nearest to it.

    Where the data lie and where the run goes is the reader's own affair, and left open.

    Args:
        config: Any configuration of a run.

    Returns:
        One line, ``accelerate launch train_accelerate.py --preset …``.
    """
    own = ("data", "output", "resume", "cpu", "trackers")
    given = {name: value for name, value in flatten(config).items() if name not in own}
    lists = {name for name, value in to_dict(config).items() if isinstance(value, list)}
    presets = {name: flatten(preset) for name, preset in PRESETS.items()}
    preset = min(presets, key=lambda name: len(given.items() - presets[name].items()))
    words = ["accelerate launch train_accelerate.py", f"--preset {preset}"]
    if config.data != "synthetic":
        words.append("--data <source>")
    for name, value in given.items():
        if value == presets[preset][name]:
            continue
        option = name.replace("_", "-")
        if isinstance(value, bool):
            group, dot, flag = option.rpartition(".")
            words.append(f"--{option}" if value else f"--{group}{dot}no-{flag}")
        else:
            parts = shlex.split(value) if name in lists else [str(value)]
            words.append(" ".join([f"--{option}", *map(_anywhere, parts)]))
    return " ".join(words)


def run_record(
    config: TrainConfig,
    *,
    seconds: float,
    hardware: str,
    parameters: int,
    origin: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """State how an encoder was made, for its folder's ``training.json`` and its card.

    Args:
        config: Of the run.
        seconds: How long it trained.
        hardware: On what.
        parameters: Of the encoder.
        origin: ``"origin"`` and ``"licence"`` of ImageNet weights that it began with.

    Returns:
        ``"command"``, ``"minutes"``, ``"hardware"``, ``"parameters"``; and for a run that began
        with another encoder of a local folder ``"started from"``: that one's command and minutes,
        and what it began with, or the ImageNet weights and their licence; ``"also learned from"``:
        the further sources of diagnoses.
    """
    record: dict[str, Any] = {
        "command": command_line(config),
        "minutes": round(seconds / 60),
        "hardware": hardware,
        "parameters": parameters,
    }
    if origin:
        record["started from"] = f"ImageNet, {origin['origin']} ({origin['licence']})"
    earlier = Path(config.encoder.start) / "training.json"
    if config.encoder.start and earlier.is_file():
        made = json.loads(earlier.read_text(encoding="utf-8"))
        begun = f", begun with {made['started from']}" if "started from" in made else ""
        record["started from"] = f"`{made['command']}`, {made['minutes']} minutes{begun}"
    if config.also:
        record["also learned from"] = ", ".join(Path(source).name for source in config.also)
    return record


def _anywhere(value: str) -> str:
    """Write a value for a shell, but of a place outside the working folder only the name."""
    path = Path(value)
    if path.is_absolute() or ".." in path.parts:
        return f"<{path.name}>"
    return shlex.quote(value) if " " in value else value


def _flat(values: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = shlex.join(map(str, value)) if isinstance(value, list) else value
    return flat
