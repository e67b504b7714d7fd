"""Open a picture as it is, wherever it lies. Ships beside the weights; imports nothing of dermsim.

The `load_image` of transformers converts what it opens: 16 bits are clipped, and the colour profile
is gone.
"""

from __future__ import annotations

import base64
import binascii
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError


def open_picture(source: Any, *, timeout: float | None = None) -> Any:
    """Open a picture, and decode and convert nothing yet.

    Args:
        source: A path, the bytes of a file, a URL, a data URL or base64 text; whatever else it is,
            such as a PIL image or an array, comes back as it is.
        timeout: Seconds to wait for a URL; None to wait without end.

    Returns:
        A PIL image, or what was given.

    Raises:
        FileNotFoundError: If there is no file at a path, and it is no base64 either.
        ValueError: If Pillow does not know the format.
    """
    if isinstance(source, Path):
        source = str(source)
    if isinstance(source, str):
        name, data = source, _fetched(source, timeout)
    elif isinstance(source, bytes):
        name, data = "the image", source
    else:
        return source
    try:
        return Image.open(BytesIO(data))
    except UnidentifiedImageError as error:
        raise ValueError(
            f"{name[:200]} is not an image that Pillow knows: convert it to PNG, or install "
            "dermsim, which reads more formats."
        ) from error


def _fetched(source: str, timeout: float | None) -> bytes:
    if source.startswith(("http://", "https://")):
        import httpx

        answer = httpx.get(source, timeout=timeout, follow_redirects=True)
        answer.raise_for_status()
        return answer.content
    if not source.startswith("data:"):
        try:
            return Path(source).read_bytes()
        except OSError as error:  # which base64 may be: too long for a name
            missing = error
    else:
        missing = None
    try:
        return base64.b64decode("".join(source.rpartition(",")[2].split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise FileNotFoundError(f"no image at {source[:200]}: check the path") from (
            missing or error
        )
