"""What the page costs beside what it shows: one picture's answer, and a batch of 500.

An answer on the page is timed beside `DermSim.analyze` alone; a batch in headless Chromium, from
the moment the files are handed over until all rows are there, beside `dermsim classify` of the same
folder. Both sides are timed in turns within one run, so that what else the machine does weighs on
both alike.

    python benchmarks/bench_page.py [--repetitions 50] [--pictures 500] [--rounds 3]
"""

from __future__ import annotations

import argparse
import functools
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch starts its threads

from dermsim.core.labels import CODES
from dermsim.data.synthetic import draw_lesion
from dermsim.engine import DermSim
from dermsim.ui import callbacks, explain_callbacks
from dermsim.ui.app import build_app, launch

CHECKPOINT = Path(__file__).resolve().parent.parent / "hub" / "dermsim-ham10000"
AIMS = {"answer": 1.15, "batch": 1.25}


def main() -> None:
    """Print the ratios as a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--model", default=str(CHECKPOINT), help="checkpoint folder or Hub id")
    parser.add_argument("--repetitions", type=int, default=50, help="timings of an answer")
    parser.add_argument("--pictures", type=int, default=500, help="of a batch")
    parser.add_argument("--rounds", type=int, default=3, help="timings of a batch")
    options = parser.parse_args()
    engine = DermSim.from_pretrained(options.model)
    print("| ratio | aim | median | quartiles or range |")
    print("|---|---|---|---|")
    ratios = measure_answer(engine, repetitions=options.repetitions)
    low, middle, high = statistics.quantiles(ratios, n=4)
    name = "a picture's answer / analyze alone"
    print(f"| {name} | {AIMS['answer']} | {middle:.2f} | {low:.2f} to {high:.2f} |", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        paths = draw(Path(folder), options.pictures)
        found = measure_batch(engine, options.model, paths, rounds=options.rounds)
    for backend, ratios in found.items():
        middle, low, high = statistics.median(ratios), min(ratios), max(ratios)
        aim = AIMS["batch"] if backend == "torch" else ""  # the page runs torch, too
        name = f"batch of {options.pictures} on the page / dermsim classify --backend {backend}"
        print(f"| {name} | {aim} | {middle:.2f} | {low:.2f} to {high:.2f} |")


def measure_answer(engine: DermSim, *, repetitions: int) -> list[float]:
    """Time what is said of a picture on the page and the analysis it is made of, in turns.

    Args:
        engine: The loaded checkpoint.
        repetitions: How many pairs.

    Returns:
        One ratio per pair.
    """
    picture = draw_lesion("mel", seed=0, size=(600, 450))

    def answer() -> None:
        callbacks.classify(engine, picture)

    def analyze() -> None:
        engine.analyze(picture, k=explain_callbacks.CASES, explain=None)

    for _ in range(5):
        answer()
        analyze()
    return [seconds(answer) / seconds(analyze) for _ in range(repetitions)]


def measure_batch(
    engine: DermSim, model: str, paths: list[Path], *, rounds: int
) -> dict[str, list[float]]:
    """Time a batch on the page and on the command line, in turns.

    Args:
        engine: The loaded checkpoint, for the page.
        model: The same, for the command line.
        paths: The pictures, all of one folder.
        rounds: How many times each.

    Returns:
        By what runs the encoder on the command line, one ratio per round.
    """
    from playwright.sync_api import sync_playwright

    app = build_app(lambda: engine)
    address = launch(app, port=None)
    found = shutil.which("chromium") or shutil.which("google-chrome")
    try:
        with sync_playwright() as driver:
            options = ["--no-sandbox", "--disable-dev-shm-usage"]
            chromium = driver.chromium.launch(executable_path=found, args=options)
            ratios: dict[str, list[float]] = {"torch": [], "auto": []}
            for _ in range(rounds):
                page = seconds(lambda: on_page(chromium, address, paths), reported=True)
                for backend, found_so_far in ratios.items():
                    ask = functools.partial(on_command_line, model, paths[0].parent, backend)
                    found_so_far.append(page / seconds(ask))
            chromium.close()
    finally:
        app.close()
    return ratios


def on_page(chromium: Any, address: str, paths: list[Path]) -> float:
    """Classify a batch as a visitor does; return the seconds from the files to the last row."""
    context = chromium.new_context(locale="en-US")
    page = context.new_page()
    page.set_default_timeout(600_000)
    page.goto(address)
    page.locator(".ds-facts li").first.wait_for()
    page.locator("[role=tab][data-tab-id=batch]").click()
    files = page.locator("#batch-files input[type=file]")
    start = time.perf_counter()
    files.set_input_files([str(path) for path in paths])
    page.locator("#batch-told").get_by_text("Done:").wait_for()
    page.locator("#batch-table tr[data-row]").nth(len(paths) - 1).wait_for(state="attached")
    taken = time.perf_counter() - start
    context.close()
    return taken


def on_command_line(model: str, folder: Path, backend: str) -> None:
    """Classify the same folder into a CSV file."""
    command = [sys.executable, "-m", "dermsim", "classify", str(folder), "--model", model]
    command += ["--backend", backend]
    with tempfile.TemporaryDirectory() as output:
        subprocess.run(
            [*command, "-o", str(Path(output) / "rows.csv")],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


def seconds(act: Any, *, reported: bool = False) -> float:
    """Time a call; where it reports its own seconds, those."""
    start = time.perf_counter()
    own = act()
    return float(own) if reported else time.perf_counter() - start


def draw(folder: Path, count: int) -> list[Path]:
    """Draw lesions of HAM10000's size as JPEG files; a few, copied under many names."""
    originals = []
    for seed in range(min(count, 20)):
        path = folder / f"{seed:04d}.jpg"
        draw_lesion(CODES[seed % len(CODES)], seed=seed, size=(600, 450)).save(path, quality=90)
        originals.append(path)
    for number in range(len(originals), count):
        shutil.copy(originals[number % len(originals)], folder / f"{number:04d}.jpg")
    return sorted(folder.glob("*.jpg"))


if __name__ == "__main__":
    main()
