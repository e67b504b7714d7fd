"""The command `dermsim duplicates`: the same photograph under several names."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import numpy.typing as npt
from tyro.conf import FlagCreatePairsOff, Positional, arg

from dermsim.cli.command import ModelCommand
from dermsim.cli.terminal import sentence, show, table
from dermsim.core.refused import Refused
from dermsim.data.components import COMPONENTS

if TYPE_CHECKING:
    from PIL.Image import Image

    from dermsim.data.duplicates import Duplicates as Found

SHOWN = 10
"""Pairs that are printed; the files hold all."""


@dataclass(frozen=True, kw_only=True)
class Duplicates(ModelCommand):
    """List pictures that are the same photograph, within data sets and across them.

    Other sizes, crops, compressions, turned and mirrored ones included. Do this before any split.
    """

    sources: Positional[tuple[str, ...]]
    """Folders of published data sets, of Parquet files or of any pictures; Hub ids, "synthetic"."""
    output: Annotated[Path, arg(aliases=["-o"])]
    """Folder of its own to write duplicates.csv, components.csv and sheets of pairs to."""
    hashes_only: FlagCreatePairsOff[bool] = False
    """Go by perceptual hashes alone: no checkpoint is loaded, and it is many times faster, but a
    part of a picture is found only where it has the picture's centre."""
    neighbors: int = 20
    """How many pictures with similar embeddings each is compared with."""
    photographs: int | None = None
    """Of each source at most, the first by name, for a quick look."""

    def run(self) -> int:
        """Compare all pictures, and write what is the same."""
        from dermsim.data.duplicates import check_folder, find_duplicates

        if self.output.is_file():
            raise Refused("cli_audit.output_is_file", output=self.output)
        check_folder(self.output)
        found = find_duplicates(
            self.sources,
            embed=None if self.hashes_only else self._embed,
            neighbors=self.neighbors,
            at_most=self.photographs,
        )
        found.save(self.output)
        for _, reason in found.unread:
            print(f"dermsim: {sentence(ValueError(reason))}", file=sys.stderr)
        show(_answer(found, self.output), _summary(found, self.output), as_json=self.json)
        return 2 if found.unread else 0

    def _embed(self, images: Iterable[Image]) -> npt.NDArray[np.float32]:
        from dermsim.models.encode import encode

        engine = self.engine()
        return encode(engine.model, engine.processor, images).pooled_features


def _answer(found: Found, output: Path) -> dict[str, object]:
    named, matched = found.shared_names()
    return {
        "output": str(output),
        "pictures": len(found.pictures),
        "outlines": found.outlines,
        "unread": [{"picture": item.image_id, "error": reason} for item, reason in found.unread],
        "pairs": len(found.pairs),
        "components": len(found.components),
        "pictures_in_components": sum(map(len, found.components)),
        "between": [
            {"source": one, "other_source": other, "pairs": count}
            for (one, other), count in sorted(found.between().items())
        ],
        "shared_names": named,
        "shared_names_found": matched,
        "exam_copies": [item.image_id for item in found.exam_copies()],
    }


def _summary(found: Found, output: Path) -> str:
    own = found.components
    passed = f", {found.outlines:,} outlines passed over" if found.outlines else ""
    passed += f", {len(found.unread):,} could not be read" if found.unread else ""
    lines = [
        f"{len(found.pictures):,} photographs compared{passed}. {len(found.pairs):,} pairs are the "
        f"same photograph; they join {sum(map(len, own)):,} photographs to {len(own):,} "
        f"components. The lists and sheets of pairs are in {output}."
    ]
    if own:
        lines.append(
            f"Copy {COMPONENTS} into the folder of the data, and no command splits them apart."
        )
    named, matched = found.shared_names()
    if named:
        other = len(found.pairs) - matched
        lines.append(
            f"{named:,} pairs of different sources bear the same name; {matched:,} of them were "
            f"found. {other:,} of the pairs found bear different names or lie in one source."
        )
    if copies := found.exam_copies():
        names = ", ".join(item.image_id for item in copies[:5])
        lines.append(
            f"{len(copies):,} are copies of an exam's pictures under other names: {names}."
        )
    if found.pairs:
        between = sorted(found.between().items())
        lines += ["", table(["source", "other source", "pairs"], [[*k, n] for k, n in between])]
        lines += [
            "",
            table(_COLUMNS, [_row(found, number) for number in range(SHOWN)[: len(found.pairs)]]),
        ]
    return "\n".join(lines)


_COLUMNS = ("image_id", "lesion_id", "other_image_id", "other_lesion_id", "detail", "share")


def _row(found: Found, number: int) -> list[object]:
    pair = found.pairs[-1 - number]  # the least alike first: what is doubtful is there
    one, other = (found.pictures[row] for row in pair.rows)
    return [one.image_id, one.lesion_id, other.image_id, other.lesion_id, pair.detail, pair.share]
