"""Draws the map of cases that were just embedded, with what is measured of each point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dermsim.core.labels import CODES
from dermsim.core.metrics import entropy
from dermsim.core.refused import Refused
from dermsim.tasks.atlas import EmbeddingMap, find_clusters, measure_neighborhood
from dermsim.tasks.retrieve import CaseTable, Gallery

if TYPE_CHECKING:
    from datasets import Dataset

    from dermsim.models.encoding import Encoding
    from dermsim.tasks.classify import Calibration
    from dermsim.tasks.detect import OutlierDetector


def draw_map(
    cases: Encoding,
    rows: Dataset,
    *,
    calibration: Calibration,
    detector: OutlierDetector,
    tsne: bool = True,
    seed: int = 0,
) -> EmbeddingMap:
    """Draw a map and measure every point.

    What an encoder says of the cases it was trained on flatters it: they are rarely errors and
    never strange. What their neighbours of other lesions say is less so, though these were trained
    on as well. Of held-out cases all of it is plain.

    Args:
        cases: What the encoder says of N cases, at least 10, without facts.
        rows: Those cases, of the `load_ham10000` schema.
        calibration: Makes probabilities of their logits.
        detector: Says how strange they are.
        tsne: Whether to draw t-SNE's map beside UMAP's.
        seed: Of the maps and clusters.

    Raises:
        ValueError: If there are too few cases, or all are of one lesion.
    """
    probabilities = calibration.probabilities(cases.logits)
    answers = {
        "predicted": np.array(CODES)[probabilities.argmax(axis=1)],
        "uncertainty": entropy(probabilities).astype(np.float32),
        "ood_score": detector.score(cases).astype(np.float32),
    }
    drawn = EmbeddingMap.fit(
        cases.embeddings, list(rows["image_id"]), seed=seed, tsne=tsne, measures=answers
    )
    dx = [CODES[label] for label in rows["dx"]]
    return _with_surroundings(drawn, cases.embeddings, dx, list(rows["lesion_id"]), seed)


def _with_surroundings(
    drawn: EmbeddingMap,
    embeddings: npt.ArrayLike,
    dx: Sequence[str],
    lesion_ids: Sequence[str | None],
    seed: int,
) -> EmbeddingMap:
    """Add what embeddings and diagnoses say of the points: neighbours and clusters."""
    names, labels = np.unique(np.asarray(dx), return_inverse=True)
    around = measure_neighborhood(embeddings, labels, lesion_ids, names=names.tolist())
    cluster, kmeans = find_clusters(drawn.coordinates, embeddings, groups=len(names), seed=seed)
    measures = {**drawn.measures, **around, "cluster": cluster, "kmeans": kmeans}
    return replace(drawn, measures=measures)


@dataclass(frozen=True, eq=False)
class Atlas:
    """A map whose points are cases of a gallery.

    Attributes:
        map: Its N points.
        records: Their facts, in the same order.
    """

    map: EmbeddingMap
    records: CaseTable

    @classmethod
    def of(cls, drawn: EmbeddingMap, gallery: Gallery, *, seed: int = 0) -> Atlas:
        """Join a map to the gallery it is of.

        Points of cases that the gallery has no more are left out. A map that was drawn without
        neighbours and clusters gets them.

        Args:
            drawn: The map of a checkpoint.
            gallery: Its gallery.
            seed: Of the clusters.

        Raises:
            ValueError: If the gallery has none of the map's cases.
        """
        found = gallery.records.rows_of("image_id", [{name} for name in drawn.image_ids])
        kept = np.array([place for place, rows in enumerate(found) if len(rows)], dtype=np.int64)
        if len(kept) == 0:
            raise Refused("engine_atlas.other_cases")
        records = gallery.records.take(np.array([found[place][0] for place in kept]))
        part = drawn if len(kept) == len(drawn) else _take(drawn, kept)
        if not {"neighbor_dx", "cluster"} <= set(part.measures):
            dx, lesions = records.values("dx"), records.values("lesion_id")
            part = _with_surroundings(part, part.embeddings, dx, lesions, seed)
        return cls(part, records)

    @property
    def dx(self) -> list[str]:
        """The diagnosis of each point."""
        return self.records.values("dx")

    def stand_out(self, measure: str, count: int, *, most: bool = True) -> list[dict[str, Any]]:
        """List the cases that stand out by one measure.

        Args:
            measure: ``"isolation"`` for outliers, or another number in `MEASURES`.
            count: How many.
            most: The largest values first, or, for ``"margin"`` and borderline cases, the smallest.

        Returns:
            Their facts with ``neighbor_dx`` and the measure, first the one that stands out most.
        """
        values = self.map.measures[measure].astype(np.float64)
        order = np.argsort(-values if most else values, kind="stable")[:count]
        voted = self.map.measures["neighbor_dx"]
        cases = self.records.take(order)
        return [
            {**case, "neighbor_dx": str(voted[row]), measure: float(values[row])}
            for case, row in zip(cases, order, strict=True)
        ]


def _take(drawn: EmbeddingMap, rows: npt.NDArray[np.int64]) -> EmbeddingMap:
    return EmbeddingMap(
        drawn.coordinates[rows],
        tuple(drawn.image_ids[row] for row in rows),
        drawn.embeddings[rows],
        None if drawn.tsne is None else drawn.tsne[rows],
        {name: values[rows] for name, values in drawn.measures.items()},
    )
