"""What an exported encoder saves: one photograph, a batch, a start, a folder, memory, room on disk.

Everything is a ratio of two sides that take turns on the same machine: torch against ONNX, and
ONNX in float32 against integers. Accuracy is read from the report that `dermsim export` left.

    python benchmarks/bench_runtime.py --pictures FOLDER [--model FOLDER] [--repetitions 9]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from dermsim.core.released import default_model
from dermsim.data.images import IMAGE_SUFFIXES, read_image
from dermsim.lite.encoder import FILES, FOLDER, REPORT, OnnxEncoder
from dermsim.models.encoder import load_encoder

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE", "PYTHONPATH": str(ROOT)}
MANY, BATCH = 500, 32
RUNS, BLOCK, WARM = 80, 10, 4
BARS = {
    "one photograph, ONNX / torch": 0.8,
    "one photograph, INT8 / ONNX": 0.65,
    "process start to answer, ONNX / torch": 0.30,
    "its peak memory, ONNX / torch": 0.35,
    f"a folder of {MANY}, ONNX / torch": 0.6,
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--model", default=default_model(), help="checkpoint folder with onnx/")
    parser.add_argument("--pictures", type=Path, required=True, help=f"folder of {MANY} or more")
    parser.add_argument("--repetitions", type=int, default=9, help="starts of each side")
    options = parser.parse_args()
    model = Path(options.model).resolve()
    pictures = sorted(p for p in options.pictures.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
    if len(pictures) < MANY:
        parser.error(f"{options.pictures} holds {len(pictures)} pictures, and {MANY} are needed")
    found = forward_ratios(model, pictures)
    found |= start_ratios(model, pictures[0], options.repetitions)
    found |= folder_ratio(model, pictures)
    print("| figure | ratio | bar | |\n|---|---|---|---|")
    for name, value in found.items():
        bar = BARS.get(name)
        verdict = "" if bar is None else "met" if value <= bar else "missed"
        print(f"| {name} | {value:.2f} | {'' if bar is None else bar} | {verdict} |")
    print_parity(model)


def forward_ratios(model: Path, pictures: list[Path]) -> dict[str, float]:
    """Time the encoders on prepared squares, which both sides are handed."""
    network, preparation = load_encoder(model)
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    squares = np.stack([preparation.square(read_image(path)) for path in pictures[:BATCH]])
    inputs = torch.from_numpy(np.stack([preparation.normalised(square) for square in squares]))
    whole, integers = (OnnxEncoder(model / FOLDER / name) for name in FILES.values())
    pixels = np.moveaxis(squares, 1, -1)

    def eager(count: int) -> Callable[[], object]:
        def run() -> object:
            with torch.inference_mode():
                return network(inputs[:count])

        return run

    def exported(encoder: OnnxEncoder, count: int) -> Callable[[], object]:
        return lambda: encoder.run(pixels[:count])

    found = {}
    for words, count in (("one photograph", 1), (f"{BATCH} photographs", BATCH)):
        one, other = times(eager(count), exported(whole, count))
        before, after = times(exported(whole, count), exported(integers, count))
        found[f"{words}, ONNX / torch"] = other / one
        found[f"{words}, INT8 / ONNX"] = after / before
        print(f"{words}: torch {one * 1e3:.1f} ms, ONNX {other * 1e3:.1f}; ", end="")
        print(f"ONNX {before * 1e3:.1f} ms, INT8 {after * 1e3:.1f}")
    return found


def times(*sides: Callable[[], object]) -> list[float]:
    """Return the median seconds of each side; they take turns in blocks, each warm."""
    seconds: list[list[float]] = [[] for _ in sides]
    for _ in range(RUNS // BLOCK):
        for side, kept in zip(sides, seconds, strict=True):
            for _ in range(WARM):  # threads of the side before may still be spinning
                side()
            for _ in range(BLOCK):
                started = time.perf_counter()
                side()
                kept.append(time.perf_counter() - started)
    return [statistics.median(kept) for kept in seconds]


def start_ratios(model: Path, picture: Path, repetitions: int) -> dict[str, float]:
    """Time `dermsim classify` of one photograph in fresh processes, and take its peak memory."""
    sides = [[str(picture), "--backend", backend] for backend in ("torch", "onnx")]
    for side in sides:
        command(model, side)  # the first reads libraries from the disk
    runs = [[command(model, side) for side in sides] for _ in range(repetitions)]
    seconds = [statistics.median(run[place][0] for run in runs) for place in (0, 1)]
    memory = [max(run[place][1] for run in runs) for place in (0, 1)]
    print(f"start to answer: torch {seconds[0]:.2f} s, ONNX {seconds[1]:.2f} s")
    print(f"peak memory: torch {memory[0] / 2**20:.0f} MiB, ONNX {memory[1] / 2**20:.0f} MiB")
    return {
        "process start to answer, ONNX / torch": seconds[1] / seconds[0],
        "its peak memory, ONNX / torch": memory[1] / memory[0],
    }


def folder_ratio(model: Path, pictures: list[Path]) -> dict[str, float]:
    """Time `dermsim classify` of a folder, three times each, and compare the rows."""
    with tempfile.TemporaryDirectory() as scratch:
        for path in pictures[:MANY]:
            (Path(scratch) / path.name).symlink_to(path.resolve())
        seconds: dict[str, list[float]] = {"torch": [], "onnx": []}
        rows = {}
        for _ in range(3):
            for backend, kept in seconds.items():
                output = Path(scratch) / f"{backend}.csv"
                asked = [scratch, "--backend", backend, "-o", str(output)]
                kept.append(command(model, asked)[0])
                rows[backend] = output.read_text().splitlines()
    labels = [[line.split(",")[:2] for line in rows[backend]] for backend in seconds]
    assert labels[0] == labels[1], "the two do not give the same labels"
    medians = {backend: statistics.median(kept) for backend, kept in seconds.items()}
    print(f"a folder of {MANY}: torch {medians['torch']:.1f} s, ONNX {medians['onnx']:.1f} s")
    return {f"a folder of {MANY}, ONNX / torch": medians["onnx"] / medians["torch"]}


WATCH = """
import json, os, sys, time
started = time.perf_counter()
process = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(process, 0)
seconds = time.perf_counter() - started
print("\\n" + json.dumps([seconds, usage.ru_maxrss * 1024, os.waitstatus_to_exitcode(status)]))
"""
"""A small process that starts another: Linux counts the memory of whoever forks as the child's."""


