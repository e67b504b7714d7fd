"""The same photograph under several names, within a data set and across data sets.

Call it before any split: a photograph in two splits is a leak, whatever its names say. The names
are imported at their first use: hashes need neither OpenCV nor tqdm, and comparing needs both.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dermsim.data.components import load_components
    from dermsim.data.duplicates.listing import Listed, list_source
    from dermsim.data.duplicates.looks import Look, look_at
    from dermsim.data.duplicates.report import Duplicates, check_folder
    from dermsim.data.duplicates.scan import find_duplicates
    from dermsim.data.duplicates.search import Pair, components, find_pairs

_HOMES = {
    "Duplicates": "dermsim.data.duplicates.report",
    "Listed": "dermsim.data.duplicates.listing",
    "Look": "dermsim.data.duplicates.looks",
    "Pair": "dermsim.data.duplicates.search",
    "check_folder": "dermsim.data.duplicates.report",
    "components": "dermsim.data.duplicates.search",
    "find_duplicates": "dermsim.data.duplicates.scan",
    "find_pairs": "dermsim.data.duplicates.search",
    "list_source": "dermsim.data.duplicates.listing",
    "load_components": "dermsim.data.components",
    "look_at": "dermsim.data.duplicates.looks",
}

__all__ = [
    "Duplicates",
    "Listed",
    "Look",
    "Pair",
    "check_folder",
    "components",
    "find_duplicates",
    "find_pairs",
    "list_source",
    "load_components",
    "look_at",
]


def __getattr__(name: str) -> object:
    """Import a name when it is first used (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
