"""Dermatologists' outlines of the lesions in a data set.

Explanations are measured against those of held-out lesions; training may crop around the lesions of
its own photographs, and put them on other surroundings. An encoder never sees an outline.

Tschandl et al., "Human-computer collaboration for skin cancer recognition" (2020),
https://doi.org/10.1038/s41591-020-0942-0, published outlines for all of HAM10000.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from dermsim.core.refused import Phrase, Refused, RefusedFileNotFoundError
from dermsim.data.folders import walk_files

SUFFIX = "_segmentation"
"""What the archive's outlines are called after their image_id."""

_LAYOUTS = Phrase("outlines.layouts", suffix=SUFFIX)


class Outlines(Mapping[str, npt.NDArray[np.bool_]]):
    """Outlines by image_id, each read and checked when it is asked for.

    An outline is ``(H, W)`` bool, True where the lesion is.
    """

    def __init__(self, pictures: Mapping[str, Callable[[], Image.Image]]) -> None:
        self._pictures = dict(pictures)

    def __len__(self) -> int:
        """Return the number of outlines."""
        return len(self._pictures)

    def __iter__(self) -> Iterator[str]:
        """Go through the image_ids."""
        return iter(self._pictures)

    def __contains__(self, image_id: object) -> bool:
        """Say whether there is one, without reading it."""
        return image_id in self._pictures

    def __getitem__(self, image_id: str) -> npt.NDArray[np.bool_]:
        """Read one outline.

        Raises:
            KeyError: If there is none of this image.
            ValueError: If it cannot be read, is not black and white, or shows no lesion.
        """
        try:
            picture = self._pictures[image_id]()
            values = np.asarray(picture if picture.mode == "1" else picture.convert("L"))
        except (OSError, SyntaxError, ValueError) as error:
            raise Refused("outlines.unreadable", image_id=image_id, error=error) from error
        if values.dtype != np.bool_ and not np.isin(values, (0, 255)).all():
            raise Refused("outlines.greys", image_id=image_id)
        if not values.any():
            raise Refused("outlines.all_black", image_id=image_id)
        return values.astype(np.bool_)

    def of(self, image_id: str, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
        """Return the outline for a photograph of a certain size.

        Args:
            image_id: Of the photograph.
            size: Its width and height; an outline in other pixels is brought to these.

        Returns:
            ``(height, width)`` bool.

        Raises:
            KeyError: If there is none of this image.
            ValueError: As for reading it, or if it is of a picture of another shape.
        """
        outline = self[image_id]
        height, width = outline.shape
        if (width, height) == size:
            return outline
        if abs(width / height - size[0] / size[1]) > 0.02 * size[0] / size[1]:
            raise Refused(
                "outlines.other_size",
                image_id=image_id,
                width=width,
                height=height,
                other_width=size[0],
                other_height=size[1],
            )
        scaled = Image.fromarray(outline.astype(np.float32)).resize(size, Image.Resampling.BILINEAR)
        return np.asarray(scaled) >= 0.5


def load_masks(source: str | Path) -> Outlines:
    """Find the outlines of a data set; each is read when it is asked for.

    Args:
        source: One of

            - a folder of Parquet files with the columns ``image_id`` and ``mask`` (an encoded
              picture, as the Hub keeps them);
            - a folder, searched to any depth, of pictures called ``<image_id>.png`` or
              ``<image_id>_segmentation.png``, as the archive keeps them;
            - ``"synthetic"``: those of `dermsim.data.synthetic.synthetic_ham10000`.

    Raises:
        FileNotFoundError: If the folder does not exist.
        ValueError: If the layout is not recognised, a file is damaged, or an image_id is missing or
            comes twice.
    """
    if str(source) == "synthetic":
        from dermsim.data.synthetic import synthetic_outlines

        return Outlines({key: picture.copy for key, picture in synthetic_outlines().items()})
    folder = Path(source)
    if not folder.is_dir():
        raise RefusedFileNotFoundError("outlines.no_folder", source=source, layouts=_LAYOUTS)
    files = sorted(walk_files(folder))  # through links, as photographs are found
    if tables := [path for path in files if path.suffix == ".parquet"]:
        named = [row for table in tables for row in _table_rows(table)]
    else:
        named = [
            (path.stem.removesuffix(SUFFIX), partial(_opened, path))
            for path in files
            if path.suffix == ".png"
        ]
    if not named:
        raise Refused("outlines.none", source=source, layouts=_LAYOUTS)
    pictures = dict(named)
    if len(pictures) < len(named):
        twice = next(
            name for name, count in Counter(name for name, _ in named).items() if count > 1
        )
        raise Refused("outlines.twice", source=source, twice=twice)
    return Outlines(pictures)


def _table_rows(path: Path) -> list[tuple[str, Callable[[], Image.Image]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        columns = set(pq.read_schema(path).names)
        if missing := {"image_id", "mask"} - columns:
            raise Refused(
                "outlines.lacks_column", name=path.name, missing=sorted(missing), layouts=_LAYOUTS
            )
        rows = pq.read_table(path, columns=["image_id", "mask"]).to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise Refused("outlines.damaged", name=path.name, error=error) from error
    found: list[tuple[str, Callable[[], Image.Image]]] = []
    for number, row in enumerate(rows):
        image_id, mask = row["image_id"], row["mask"]
        encoded = mask.get("bytes") if isinstance(mask, dict) else mask
        if not image_id or not isinstance(encoded, bytes):
            raise Refused("outlines.row", number=number, name=path.name, image_id=image_id)
        found.append((str(image_id), partial(_opened, encoded)))
    return found


def _opened(source: Path | bytes) -> Image.Image:
    stream = io.BytesIO(source) if isinstance(source, bytes) else source
    with Image.open(stream, formats=["PNG"]) as picture:
        return picture.copy()
