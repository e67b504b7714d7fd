"""What a run takes over from an encoder that was trained before: its weights, or its answers."""

from __future__ import annotations

from pathlib import Path

import torch

from dermsim.checkpoint import local_folder
from dermsim.config import EncoderConfig
from dermsim.data.facts import FACTS_DIM
from dermsim.models.configuration_dermsim import DermSimConfig
from dermsim.models.image_processing_dermsim import DermSimImageProcessor
from dermsim.models.modeling_dermsim import DermSimModel
from dermsim.models.pretrained import load_encoder


def new_encoder(config: EncoderConfig) -> DermSimModel:
    """Make the encoder that a run begins with, as the configuration describes it.

    Args:
        config: Its shape, and where its first weights come from: torch's global generator, timm's
            on the Hub, or another dermsim encoder.

    Raises:
        FileNotFoundError: If there is no such checkpoint to start from.
        ConnectionError: If the Hub cannot be reached.
        ValueError: If timm has no such backbone, or the checkpoint has another.
    """
    model = DermSimModel(
        DermSimConfig(
            backbone=config.backbone,
            embed_dim=config.embed_dim,
            drop_rate=config.drop_rate,
            image_size=config.image_size,
            facts_dim=FACTS_DIM if config.facts else 0,
            malignancy_head=config.malignancy_head,
        ),
        pretrained_backbone=config.pretrained,
    )
    if config.start:
        start_from(model, config.start)
    return model


def start_from(model: DermSimModel, name_or_path: str | Path) -> None:
    """Copy the weights of an encoder, in place: its backbone, and its heads but the classifier.

    Heads that the other encoder lacks, or has in another size, keep their random weights.

    Args:
        model: The encoder to start.
        name_or_path: Checkpoint folder or Hub id of the other.

    Raises:
        FileNotFoundError: If there is no such checkpoint.
        ConnectionError: If the Hub cannot be reached.
        ValueError: If it has another backbone.
    """
    other, _ = load_encoder(local_folder(name_or_path))
    if other.config.backbone != model.config.backbone:
        raise ValueError(
            f"{name_or_path} has the backbone {other.config.backbone}; set --encoder.backbone to "
            f"that, not {model.config.backbone}."
        )
    own = model.state_dict()
    fitting = {
        name: tensor
        for name, tensor in other.state_dict().items()
        if not name.startswith("classifier.") and name in own and tensor.shape == own[name].shape
    }
    model.load_state_dict(fitting, strict=False)


def load_teacher(name_or_path: str | Path, processor: DermSimImageProcessor) -> torch.nn.Module:
    """Load an encoder, or an ensemble of them, to learn from.

    Args:
        name_or_path: Checkpoint folder or Hub id.
        processor: What makes the pupil's input, which the teacher will see.

    Returns:
        The teacher in eval mode, its weights fixed.

    Raises:
        FileNotFoundError: If there is no such checkpoint.
        ConnectionError: If the Hub cannot be reached.
        ValueError: If it expects colours prepared in another way.
    """
    teacher, own = load_encoder(local_folder(name_or_path))
    if own.do_color_constancy != processor.do_color_constancy:
        raise ValueError(
            f"The teacher {name_or_path} was trained with encoder.color_constancy "
            f"{own.do_color_constancy}: set it so here too."
        )
    ours = (*processor.image_mean, *processor.image_std)
    theirs = (*own.image_mean, *own.image_std)
    if ours != theirs:
        raise ValueError(
            f"The teacher {name_or_path} normalises colours by {theirs}, this run by {ours}: it "
            "was trained on other photographs."
        )
    return teacher.requires_grad_(False)
