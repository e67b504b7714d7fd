"""The page's tabs: layout and wiring, a module each. They receive functions, never the engine."""

from dermsim.ui.tabs.atlas import AtlasPage, atlas_tab
from dermsim.ui.tabs.batch import BatchPage, BatchRows, batch_tab
from dermsim.ui.tabs.case import KEPT, AlertLine, alert_line, offer
from dermsim.ui.tabs.case_filters import fill_menus
from dermsim.ui.tabs.classify import classify_tab
from dermsim.ui.tabs.compare import compare_tab
from dermsim.ui.tabs.concepts import ConceptPage, concepts_tab
from dermsim.ui.tabs.enroll import enroll_tab
from dermsim.ui.tabs.explain import ExplainPage, explain_tab
from dermsim.ui.tabs.holding import SHELF, forget
from dermsim.ui.tabs.page import Page, drawn
from dermsim.ui.tabs.report import report_button
from dermsim.ui.tabs.returning import return_things
from dermsim.ui.tabs.similar import similar_tab
from dermsim.ui.tabs.wiring import QUIET, Above, Picture, picture_input, sentences

__all__ = [
    "KEPT",
    "QUIET",
    "SHELF",
    "Above",
    "AlertLine",
    "AtlasPage",
    "BatchPage",
    "BatchRows",
    "ConceptPage",
    "ExplainPage",
    "Page",
    "Picture",
    "alert_line",
    "atlas_tab",
    "batch_tab",
    "classify_tab",
    "compare_tab",
    "concepts_tab",
    "drawn",
    "enroll_tab",
    "explain_tab",
    "fill_menus",
    "forget",
    "offer",
    "picture_input",
    "report_button",
    "return_things",
    "sentences",
    "similar_tab",
]
