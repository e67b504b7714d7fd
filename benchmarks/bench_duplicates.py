"""How many copies of photographs `dermsim duplicates` finds, and how many of its pairs are none.

    python benchmarks/bench_duplicates.py [--frames DATA/ham10000 --crops DATA/ham10000_256]

Real copies: a photograph's whole frame of 200 x 150 pixels, and its central square of 256 x 256. A
pair that was found is right where both are of one lesion; where lesion ids differ somebody has to
look, so these are counted apart and precision is a lower bound.

Planted copies: of central squares, each changed in one way. A pair is right where both are of one
lesion. Without data there are these alone, of drawn lesions.

The method's constants were chosen on one half of the lesions (`--half choose`); figures are of the
other half. Times are of the processor, all threads together, decoding included.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import resource
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from dermsim.data.duplicates import Look, Pair, find_pairs, list_source, look_at
from dermsim.data.duplicates.listing import Listed
from dermsim.data.images import read_image

Picture = Image.Image
Embed = Callable[[Iterable[Picture]], npt.NDArray[np.float32]]


def main() -> None:
    """Print both tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--frames", help="photographs in whole frames")
    parser.add_argument("--crops", default="synthetic", help="their central squares")
    parser.add_argument("--half", choices=("choose", "report", "both"), default="report")
    parser.add_argument("--photographs", type=int, help="at most so many, for the real copies")
    parser.add_argument("--planted", type=int, default=300, help="photographs to copy")
    parser.add_argument("--model", help="checkpoint whose embeddings propose pairs, too")
    options = parser.parse_args()
    crops = half_of(list_source(options.crops), options.half)
    embed = embedder(options.model) if options.model else None
    print("| copies | pictures | way | recall | precision | processor |")
    print("|---|---|---|---|---|---|")
    if options.frames:
        frames = half_of(list_source(options.frames), options.half)
        real(frames[: options.photographs], crops[: options.photographs], embed)
    planted(every(crops, options.planted), embed)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    print(f"\nPeak memory {peak:,.0f} MB.")


def half_of(listed: Sequence[Listed], half: str) -> list[Listed]:
    """Keep the pictures of half of the lesions, the same half whatever the source."""

    def chosen(lesion: str | None) -> bool:
        if half == "both":
            return True
        return hashlib.blake2b(str(lesion).encode()).digest()[0] % 2 == (half == "report")

    return [item for item in listed if chosen(item.lesion_id)]


