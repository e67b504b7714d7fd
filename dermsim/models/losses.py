"""Contrastive objectives over a batch of embeddings, and what joins batches across processes.

All losses compute in float32 whatever precision the embeddings come in: at a temperature of 0.1
bfloat16 similarities would be off by several per cent after the exponential.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
import torch.nn.functional as F

from dermsim.config import LossConfig
from dermsim.models.modeling_dermsim import DermSimOutput


class _AllGather(torch.autograd.Function):
    """Concatenate a tensor over processes, and send every process's gradient back to its owner."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, tensor: torch.Tensor) -> torch.Tensor:
        parts = [torch.empty_like(tensor) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, tensor.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: torch.Tensor) -> torch.Tensor:
        gradient = gradient.contiguous()
        dist.all_reduce(gradient)
        return gradient.chunk(dist.get_world_size())[dist.get_rank()]


def gather_batch(tensor: torch.Tensor) -> torch.Tensor:
    """Concatenate equal-sized batches of all processes, in rank order; differentiable.

    The gradient is the sum over processes of each one's gradient with respect to this process's
    rows. When every process computes the same loss from the gathered batch, that is
    ``world_size`` times the true gradient, which DistributedDataParallel's average over processes
    undoes exactly: N processes train like one with the whole batch.

    Args:
        tensor: ``(B, ...)``, with the same shape on every process.

    Returns:
        ``(world_size * B, ...)``; the tensor itself where there is a single process.
    """
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return tensor
    return _AllGather.apply(tensor)


def supervised_contrastive_loss(
    embeddings: torch.Tensor, labels: torch.Tensor, *, temperature: float = 0.1
) -> torch.Tensor:
    """SupCon: pull every pair of one label together against all others (L_out of the paper).

    Khosla et al. 2020, "Supervised Contrastive Learning", https://arxiv.org/abs/2004.11362, eq. 2,
    averaged over the anchors that have at least one positive.

    Args:
        embeddings: ``(N, D)``, any float dtype; rows are normalised here.
        labels: ``(N,)`` int; rows with equal labels are positives.
        temperature: τ > 0; smaller looks harder at the closest pairs.

    Returns:
        A float32 scalar; zero, with zero gradient, when no row has a positive.

    Raises:
        ValueError: If the shapes do not fit.
    """
    _check_batch(embeddings, labels)
    similarity = _cosine(embeddings) / temperature
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    log_probability = similarity - torch.logsumexp(
        similarity.masked_fill(itself, torch.finfo(similarity.dtype).min), dim=1, keepdim=True
    )
    positive = (labels[:, None] == labels[None, :]) & ~itself
    positives = positive.sum(dim=1)
    anchors = positives > 0
    per_anchor = -(log_probability * positive).sum(dim=1) / positives.clamp(min=1)
    return (per_anchor * anchors).sum() / anchors.sum().clamp(min=1)


def nt_xent_loss(
    embeddings: torch.Tensor, instances: torch.Tensor, *, temperature: float = 0.1
) -> torch.Tensor:
    """NT-Xent of SimCLR: two views of one image are the only positives.

    Chen et al. 2020, "A Simple Framework for Contrastive Learning of Visual Representations",
    https://arxiv.org/abs/2002.05709, eq. 1. With one positive per row this is SupCon with the
    image as the label, and is computed so.

    Args:
        embeddings: ``(2 B, D)``, any float dtype; rows are normalised here.
        instances: ``(2 B,)`` int, which image each row is a view of; each exactly twice.
        temperature: τ > 0.

    Returns:
        A float32 scalar.

    Raises:
        ValueError: If the shapes do not fit, or an image does not come exactly twice.
    """
    _check_batch(embeddings, instances)
    if not (torch.unique(instances, return_counts=True)[1] == 2).all():
        raise ValueError("NT-Xent needs exactly two views of every image in the batch.")
    return supervised_contrastive_loss(embeddings, instances, temperature=temperature)


