"""The released checkpoint says the same of a photograph in every colour space and format."""

import io
from collections import defaultdict
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from icc_builder import SPACES, in_space, rgb_profile
from PIL import Image

from dermsim import DermSim
from dermsim.data.images import read_image

RELEASED = Path(__file__).resolve().parents[1] / "hub" / "dermsim-ham10000"
FORMATS = {
    "JPEG": {"quality": 98, "subsampling": 0},
    "PNG": {},
    "TIFF": {},
    "WEBP": {"lossless": True},
}
PER_CLASS = 3


def photographs(folder: Path) -> list[Image.Image]:
    """Three photographs of each of the seven diagnoses."""
    found = defaultdict(list)
    for path in sorted((folder / "data").glob("*.parquet")):
        for batch in pq.ParquetFile(path).iter_batches(64, columns=["image", "dx"]):
            for row in batch.to_pylist():
                if len(found[row["dx"]]) < PER_CLASS:
                    found[row["dx"]].append(read_image(row["image"]["bytes"]))
            if len(found) == 7 and all(len(some) == PER_CLASS for some in found.values()):
                return [picture for some in found.values() for picture in some]
    raise AssertionError("there are fewer than seven diagnoses")


def written(pixels: np.ndarray, space: str, kind: str) -> bytes:
    stream = io.BytesIO()
    profile = {} if space == "sRGB" else {"icc_profile": rgb_profile(space)}
    Image.fromarray(in_space(pixels, space)).save(stream, kind, **FORMATS[kind], **profile)
    return stream.getvalue()


@pytest.mark.slow
def test_21_photographs_in_4_colour_spaces_and_4_formats(shared_data):
    engine = DermSim.from_pretrained(RELEASED)
    pictures = [np.asarray(picture) for picture in photographs(shared_data("ham10000_256"))]
    assert len(pictures) == 21
    known = engine.predict([Image.fromarray(pixels) for pixels in pictures])
    missed, furthest = [], defaultdict(float)
    for space in SPACES:
        for kind in FORMATS:
            found = engine.predict([written(pixels, space, kind) for pixels in pictures])
            for number, (one, same) in enumerate(zip(found, known, strict=True)):
                off = abs(one.malignancy - same.malignancy)
                furthest[space, kind] = max(furthest[space, kind], off)
                verdicts = (one.label, one.is_malignant) == (same.label, same.is_malignant)
                if off > 0.01 or not verdicts:
                    missed.append((number, space, kind, round(off, 4), verdicts))
    print({f"{space} {kind}": round(off, 4) for (space, kind), off in furthest.items()})
    assert not missed
