"""What the released checkpoint says of a photograph in every colour space and format."""

import io
from collections import defaultdict
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from icc_builder import SPACES, as_srgb, in_space, rgb_profile
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


def stored(data: bytes) -> np.ndarray:
    """The numbers in a file, whatever colours they mean."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


@pytest.fixture(scope="module")
def bar(shared_data):
    """By space and format: files of 21 photographs; what is said of those, and of the files."""
    pictures = [np.asarray(picture) for picture in photographs(shared_data("ham10000_256"))]
    files = {
        (space, kind): [written(pixels, space, kind) for pixels in pictures]
        for space in SPACES
        for kind in FORMATS
    }
    engine = DermSim.from_pretrained(RELEASED)
    known = engine.predict([Image.fromarray(pixels) for pixels in pictures])
    return files, known, {key: engine.predict(some) for key, some in files.items()}


@pytest.mark.slow
def test_every_file_is_read_as_exactly_as_its_numbers_allow(bar):
    files, _, _ = bar
    for (space, kind), some in files.items():
        for number, data in enumerate(some):
            read = np.asarray(read_image(data)).astype(int)
            exact = as_srgb(stored(data), space)
            assert np.abs(read - exact).max() <= (0 if space == "sRGB" else 1), (space, kind)
            if kind in ("TIFF", "WEBP"):
                assert np.array_equal(read, np.asarray(read_image(files[space, "PNG"][number])))


@pytest.mark.slow
def test_label_and_verdict_are_the_same_wherever_no_pixel_was_lost(bar):
    _, known, found = bar
    for space, kind in found:
        if kind != "JPEG":
            for one, same in zip(found[space, kind], known, strict=True):
                assert (one.label, one.is_malignant) == (same.label, same.is_malignant), space


@pytest.mark.slow
@pytest.mark.xfail(
    strict=True,
    reason="the released encoder moves by up to 0.07 when 8 bits are rounded otherwise: 0.05 for "
    "sRGB saved as JPEG of quality 98, 0.07 for an exact conversion from Adobe RGB",
)
def test_malignancy_is_the_same_within_a_hundredth(bar):
    _, known, found = bar
    off = {
        key: max(abs(a.malignancy - b.malignancy) for a, b in zip(some, known, strict=True))
        for key, some in found.items()
    }
    print({f"{space} {kind}": round(most, 4) for (space, kind), most in off.items()})
    assert max(off.values()) <= 0.01
