"""Where the encoder looked: heatmaps for a diagnosis, malignancy, a new class, or a likeness.

Explaining leaves the model as it was found and may be done by any number of threads at once.

- `heatmap`: what comes out.
- `targets`: what is explained, a scalar per image.
- `opening`: how a model is stopped at one of its layers.
- `cams`, `scorecam`, `attention`, `occlusion`: our own methods.
- `library`: those of pytorch-grad-cam.
- `maps`: all of these behind one call.
- `plans`: many images in several ways.
- `regions`: the embedding of a part of an image.
"""

from dermsim.core.explain_methods import METHODS
from dermsim.tasks.explain.heatmap import Heatmap
from dermsim.tasks.explain.maps import draw, explain, open_for
from dermsim.tasks.explain.opening import (
    Explainable,
    Layer,
    Opened,
    has_attention,
    has_maps,
    members,
    stages,
)
from dermsim.tasks.explain.plans import Plan, explain_classes
from dermsim.tasks.explain.regions import embed_regions
from dermsim.tasks.explain.targets import (
    ClassTarget,
    EnrolledTarget,
    HeadOutput,
    MalignancyTarget,
    SimilarityTarget,
    Target,
)

__all__ = [
    "METHODS",
    "ClassTarget",
    "EnrolledTarget",
    "Explainable",
    "HeadOutput",
    "Heatmap",
    "Layer",
    "MalignancyTarget",
    "Opened",
    "Plan",
    "SimilarityTarget",
    "Target",
    "draw",
    "embed_regions",
    "explain",
    "explain_classes",
    "has_attention",
    "has_maps",
    "members",
    "open_for",
    "stages",
]
