"""Which image comes when: a class-balanced order that every process can work out alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch.utils.data import Sampler

from dermsim.core.refused import Refused


class BalancedSampler(Sampler[int]):
    """Draw as many images as there are, with class frequencies flattened by a power.

    A class of n images is drawn in proportion to ``n ** (1 - balance)``. Systematic resampling
    (Kitagawa 1996) keeps chance out of the counts: an image expected 2.3 times in an epoch comes
    two or three times, never not at all. It works on indices, not batches, and depends on nothing
    but the seed and the epoch: Accelerate shards it and calls `set_epoch` on every process.
    """

    def __init__(
        self,
        labels: Sequence[int],
        *,
        balance: float = 0.5,
        seed: int = 0,
        also: Sequence[bool] | None = None,
        also_share: float = 0.0,
    ) -> None:
        """Weigh the images.

        Args:
            labels: ``(N,)`` int, the class of each image.
            balance: 0 draws every image once, 1 makes all classes equally frequent.
            seed: Fixes the order of every epoch.
            also: ``(N,)``, which images come from further sources; None for none.
            also_share: Share of each class' draws that they get, where a class has images of both.
                The classes are then as frequent as the others' counts make them, so that a clinic
                says nothing about the diagnosis.

        Raises:
            ValueError: If there are no images, or `balance` is outside [0, 1].
        """
        if len(labels) == 0:
            raise Refused("sampler.no_images")
        if not 0 <= balance <= 1:
            raise Refused("sampler.balance", balance=balance)
        self.labels = torch.as_tensor(labels, dtype=torch.int64)
        further = torch.as_tensor(also or [False] * len(labels), dtype=torch.bool)
        if not 0 <= also_share < 1:
            raise Refused("sampler.also_share", also_share=also_share)
        weights = _weights(self.labels, further, balance, also_share)
        self.expected = weights / weights.sum() * len(weights)
        """``(N,)`` float64, how often each image is expected in an epoch; they sum to N."""
        self.seed = seed
        self.epoch = 0

    def class_counts(self, num_classes: int) -> torch.Tensor:
        """How often an epoch is expected to draw each of the first classes, (C,) float64."""
        return torch.bincount(self.labels, weights=self.expected, minlength=num_classes)[
            :num_classes
        ]

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order comes next."""
        self.epoch = epoch

    def __len__(self) -> int:
        """N: an epoch draws as many images as there are."""
        return len(self.expected)

    def __iter__(self) -> Iterator[int]:
        """Yield the epoch's N indices."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        # Ticks at u, u+1, … on the line of expected counts laid end to end in random order.
        order = torch.randperm(len(self), generator=generator)
        offset = torch.rand((), generator=generator, dtype=torch.float64)
        ends = self.expected[order].cumsum(0)
        ends[-1] = len(self)  # so that rounding cannot lose the last tick
        times = torch.floor(ends - offset).diff(prepend=torch.floor(-offset)[None]).long()
        drawn = order.repeat_interleave(times)
        return iter(drawn[torch.randperm(len(drawn), generator=generator)].tolist())


def _weights(
    labels: torch.Tensor, further: torch.Tensor, balance: float, share: float
) -> torch.Tensor:
    """``(N,)`` float64, how much more often an image is drawn than another."""
    classes = int(labels.max()) + 1
    own = torch.bincount(labels[~further], minlength=classes).double()
    other = torch.bincount(labels[further], minlength=classes).double()
    # A class that only one kind of source has gets all its draws from there.
    wanted = torch.where(own > 0, own, other) ** (1 - balance)
    of_other = torch.where(own == 0, 1.0, torch.where(other == 0, 0.0, share))
    each_own = wanted * (1 - of_other) / own.clamp(min=1)
    each_other = wanted * of_other / other.clamp(min=1)
    return torch.where(further, each_other[labels], each_own[labels])
