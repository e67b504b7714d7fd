"""What a run takes over from an encoder that was trained before: its weights."""

from __future__ import annotations

from pathlib import Path

from dermsim.core.checkpoint import local_folder
from dermsim.data.facts import FACTS_DIM
from dermsim.models.configuration_dermsim import DermSimConfig
from dermsim.models.modeling_dermsim import DermSimModel
from dermsim.models.pretrained import load_encoder
from dermsim.training.config import EncoderConfig


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
