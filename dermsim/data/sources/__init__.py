"""Published data sets, one module each, read as the same rows."""

from dermsim.data.sources.adapter import NOTHING, OTHER, Adapter, Modality, SourceRow
from dermsim.data.sources.registry import ADAPTERS, find_adapter
from dermsim.data.sources.rows import (
    SOURCE_COLUMNS,
    check_pictures,
    for_the_seven,
    source_schema,
    to_dataset,
    warn_clinical,
)

__all__ = [
    "ADAPTERS",
    "NOTHING",
    "OTHER",
    "SOURCE_COLUMNS",
    "Adapter",
    "Modality",
    "SourceRow",
    "check_pictures",
    "find_adapter",
    "for_the_seven",
    "source_schema",
    "to_dataset",
    "warn_clinical",
]
