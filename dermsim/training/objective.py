"""What one training step minimises: the losses of a recipe, weighted and added up."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torchvision.ops import sigmoid_focal_loss

from dermsim.core.labels import LABELS
from dermsim.core.refused import Refused
from dermsim.models.network_dermsim import DermSimOutput
from dermsim.training.config import LossConfig
from dermsim.training.losses import (
    batch_hard_triplet_loss,
    distillation_loss,
    focal_loss,
    gather_batch,
    nt_xent_loss,
    similarity_distillation_loss,
    supervised_contrastive_loss,
)
from dermsim.training.training_set import UNLABELLED

_IS_MALIGNANT = torch.tensor([float(diagnosis.malignant) for diagnosis in LABELS])


@dataclass(frozen=True)
class Truth:
    """What is known of the N views of a batch.

    Attributes:
        labels: ``(N,)`` int64 diagnoses, or classes of their own after those; `UNLABELLED` where
            there is none.
        instances: ``(N,)`` int64, which image each row is a view of.
        lesions: ``(N,)`` int64, which lesion it shows.
        shares: ``(N, C)`` float32, how much of each class a mixed view shows, or None. Views
            without a diagnosis are mixed with each other only.
    """

    labels: torch.Tensor
    instances: torch.Tensor
    lesions: torch.Tensor
    shares: torch.Tensor | None = None


def class_weights(counts: torch.Tensor, power: float) -> torch.Tensor:
    """Weights that make up for rarity.

    Args:
        counts: ``(C,)``, how many images of each class an epoch draws.
        power: 0 weighs all images alike, 1 all classes.

    Returns:
        ``(C,)`` float32, ``counts ** -power`` scaled to a mean of 1 over the images; classes
        without any count as having one.
    """
    known = counts.double().clamp(min=1)
    weights = known**-power
    return (weights * known.sum() / (weights * known).sum()).float()


def log_prior(counts: torch.Tensor) -> torch.Tensor:
    """Log share of each class, ``(C,)`` float32; a class that never comes as the commonest.

    Its share is not known to be small: nothing is known, so nothing must be made up for.
    """
    known = torch.where(counts > 0, counts, counts.max())
    return (known / counts.sum()).log().float()


def training_loss(
    output: DermSimOutput,
    truth: Truth,
    config: LossConfig,
    *,
    class_bias: torch.Tensor | None = None,
    class_weight: torch.Tensor | None = None,
    teacher: DermSimOutput | None = None,
) -> dict[str, torch.Tensor]:
    """The objective of one training step, over the batches of all processes.

    Views without a diagnosis take part in the contrast, among themselves, and in the distillation.

    Args:
        output: What the model made of the views, N rows.
        truth: What is known of them.
        config: Which losses, and how much of each.
        class_bias: ``(C,)`` added to the logits before the cross-entropy, or None.
        class_weight: ``(C,)`` weights of the classes in the cross-entropy, or None.
        teacher: What a teacher made of the same views, or None. It knows the seven diagnoses alone.

    Returns:
        ``"loss"`` to minimise and its unweighted parts, float32 scalars.
    """
    parts: dict[str, tuple[float, torch.Tensor]] = {}
    known = truth.labels != UNLABELLED
    # Processes may have more or less of them; averaged, they must count as one batch.
    share = known.float().mean() / gather_batch(known.float()).mean().clamp(min=1e-6)
    if config.contrastive_weight > 0:
        parts[config.contrastive] = config.contrastive_weight, _contrastive(output, truth, config)
    if config.cross_entropy_weight > 0:
        logits = output.logits.float()
        if class_bias is not None:
            logits = logits + class_bias
        target = truth.labels if truth.shares is None else truth.shares
        value = focal_loss(
            logits[known],
            target[known],
            gamma=config.focal,
            weight=class_weight,
            label_smoothing=config.label_smoothing,
        )
        parts["cross_entropy"] = config.cross_entropy_weight, share * value
    if config.malignancy_weight > 0:
        value = _malignancy(output, truth, known, config)
        parts["malignancy"] = config.malignancy_weight, share * value
    if teacher is not None and config.distillation_weight > 0:
        parts["distillation"] = config.distillation_weight, _distillation(output, teacher, config)
    total = output.logits.new_zeros((), dtype=torch.float32)
    for weight, value in parts.values():
        total = total + weight * value
    return {"loss": total, **{name: value for name, (_, value) in parts.items()}}


def _distillation(
    output: DermSimOutput, teacher: DermSimOutput, config: LossConfig
) -> torch.Tensor:
    """How far the answers and the likenesses between images are from the teacher's."""
    return distillation_loss(
        output.logits[:, : len(LABELS)],
        teacher.logits,
        temperature=config.distillation_temperature,
    ) + similarity_distillation_loss(
        gather_batch(output.embeddings),
        gather_batch(teacher.embeddings),
        temperature=config.temperature,
    )


def _contrastive(output: DermSimOutput, truth: Truth, config: LossConfig) -> torch.Tensor:
    embeddings = gather_batch(output.embeddings)
    if config.contrastive == "ntxent":
        instances = gather_batch(truth.instances)
        return nt_xent_loss(embeddings, instances, temperature=config.temperature)
    groups = gather_batch(truth.labels if config.positives == "diagnosis" else truth.lesions)
    if config.contrastive == "triplet":
        return batch_hard_triplet_loss(embeddings, groups, margin=config.margin)
    if config.positives == "lesion":
        return supervised_contrastive_loss(embeddings, groups, temperature=config.temperature)
    # Those without a diagnosis are contrasted with each other only: among the others there are
    # some of their own diagnosis, from which they must not be pushed away.
    known = groups != UNLABELLED
    if truth.shares is not None:  # a mixture of two lesions is a view of neither
        embeddings, shares = embeddings[known], gather_batch(truth.shares)[known]
        return supervised_contrastive_loss(embeddings, shares, temperature=config.temperature)
    lesions = gather_batch(truth.lesions)
    loss = embeddings.new_zeros((), dtype=torch.float32)
    for rows, names in ((known, groups), (~known, lesions)):
        if rows.any():
            value = supervised_contrastive_loss(
                embeddings[rows], names[rows], temperature=config.temperature
            )
            loss = loss + rows.float().mean() * value
    return loss


def _malignancy(
    output: DermSimOutput, truth: Truth, known: torch.Tensor, config: LossConfig
) -> torch.Tensor:
    if output.malignancy_logits is None:
        raise Refused("objective.malignancy_head")
    shares = truth.shares
    if shares is None:
        shares = F.one_hot(truth.labels.clamp(max=len(LABELS) - 1), len(LABELS)).float()
    target = (shares @ _IS_MALIGNANT.to(shares))[known]
    logits = output.malignancy_logits.float()[known]
    value = sigmoid_focal_loss(logits, target, alpha=-1, gamma=config.focal, reduction="sum")
    return value / max(len(target), 1)
