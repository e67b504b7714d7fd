"""How much of the device's training speed survives feeding it.

Steps of the real loop (sampler, loader, gathering pixels, augmentation, loss, update), steps of the
same loop on one random batch that already lies on the device, and steps fed by timm's own training
loader (JPEG files, its random crop, flip and colour jitter, a worker per core) are timed in turns.

    python benchmarks/bench_train.py [--backbone regnety_004] [--repetitions 5]
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch starts its threads

import numpy as np
import torch
from accelerate import Accelerator
from PIL import Image
from timm.data import ImageDataset, create_loader
from torch.utils.data import DataLoader

from dermsim.models import DermSimConfig, DermSimModel
from dermsim.training.augment import draw_views, render_views
from dermsim.training.config import TrainConfig
from dermsim.training.objective import Truth, training_loss
from dermsim.training.presets import PRESETS
from dermsim.training.sampler import BalancedSampler

IMAGES = 1024
VIEWS = 2
AIM = 0.9
CHANNELS_LAST = {"memory_format": torch.channels_last}
MEAN, STD = (0.76, 0.55, 0.57), (0.14, 0.15, 0.17)


def main() -> None:
    """Print the ratio as a Markdown table."""
    config = PRESETS["release"]
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--backbone", default=config.encoder.backbone, help="any timm backbone")
    parser.add_argument("--repetitions", type=int, default=5, help="epochs of each kind")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write_photographs(Path(folder))
        taken, device = measure(config, Path(folder), options.backbone, options.repetitions)
    print("| backbone, device | views/s over | aim | median | quartiles |")
    print("|---|---|---|---|---|")
    for name, aim in (("random tensors", f"at least {AIM}"), ("timm's loader", "above 1")):
        ratios = [other / real for other, real in zip(taken[name], taken["real"], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        cells = (f"{options.backbone}, {device}", name, aim, f"{middle:.2f}")
        print(f"| {' | '.join(cells)} | {low:.2f} to {high:.2f} |")
    rate = VIEWS * config.optim.batch_size / statistics.median(taken["real"])
    print(f"\n{rate:.0f} views/s in the real loop, which says more about this machine than of us.")


def write_photographs(folder: Path) -> None:
    """Write as many JPEGs of HAM10000's small size as the loops have images."""
    (folder / "class").mkdir()
    generator = np.random.default_rng(0)
    for name in range(IMAGES):
        coarse = generator.integers(0, 256, (15, 20, 3), dtype=np.uint8)
        picture = Image.fromarray(coarse).resize((200, 150), Image.Resampling.BICUBIC)
        picture.save(folder / "class" / f"{name}.jpg", quality=90)


def measure(
    config: TrainConfig, photographs: Path, backbone: str, repetitions: int
) -> tuple[dict[str, list[float]], str]:
    """Time epochs of the three kinds in turns.

    Returns:
        Seconds per step of ``"real"``, ``"random tensors"`` and ``"timm's loader"``, one of each
        kind per repetition; and the device.
    """
    size, batch_size = config.encoder.image_size, config.optim.batch_size
    accelerator = Accelerator(mixed_precision=config.optim.mixed_precision)
    device = accelerator.device
    generator = torch.Generator().manual_seed(0)
    shape = (IMAGES, 3, 150, 200)
    pixels = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator).to(device)
    labels = torch.randint(0, 7, (IMAGES,), generator=generator).to(device)
    loader = DataLoader(
        range(IMAGES), batch_size, sampler=BalancedSampler(labels.tolist()), drop_last=True
    )
    model = DermSimModel(DermSimConfig(backbone=backbone)).to(**CHANNELS_LAST)
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

    instances = torch.arange(batch_size, device=device).repeat_interleave(VIEWS)
    ready = torch.randn(VIEWS * batch_size, 3, size, size, device=device).to(**CHANNELS_LAST)
    ready_labels = labels[:batch_size].repeat_interleave(VIEWS)
    timms = timms_loader(config, photographs, device)

    def real() -> int:
        for images in loader:
            chosen = images.repeat_interleave(VIEWS)
            views = draw_views(len(chosen), config.augment, generator=generator)
            batch = render_views(pixels[chosen], views, size=size, mean=MEAN, std=STD)
            learn(batch.contiguous(**CHANNELS_LAST), labels[chosen], instances)
        return len(loader)

    def bare() -> int:
        for _ in range(len(loader)):
            learn(ready, ready_labels, instances)
        return len(loader)

    def by_timm() -> int:
        for batch, _ in timms:
            learn(batch.contiguous(**CHANNELS_LAST), ready_labels, instances)
        return len(timms)

    # Whole epochs: between two of them timm's workers have nothing to prefetch, so that none of
    # their work is done while the others are timed.
    works = {"real": real, "random tensors": bare, "timm's loader": by_timm}
    return in_turns(works, repetitions, device), device.type


def in_turns(
    works: dict[str, Callable[[], int]], repetitions: int, device: torch.device
) -> dict[str, list[float]]:
    """Time each work once in every repetition, after one that is not timed."""
    for work in works.values():
        work()
    turns = [
        {name: seconds(work, device) for name, work in works.items()} for _ in range(repetitions)
    ]
    return {name: [turn[name] for turn in turns] for name in works}


def timms_loader(config: TrainConfig, photographs: Path, device: torch.device) -> DataLoader:
    """Return timm's own training loader of the photographs, a worker per core."""
    return create_loader(
        ImageDataset(str(photographs)),
        input_size=(3, config.encoder.image_size, config.encoder.image_size),
        batch_size=VIEWS * config.optim.batch_size,
        is_training=True,
        use_prefetcher=device.type == "cuda",
        device=device,
        num_workers=os.cpu_count() or 1,
        scale=(config.augment.min_scale, 1.0),
        color_jitter=config.augment.contrast,
        interpolation="bilinear",
    )


def seconds(work: Callable[[], int], device: torch.device) -> float:
    """Return how long one step of an epoch takes, waiting for an accelerator to finish."""
    started = time.perf_counter()
    steps = work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - started) / steps


if __name__ == "__main__":
    main()
