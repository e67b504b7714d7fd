"""The formats that Pillow decodes by itself and of which nothing special is known."""

from __future__ import annotations

from dataclasses import replace
from typing import IO

from PIL import (  # noqa: F401  (the plugin modules register their format when imported)
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    PngImagePlugin,
    WebPImagePlugin,
)

from dermsim.data.formats.registry import Check, Format, check_frame


def pillow_format(plugin: str, name: str) -> Format:
    """Make a format of one of Pillow's plugins.

    Its opener is called directly because `PIL.Image.open` prints or raises its own warnings about
    large pictures, which can only be silenced for the whole process.

    Args:
        plugin: What Pillow calls the format, in capitals; its module must have been imported.
        name: What people call it.
    """
    factory, accept = Image.OPEN[plugin]

    def accepts(prefix: bytes) -> bool:
        return accept is None or accept(prefix[:16]) is True

    def open_picture(stream: IO[bytes], name: str, *, frame: int, check: Check) -> Image.Image:
        image = factory(stream, name)
        check(*image.size)
        if frame:
            check_frame(frame, getattr(image, "n_frames", 1), name)
            image.seek(frame)
        return image

    return Format(name, accepts, open_picture)


def _png_weight(prefix: bytes) -> int:
    """Count a PNG of 16 bits twice: its numbers are put together of two pictures."""
    return 2 if prefix[24:25] == b"\x10" else 1


FORMATS = (
    replace(pillow_format("PNG", "PNG"), weight=_png_weight),
    pillow_format("WEBP", "WebP"),
    pillow_format("GIF", "GIF"),
    pillow_format("BMP", "BMP"),
)
"""In the order in which they are tried."""
