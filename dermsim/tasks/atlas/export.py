"""One Parquet file of cases for the tools that people explore embeddings with.

Apple Embedding Atlas reads ``x``, ``y``, ``neighbors`` (row numbers) and ``image`` (bytes);
Renumics Spotlight reads ``embedding`` as lists and ``image`` as it is; for FiftyOne, which wants
files, ``filepath`` says where each picture lies. All take the other columns as facts to filter by.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dermsim.core.atomic import atomic_path
from dermsim.core.refused import Refused
from dermsim.core.vectors import l2_normalize
from dermsim.tasks.atlas.map import MEASURES, EmbeddingMap

if TYPE_CHECKING:
    import pyarrow as pa

FACTS = ("lesion_id", "dx", "dx_type", "age", "sex", "localization")
"""What is known of a case besides its image_id."""

NEAREST = 15
"""Neighbours kept of each case."""

CHUNK = 256
"""Cases compared with all others at a time: bounds the memory."""

Picture = Mapping[str, Any]
"""A picture's ``bytes`` and ``path``, either of which may be None."""


def export_cases(
    path: str | Path,
    atlas: EmbeddingMap,
    records: Sequence[Mapping[str, object]],
    *,
    pictures: Sequence[Picture] | None = None,
) -> int:
    """Write a row for each point of a map.

    Columns: ``image_id``, the facts, ``x`` and ``y`` (UMAP's), ``tsne_x`` and ``tsne_y``, whatever
    of `MEASURES` the map has, ``error`` (whether ``predicted`` is not ``dx``), ``embedding`` (a
    list of float32), ``neighbors`` (``ids``, rows of this file, and ``distances``, one less the
    cosine, nearest first), and with pictures ``image`` (``bytes`` and ``path``) and ``filepath``.

    Args:
        path: Parquet file to write, atomically.
        atlas: The map.
        records: The facts of each point, in its order, as a gallery holds them.
        pictures: The picture of each point, or None for none.

    Returns:
        How many rows were written.

    Raises:
        ValueError: If the records or pictures are not those of the map's points.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if [record.get("image_id") for record in records] != list(atlas.image_ids):
        raise Refused("export.records")
    if pictures is not None and len(pictures) != len(atlas):
        raise Refused("export.pictures", atlas_count=len(atlas), pictures_count=len(pictures))
    columns: dict[str, Any] = {"image_id": pa.array(atlas.image_ids, pa.string())}
    for name in FACTS:
        kind = pa.float32() if name == "age" else pa.string()
        columns[name] = pa.array([record.get(name) for record in records], kind)
    for name, layout in atlas.layouts.items():
        prefix = "" if name == "umap" else f"{name}_"
        columns |= {f"{prefix}x": layout[:, 0], f"{prefix}y": layout[:, 1]}
    for name, kind in MEASURES.items():
        if name in atlas.measures:
            columns[name] = pa.array(atlas.measures[name].tolist(), kind)
    if "predicted" in atlas.measures:
        true = np.array([str(record.get("dx")) for record in records])
        columns["error"] = true != atlas.measures["predicted"]
    unit = l2_normalize(atlas.embeddings)
    columns["embedding"] = _lists(unit)
    columns["neighbors"] = _nearest(unit)
    if pictures is not None:
        picture = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        columns["image"] = pa.array([dict(given) for given in pictures], picture)
        columns["filepath"] = pa.array([given["path"] for given in pictures], pa.string())
    with atomic_path(path) as temporary:
        pq.write_table(pa.table(columns), temporary)
    return len(atlas)


def _lists(rows: npt.NDArray[np.generic]) -> pa.ListArray:
    """Return ``(N, D)`` as an Arrow column of lists."""
    import pyarrow as pa

    starts = np.arange(0, rows.size + 1, rows.shape[1], dtype=np.int32)
    return pa.ListArray.from_arrays(starts, pa.array(rows.ravel()))


def _nearest(unit: npt.NDArray[np.float32]) -> pa.StructArray:
    """Return the nearest other rows of each row and how far they are."""
    import pyarrow as pa

    k = min(NEAREST, len(unit) - 1)
    ids, distances = [], []
    for first in range(0, len(unit), CHUNK):
        similarity = unit[first : first + CHUNK] @ unit.T
        own = np.arange(len(similarity))
        similarity[own, first + own] = -np.inf
        nearest = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
        ids.append(nearest)
        distances.append(1 - np.take_along_axis(similarity, nearest, axis=1))
    rows = np.concatenate(ids).astype(np.int64)
    lists = [_lists(rows), _lists(np.concatenate(distances).astype(np.float64))]
    return pa.StructArray.from_arrays(lists, ["ids", "distances"])