def command(model: Path, arguments: list[str]) -> tuple[float, int]:
    """Run `dermsim classify`; return its seconds and its peak resident memory in bytes."""
    program = [sys.executable, "-m", "dermsim", "classify", *arguments, "--model", str(model)]
    watched = [sys.executable, "-S", "-c", WATCH, *program]
    done = subprocess.run(watched, env=ENVIRONMENT, capture_output=True, text=True, check=True)
    seconds, memory, status = json.loads(done.stdout.splitlines()[-1])
    if status:
        raise RuntimeError(f"{' '.join(program)} ended with {status}: {done.stderr}")
    return seconds, memory


def print_parity(model: Path) -> None:
    """Print what `dermsim export` measured, and the sizes of the files."""
    report = json.loads((model / FOLDER / REPORT).read_text(encoding="utf-8"))
    print(
        f"\n{report['photographs']}\n\n| precision | MB | lowest cosine | equal labels | verdicts |"
    )
    print("|---|---|---|---|---|")
    for name, file in FILES.items():
        one = report[name]
        of = one["photographs"]
        size = (model / FOLDER / file).stat().st_size / 1e6
        print(
            f"| {name} | {size:.1f} | {one['lowest_cosine']:.6f} | {one['labels']} of {of} "
            f"| {one['verdicts']} of {of} |"
        )
        for figure in ("accuracy", "melanoma_auc"):
            before, after = one[figure]["checkpoint"], one[figure]["exported"]
            print(f"  {name} {figure}: {before:.4f} to {after:.4f}")


if __name__ == "__main__":
    main()
