"""The formats of picture files that are read, one module a family; `registry` says how they fit."""

from dermsim.data.formats import dicom, heif, jpeg, jpeg2000, jxl, pillow, tiff
from dermsim.data.formats.registry import Format

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

__all__ = ["FORMATS", "Format"]
