"""The encoder: a timm backbone with a projection head and a classifier, or several such as one.

`dermsim.models.encoder` is the door to it. Each class is imported when it is first used: the
networks need torch and timm, and the classes of transformers around them, for training and for
those who have transformers alone, take longer to import than torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dermsim.models.auto import (
        DermSimConfig,
        DermSimDualConfig,
        DermSimDualForImageClassification,
        DermSimDualModel,
        DermSimEnsembleConfig,
        DermSimEnsembleForImageClassification,
        DermSimEnsembleModel,
        DermSimForImageClassification,
        DermSimImageProcessor,
        DermSimModel,
    )
    from dermsim.models.network_dermsim import DermSimNetwork
    from dermsim.models.network_dermsim_dual import DermSimDualNetwork
    from dermsim.models.network_dermsim_ensemble import DermSimEnsembleNetwork

__all__ = [
    "DermSimConfig",
    "DermSimDualConfig",
    "DermSimDualForImageClassification",
    "DermSimDualModel",
    "DermSimDualNetwork",
    "DermSimEnsembleConfig",
    "DermSimEnsembleForImageClassification",
    "DermSimEnsembleModel",
    "DermSimEnsembleNetwork",
    "DermSimForImageClassification",
    "DermSimImageProcessor",
    "DermSimModel",
    "DermSimNetwork",
]

_NETWORKS = {
    "DermSimNetwork": "network_dermsim",
    "DermSimDualNetwork": "network_dermsim_dual",
    "DermSimEnsembleNetwork": "network_dermsim_ensemble",
}


def __getattr__(name: str) -> object:
    """Import a class when it is first used (PEP 562): of transformers' all of them at once."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_NETWORKS.get(name, 'auto')}"), name)
