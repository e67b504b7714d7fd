"""Fits a dense head to the frozen encoder's maps: where a lesion is, or a structure within it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from dermsim.tasks.concepts.dense import DenseHead

Maps = Sequence[npt.NDArray[np.float16]]
"""Of N pictures, for each stage ``(N, C, h, w)``, in half precision to fit into memory."""

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Takes log-odds ``(B, K, g, g)`` and the numbers of their rows, ``(B,)``; returns one number."""

SAMPLE = 500
"""Pictures whose maps set the scale of each channel."""

CHUNK = 64
"""Pictures that a dense head is asked about at a time."""

PAIRS = 48
"""Cells with and without a structure that are compared in each picture."""


@dataclass(frozen=True)
class Schedule:
    """How a dense head is fitted; chosen on folds of the training data, for all alike.

    Attributes:
        hidden: Width of the hidden layer.
        epochs: Passes over the pictures.
        batch: Pictures in a step.
        learning_rate: At the start; it falls to nothing along a cosine.
        weight_decay: Of AdamW.
        networks: How many are fitted from different beginnings and averaged, as one wider head.
        seed: Of the initial weights and of the order of the pictures.
    """

    hidden: int = 16
    epochs: int = 6
    batch: int = 32
    learning_rate: float = 1e-2
    weight_decay: float = 1e-3
    networks: int = 1
    seed: int = 0


