"""The page's tabs: layout and wiring, a module each. They receive functions, never the engine."""

from dermsim.ui.tabs.atlas import AtlasPage, atlas_tab
from dermsim.ui.tabs.batch import BatchPage, batch_tab
from dermsim.ui.tabs.classify import classify_tab
from dermsim.ui.tabs.enroll import enroll_tab
from dermsim.ui.tabs.explain import explain_tab
from dermsim.ui.tabs.facts import fill_menus
from dermsim.ui.tabs.report import report_button
from dermsim.ui.tabs.similar import similar_tab
from dermsim.ui.tabs.wiring import picture_input, sentences

__all__ = [
    "AtlasPage",
    "BatchPage",
    "atlas_tab",
    "batch_tab",
    "classify_tab",
    "enroll_tab",
    "explain_tab",
    "fill_menus",
    "picture_input",
    "report_button",
    "sentences",
    "similar_tab",
]
