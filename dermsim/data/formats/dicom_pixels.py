"""Turns the samples of a DICOM picture into what a viewer shows.

Colours: PS3.3 C.7.6.3, palettes C.7.9. Greys pass through the modality transformation (rescaling,
C.11.1), the window or table of values of interest (C.11.2) and, for MONOCHROME1, are inverted.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydicom import Dataset
from pydicom.pixels import apply_color_lut, apply_modality_lut, convert_color_space, get_decoder
from pydicom.pixels.processing import apply_voi
from pydicom.pixels.utils import as_pixel_options

from dermsim.core.refused import Refused
from dermsim.data.depth_dermsim import to_8_bits
from dermsim.data.formats.dicom_decoders import check_encoded_size, decoding_plugin
from dermsim.data.formats.registry import UnreadableError
from dermsim.data.formats.samples import scale_to_8_bits

_GREY = ("MONOCHROME1", "MONOCHROME2")
_PALETTE = "PALETTE COLOR"
_YBR = ("YBR_FULL", "YBR_FULL_422")


def decode(elements: Dataset, frame: int, name: str) -> Image.Image:
    """Decode one frame.

    Args:
        elements: As `dicom_elements.read_elements` returns them.
        frame: Which one, from 0.
        name: What messages call the file.

    Returns:
        A picture of mode L or RGB.

    Raises:
        UnreadableError: If nothing is installed that decodes it, or its colours are unknown.
        Exception: Whatever decoders raise if it is damaged.
    """
    values, colours = _samples(elements, frame, name)
    if colours in _GREY:
        shown = _show_greys(values, elements, name)
        return Image.fromarray(255 - shown if colours == "MONOCHROME1" else shown)
    if colours == _PALETTE:
        return Image.fromarray(_look_up(values, elements))
    if colours in _YBR:
        values = convert_color_space(values, colours, "RGB")
    elif colours != "RGB":
        raise UnreadableError("dicom_pixels.colours", name=name)
    if values.dtype.kind == "i":  # signed colours mean nothing
        values = values.view(values.dtype.str.replace("i", "u"))
    bits = int(elements.BitsStored)
    return Image.fromarray(to_8_bits(values, name) if bits == 16 else scale_to_8_bits(values, bits))


def _samples(elements: Dataset, frame: int, name: str) -> tuple[npt.NDArray[np.integer], str]:
    """Decode the samples of a frame, and say what their colours are now."""
    plugin = decoding_plugin(elements, name)
    if plugin:
        check_encoded_size(elements, frame)
    stored, high = int(elements.BitsStored), int(elements.get("HighBit", elements.BitsStored - 1))
    shifted = not plugin and high + 1 != stored
    decoder = get_decoder(elements.file_meta.TransferSyntaxUID)
    values, found = decoder.as_array(
        elements,
        index=frame,
        decoding_plugin=plugin,
        **as_pixel_options(elements, correct_unused_bits=not shifted),
    )
    if shifted:  # the samples lie elsewhere than at the lower end; shifting keeps their sign
        if not stored <= high + 1 <= int(elements.BitsAllocated):
            raise Refused("dicom_pixels.samples")
        allocated = int(elements.BitsAllocated)
        values = np.left_shift(values, allocated - 1 - high)
        values = np.right_shift(values, allocated - stored)
    return values, str(found["photometric_interpretation"])


def _show_greys(
    values: npt.NDArray[np.integer], elements: Dataset, name: str
) -> npt.NDArray[np.uint8]:
    """Show greys as the file asks for, by default from the least to the greatest possible."""
    stored = int(elements.BitsStored)
    meant = apply_modality_lut(values, elements)
    windows = _numbers(elements.get("WindowCenter")), _numbers(elements.get("WindowWidth"))
    if elements.get("VOILUTSequence"):
        table = elements.VOILUTSequence[0]
        shown = apply_voi(meant, elements, index=0) / float((1 << int(table.LUTDescriptor[2])) - 1)
    elif windows[0] and windows[1]:
        function = str(elements.get("VOILUTFunction") or "LINEAR")
        shown = _window(meant.astype(np.float64), windows[0][0], windows[1][0], function)
    elif meant is values and values.dtype.kind == "u":
        return to_8_bits(values, name) if stored == 16 else scale_to_8_bits(values, stored)
    else:  # there is no saying what is black and what is white
        low, high = float(meant.min()), float(meant.max())
        shown = (meant - low) / max(high - low, 1)
    return np.asarray(np.clip(shown, 0, 1) * 255 + 0.5, dtype=np.uint8)


def _numbers(value: object) -> list[float]:
    """Return one number or several as a list; pydicom has either."""
    if value is None or value == "":
        return []
    return [float(one) for one in (value if hasattr(value, "__iter__") else [value])]


def _window(
    values: npt.NDArray[np.float64], center: float, width: float, function: str
) -> npt.NDArray[np.float64]:
    """Map a window to 0..1, PS3.3 C.11.2.1.2 and C.11.2.1.3; what is outside is clipped later."""
    if width <= 0 or (function == "LINEAR" and width < 1):
        raise Refused("dicom_pixels.window")
    if function == "SIGMOID":
        return 1 / (1 + np.exp(np.clip(-4 * (values - center) / width, -700, 700)))
    if function == "LINEAR_EXACT":
        return (values - center) / width + 0.5
    if width == 1:
        return (values > center - 0.5).astype(np.float64)
    return (values - (center - 0.5)) / (width - 1) + 0.5


def _look_up(values: npt.NDArray[np.integer], elements: Dataset) -> npt.NDArray[np.uint8]:
    """Look up the colours of a palette."""
    count, first, _ = (int(number) for number in elements.RedPaletteColorLookupTableDescriptor)
    count = count or 2**16
    if "RedPaletteColorLookupTableData" not in elements:
        colours = apply_color_lut(values, elements)[..., :3]
    else:
        # pydicom keeps the places in the dtype of the colours: 8 bits, where there may be more
        places = np.clip(values.astype(np.int64) - first, 0, count - 1)
        colours = np.stack([table[places] for table in _tables(elements, count)], axis=-1)
    # 8 bits may be kept in 16
    wide = colours.dtype.itemsize == 2 and int(colours.max(initial=0)) > 255
    return scale_to_8_bits(colours if wide else colours.astype(np.uint8), 16 if wide else 8)


def _tables(elements: Dataset, count: int) -> list[npt.NDArray[np.unsignedinteger]]:
    _, little = elements.original_encoding
    tables = []
    for colour in ("Red", "Green", "Blue"):
        data = bytes(elements[f"{colour}PaletteColorLookupTableData"].value)
        wide = len(data) >= 2 * count
        dtype = np.dtype(("<u2" if little else ">u2") if wide else "u1")
        tables.append(np.frombuffer(data, dtype=dtype, count=count))
    return tables
