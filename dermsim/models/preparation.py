"""From a photograph to the encoder's input, with NumPy and Pillow alone.

What asks an exported encoder has no torch and no transformers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from dermsim.core.refused import Refused
from dermsim.core.storage import LARGEST_CONFIG, read_json
from dermsim.models.color_constancy_dermsim import shades_of_grey
from dermsim.models.framing_dermsim import whole_frame

if TYPE_CHECKING:
    from transformers import BatchFeature

    from dermsim.models.image_processing_dermsim import DermSimImageProcessor

STEPS = {
    "do_convert_rgb": True,
    "do_resize": True,
    "do_center_crop": True,
    "do_rescale": True,
    "do_normalize": True,
    "do_pad": False,
}
"""What is done to every photograph, and what to none, as ``preprocessor_config.json`` says it."""

LARGEST_SIDE = 4096
"""Pixels along a side of what an encoder sees: settings may be a stranger's, and a batch is made of
them."""

EDGES = ("shortest_edge", "longest_edge")
"""What `size` may name: the central square is seen with the first, the whole frame with the other.
"""

SIDES = ("height", "width")
"""What it may name in their place: the whole frame is squashed to that, as SigLIP sees it."""


@dataclass(frozen=True)
class ImagePreparation:
    """Resize the shorter side, cut out the central square, scale to [0, 1] and normalise.

    It gives bit for bit what `DermSimImageProcessor` gives of pictures, and is written as one. That
    class can do more, all of which an encoder would not know what to make of, and takes longer to
    import than torch.

    Attributes:
        size: ``{"shortest_edge": pixels}``, the shorter side after resizing; or
            ``{"longest_edge": pixels}``: the whole frame, resized to that and padded to a square
            with its mirror image; or ``{"height": pixels, "width": pixels}``: the whole frame,
            stretched to that whatever its shape.
        crop_size: ``{"height": pixels, "width": pixels}`` of the central part that is kept.
        resample: PIL's number of the filter; 3 is bicubic.
        rescale_factor: What a pixel's 0 to 255 is multiplied by.
        image_mean: Of the three channels, after that.
        image_std: Their standard deviation.
        do_color_constancy: Whether the colour of the light is taken off (`shades_of_grey`).
    """

    size: Mapping[str, int] = field(default_factory=lambda: {"shortest_edge": 112})
    crop_size: Mapping[str, int] = field(default_factory=lambda: {"height": 112, "width": 112})
    resample: int = int(Image.Resampling.BICUBIC)
    rescale_factor: float = 1 / 255
    image_mean: tuple[float, ...] = (0.76, 0.54, 0.56)
    image_std: tuple[float, ...] = (0.14, 0.15, 0.17)
    do_color_constancy: bool = False

    def __post_init__(self) -> None:
        """Refuse what photographs cannot be prepared with."""
        known = (*({edge} for edge in EDGES), set(SIDES))
        if not isinstance(self.size, Mapping) or set(self.size) not in known:
            raise Refused("preparation.size", size=self.size, edges=EDGES)
        self._keep_pixels("size", tuple(sorted(self.size)))
        if not isinstance(self.crop_size, Mapping) or set(self.crop_size) != set(SIDES):
            raise Refused("preparation.crop_size", crop_size=self.crop_size)
        self._keep_pixels("crop_size", SIDES)
        if type(self.resample) is not int or self.resample not in set(Image.Resampling):
            raise Refused("preparation.resample", resample=self.resample)
        if not _is_positive(self.rescale_factor):
            raise Refused("preparation.rescale_factor", rescale_factor=self.rescale_factor)
        for name, fits in (("image_mean", _is_number), ("image_std", _is_positive)):
            value = getattr(self, name)
            if not isinstance(value, list | tuple) or len(value) != 3 or not all(map(fits, value)):
                key = "preparation.three_positive" if fits is _is_positive else "preparation.three"
                raise Refused(key, name=name, value=value)
            object.__setattr__(self, name, tuple(value))
        if type(self.do_color_constancy) is not bool:
            raise Refused("preparation.color_constancy", do_color_constancy=self.do_color_constancy)

    def _keep_pixels(self, name: str, sides: Sequence[str]) -> None:
        """Check the sides that a setting names, and keep them as a plain dict in this order."""
        value = getattr(self, name)
        if not all(type(value[side]) is int and 0 < value[side] <= LARGEST_SIDE for side in sides):
            raise Refused("preparation.pixels", name=name, value=value, largest_side=LARGEST_SIDE)
        object.__setattr__(self, name, {side: value[side] for side in sides})

    @classmethod
    def load(cls, folder: Path) -> ImagePreparation:
        """Read the ``preprocessor_config.json`` of a `DermSimImageProcessor`.

        Raises:
            OSError: If there is no such file.
            ValueError: If it is not JSON, or asks for what no encoder was trained with.
        """
        path = folder / "preprocessor_config.json"
        values = read_json(path, limit=LARGEST_CONFIG)
        if not isinstance(values, dict):
            raise Refused("preparation.not_an_object", name=path.name, kind=type(values).__name__)
        for step, wanted in STEPS.items():
            if bool(values.get(step, wanted)) is not wanted:
                raise Refused("preparation.step", name=path.name, step=step, value=values[step])
        own = {item.name for item in fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in own})

    def at(self, side: int) -> ImagePreparation:
        """Return the same of a square of another side, in pixels.

        Raises:
            ValueError: If the side is not positive.
        """
        square = {"height": side, "width": side}
        return replace(self, size=dict.fromkeys(self.size, side), crop_size=square)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings by name, as `DermSimImageProcessor` takes them."""
        return asdict(self)

    def to_processor(self) -> DermSimImageProcessor:
        """Make the image processor of transformers that does the same."""
        from dermsim.models.image_processing_dermsim import DermSimImageProcessor

        return DermSimImageProcessor(**self.to_dict())

    def __call__(
        self, images: Image.Image | Sequence[Image.Image], *, return_tensors: str | None = None
    ) -> BatchFeature:
        """Prepare photographs.

        Args:
            images: One or several, of any sizes.
            return_tensors: ``"pt"`` or ``"np"`` for one array; None for a list of arrays.

        Returns:
            With `pixel_values`, ``(B, 3, H, W)`` float32.
        """
        from transformers import BatchFeature

        batch = [images] if isinstance(images, Image.Image) else images
        return BatchFeature(
            data={"pixel_values": [self.normalised(self.square(image)) for image in batch]},
            tensor_type=return_tensors,
        )

    def square(self, image: Image.Image) -> npt.NDArray[np.uint8]:
        """Cut what the encoder sees out of a photograph.

        Args:
            image: Of any size.

        Returns:
            ``(3, H, W)`` uint8, of the height and width of `crop_size`.
        """
        picture = _as_rgb(image)
        if longest := self.size.get("longest_edge"):
            pixels = whole_frame(_channels_first(picture), longest, self.resample)
        elif "height" in self.size:
            squashed = (self.size["width"], self.size["height"])
            pixels = _channels_first(picture.resize(squashed, Image.Resampling(self.resample)))
        else:
            shorter, edge = min(picture.size), self.size["shortest_edge"]
            width, height = (int(edge * side / shorter) for side in picture.size)
            resized = picture.resize((width, height), Image.Resampling(self.resample))
            pixels = _channels_first(resized)
        return _central(pixels, self.crop_size["height"], self.crop_size["width"])

    def levelled(self, square: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Take the light's colour off a square if that is asked for, and scale it to [0, 1].

        Args:
            square: ``(3, H, W)``, as `square` cuts it out.

        Returns:
            ``(3, H, W)`` float32.
        """
        pixels = shades_of_grey(square) if self.do_color_constancy else square
        return (pixels.astype(np.float64) * self.rescale_factor).astype(np.float32)

    def normalised(self, square: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Make the encoder's input ``(3, H, W)`` float32 of such a square."""
        mean, std = (
            np.asarray(channels, dtype=np.float32)[:, None, None]
            for channels in (self.image_mean, self.image_std)
        )
        return (self.levelled(square) - mean) / std


def _as_rgb(image: Image.Image) -> Image.Image:
    """Show a picture in RGB; what is transparent lies on white."""
    if "A" not in image.getbands() and image.info.get("transparency") is None:
        return image.convert("RGB")
    opaque = Image.new("RGBA", image.size, (255, 255, 255, 255))
    return Image.alpha_composite(opaque, image.convert("RGBA")).convert("RGB")


def _channels_first(picture: Image.Image) -> npt.NDArray[np.uint8]:
    return np.moveaxis(np.asarray(picture), -1, 0)


def _central(pixels: npt.NDArray[np.uint8], height: int, width: int) -> npt.NDArray[np.uint8]:
    """Cut the middle out of ``(3, h, w)``; what is smaller gets a black margin."""
    for axis, side in ((1, height), (2, width)):
        own = pixels.shape[axis]
        if own < side:
            margins = [(0, 0)] * 3
            margins[axis] = (math.ceil((side - own) / 2), (side - own) // 2)
            pixels = np.pad(pixels, margins)
        else:
            first = (own - side) // 2
            part = slice(first, first + side)
            # a view: how pixels lie in memory decides how sums over them are rounded
            pixels = pixels[:, part] if axis == 1 else pixels[:, :, part]
    return pixels


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and type(value) is not bool and math.isfinite(value)


def _is_positive(value: Any) -> bool:
    return _is_number(value) and value > 0
