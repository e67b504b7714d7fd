"""Pictures and files as ``data:`` URLs, which the visitor's browser keeps: nothing lies on disk.

Gradio writes what a component shows into a file, and the browser fetches that when the component
is first seen, which may be an hour later. A value of this kind is complete in itself. It must be
returned by a listener with ``postprocess=False``.
"""

from __future__ import annotations

import base64
import mimetypes
import tempfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from dermsim.core.refused import Refused
from dermsim.ui.uploads import Upload

Inline = dict[str, Any]
"""What Gradio's components take for a file, with its content."""

THUMBNAIL = (900, 900)
"""Pixels of a small copy at most."""


def picture(image: Image.Image, *, name: str = "picture.png") -> Inline:
    """Return a picture as a component's value, without loss."""
    buffer = BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return _inline(buffer.getvalue(), "image/png", name)


def thumbnail(image: Image.Image, *, name: str = "picture.jpg", mark: str = "") -> Inline:
    """Return a picture as a component's value, small enough for the page.

    Args:
        image: The picture.
        name: What it is called.
        mark: Letters and digits by which ``case.js`` finds the picture; empty for none.
    """
    small = image.copy()
    small.thumbnail(THUMBNAIL)
    buffer = BytesIO()
    small.save(buffer, "JPEG", quality=90)
    kind = f"image/jpeg;picture={mark}" if mark else "image/jpeg"
    return _inline(buffer.getvalue(), kind, name)


def file(path: str | Path) -> Inline:
    """Return a file as a component's value, under its own name."""
    name = Path(path).name
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return _inline(Path(path).read_bytes(), kind, name)


def written(write: Callable[[str], Path]) -> Inline:
    """Return a file as a component's value, and nothing of it on disk.

    Args:
        write: Folder -> the file that it wrote there.
    """
    with tempfile.TemporaryDirectory() as folder:
        return file(write(folder))


def is_inline(value: object) -> bool:
    """Tell whether a component's value is one of these, come back from the page."""
    return (
        isinstance(value, dict)
        and not value.get("path")
        and str(value.get("url") or "").startswith("data:")
    )


def content(value: Inline) -> Upload:
    """Return the bytes of one of these that a program made.

    Raises:
        ValueError: If it is not in base64.
    """
    head, _, data = str(value["url"]).partition(",")
    try:
        found = Upload(base64.b64decode(data, validate=True))
    except ValueError as error:
        raise Refused("inline.not_base64") from error
    if not head.endswith(";base64"):
        raise Refused("inline.not_base64")
    found.name, found.mark = str(value.get("orig_name") or "picture"), ""
    return found


def _inline(content: bytes, kind: str, name: str) -> Inline:
    url = f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
    # without a path, as Gradio moves whatever has one into its folder
    return {"path": None, "url": url, "orig_name": name, "meta": {"_type": "gradio.FileData"}}
