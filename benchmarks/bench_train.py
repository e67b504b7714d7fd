"""How much of the device's training speed survives feeding it: images/s over random tensors.

Steps of the real loop (sampler, loader, gathering pixels, augmentation, loss, update) and steps of
the same loop on one random batch that already lies on the device are timed in turns.

    python benchmarks/bench_train.py [--backbone regnety_004] [--repetitions 20]
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch starts its threads

import torch
from accelerate import Accelerator
from torch.utils.data import DataLoader

from dermsim.config import TrainConfig
from dermsim.data.augment import draw_views, render_views
from dermsim.data.sampler import BalancedSampler
from dermsim.models import DermSimConfig, DermSimModel
from dermsim.models.objective import Truth, training_loss
from dermsim.presets import PRESETS

IMAGES = 2048
VIEWS = 2
AIM = 0.9


def main() -> None:
    """Print the ratio as a Markdown table."""
    config = PRESETS["release"]
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--backbone", default=config.encoder.backbone, help="any timm backbone")
    parser.add_argument("--repetitions", type=int, default=20, help="timings of each side")
    options = parser.parse_args()
    ratios, rate, device = measure(
        config, backbone=options.backbone, repetitions=options.repetitions
    )
    low, middle, high = statistics.quantiles(ratios, n=4)
    print(f"| backbone, device | views/s over random tensors (aim at least {AIM}) | quartiles |")
    print("|---|---|---|")
    print(f"| {options.backbone}, {device} | {middle:.2f} | {low:.2f} to {high:.2f} |")
    print(f"\n{rate:.0f} views/s in the real loop, which says more about this machine than of us.")


def measure(
    config: TrainConfig, *, backbone: str, repetitions: int
) -> tuple[list[float], float, str]:
    """Time real and bare steps in turns.

    Returns:
        One ratio of speeds per pair, the median views per second of the real steps, the device.
    """
    size, batch_size = config.encoder.image_size, config.optim.batch_size
    accelerator = Accelerator(mixed_precision=config.optim.mixed_precision)
    device = accelerator.device
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(
        0, 256, (IMAGES, 3, 150, 200), dtype=torch.uint8, generator=generator
    ).to(device)
    labels = torch.randint(0, 7, (IMAGES,), generator=generator).to(device)
    loader = DataLoader(
        range(IMAGES), batch_size, sampler=BalancedSampler(labels.tolist()), drop_last=True
    )
    model = DermSimModel(DermSimConfig(backbone=backbone)).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters())
    model, optimizer, loader = accelerator.prepare(model, optimizer, loader)
    model.train()

    def learn(batch: torch.Tensor, labels: torch.Tensor, instances: torch.Tensor) -> None:
        with accelerator.autocast():
            output = model(batch)
        truth = Truth(labels, instances, lesions=instances)
        accelerator.backward(training_loss(output, truth, config.loss)["loss"])
        accelerator.clip_grad_norm_(model.parameters(), config.optim.clip_norm)
        optimizer.step()
        optimizer.zero_grad()

    instances = torch.arange(batch_size, device=device).repeat(VIEWS)
    ready = torch.randn(VIEWS * batch_size, 3, size, size, device=device)
    ready = ready.contiguous(memory_format=torch.channels_last)
    ready_labels = labels[:batch_size].repeat(VIEWS)
    batches = iter(loader)

    def real() -> None:
        nonlocal batches
        rows = next(batches, None)
        if rows is None:
            batches = iter(loader)
            rows = next(batches)
        views = draw_views(VIEWS * len(rows), config.augment, generator=generator)
        batch = render_views(
            pixels[rows].repeat(VIEWS, 1, 1, 1),
            views,
            size=size,
            mean=(0.76, 0.55, 0.57),
            std=(0.14, 0.15, 0.17),
        ).contiguous(memory_format=torch.channels_last)
        learn(batch, labels[rows].repeat(VIEWS), instances)

    def bare() -> None:
        learn(ready, ready_labels, instances)

    for work in (real, bare, real, bare):
        seconds(work, device)
    pairs = [(seconds(bare, device), seconds(real, device)) for _ in range(repetitions)]
    rate = VIEWS * batch_size / statistics.median(taken for _, taken in pairs)
    return [bare_s / real_s for bare_s, real_s in pairs], rate, device.type


def seconds(work: Callable[[], None], device: torch.device) -> float:
    """Return how long one call takes, waiting for an accelerator to finish."""
    started = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
