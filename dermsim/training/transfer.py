"""What a run takes over from weights that were trained before, and how they were normalised."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dermsim.core.checkpoint import local_folder
from dermsim.core.labels import CODES
from dermsim.core.refused import Refused
from dermsim.data.facts import FACTS_DIM
from dermsim.models import DermSimNetwork
from dermsim.models.encoder import build_encoder, check_pictures, load_encoder
from dermsim.models.imagenet import Normalisation, load_imagenet, normalisation
from dermsim.training.config import EncoderConfig


def new_encoder(
    config: EncoderConfig, *, own_outputs: Sequence[str] = ()
) -> tuple[DermSimNetwork, dict[str, str]]:
    """Make the encoder that a run begins with, as the configuration describes it.

    Args:
        config: Its shape, and where its first weights come from: torch's global generator,
            ImageNet, or another dermsim encoder.
        own_outputs: Names of classes whose logits follow those of the seven diagnoses, until
            `copy_encoder` leaves them out.

    Returns:
        The encoder; and ``"origin"`` and ``"licence"`` of the ImageNet weights that its backbone
        begins with, nothing where it begins with none.

    Raises:
        FileNotFoundError: If there is no such checkpoint or file to start from.
        ConnectionError: If the Hub cannot be reached.
        ImportError: If the package with the weights is not installed.
        ValueError: If timm has no such backbone, it cannot take pictures of these sizes, or the
            checkpoint or weights are of another.
    """
    more = {"id2label": dict(enumerate((*CODES, *own_outputs)))} if own_outputs else {}
    model = build_encoder(
        backbone=config.backbone,
        embed_dim=config.embed_dim,
        drop_rate=config.drop_rate,
        image_size=config.image_size,
        facts_dim=FACTS_DIM if config.facts else 0,
        malignancy_head=config.malignancy_head,
        **more,
    )
    for side in {config.image_size, config.test_image_size}:
        check_pictures(model, side)
    origin = {}
    if config.from_imagenet:
        origin = load_imagenet(model.backbone, config.backbone, config.pretrained)
    if config.start:
        start_from(model, config.start)
    return model, origin


def normalisation_of(config: EncoderConfig) -> Normalisation | None:
    """Say how pictures must be normalised for the weights that a run begins with.

    Returns:
        What those weights were trained with; None where they are random, and the run may choose.

    Raises:
        FileNotFoundError: If there is no such checkpoint to start from.
        ConnectionError: If the Hub cannot be reached.
        ValueError: If it is damaged, or timm knows no weights of the backbone.
    """
    if config.from_imagenet:
        return normalisation(config.backbone)
    if not config.start:
        return None
    _, processor = load_encoder(local_folder(config.start))
    return Normalisation(tuple(processor.image_mean), tuple(processor.image_std))


def start_from(model: DermSimNetwork, name_or_path: str | Path) -> None:
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
        raise Refused(
            "transfer.other_backbone",
            name_or_path=name_or_path,
            backbone=other.config.backbone,
            config_backbone=model.config.backbone,
        )
    own = model.state_dict()
    fitting = {
        name: tensor
        for name, tensor in other.state_dict().items()
        if not name.startswith("classifier.") and name in own and tensor.shape == own[name].shape
    }
    model.load_state_dict(fitting, strict=False)
