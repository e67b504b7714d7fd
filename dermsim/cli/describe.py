"""The command `dermsim describe`: a picture in words, each sentence with what it rests on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tyro.conf import Positional

from dermsim.cli.command import ModelCommand
from dermsim.cli.terminal import Pictures, check_frame, find_pictures, show
from dermsim.core.language import Language


@dataclass(frozen=True, kw_only=True)
class Describe(ModelCommand):
    """Describe pictures in words: which dermoscopic structures they show, and where."""

    pictures: Positional[tuple[Path, ...]]
    """Photographs, or folders that are searched for them."""
    language: Language = "en"
    """Of the sentences."""
    regions: bool = True
    """Say where a structure is, and measure colours and shape."""
    frame: int = 0
    """Which picture of files that hold several, such as DICOM and TIFF, counted from 0."""

    def run(self) -> int:
        """Describe each readable picture."""
        check_frame(self.frame)
        pictures = Pictures(find_pictures(self.pictures, every=True), frame=self.frame)
        engine = self.engine()
        results: list[dict[str, Any]] = []
        lines: list[str] = []
        for name, image in pictures:
            found = engine.describe(image, language=self.language, regions=self.regions)
            results.append({"picture": name, **found.to_dict()})
            lines.append(name)
            lines += [f"  {found.notice}"] if found.notice else []
            lines += [f"  {sentence.text}" for sentence in found.sentences]
        show({"results": results, "errors": pictures.errors}, "\n".join(lines), as_json=self.json)
        return pictures.status