class _Hypercolumns(torch.nn.Module):
    """The same network as `DenseHead`, with the scale of each channel kept apart."""

    def __init__(
        self, maps: Maps, rows: npt.NDArray[np.int64], outputs: int, grid: int, plan: Schedule
    ) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(plan.seed)
        self.grid = grid
        some = rows[:: max(1, len(rows) // SAMPLE)]
        self.means, self.spreads = [], []
        laterals = []
        for stage in maps:
            sample = torch.from_numpy(stage[some].astype(np.float32))
            self.means.append(sample.mean(dim=(0, 2, 3)))
            self.spreads.append(sample.std(dim=(0, 2, 3)) + 1e-6)
            bound = 1 / math.sqrt(stage.shape[1])
            weight = torch.empty(plan.hidden, stage.shape[1]).uniform_(
                -bound, bound, generator=draw
            )
            laterals.append(torch.nn.Parameter(weight))
        self.laterals = torch.nn.ParameterList(laterals)
        self.hidden_bias = torch.nn.Parameter(torch.zeros(plan.hidden))
        bound = 1 / math.sqrt(plan.hidden)
        weight = torch.empty(outputs, plan.hidden).uniform_(-bound, bound, generator=draw)
        self.output = torch.nn.Parameter(weight)
        self.output_bias = torch.nn.Parameter(torch.zeros(outputs))

    def forward(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        hidden: torch.Tensor = self.hidden_bias[:, None, None]
        parts = zip(maps, self.laterals, self.means, self.spreads, strict=True)
        for stage, weight, mean, spread in parts:
            scaled = (stage.float() - mean[:, None, None]) / spread[:, None, None]
            mixed = torch.einsum("hc,ncij->nhij", weight, scaled)
            if mixed.shape[-2:] != (self.grid, self.grid):
                mixed = F.interpolate(
                    mixed, size=(self.grid, self.grid), mode="bilinear", align_corners=False
                )
            hidden = hidden + mixed
        found = torch.einsum("kh,nhij->nkij", self.output, F.relu(hidden))
        return found + self.output_bias[:, None, None]

    def to_head(self) -> DenseHead:
        """Fold the scales into the weights."""
        laterals, bias = [], self.hidden_bias.detach().double()
        for weight, mean, spread in zip(self.laterals, self.means, self.spreads, strict=True):
            folded = weight.detach().double() / spread.double()
            bias = bias - folded @ mean.double()
            laterals.append(folded.float().numpy())
        return DenseHead(
            tuple(laterals),
            bias.float().numpy(),
            self.output.detach().float().numpy(),
            self.output_bias.detach().float().numpy(),
            self.grid,
        )


def fit_dense(
    maps: Maps,
    rows: npt.NDArray[np.int64],
    loss: Loss,
    *,
    outputs: int,
    grid: int,
    plan: Schedule,
) -> DenseHead:
    """Fit a dense head.

    Args:
        maps: Of N pictures.
        rows: The pictures to fit to, ``(M,)``.
        loss: What to make small.
        outputs: K maps that it gives.
        grid: Cells along each side.
        plan: How.
    """
    each = (replace(plan, networks=1, seed=plan.seed + more) for more in range(plan.networks))
    return average([_fit_one(maps, rows, loss, outputs, grid, own) for own in each])


def average(heads: Sequence[DenseHead]) -> DenseHead:
    """Return one head that gives the mean of several: their hidden units side by side.

    Args:
        heads: At least one, of the same maps, outputs and grid.
    """
    return DenseHead(
        tuple(np.concatenate(parts) for parts in zip(*(h.laterals for h in heads), strict=True)),
        np.concatenate([head.hidden_bias for head in heads]),
        np.concatenate([head.output / np.float32(len(heads)) for head in heads], axis=1),
        np.mean([head.output_bias for head in heads], axis=0).astype(np.float32),
        heads[0].grid,
    )


def _fit_one(
    maps: Maps,
    rows: npt.NDArray[np.int64],
    loss: Loss,
    outputs: int,
    grid: int,
    plan: Schedule,
) -> DenseHead:
    network = _Hypercolumns(maps, rows, outputs, grid, plan)
    optimizer = torch.optim.AdamW(
        network.parameters(), plan.learning_rate, weight_decay=plan.weight_decay
    )
    each = max(1, len(rows) // plan.batch)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, plan.epochs * each)
    shuffle = np.random.default_rng(plan.seed)
    for _ in range(plan.epochs):
        order = shuffle.permutation(rows)
        for step in range(each):
            chosen = np.sort(order[step * plan.batch : (step + 1) * plan.batch])
            batch = [torch.from_numpy(stage[chosen]) for stage in maps]
            value = loss(network(batch), torch.from_numpy(chosen))
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            scheduler.step()
    return network.to_head()


def outline_loss(outlines: npt.NDArray[np.float32]) -> Loss:
    """Return cross entropy plus soft Dice (Milletari 2016, https://arxiv.org/abs/1606.04797).

    Args:
        outlines: ``(N, g, g)`` in [0, 1].
    """
    truth = torch.from_numpy(outlines)

    def loss(log_odds: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        wanted, own = truth[rows], log_odds[:, 0]
        share = own.sigmoid()
        both = (share * wanted).sum(dim=(1, 2))
        total = share.sum(dim=(1, 2)) + wanted.sum(dim=(1, 2))
        dice = 1 - (2 * both + 1) / (total + 1)
        return F.binary_cross_entropy_with_logits(own, wanted) + dice.mean()

    return loss


def structure_loss(
    regions: npt.NDArray[np.float32], lesions: npt.NDArray[np.bool_], *, seed: int = 0
) -> Loss:
    """Return cross entropy within the lesion, plus the ranking of cells within each picture.

    The first makes the log-odds mean something across pictures, the second is what a region is
    judged by: a cell of the structure must exceed one without it (RankNet's pairs, Burges 2005,
    https://doi.org/10.1145/1102351.1102363).

    Args:
        regions: ``(N, K, g, g)`` in [0, 1].
        lesions: ``(N, g, g)`` bool.
        seed: Of the pairs.
    """
    truth, within = torch.from_numpy(regions), torch.from_numpy(lesions).float()
    areas = (truth * within[:, None]).sum(dim=(0, 2, 3))
    share = (areas / within.sum().clamp(min=1)).clamp(1e-4, 1 - 1e-4)
    weight = ((1 - share) / share).sqrt()[:, None, None]
    draw = torch.Generator().manual_seed(seed)

    def loss(log_odds: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        wanted = truth[rows]
        counted = within[rows][:, None].expand_as(wanted)
        each = F.binary_cross_entropy_with_logits(
            log_odds, wanted, reduction="none", pos_weight=weight
        )
        entropy = (each * counted).sum(dim=(0, 2, 3)) / (counted.sum(dim=(0, 2, 3)) + 1)
        return entropy.sum() + 2 * _ranking(log_odds, wanted, counted, draw)

    return loss


def _ranking(
    log_odds: torch.Tensor, wanted: torch.Tensor, counted: torch.Tensor, draw: torch.Generator
) -> torch.Tensor:
    """Return the mean logistic loss of pairs of cells, over pictures that show both kinds."""
    inside = (counted * wanted).flatten(2)
    outside = (counted * (1 - wanted)).flatten(2)
    picture, concept = ((inside.sum(2) > 5) & (outside.sum(2) > 5)).nonzero(as_tuple=True)
    if len(picture) == 0:
        return log_odds.sum() * 0
    own = log_odds.flatten(2)[picture, concept]
    high, low = (
        own.gather(1, torch.multinomial(side[picture, concept], PAIRS, True, generator=draw))
        for side in (inside, outside)
    )
    return F.softplus(low[:, None, :] - high[:, :, None]).mean()


def ask(
    head: DenseHead, maps: Maps, rows: npt.NDArray[np.int64] | None = None
) -> npt.NDArray[np.float32]:
    """Return what a dense head gives of pictures, ``(M, K, g, g)``, a few at a time.

    Args:
        head: The head.
        maps: Of N pictures.
        rows: Which of them, ``(M,)``; None for all.
    """
    wanted = np.arange(len(maps[0])) if rows is None else rows
    chunks = [wanted[start : start + CHUNK] for start in range(0, len(wanted), CHUNK)]
    return np.concatenate([head([stage[chunk] for stage in maps]) for chunk in chunks])
