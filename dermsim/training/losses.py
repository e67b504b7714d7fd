"""Losses over a batch of embeddings or logits, and what joins batches across processes.

All losses compute in float32 whatever precision the embeddings come in: at a temperature of 0.1
bfloat16 similarities would be off by several per cent after the exponential.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
import torch.nn.functional as F

from dermsim.core.refused import Refused


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
    averaged over the anchors that have at least one positive. Of mixed images, which show several
    labels in part, two are positives to the extent that a label drawn from the one is the label
    drawn from the other; where nothing is mixed that is the paper's loss.

    Args:
        embeddings: ``(N, D)``, any float dtype; rows are normalised here.
        labels: ``(N,)`` int; rows with equal labels are positives. Or ``(N, C)`` float, shares of
            C labels, rows summing to 1.
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
    mixed = labels.ndim == 2
    alike = labels.float() @ labels.float().T if mixed else labels[:, None] == labels[None, :]
    positive = alike.float().masked_fill(itself, 0)
    positives = positive.sum(dim=1)
    anchors = positives > 0
    per_anchor = -(log_probability * positive).sum(dim=1) / positives.where(anchors, 1)
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
        raise Refused("losses.two_views")
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


def focal_loss(
    logits: torch.Tensor,
    target: torch.Tensor,
    *,
    gamma: float = 0.0,
    weight: torch.Tensor | None = None,
    label_smoothing: float = 0.0,
) -> torch.Tensor:
    """Cross-entropy in which what is already known counts less.

    Lin et al. 2017, "Focal Loss for Dense Object Detection", https://arxiv.org/abs/1708.02002,
    with a softmax: each class's term is scaled by ``(1 - p) ** gamma``. At gamma 0 it is the
    cross-entropy.

    Args:
        logits: ``(N, C)``, any float dtype.
        target: ``(N,)`` int64 labels, or ``(N, C)`` shares that sum to 1.
        gamma: At least 0.
        weight: ``(C,)``, how much each class counts, or None.
        label_smoothing: Share of the target spread evenly over all classes.

    Returns:
        A float32 scalar: the mean over rows; 0 where there is none.
    """
    classes = logits.shape[1]
    shares = F.one_hot(target, classes) if target.ndim == 1 else target
    shares = shares.float() * (1 - label_smoothing) + label_smoothing / classes
    log_probability = F.log_softmax(logits.float(), dim=1)
    terms = shares * log_probability
    if gamma > 0:
        terms = terms * (1 - log_probability.exp()) ** gamma
    if weight is not None:
        terms = terms * weight
    return -terms.sum(dim=1).sum() / max(len(terms), 1)


def distillation_loss(
    logits: torch.Tensor, teacher_logits: torch.Tensor, *, temperature: float = 2.0
) -> torch.Tensor:
    """How far the answers are from a teacher's.

    Hinton et al. 2015, "Distilling the Knowledge in a Neural Network",
    https://arxiv.org/abs/1503.02531: the Kullback-Leibler divergence of softened probabilities,
    times the squared temperature, so that its gradient does not shrink as they are softened.

    Args:
        logits: ``(N, C)``, any float dtype.
        teacher_logits: ``(N, C)``.
        temperature: Softens both; above 0.

    Returns:
        A float32 scalar: the mean over rows; zero where they agree.
    """
    student = F.log_softmax(logits.float() / temperature, dim=1)
    teacher = F.log_softmax(teacher_logits.float() / temperature, dim=1)
    divergence = F.kl_div(student, teacher, reduction="batchmean", log_target=True)
    return divergence * temperature**2


def similarity_distillation_loss(
    embeddings: torch.Tensor, teacher_embeddings: torch.Tensor, *, temperature: float = 0.1
) -> torch.Tensor:
    """How far the likeness between images is from what a teacher sees.

    Abbasi Koohpayegani et al. 2020, "CompRess", https://arxiv.org/abs/2010.14713, with the batch
    in place of a memory: each row's softmax over its similarities to all others is compared, so
    that the two may have embeddings of different dimensions.

    Args:
        embeddings: ``(N, D)``, any float dtype; rows are normalised here.
        teacher_embeddings: ``(N, E)``.
        temperature: τ > 0 of the softmax.

    Returns:
        A float32 scalar: the mean Kullback-Leibler divergence over rows.

    Raises:
        ValueError: If the two do not have the same rows.
    """
    if len(embeddings) != len(teacher_embeddings):
        raise Refused(
            "losses.teacher",
            embeddings_count=len(embeddings),
            teacher_embeddings_count=len(teacher_embeddings),
        )
    itself = torch.eye(len(embeddings), dtype=torch.bool, device=embeddings.device)
    lowest = torch.finfo(torch.float32).min
    student, teacher = (
        F.log_softmax((_cosine(e) / temperature).masked_fill(itself, lowest), dim=1)
        for e in (embeddings, teacher_embeddings)
    )
    return F.kl_div(student, teacher, reduction="batchmean", log_target=True)


def _cosine(embeddings: torch.Tensor) -> torch.Tensor:
    # Outside autocast: it would take this product back to bfloat16.
    with torch.autocast(embeddings.device.type, enabled=False):
        unit = F.normalize(embeddings.float(), dim=-1)
        return unit @ unit.T


def _check_batch(embeddings: torch.Tensor, labels: torch.Tensor) -> None:
    if embeddings.ndim != 2 or labels.shape[:1] != embeddings.shape[:1] or labels.ndim > 2:
        raise Refused(
            "losses.labels",
            embeddings_shape=tuple(embeddings.shape),
            labels_shape=tuple(labels.shape),
        )
