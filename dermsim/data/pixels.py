"""Decodes every photograph of a data set once, in threads; training then works on uint8 arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from PIL import Image, ImageOps

from dermsim.core.refused import Phrase
from dermsim.data.images import read_image
from dermsim.data.tables import row_error

if TYPE_CHECKING:
    from datasets import Dataset

T = TypeVar("T")

_BATCH = 256


def decode_pixels(
    dataset: Dataset,
    *,
    height: int = 150,
    width: int = 200,
    fit: Callable[[Image.Image], np.ndarray] | None = None,
) -> np.ndarray:
    """Decode all images to one array, scaled to cover the size and cropped around the centre.

    Args:
        dataset: Rows with ``image`` and ``image_id``, as `load_ham10000` returns them.
        height: Height of every picture in the result, in pixels.
        width: Width of every picture in the result, in pixels.
        fit: Brings an image to ``(3, height, width)`` uint8 in another way; None for `fit_image`.

    Returns:
        uint8 array of shape (N, 3, height, width), RGB, values 0 to 255, in the order of the rows.

    Raises:
        ValueError: If an image cannot be read; the message names its row and image_id.
    """
    pixels = np.empty((len(dataset), 3, height, width), dtype=np.uint8)
    fitted = fit or partial(fit_image, height=height, width=width)
    # JPEGs are decoded no smaller than twice the target, so the last scaling still smooths.
    enough = (2 * width, 2 * height)
    for row, picture in enumerate(map_images(dataset, fitted, at_least=enough)):
        pixels[row] = picture
    return pixels


def fit_image(image: Image.Image, *, height: int, width: int) -> np.ndarray:
    """Scale an RGB image to cover a size and crop it around the centre, ``(3, height, width)``."""
    if image.size != (width, height):
        image = ImageOps.fit(image, (width, height), Image.Resampling.BICUBIC)
    return np.asarray(image).transpose(2, 0, 1)


def map_images(
    dataset: Dataset,
    function: Callable[[Image.Image], T],
    *,
    at_least: tuple[int, int] | None = None,
    row_numbers: Sequence[int] | None = None,
) -> Iterator[T]:
    """Read each image with `read_image`, in threads, and yield ``function(image)`` in row order.

    Args:
        dataset: Rows with ``image`` and ``image_id``.
        function: Called in a worker thread on an RGB image.
        at_least: Passed to `read_image`: JPEGs may be decoded at a fraction of their size.
        row_numbers: Numbers by which errors name the rows; by default their positions.

    Yields:
        The function's results.

    Raises:
        ValueError: If an image is missing or cannot be read; the message names row and image_id.
    """
    from datasets import Image as ImageFeature

    encoded = dataset.select_columns(["image", "image_id"])
    encoded = encoded.cast_column("image", ImageFeature(decode=False))

    def read(position: int, image: dict[str, Any] | None, image_id: str) -> T:
        row = position if row_numbers is None else row_numbers[position]
        source = image and (image["bytes"] or image["path"])
        if not source:
            raise row_error(row, image_id, Phrase("new_classes.no_image_file"))
        try:
            return function(read_image(source, at_least=at_least))
        except (ValueError, FileNotFoundError) as error:
            raise row_error(row, image_id, error) from error

    with ThreadPoolExecutor() as pool:
        for start, batch in enumerate(encoded.iter(batch_size=_BATCH)):
            positions = range(start * _BATCH, len(encoded))
            yield from pool.map(read, positions, batch["image"], batch["image_id"])


def channel_statistics(pixels: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Measure how bright and how varied each colour channel is, to normalise by.

    Args:
        pixels: uint8 array of shape (N, 3, H, W).

    Returns:
        Mean and standard deviation of red, green and blue, in [0, 1], rounded to 3 decimals.
    """
    levels = np.arange(256) / 255
    mean, std = [], []
    for channel in range(3):
        # A histogram is exact and never needs the pixels as floats.
        counts = sum(np.bincount(image[channel].ravel(), minlength=256) for image in pixels)
        center = np.average(levels, weights=counts)
        mean.append(round(float(center), 3))
        std.append(round(float(np.average((levels - center) ** 2, weights=counts) ** 0.5), 3))
    return tuple(mean), tuple(std)
