"""The same photograph under several names, within a data set and across data sets.

Call it before any split: a photograph in two splits is a leak, whatever its names say.
"""

from dermsim.data.components import load_components
from dermsim.data.duplicates.listing import Listed, list_source
from dermsim.data.duplicates.looks import Look, look_at
from dermsim.data.duplicates.report import Duplicates, check_folder
from dermsim.data.duplicates.scan import find_duplicates
from dermsim.data.duplicates.search import Pair, components, find_pairs

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
