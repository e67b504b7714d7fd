"""A map of the gallery: every past case a point in the plane, a new image placed among them.

UMAP (McInnes et al., 2018, https://arxiv.org/abs/1802.03426) and t-SNE (van der Maaten and Hinton,
2008, https://jmlr.org/papers/v9/vandermaaten08a.html) draw the map once, when the checkpoint is
made. Placing a new image with UMAP itself takes seconds and puts even a known image away from its
own point, and t-SNE cannot place one at all, so a new image goes to the weighted mean of its
nearest neighbours' points instead.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dermsim.core.atomic import atomic_path
from dermsim.core.refused import Refused
from dermsim.core.storage import load_table
from dermsim.core.vectors import check_embeddings, l2_normalize

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = ("image_id", "x", "y", "embedding")
"""Of every Parquet file; x and y are UMAP's."""

COLUMN_TYPES = r"string, float, float, fixed_size_list<element: halffloat>\[\d+\]"
"""Their Arrow types, as a regular expression."""

MEASURES = {
    "predicted": "string",
    "uncertainty": "float",
    "ood_score": "float",
    "neighbor_dx": "string",
    "margin": "float",
    "isolation": "float",
    "cluster": "int32",
    "kmeans": "int32",
}
"""What may be known of each point, with its Arrow type: the classifier's answer and its entropy in
bits; the detector's score; what the nearest cases of other lesions vote, by what margin, and how
unlike they are; its cluster on the map, -1 for none, and its cluster among the embeddings."""

OPTIONAL = ("tsne_x", "tsne_y", *MEASURES)
"""Further columns, in this order, each of which a file may lack."""

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
        tsne: ``(N, 2)`` float32, the same points where t-SNE puts them, or None.
        measures: By a name in `MEASURES`, an array ``(N,)``.

    Examples:
        >>> atlas = engine.atlas
        >>> list(atlas.layouts), atlas.coordinates.shape == (len(atlas), 2)
        (['umap', 'tsne'], True)
    """

    coordinates: npt.NDArray[np.float32]
    image_ids: tuple[str, ...]
    embeddings: npt.NDArray[np.float16]
    tsne: npt.NDArray[np.float32] | None = None
    measures: Mapping[str, npt.NDArray[np.generic]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse measures that are unknown or of other points."""
        for name, values in self.measures.items():
            if name not in MEASURES or np.shape(values) != (len(self.image_ids),):
                raise Refused(
                    "map.measure",
                    name=name,
                    shape=np.shape(values),
                    count=len(self.image_ids),
                    measures=list(MEASURES),
                )

    @classmethod
    def fit(
        cls,
        embeddings: npt.ArrayLike,
        image_ids: Sequence[str],
        *,
        seed: int = 0,
        tsne: bool = True,
        measures: Mapping[str, npt.NDArray[np.generic]] | None = None,
    ) -> EmbeddingMap:
        """Draw the map.

        Args:
            embeddings: ``(N, D)``, N at least 10.
            image_ids: N ids.
            seed: Seed of UMAP and t-SNE; the same seed draws the same map.
            tsne: Whether to draw t-SNE's, too, which takes longer.
            measures: What else is known of the points: by a name in `MEASURES`, an array ``(N,)``.

        Raises:
            ValueError: If there are fewer than 10 rows, or ids or measures do not match them.

        Examples:
            >>> import numpy as np
            >>> from dermsim import EmbeddingMap
            >>> vectors = np.random.default_rng(0).normal(size=(20, 4))
            >>> names = [f"case {number}" for number in range(20)]
            >>> EmbeddingMap.fit(vectors, names, tsne=False).coordinates.shape
            (20, 2)
        """
        unit = l2_normalize(embeddings)
        if len(unit) < NEIGHBORS:
            raise Refused("map.too_few", neighbors=NEIGHBORS, count=len(unit))
        if len(image_ids) != len(unit):
            raise Refused("map.image_ids", unit_count=len(unit), image_ids_count=len(image_ids))
        blank = np.zeros((len(unit), 2), dtype=np.float32)
        cls(blank, tuple(image_ids), unit.astype(np.float16), measures=measures or {})
        return cls(
            _draw_umap(unit, seed),
            tuple(image_ids),
            unit.astype(np.float16),
            _draw_tsne(unit, seed) if tsne else None,
            measures or {},
        )

    def __len__(self) -> int:
        """Return the number of points."""
        return len(self.image_ids)

    @property
    def layouts(self) -> dict[str, npt.NDArray[np.float32]]:
        """The maps there are, by name: ``"umap"`` always, ``"tsne"`` where it was drawn."""
        drawn = {"umap": self.coordinates}
        return drawn if self.tsne is None else {**drawn, "tsne": self.tsne}

    @cached_property
    def _unit(self) -> npt.NDArray[np.float32]:
        return l2_normalize(self.embeddings)

    def transform(
        self, embeddings: npt.ArrayLike, *, layout: str = "umap"
    ) -> npt.NDArray[np.float32]:
        """Place new images among the points.

        Each goes to the mean of its 10 most similar points, weighted by inverse cosine distance.
        It therefore always lands within the map: how strange an image is, `OutlierDetector` says.

        Args:
            embeddings: ``(N, D)``.
            layout: On which of the maps, a name in `layouts`.

        Returns:
            ``(N, 2)`` float32.

        Raises:
            ValueError: If D differs from the map's, a row is zero, or there is no such map.

        Examples:
            >>> engine.atlas.transform(engine.embed(picture), layout="tsne").shape
            (1, 2)
        """
        if layout not in self.layouts:
            raise Refused("map.no_layout", layout=layout, layouts=list(self.layouts))
        queries = l2_normalize(check_embeddings(embeddings, dim=self.embeddings.shape[1]))
        similarity = queries @ self._unit.T
        nearest = np.argsort(-similarity, axis=1, kind="stable")[:, :NEIGHBORS]
        distance = 1.0 - np.take_along_axis(similarity, nearest, axis=1)
        weights = 1.0 / (np.maximum(distance, 0.0) + SOFTENING)
        weights /= weights.sum(axis=1, keepdims=True)
        # n queries, k neighbours, 2 coordinates
        placed = np.einsum("nk,nkc->nc", weights, self.layouts[layout][nearest])
        return placed.astype(np.float32)

    def save(self, path: str | Path) -> None:
        """Write the map as Parquet, a row for each point, atomically.

        Examples:
            >>> from pathlib import Path
            >>> engine.atlas.save("atlas.parquet")
            >>> Path("atlas.parquet").exists()
            True
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        flat = pa.array(self.embeddings.ravel())
        columns = {
            "image_id": pa.array(self.image_ids, pa.string()),
            "x": self.coordinates[:, 0],
            "y": self.coordinates[:, 1],
            "embedding": pa.FixedSizeListArray.from_arrays(flat, self.embeddings.shape[1]),
        }
        if self.tsne is not None:
            columns |= {"tsne_x": self.tsne[:, 0], "tsne_y": self.tsne[:, 1]}
        for name, kind in MEASURES.items():
            if name in self.measures:
                columns[name] = pa.array(self.measures[name].tolist(), kind)
        with atomic_path(path) as temporary:
            pq.write_table(pa.table(columns), temporary)

    @classmethod
    def load(cls, path: str | Path) -> EmbeddingMap:
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the file is damaged or does not hold a map.

        Examples:
            >>> from dermsim import EmbeddingMap
            >>> engine.atlas.save("atlas.parquet")
            >>> len(EmbeddingMap.load("atlas.parquet")) == len(engine.atlas)
            True
        """
        name = Path(path).name
        table = load_table(path, columns=COLUMNS, optional=OPTIONAL)
        _check_types(table, name)
        vectors = table["embedding"].combine_chunks()
        if any(column.null_count for column in table.columns) or vectors.flatten().null_count:
            raise Refused("map.empty_cells", name=name)
        embeddings = vectors.flatten().to_numpy().reshape(len(table), -1)
        check_embeddings(embeddings)

        def places(x: str, y: str) -> npt.NDArray[np.float32]:
            found = np.stack([table[x].to_numpy(), table[y].to_numpy()], axis=1)
            return check_embeddings(found, dim=2, name="coordinates")

        measures = {
            column: np.array(table[column].to_pylist()) if kind == "string" else values
            for column, kind in MEASURES.items()
            if column in table.column_names
            for values in [table[column].to_numpy()]
        }
        return cls(
            places("x", "y"),
            tuple(table["image_id"].to_pylist()),
            embeddings,
            places("tsne_x", "tsne_y") if "tsne_x" in table.column_names else None,
            measures,
        )


