"""Published data sets, one module each, read as the same rows."""

from dermsim.data.sources.adapter import NOTHING, OTHER, Adapter, Modality, SourceRow
from dermsim.data.sources.modality import warn_clinical
from dermsim.data.sources.registry import ADAPTERS, find_adapter

__all__ = [
    "ADAPTERS",
    "NOTHING",
    "OTHER",
    "Adapter",
    "Modality",
    "SourceRow",
    "find_adapter",
    "warn_clinical",
]
