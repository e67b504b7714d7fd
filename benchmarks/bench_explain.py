"""What an explanation costs: over pytorch-grad-cam as documented, and over the bare forward pass.

Each pair is timed in turns within one run, so that what else the machine does weighs on both alike.
`DermSim.explain` takes a photograph and gives a map over all of it; pytorch-grad-cam is given
pixels that are ready and gives a map of the square, with its objects made beforehand.

    python benchmarks/bench_explain.py [--model FOLDER] [--repetitions 100] [--slow-repetitions 5]
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch starts its threads

import torch
from pytorch_grad_cam import GradCAM, ScoreCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import nn

from dermsim.core.labels import CODES, LABEL2ID
from dermsim.data.synthetic import draw_lesion
from dermsim.engine import DermSim

CHECKPOINT = Path(__file__).resolve().parent.parent / "hub" / "dermsim-ham10000"
TARGET = "mel"


class Logits(nn.Module):
    """The encoder as pytorch-grad-cam wants it: images to logits."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Return the logits (B, 7)."""
        return self.model(pixel_values).logits


def main() -> None:
    """Print the ratios as a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--model", default=str(CHECKPOINT), help="checkpoint folder or Hub id")
    parser.add_argument("--repetitions", type=int, default=100, help="timings of each side")
    parser.add_argument("--slow-repetitions", type=int, default=5, help="timings of Score-CAM")
    options = parser.parse_args()
    engine = DermSim.from_pretrained(options.model)
    print("| ratio | aim | median | quartiles |")
    print("|---|---|---|---|")
    for name, aim, ratios in measure(engine, options.repetitions, options.slow_repetitions):
        low, middle, high = statistics.quantiles(ratios, n=4)
        print(f"| {name} | {aim} | {middle:.2f} | {low:.2f} to {high:.2f} |")


def measure(
    engine: DermSim, repetitions: int, slow_repetitions: int
) -> list[tuple[str, str, list[float]]]:
    """Time explanations of one photograph after another.

    Args:
        engine: A checkpoint of one encoder with convolutions.
        repetitions: How many pairs of Grad-CAM.
        slow_repetitions: How many pairs of Score-CAM, at least 2.

    Returns:
        For each comparison its name, its aim and one ratio per pair.
    """
    photographs = [draw_lesion(code, seed=0, size=(600, 450)) for code in CODES]
    pixels = [
        engine.processor(p, return_tensors="pt").pixel_values.to(engine.model.device)
        for p in photographs
    ]
    layer = [engine.model.backbone.get_submodule(engine.explanation_stages()[-1])]
    targets = [ClassifierOutputTarget(LABEL2ID[TARGET])]
    library = {kind: kind(Logits(engine.model), layer) for kind in (GradCAM, ScoreCAM)}

    @torch.inference_mode()
    def forward(i: int) -> None:
        engine.model(pixels[i]).logits.cpu()  # waits for an accelerator to finish

    def theirs(kind: type, i: int) -> None:
        with contextlib.redirect_stderr(io.StringIO()):  # a bar for every image
            library[kind](input_tensor=pixels[i], targets=targets)

    def ours(method: str, i: int, target: str | None = TARGET) -> None:
        engine.explain(photographs[i], method=method, target=target)

    def pairs(one: Callable[[int], None], other: Callable[[int], None], n: int) -> list[float]:
        places = [i % len(photographs) for i in range(n)]
        one(0), other(0)
        return [seconds(one, i) / seconds(other, i) for i in places]

    cam = "Grad-CAM, `DermSim.explain` over"
    return [
        (
            f"{cam} pytorch-grad-cam",
            "≤ 1.0",
            pairs(lambda i: ours("gradcam", i), lambda i: theirs(GradCAM, i), repetitions),
        ),
        (f"{cam} a forward pass", "≤ 3.5", pairs(partial(ours, "gradcam"), forward, repetitions)),
        (
            f"{cam} a forward pass, of whatever is most probable",
            "≤ 3.5",
            pairs(lambda i: ours("gradcam", i, None), forward, repetitions),
        ),
        (
            "Score-CAM, pytorch-grad-cam over `DermSim.explain`",
            "≥ 3.0",
            pairs(lambda i: theirs(ScoreCAM, i), lambda i: ours("scorecam", i), slow_repetitions),
        ),
    ]


def seconds(work: Callable[[int], None], i: int) -> float:
    """Return how long one call takes."""
    started = time.perf_counter()
    work(i)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
