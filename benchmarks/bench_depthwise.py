"""How long a training step of EfficientNet-Lite0 takes on a CPU with quick depthwise gradients.

The step in bfloat16 with `QuickDepthwise` over the one without, and over the one in float32, timed
in turns within one run.

    python benchmarks/bench_depthwise.py [--side 160] [--repetitions 10]
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import time
from collections.abc import Callable

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch starts its threads

import timm
import torch
import torch.nn.functional as F

from dermsim.models.depthwise import QuickDepthwise

BATCH = 32


def main() -> None:
    """Print the ratios as a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--backbone", default="tf_efficientnet_lite0", help="any timm model")
    parser.add_argument("--side", type=int, default=160, help="of the squares, in pixels")
    parser.add_argument("--repetitions", type=int, default=10, help="timings of each side")
    options = parser.parse_args()
    quick = stepper(options.backbone, options.side, bf16=True, quick=True)
    print("| training step | median | quartiles |")
    print("|---|---|---|")
    for name, other in (
        ("bfloat16, quick / as it is", stepper(options.backbone, options.side, bf16=True)),
        ("bfloat16, quick / float32", stepper(options.backbone, options.side, bf16=False)),
    ):
        ratios = [timed(quick) / timed(other) for _ in range(options.repetitions + 1)][1:]
        low, middle, high = statistics.quantiles(ratios, n=4)
        print(f"| {name} | {middle:.2f} | {low:.2f} to {high:.2f} |", flush=True)


def stepper(backbone: str, side: int, *, bf16: bool, quick: bool = False) -> Callable[[], None]:
    """Return what does one training step of a network on random pictures.

    Args:
        backbone: Its name in timm.
        side: Of the pictures, in pixels.
        bf16: Whether autocast to bfloat16 is on.
        quick: Whether `QuickDepthwise` is.
    """
    network = timm.create_model(backbone, num_classes=7).train()
    network = network.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), fused=True)
    images = torch.randn(BATCH, 3, side, side).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, 7, (BATCH,))

    def step() -> None:
        mode = QuickDepthwise() if quick else contextlib.nullcontext()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16), mode:
            loss = F.cross_entropy(network(images).float(), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def timed(function: Callable[[], None]) -> float:
    """Return the seconds that a call takes."""
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
