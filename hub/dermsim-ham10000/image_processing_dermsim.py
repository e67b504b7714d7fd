"""From a photograph to the encoder's input. Ships beside the weights: nobody can normalise wrongly.

It imports nothing of dermsim but its siblings. Where dermsim is installed, what is loaded to be
asked prepares its pictures with `dermsim.models.preparation`: the same numbers, less to import.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image
from transformers import BatchFeature
from transformers.image_processing_backends import PilBackend
from transformers.image_utils import PILImageResampling
from transformers.processing_utils import ImagesKwargs

from .color_constancy_dermsim import shades_of_grey
from .framing_dermsim import whole_frame
from .opening_dermsim import open_picture, shown_picture


class DermSimImagesKwargs(ImagesKwargs, total=False):
    """What transformers' image processors are told, and one choice of our own."""

    do_color_constancy: bool


class DermSimImageProcessor(PilBackend):
    """Resize the shorter side, cut out the central square, scale to [0, 1] and normalise.

    With `do_color_constancy` the colour of the light is taken off before that (`shades_of_grey`).
    With a `size` that names the ``longest_edge`` in place of the shortest, the whole frame is seen,
    and its mirror image beyond its longer edges (`whole_frame`).

    A picture is a PIL image, a path, a URL, bytes, base64 text, an array or a tensor, and is first
    shown as `dermsim.DermSim` shows it: upright, in sRGB of 8 bits, opacity on white
    (`shown_picture`). So it gives the engine's numbers bit for bit. An array is uint8, uint16 or
    floating-point numbers from 0 to 1, and read as such; with ``do_rescale=False`` arrays, and with
    ``do_convert_rgb=False`` all pictures, are what they are to transformers.

    Lesions are centred in dermatoscopic photographs, so the square holds them. Resizing is PIL's
    antialiased bicubic at every input size: a large photograph and its thumbnail look alike to
    the encoder. Mean and standard deviation are those of HAM10000's training split.

    Examples:
        >>> from PIL import Image
        >>> from dermsim import DermSimImageProcessor
        >>> picture = Image.new("RGB", (200, 150))
        >>> tuple(DermSimImageProcessor()(picture, return_tensors="pt").pixel_values.shape)
        (1, 3, 112, 112)
    """

    auto_map: dict[str, str]  # which class of which file beside the weights, once it is saved
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

    def fetch_images(self, images: Any) -> Any:
        """Open what is not a picture yet, in lists however deep; nothing is converted."""
        if isinstance(images, list | tuple):
            return [self.fetch_images(image) for image in images]
        return open_picture(images)

    def _prepare_images_structure(self, images: Any, expected_ndims: int = 3) -> list[Any]:
        return list(_flattened(self.fetch_images(images)))

    def process_image(  # type: ignore[override]
        self, image: Any, do_convert_rgb: bool | None = None, **options: Any
    ) -> np.ndarray:
        """Show a picture as it is to be seen, ``(3, H, W)`` uint8."""
        as_it_is = not (options.get("do_rescale", True) or isinstance(image, Image.Image))
        if as_it_is or not do_convert_rgb:
            return super().process_image(image, do_convert_rgb=do_convert_rgb, **options)
        return np.moveaxis(np.asarray(shown_picture(image)), -1, 0)

    def resize(self, image: np.ndarray, size: Any, *arguments: Any, **options: Any) -> np.ndarray:
        """Resize a picture ``(3, H, W)``; by its longest edge it becomes a square."""
        if size.longest_edge and not size.shortest_edge:
            resample = arguments[0] if arguments else options["resample"]
            return whole_frame(image, size.longest_edge, resample)
        return super().resize(image, size, *arguments, **options)

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


def _flattened(images: Any) -> Iterator[Any]:
    """Go through single pictures in lists, however deep, and in batches ``(B, ...)``."""
    if isinstance(images, list | tuple) or getattr(images, "ndim", 0) > 3:
        for image in images:
            yield from _flattened(image)
    else:
        yield images
