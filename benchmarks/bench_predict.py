"""How much `DermSim.predict` of one photograph adds to the bare forward pass of the same encoder.

Beside it stands that forward pass over the one of timm's ResNet-50 at 224 pixels. All are timed in
turns within one run, so that what else the machine does weighs on them alike.

    python benchmarks/bench_predict.py [--model FOLDER] [--repetitions 200]
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch starts its threads

import timm
import torch

from dermsim.data.synthetic import draw_lesion
from dermsim.engine import DermSim

CHECKPOINT = Path(__file__).resolve().parent.parent / "hub" / "dermsim-ham10000"
SIZES = {"HAM10000's 600 x 450": (600, 450), "as trained, 200 x 150": (200, 150)}
AIM = 1.3


def main() -> None:
    """Print the ratios as a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--model", default=str(CHECKPOINT), help="checkpoint folder or Hub id")
    parser.add_argument("--repetitions", type=int, default=200, help="timings of each side")
    options = parser.parse_args()
    engine = DermSim.from_pretrained(options.model)
    print("| ratio | aim | median | quartiles |")
    print("|---|---|---|---|")
    for name, size in SIZES.items():
        ratios = measure(engine, size=size, repetitions=options.repetitions)
        print_row(f"predict / forward pass, {name}", f"at most {AIM}", ratios)
    ratios = measure_forward(engine, repetitions=options.repetitions)
    print_row("forward pass / ResNet-50's at 224 pixels", "at most 1", ratios)


def print_row(name: str, aim: str, ratios: list[float]) -> None:
    """Print the median and the quartiles of ratios as a row of the table."""
    low, middle, high = statistics.quantiles(ratios, n=4)
    print(f"| {name} | {aim} | {middle:.2f} | {low:.2f} to {high:.2f} |")


def measure_forward(engine: DermSim, *, repetitions: int) -> list[float]:
    """Time the checkpoint's forward pass and ResNet-50's of one picture in turns.

    Args:
        engine: The loaded checkpoint.
        repetitions: How many pairs.

    Returns:
        One ratio per pair.
    """
    device = engine.model.device
    other = timm.create_model("resnet50").eval().to(device, memory_format=torch.channels_last)
    large = torch.randn(1, 3, 224, 224, device=device).to(memory_format=torch.channels_last)
    own = engine.processor(draw_lesion("mel", seed=0), return_tensors="pt").pixel_values.to(device)

    @torch.inference_mode()
    def ours() -> None:
        engine.model(own).logits.cpu()

    @torch.inference_mode()
    def theirs() -> None:
        other(large).cpu()

    for _ in range(10):
        ours()
        theirs()
    return [seconds(ours) / seconds(theirs) for _ in range(repetitions)]


def measure(engine: DermSim, *, size: tuple[int, int], repetitions: int) -> list[float]:
    """Time prediction and forward pass in turns.

    Args:
        engine: The loaded checkpoint.
        size: Width and height of the photograph, already decoded.
        repetitions: How many pairs.

    Returns:
        One ratio per pair.
    """
    photograph = draw_lesion("mel", seed=0, size=size)
    pixel_values = engine.processor(photograph, return_tensors="pt").pixel_values
    pixel_values = pixel_values.to(engine.model.device)

    @torch.inference_mode()
    def forward() -> None:
        engine.model(pixel_values).logits.cpu()  # waits for an accelerator to finish

    def predict() -> None:
        engine.predict([photograph])

    for _ in range(10):
        forward()
        predict()
    return [seconds(predict) / seconds(forward) for _ in range(repetitions)]


def seconds(work: Callable[[], None]) -> float:
    """Return how long one call takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
