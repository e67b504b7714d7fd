"""The page's tabs: layout and wiring, a module each. They receive functions, never the engine."""

from dermsim.ui.tabs.atlas import AtlasPage, atlas_tab
from dermsim.ui.tabs.case import alert_line, offer
from dermsim.ui.tabs.classify import classify_tab
from dermsim.ui.tabs.compare import compare_tab
from dermsim.ui.tabs.enroll import enroll_tab
from dermsim.ui.tabs.explain import explain_tab
from dermsim.ui.tabs.facts import fill_menus
from dermsim.ui.tabs.similar import similar_tab
from dermsim.ui.tabs.wiring import QUIET, Above, picture_input, sentences

__all__ = [
    "QUIET",
    "Above",
    "AtlasPage",
    "alert_line",
    "atlas_tab",
    "classify_tab",
    "compare_tab",
    "enroll_tab",
    "explain_tab",
    "fill_menus",
    "offer",
    "picture_input",
    "sentences",
    "similar_tab",
]
