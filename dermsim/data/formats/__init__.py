"""The formats of picture files that are read, one module a family; `registry` says how they fit."""

from dermsim.data.formats import jpeg, pillow
from dermsim.data.formats.registry import Format

FORMATS: tuple[Format, ...] = (*jpeg.FORMATS, *pillow.FORMATS)
"""All that are read, in the order in which they are tried."""

__all__ = ["FORMATS", "Format"]
