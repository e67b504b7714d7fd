"""The column of photographs in a data set: what comes out of it has passed through `read_image`.

The library's own column decodes with Pillow, which knows no DICOM, HEIC or JPEG XL, takes previews
for pictures and clips 16 bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import Image

from dermsim.data.images import read_image


@dataclass(repr=False)
class Photograph(Image):
    """As `datasets.Image`, and described alike in files; a picture is decoded by `read_image`."""

    def decode_example(
        self, value: Any, token_per_repo_id: dict[str, str | bool | None] | None = None
    ) -> Any:
        """Decode one picture.

        Args:
            value: Its ``bytes`` or local ``path``; anything else is left to the library.
            token_per_repo_id: For the library.

        Returns:
            A PIL image in mode RGB.

        Raises:
            ValueError: If it cannot be read; one sentence.
        """
        source = None
        if self.decode and isinstance(value, dict):
            source = value["bytes"] or value["path"]
        if isinstance(source, bytes) or (source is not None and Path(source).is_file()):
            return read_image(source, min_side=1)
        return super().decode_example(value, token_per_repo_id)
