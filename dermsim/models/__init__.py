"""The encoder: a timm backbone with a projection head and a classifier, or several such as one.

`dermsim.models.encoder` is the door to it. The networks need torch and timm. The classes of
transformers around them, for training and for those who have transformers alone, take longer to
import than torch: they are fetched from `dermsim.models.auto` when one is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from dermsim.models.compiler import import_without_compiler

import_without_compiler("timm")  # before the networks import it

from dermsim.models.network_dermsim import DermSimNetwork  # noqa: E402
from dermsim.models.network_dermsim_ensemble import DermSimEnsembleNetwork  # noqa: E402

if TYPE_CHECKING:
    from dermsim.models.auto import (
        DermSimConfig,
        DermSimEnsembleConfig,
        DermSimEnsembleForImageClassification,
        DermSimEnsembleModel,
        DermSimForImageClassification,
        DermSimImageProcessor,
        DermSimModel,
    )

__all__ = [
    "DermSimConfig",
    "DermSimEnsembleConfig",
    "DermSimEnsembleForImageClassification",
    "DermSimEnsembleModel",
    "DermSimEnsembleNetwork",
    "DermSimForImageClassification",
    "DermSimImageProcessor",
    "DermSimModel",
    "DermSimNetwork",
]


def __getattr__(name: str) -> object:
    """Import a class of transformers, and with it all of them, when it is first used (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("dermsim.models.auto"), name)