def batch_hard_triplet_loss(
    embeddings: torch.Tensor, labels: torch.Tensor, *, margin: float = 0.2
) -> torch.Tensor:
    """For each anchor, its farthest positive must be nearer than its nearest negative.

    Hermans et al. 2017, "In Defense of the Triplet Loss", https://arxiv.org/abs/1703.07737, eq. 5,
    on Euclidean distances of unit vectors, averaged over the anchors that have both.

    Args:
        embeddings: ``(N, D)``, any float dtype; rows are normalised here.
        labels: ``(N,)`` int.
        margin: By how much nearer, in units of distance (unit vectors are at most 2 apart).

    Returns:
        A float32 scalar; zero, with zero gradient, when no row has a positive and a negative.

    Raises:
        ValueError: If the shapes do not fit.
    """
    _check_batch(embeddings, labels)
    # |a - b|² = 2 - 2 cos; the floor keeps the root's gradient finite for identical rows.
    distance = (2 - 2 * _cosine(embeddings)).clamp(min=1e-12).sqrt()
    same = labels[:, None] == labels[None, :]
    positive = same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    farthest_positive = distance.masked_fill(~positive, float("-inf")).amax(dim=1)
    nearest_negative = distance.masked_fill(same, float("inf")).amin(dim=1)
    valid = positive.any(dim=1) & (~same).any(dim=1)
    per_anchor = F.relu(farthest_positive - nearest_negative + margin)
    return per_anchor.masked_fill(~valid, 0).sum() / valid.sum().clamp(min=1)


def training_loss(
    output: DermSimOutput,
    labels: torch.Tensor,
    instances: torch.Tensor,
    config: LossConfig,
    *,
    class_bias: torch.Tensor | None = None,
) -> dict[str, torch.Tensor]:
    """The objective of one training step, over the batches of all processes.

    Args:
        output: What the model made of the views, ``(B * views)`` rows.
        labels: ``(B * views,)`` int64 diagnoses.
        instances: ``(B * views,)`` int64, which image each row is a view of.
        config: Which contrastive loss, and how much of it beside the cross-entropy.
        class_bias: ``(C,)`` added to the logits before the cross-entropy, or None.

    Returns:
        ``"loss"`` to minimise and its unweighted parts, float32 scalars.
    """
    parts: dict[str, torch.Tensor] = {}
    total = output.logits.new_zeros((), dtype=torch.float32)
    if config.contrastive_weight > 0:
        embeddings = gather_batch(output.embeddings)
        if config.contrastive == "ntxent":
            parts["ntxent"] = nt_xent_loss(
                embeddings, gather_batch(instances), temperature=config.temperature
            )
        elif config.contrastive == "triplet":
            parts["triplet"] = batch_hard_triplet_loss(
                embeddings, gather_batch(labels), margin=config.margin
            )
        else:
            parts["supcon"] = supervised_contrastive_loss(
                embeddings, gather_batch(labels), temperature=config.temperature
            )
        total = total + config.contrastive_weight * parts[config.contrastive]
    if config.cross_entropy_weight > 0:
        logits = output.logits.float()
        parts["cross_entropy"] = F.cross_entropy(
            logits if class_bias is None else logits + class_bias,
            labels,
            label_smoothing=config.label_smoothing,
        )
        total = total + config.cross_entropy_weight * parts["cross_entropy"]
    return {"loss": total, **parts}


def _cosine(embeddings: torch.Tensor) -> torch.Tensor:
    # Outside autocast: it would take this product back to bfloat16.
    with torch.autocast(embeddings.device.type, enabled=False):
        unit = F.normalize(embeddings.float(), dim=-1)
        return unit @ unit.T


def _check_batch(embeddings: torch.Tensor, labels: torch.Tensor) -> None:
    if embeddings.ndim != 2 or labels.shape != embeddings.shape[:1]:
        raise ValueError(
            f"Embeddings {tuple(embeddings.shape)} and labels {tuple(labels.shape)} do not fit: "
            "expected (N, D) and (N,)."
        )
