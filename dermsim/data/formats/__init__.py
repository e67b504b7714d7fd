"""The formats of picture files that are read, one module a family; `registry` says how they fit."""

from dermsim.data.formats import dicom, heif, jpeg, jpeg2000, jxl, pillow, tiff
from dermsim.data.formats.registry import PREFIX, Format, recognise

FORMATS: tuple[Format, ...] = (
    dicom.FORMAT,  # first: its preamble may be the beginning of a TIFF
    *jpeg.FORMATS,
    *pillow.FORMATS,
    tiff.FORMAT,
    *heif.FORMATS,
    jpeg2000.FORMAT,
    jxl.FORMAT,
)
"""All that are read, in the order in which they are tried."""

_ON_THE_WEB = frozenset(("JPEG", "PNG", "WebP", "GIF", "BMP", "AVIF"))


def shown_by_browsers(data: bytes) -> bool:
    """Say whether any browser shows a picture file."""
    known = recognise(data[:PREFIX], FORMATS)
    return known is not None and known.name in _ON_THE_WEB


__all__ = ["FORMATS", "Format", "shown_by_browsers"]