def _check_types(table: pa.Table, name: str) -> None:
    """Refuse a table whose columns are not of a map's types."""
    types = [str(kind) for kind in table.schema.types]
    first, rest = ", ".join(types[: len(COLUMNS)]), types[len(COLUMNS) :]
    further = table.column_names[len(COLUMNS) :]
    whole = ("tsne_x" in further) == ("tsne_y" in further)
    expected = [MEASURES.get(column, "float") for column in further]
    if not re.fullmatch(COLUMN_TYPES, first) or rest != expected or not whole:
        raise Refused("map.column_types", name=name, types=list(types))


def _draw_umap(unit: npt.NDArray[np.float32], seed: int) -> npt.NDArray[np.float32]:
    from umap import UMAP  # takes seconds: not before the arguments are known to be good

    umap = UMAP(
        n_neighbors=min(15, len(unit) - 1),
        metric="cosine",
        random_state=seed,
        n_jobs=1,  # what a seed forces anyway; said here, it does not warn
    )
    # numba sets the number of OpenMP threads of the thread it runs in, and with it how torch rounds
    with ThreadPoolExecutor(1) as own:
        return np.asarray(own.submit(umap.fit_transform, unit).result(), dtype=np.float32)


def _draw_tsne(unit: npt.NDArray[np.float32], seed: int) -> npt.NDArray[np.float32]:
    from sklearn.manifold import TSNE

    # of unit vectors the squared Euclidean distance, which t-SNE takes, is twice the cosine's
    tsne = TSNE(perplexity=min(30.0, (len(unit) - 1) / 3), random_state=seed, n_jobs=1)
    return np.asarray(tsne.fit_transform(unit), dtype=np.float32)
