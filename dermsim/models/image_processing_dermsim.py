"""From a photograph to the encoder's input. Ships beside the weights: nobody can normalise wrongly.

It imports nothing of dermsim.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from transformers import BatchFeature
from transformers.image_processing_backends import PilBackend
from transformers.image_utils import PILImageResampling
from transformers.processing_utils import ImagesKwargs


def shades_of_grey(image: np.ndarray, *, power: int = 6) -> np.ndarray:
    """Take the colour of the light off a photograph, whatever lamp and camera made it.

    Finlayson and Trezzi 2004, "Shades of Gray and Colour Constancy": the light's colour is read
    from the Minkowski mean of each channel, and every channel divided by its share of it.

    Args:
        image: ``(3, H, W)``, RGB, any scale whose zero is black.
        power: Of the Minkowski mean; 1 assumes a grey world, infinity a white patch.

    Returns:
        ``(3, H, W)`` float32 on the same scale, as bright on the whole; a photograph that is black
        in one of the channels comes back as it is.
    """
    pixels = np.asarray(image, dtype=np.float32)
    highest = pixels.max(initial=0)
    if highest <= 0:
        return pixels
    light = np.mean((pixels / highest) ** power, axis=(1, 2)) ** (1 / power)
    if light.min() <= 0:
        return pixels
    gains = np.sqrt(np.mean(light**2)) / light
    return pixels * gains[:, None, None].astype(np.float32)


class DermSimImagesKwargs(ImagesKwargs, total=False):
    """What transformers' image processors are told, and one choice of our own."""

    do_color_constancy: bool


class DermSimImageProcessor(PilBackend):
    """Resize the shorter side, cut out the central square, scale to [0, 1] and normalise.

    With `do_color_constancy` the colour of the light is taken off before that (`shades_of_grey`).

    Lesions are centred in dermatoscopic photographs, so the square holds them. Resizing is PIL's
    antialiased bicubic at every input size: a large photograph and its thumbnail look alike to
    the encoder. Mean and standard deviation are those of HAM10000's training split.
    """

    valid_kwargs = DermSimImagesKwargs
    resample = PILImageResampling.BICUBIC
    size = {"shortest_edge": 112}  # noqa: RUF012 transformers reads defaults from class attributes
    crop_size = {"height": 112, "width": 112}  # noqa: RUF012
    image_mean = [0.76, 0.54, 0.56]  # noqa: RUF012
    image_std = [0.14, 0.15, 0.17]  # noqa: RUF012
    default_to_square = False
    do_convert_rgb = True
    do_resize = True
    do_center_crop = True
    do_rescale = True
    do_normalize = True
    do_color_constancy = False

    def _preprocess(  # type: ignore[override]
        self, images: list[np.ndarray], *, do_color_constancy: bool = False, **kwargs: Any
    ) -> BatchFeature:
        if do_color_constancy:  # on the square that the encoder sees: large photographs cost much
            if kwargs["do_resize"]:
                images = [self.resize(i, kwargs["size"], kwargs["resample"]) for i in images]
            if kwargs["do_center_crop"]:
                images = [self.center_crop(image, kwargs["crop_size"]) for image in images]
            images = [shades_of_grey(image) for image in images]
            kwargs |= {"do_resize": False, "do_center_crop": False}
        return super()._preprocess(images, **kwargs)
