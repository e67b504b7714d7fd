"""dermsim: contrastive embeddings of dermatoscopic photographs.

The public names are imported when they are first used, so that ``import dermsim`` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from dermsim.core.version import __version__

if TYPE_CHECKING:
    from dermsim.core.labels import LABELS
    from dermsim.data.dataset import load_dataset
    from dermsim.data.facts import Facts
    from dermsim.data.ham10000 import load_ham10000
    from dermsim.data.splits import grouped_splits
    from dermsim.engine import DermSim
    from dermsim.engine.results import Analysis, Prediction
    from dermsim.models import (
        DermSimConfig,
        DermSimEnsembleConfig,
        DermSimEnsembleModel,
        DermSimImageProcessor,
        DermSimModel,
    )
    from dermsim.tasks.atlas import EmbeddingMap
    from dermsim.tasks.classify import Calibration
    from dermsim.tasks.detect import OutlierDetector
    from dermsim.tasks.enroll import ClassBank
    from dermsim.tasks.explain import Heatmap
    from dermsim.tasks.retrieve import Gallery, Neighbor
    from dermsim.training.ensemble import build_ensemble

_HOMES = {
    "LABELS": "dermsim.core.labels",
    "Analysis": "dermsim.engine.results",
    "Calibration": "dermsim.tasks.classify",
    "ClassBank": "dermsim.tasks.enroll",
    "DermSim": "dermsim.engine.dermsim",
    "DermSimConfig": "dermsim.models",
    "DermSimEnsembleConfig": "dermsim.models",
    "DermSimEnsembleModel": "dermsim.models",
    "DermSimImageProcessor": "dermsim.models",
    "DermSimModel": "dermsim.models",
    "EmbeddingMap": "dermsim.tasks.atlas",
    "Facts": "dermsim.data.facts",
    "Gallery": "dermsim.tasks.retrieve",
    "Heatmap": "dermsim.tasks.explain",
    "Neighbor": "dermsim.tasks.retrieve",
    "OutlierDetector": "dermsim.tasks.detect",
    "Prediction": "dermsim.engine.results",
    "build_ensemble": "dermsim.training.ensemble",
    "grouped_splits": "dermsim.data.splits",
    "load_dataset": "dermsim.data.dataset",
    "load_ham10000": "dermsim.data.ham10000",
}

__all__ = [
    "LABELS",
    "Analysis",
    "Calibration",
    "ClassBank",
    "DermSim",
    "DermSimConfig",
    "DermSimEnsembleConfig",
    "DermSimEnsembleModel",
    "DermSimImageProcessor",
    "DermSimModel",
    "EmbeddingMap",
    "Facts",
    "Gallery",
    "Heatmap",
    "Neighbor",
    "OutlierDetector",
    "Prediction",
    "__version__",
    "build_ensemble",
    "grouped_splits",
    "load_dataset",
    "load_ham10000",
]


def __getattr__(name: str) -> object:
    """Import a public name at its first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'dermsim' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names, whether imported yet or not."""
    return __all__
