"""Dermoscopic concepts: whether they are there, where, and what they say of melanoma.

Linear heads on frozen features (`heads`), maps of where a concept is (`dense`, `regions`), colours
and shape within the outline (`colours`, `shape`), melanoma from concepts alone (`bottleneck`), and
all of a checkpoint's together (`part`).
"""

from dermsim.tasks.concepts.bottleneck import Bottleneck, fit_bottleneck
from dermsim.tasks.concepts.dense import DenseHead
from dermsim.tasks.concepts.heads import ConceptHead, ConceptHeads, fit_heads
from dermsim.tasks.concepts.part import Concepts, Outline, Structures, Transfer
from dermsim.tasks.concepts.reading import ConceptReading, Finding, read_concepts
from dermsim.tasks.concepts.regions import RegionFigures

__all__ = [
    "Bottleneck",
    "ConceptHead",
    "ConceptHeads",
    "ConceptReading",
    "Concepts",
    "DenseHead",
    "Finding",
    "Outline",
    "RegionFigures",
    "Structures",
    "Transfer",
    "fit_bottleneck",
    "fit_heads",
    "read_concepts",
]
