"""A map of the gallery: every past case a point in the plane, a new image placed among them.

UMAP (McInnes et al., 2018, https://arxiv.org/abs/1802.03426) draws the map once, when the
checkpoint is made. Placing a new image with UMAP itself takes seconds and puts even a known image
away from its own point, so a new image goes to the weighted mean of its nearest neighbours'
points instead.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dermsim.storage import atomic_path, load_table
from dermsim.vectors import check_embeddings, l2_normalize

COLUMNS = ("image_id", "x", "y", "embedding")
"""Of the Parquet file."""

COLUMN_TYPES = r"string, float, float, fixed_size_list<element: halffloat>\[\d+\]"
"""Their Arrow types, as a regular expression."""

NEIGHBORS = 10
"""Atlas points that decide where a new image goes."""

SOFTENING = 1e-4
"""Added to cosine distance before inverting: an image on the map falls on its own point."""


@dataclass(frozen=True, eq=False)
class EmbeddingMap:
    """Points in the plane, and the embeddings they stand for.

    Attributes:
        coordinates: ``(N, 2)`` float32, in UMAP's arbitrary units.
        image_ids: The photograph of each point.
        embeddings: ``(N, D)`` float16, rows of length 1 up to rounding: half the size, and enough
            to find neighbours.
    """

    coordinates: npt.NDArray[np.float32]
    image_ids: tuple[str, ...]
    embeddings: npt.NDArray[np.float16]

    @classmethod
    def fit(
        cls, embeddings: npt.ArrayLike, image_ids: Sequence[str], *, seed: int = 0
    ) -> EmbeddingMap:
        """Draw the map.

        Args:
            embeddings: ``(N, D)``, N at least 10.
            image_ids: N ids.
            seed: Seed of UMAP; the same seed draws the same map.

        Raises:
            ValueError: If there are fewer than 10 rows, or the ids do not match them.
        """
        unit = l2_normalize(embeddings)
        if len(unit) < NEIGHBORS:
            raise ValueError(f"a map needs at least {NEIGHBORS} embeddings, got {len(unit)}.")
        if len(image_ids) != len(unit):
            raise ValueError(f"{len(unit)} embeddings came with {len(image_ids)} image_ids.")
        from umap import UMAP  # takes seconds: not before the arguments are known to be good

        umap = UMAP(
            n_neighbors=min(15, len(unit) - 1),
            metric="cosine",
            random_state=seed,
            n_jobs=1,  # what a seed forces anyway; said here, it does not warn
        )
        coordinates = np.asarray(umap.fit_transform(unit), dtype=np.float32)
        return cls(coordinates, tuple(image_ids), unit.astype(np.float16))

    def __len__(self) -> int:
        """Return the number of points."""
        return len(self.image_ids)

    @cached_property
    def _unit(self) -> npt.NDArray[np.float32]:
        return l2_normalize(self.embeddings)

    def transform(self, embeddings: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Place new images among the points.

        Each goes to the mean of its 10 most similar points, weighted by inverse cosine distance.
        It therefore always lands within the map: how strange an image is, `OutlierDetector` says.

        Args:
            embeddings: ``(N, D)``.

        Returns:
            ``(N, 2)`` float32.

        Raises:
            ValueError: If D differs from the map's, or a row is zero.
        """
        queries = l2_normalize(check_embeddings(embeddings, dim=self.embeddings.shape[1]))
        similarity = queries @ self._unit.T
        nearest = np.argsort(-similarity, axis=1, kind="stable")[:, :NEIGHBORS]
        distance = 1.0 - np.take_along_axis(similarity, nearest, axis=1)
        weights = 1.0 / (np.maximum(distance, 0.0) + SOFTENING)
        weights /= weights.sum(axis=1, keepdims=True)
        # n queries, k neighbours, 2 coordinates
        placed = np.einsum("nk,nkc->nc", weights, self.coordinates[nearest])
        return placed.astype(np.float32)

    def save(self, path: str | Path) -> None:
        """Write the map as Parquet (image_id, x, y, embedding), atomically."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        flat = pa.array(self.embeddings.ravel())
        table = pa.table(
            {
                "image_id": pa.array(self.image_ids, pa.string()),
                "x": self.coordinates[:, 0],
                "y": self.coordinates[:, 1],
                "embedding": pa.FixedSizeListArray.from_arrays(flat, self.embeddings.shape[1]),
            }
        )
        with atomic_path(path) as temporary:
            pq.write_table(table, temporary)

    @classmethod
    def load(cls, path: str | Path) -> EmbeddingMap:
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the file is damaged or does not hold a map.
        """
        table = load_table(path, columns=COLUMNS)
        types = ", ".join(str(kind) for kind in table.schema.types)
        if not re.fullmatch(COLUMN_TYPES, types):
            raise ValueError(f"{Path(path).name} is not a map: its columns hold {types}.")
        vectors = table["embedding"].combine_chunks()
        if any(column.null_count for column in table.columns) or vectors.flatten().null_count:
            raise ValueError(f"{Path(path).name} is not a map: it has empty cells.")
        embeddings = vectors.flatten().to_numpy().reshape(len(table), -1)
        coordinates = np.stack([table["x"].to_numpy(), table["y"].to_numpy()], axis=1)
        check_embeddings(embeddings)
        check_embeddings(coordinates, dim=2, name="coordinates")
        return cls(coordinates, tuple(table["image_id"].to_pylist()), embeddings)
