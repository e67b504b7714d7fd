"""ISIC 2018 Task 2: 2,594 dermoscopic pictures with outlines of five dermoscopic structures.

Codella et al. 2019, https://arxiv.org/abs/1902.03368. Two layouts, both seen: as published,
``ISIC_0000000_attribute_pigment_network.png`` in ``ISIC2018_Task2_Training_GroundTruth_v3``, all
black where the structure is absent; and Parquet with a column for each structure, null where it is
absent. No diagnosis is given. As published it holds pictures of the ISIC 2017 test, which
`dermsim.data.exam` refuses in training.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from dermsim.core.refused import Refused
from dermsim.data.sources.adapter import Adapter, Labels, SourceRow
from dermsim.data.sources.folder import Folder

TITLE, LICENCE = "ISIC 2018 Task 2", "CC BY-NC 4.0"
CONCEPTS = ("globules", "milia_like_cyst", "negative_network", "pigment_network", "streaks")
_MASK = "_attribute_"
Outline = str | bytes | None
"""A mask's path or encoded bytes; None where the structure is absent."""


def _recognise(folder: Folder) -> bool:
    return folder.given is None and (bool(_parquet(folder)) or bool(_masks(folder)))


def _parquet(folder: Folder) -> list[Path]:
    """List the Parquet files that have a column for each structure."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    found = []
    for path in folder.files:
        if path.suffix.lower() != ".parquet":
            continue
        try:
            names = set(pq.read_schema(path).names)
        except (pa.ArrowException, OSError):  # it is another's to say that a file is damaged
            continue
        if names.issuperset({"image", "image_id", *CONCEPTS}):
            found.append(path)
    return found


def _masks(folder: Folder) -> dict[str, dict[str, str]]:
    """Return the masks by picture and structure."""
    found: dict[str, dict[str, str]] = {}
    for path in folder.pictures:
        image_id, mark, concept = path.stem.partition(_MASK)
        if mark and concept in CONCEPTS:
            found.setdefault(image_id, {})[concept] = str(path)
    return found


def _read(folder: Folder) -> Iterator[tuple[str, str | bytes | None, dict[str, Outline]]]:
    """Yield name, picture and outlines."""
    if tables := _parquet(folder):
        import pyarrow.parquet as pq

        for table in tables:
            for row in pq.read_table(table).to_pylist():
                outlines = {c: row[c] and row[c]["bytes"] for c in CONCEPTS}
                yield row["image_id"], row["image"] and row["image"]["bytes"], outlines
        return
    for image_id, masks in sorted(_masks(folder).items()):
        if missing := [concept for concept in CONCEPTS if concept not in masks]:
            raise Refused(
                "isic2018_attributes.no_mask", title=TITLE, image_id=image_id, missing=list(missing)
            )
        outlines = {c: None if _is_black(path) else path for c, path in masks.items()}
        yield image_id, folder.picture(image_id), outlines


def _is_black(path: str) -> bool:
    try:
        with Image.open(path, formats=["PNG"]) as mask:
            return mask.convert("L").getbbox() is None
    except (OSError, SyntaxError) as error:
        raise Refused(
            "isic2018_attributes.unreadable", name=Path(path).name, error=error
        ) from error


def _rows(folder: Folder, labels: Labels) -> list[SourceRow]:
    return [
        SourceRow(
            image=image,
            image_id=image_id,
            modality="dermoscopy",
            concepts={c: "absent" if outlines[c] is None else "present" for c in CONCEPTS},
            split="train",
        )
        for image_id, image, outlines in _read(folder)
    ]


class AttributeOutlines(Mapping[str, Mapping[str, Outline]]):
    """Where the structures are, by image_id and structure; each is decoded when asked for."""

    def __init__(self, path: str | Path) -> None:
        """Find the outlines of a folder in one of the two layouts.

        Raises:
            ValueError: If the folder is none of them.
        """
        folder = Folder.at(path)
        if not _recognise(folder):
            raise Refused("adapter.other_source", path=path, title=TITLE)
        self._outlines = {image_id: outlines for image_id, _, outlines in _read(folder)}

    def __getitem__(self, image_id: str) -> Mapping[str, Outline]:
        """Return the encoded outlines of a picture."""
        return self._outlines[image_id]

    def __iter__(self) -> Iterator[str]:
        """Go through the image_ids."""
        return iter(self._outlines)

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self._outlines)

    def region(self, image_id: str, concept: str) -> npt.NDArray[np.bool_] | None:
        """Decode an outline.

        Args:
            image_id: The picture.
            concept: One of `CONCEPTS`.

        Returns:
            ``(H, W)`` bool, True where the structure is, in the pixels of the mask; None where the
            structure is absent.

        Raises:
            KeyError: If there is no such picture or structure.
        """
        outline = self._outlines[image_id][concept]
        if outline is None:
            return None
        stream = io.BytesIO(outline) if isinstance(outline, bytes) else outline
        with Image.open(stream, formats=["PNG"]) as mask:
            return np.asarray(mask.convert("L")) > 127


ADAPTER = Adapter("isic2018_attributes", TITLE, LICENCE, {}, _recognise, _rows, packed=True)
