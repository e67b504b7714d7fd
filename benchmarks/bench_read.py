"""What reading a photograph for a prediction takes, over reading it whole, and how far it is off.

A JPEG that only an encoder will see is decoded at 1/2, 1/4 or 1/8 of its size as long as six times
the encoder's pixels are left (`dermsim.models.encode.pixels_needed`). Both ways, which are timed in
turns within one run, go from the file's bytes to the encoder's input; *whole* decodes every pixel,
turns and copies the picture, and reduces it then, as was done before.

    python benchmarks/bench_read.py [--model FOLDER] [--repetitions 20]
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch starts its threads

import numpy as np
from PIL import Image, ImageOps

from dermsim.data.images import read_image
from dermsim.data.synthetic import draw_lesion
from dermsim.models.encoding import pixels_needed
from dermsim.models.preparation import ImagePreparation

CHECKPOINT = Path(__file__).resolve().parent.parent / "hub" / "dermsim-ham10000"
SIZES = {(6000, 4000): "at most 0.5", (3000, 2000): "", (600, 450): "at most 1"}


def main() -> None:
    """Print the ratios as a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--model", type=Path, default=CHECKPOINT, help="checkpoint folder")
    parser.add_argument("--repetitions", type=int, default=20, help="timings of each side")
    options = parser.parse_args()
    preparation = ImagePreparation.load(options.model)
    print("| JPEG | aim | median | quartiles | furthest off, levels of 255 |")
    print("|---|---|---|---|---|")
    for (width, height), aim in SIZES.items():
        data = photograph(width, height)
        ratios = measure(data, preparation, repetitions=options.repetitions)
        low, middle, high = statistics.quantiles(ratios, n=4)
        off = furthest_off(data, preparation)
        print(
            f"| {width} x {height} | {aim} | {middle:.2f} | {low:.2f} to {high:.2f} | {off:.2f} |"
        )


def photograph(width: int, height: int) -> bytes:
    """Draw a lesion with the grain of a camera, as a JPEG of quality 92."""
    drawn = draw_lesion("mel", seed=0, size=(1500, 1000)).resize((width, height))
    grain = np.random.default_rng(0).normal(0, 5, (height, width, 1))
    pixels = (np.asarray(drawn, dtype=np.float32) + grain).clip(0, 255).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=92)
    return stream.getvalue()


def read_whole(data: bytes) -> Image.Image:
    """Read a JPEG as it was read before: every pixel, upright, and copied."""
    image = Image.open(io.BytesIO(data))
    image.load()
    if image.getexif().get(0x0112, 1) != 1:
        image = ImageOps.exif_transpose(image)
    return image.copy()


def measure(data: bytes, preparation: ImagePreparation, *, repetitions: int) -> list[float]:
    """Time both ways in turns.

    Returns:
        One ratio per pair.
    """
    enough = pixels_needed(preparation)

    def whole() -> None:
        preparation(read_whole(data))

    def needed() -> None:
        preparation(read_image(data, at_least=enough))

    whole()
    needed()
    return [seconds(needed) / seconds(whole) for _ in range(repetitions)]


def furthest_off(data: bytes, preparation: ImagePreparation) -> float:
    """Return by how many levels of 255 at most the encoder's input differs."""
    enough = pixels_needed(preparation)
    pair = [preparation(image) for image in (read_whole(data), read_image(data, at_least=enough))]
    whole, needed = (one.pixel_values[0] for one in pair)
    levels = np.asarray(preparation.image_std)[:, None, None] / preparation.rescale_factor
    return float(np.abs((whole - needed) * levels).max())


def seconds(work: Callable[[], None]) -> float:
    """Return how long one call takes on the processor, which other programs share."""
    started = time.process_time()
    work()
    return time.process_time() - started


if __name__ == "__main__":
    main()
