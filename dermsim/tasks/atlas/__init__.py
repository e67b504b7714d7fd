"""A map of cases: where each lies in the plane, what clusters they form, which stand out.

`map` places them and new images among them, `clusters` groups them and scores the groups against
diagnoses, `neighborhood` says how each sits among its neighbours, `export` writes all of it for
other tools.
"""

from dermsim.tasks.atlas.clusters import ClusterScores, find_clusters, score_clusters, silhouette
from dermsim.tasks.atlas.export import export_cases
from dermsim.tasks.atlas.map import MEASURES, EmbeddingMap
from dermsim.tasks.atlas.neighborhood import measure_neighborhood

__all__ = [
    "MEASURES",
    "ClusterScores",
    "EmbeddingMap",
    "export_cases",
    "find_clusters",
    "measure_neighborhood",
    "score_clusters",
    "silhouette",
]