def every(listed: Sequence[Listed], count: int) -> list[Listed]:
    """Take so many pictures, of different lesions, evenly spread."""
    alone = list({item.lesion_id: item for item in listed}.values())
    return alone[:: max(1, len(alone) // count)][:count]


def embedder(model: str) -> Embed:
    """Load a checkpoint as the command does."""
    from dermsim.engine import DermSim
    from dermsim.models.encode import encode

    engine = DermSim.from_pretrained(model)
    return lambda images: encode(engine.model, engine.processor, images).pooled_features


def real(frames: Sequence[Listed], crops: Sequence[Listed], embed: Embed | None) -> None:
    """Look for the central squares of whole frames."""
    listed = [*frames, *crops]
    row = {item.image_id: number for number, item in enumerate(frames)}
    wanted = {
        (row[item.image_id], len(frames) + number)
        for number, item in enumerate(crops)
        if item.image_id in row
    }
    lesions = [item.lesion_id for item in listed]
    for way in ("hash", *(("hash and embedding",) if embed else ())):
        started = time.process_time()
        looks, vectors = look(opened(listed), embed if way != "hash" else None)
        pairs = find_pairs(looks, vectors)
        tell("frames and central squares", way, lesions, wanted, pairs, started)


def planted(chosen: Sequence[Listed], embed: Embed | None) -> None:
    """Look for copies that were changed in one way each."""
    originals = [*opened(chosen)]
    own = [item.lesion_id for item in chosen]
    for way in ("hash", *(("hash and embedding",) if embed else ())):
        use = embed if way != "hash" else None
        known, vectors = look(originals, use)
        for name, change in CHANGES.items():
            started = time.process_time()
            looks, others = look((change(image) for image in originals), use)
            both = None if vectors is None or others is None else np.concatenate([vectors, others])
            pairs = find_pairs([*known, *looks], both)
            wanted = {(n, n + len(own)) for n in range(len(own))}
            tell(name, way, own * 2, wanted, pairs, started)


def opened(listed: Iterable[Listed]) -> Iterator[Picture]:
    """Decode pictures one after another."""
    return (read_image(item.encoded(), at_least=(256, 256)) for item in listed)


def look(
    images: Iterable[Picture], embed: Embed | None
) -> tuple[list[Look], npt.NDArray[np.float32] | None]:
    """Reduce pictures to what they are compared by, each decoded once."""
    looks: list[Look] = []

    def seen() -> Iterator[Picture]:
        for image in images:
            looks.append(look_at(image))
            yield image

    if embed is not None:
        return looks, embed(seen())
    for _ in seen():
        pass
    return looks, None


def tell(
    name: str,
    way: str,
    lesions: Sequence[str | None],
    wanted: set[tuple[int, int]],
    pairs: Sequence[Pair],
    started: float,
) -> None:
    """Print a row."""
    found = {pair.rows for pair in pairs}
    right = sum(lesions[a] == lesions[b] for a, b in found)
    hit = len(wanted & found)
    recall = f"{hit / len(wanted):.4f} ({hit:,} of {len(wanted):,})"
    precision = f"{right / max(len(found), 1):.4f} ({right:,} of {len(found):,})"
    took = f"{time.process_time() - started:,.0f} s"
    print(f"| {name} | {len(lesions):,} | {way} | {recall} | {precision} | {took} |", flush=True)


def _jpeg(quality: int) -> Callable[[Picture], Picture]:
    def change(image: Picture) -> Picture:
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=quality)
        return Image.open(stream).convert("RGB")

    return change


def _part(left: float, top: float, side: float) -> Callable[[Picture], Picture]:
    def change(image: Picture) -> Picture:
        w, h = image.size
        box = (left * w, top * h, (left + side) * w, (top + side) * h)
        return image.crop(tuple(round(edge) for edge in box))  # type: ignore[arg-type]

    return change


def _with_text(image: Picture) -> Picture:
    """Write over a corner, as viewers and atlases do."""
    marked = image.copy()
    w, h = image.size
    marked.paste((255, 255, 255), (0, round(0.9 * h), round(0.4 * w), h))
    return marked


CHANGES: dict[str, Callable[[Picture], Picture]] = {
    "half the size": lambda image: image.resize((image.width // 2, image.height // 2)),
    "a third of the size": lambda image: image.resize((image.width // 3, image.height // 3)),
    "twice the size": lambda image: image.resize((image.width * 2, image.height * 2)),
    "squeezed to 4:3": lambda image: image.resize((image.width, image.height * 3 // 4)),
    "JPEG of quality 50": _jpeg(50),
    "JPEG of quality 10": _jpeg(10),
    "turned by a quarter": lambda image: image.transpose(Image.Transpose.ROTATE_90),
    "mirrored": ImageOps.mirror,
    "turned by 3 degrees": lambda image: image.rotate(3, Image.Resampling.BICUBIC),
    "brighter by a quarter": lambda image: ImageEnhance.Brightness(image).enhance(1.25),
    "less colour and contrast": lambda image: ImageEnhance.Contrast(
        ImageEnhance.Color(image).enhance(0.5)
    ).enhance(0.7),
    "grey": lambda image: image.convert("L").convert("RGB"),
    "blurred": lambda image: image.filter(ImageFilter.GaussianBlur(2)),
    "a corner written over": _with_text,
    "centre, 0.9 of each side": _part(0.05, 0.05, 0.9),
    "centre, 0.75 of each side": _part(0.125, 0.125, 0.75),
    "off the centre, 0.9 of each side": _part(0.0, 0.1, 0.9),
    "a corner, 0.6 of each side": _part(0.0, 0.0, 0.6),
}
"""Ways in which data sets change photographs that they take from others."""


if __name__ == "__main__":
    main()
