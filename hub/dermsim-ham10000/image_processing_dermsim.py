"""From a photograph to the encoder's input. Ships beside the weights: nobody can normalise wrongly.

It imports nothing of dermsim.
"""

from __future__ import annotations

from transformers.image_processing_backends import PilBackend
from transformers.image_utils import PILImageResampling


class DermSimImageProcessor(PilBackend):
    """Resize the shorter side, cut out the central square, scale to [0, 1] and normalise.

    Lesions are centred in dermatoscopic photographs, so the square holds them. Resizing is PIL's
    antialiased bicubic at every input size: a large photograph and its thumbnail look alike to
    the encoder. Mean and standard deviation are those of HAM10000's training split.
    """

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
