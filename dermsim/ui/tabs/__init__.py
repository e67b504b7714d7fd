"""The page's tabs: layout and wiring, a module each. They receive functions, never the engine."""

from dermsim.ui.tabs.classify import classify_tab
from dermsim.ui.tabs.enroll import enroll_tab
from dermsim.ui.tabs.explain import explain_tab
from dermsim.ui.tabs.similar import similar_tab
from dermsim.ui.tabs.wiring import picture_input

__all__ = ["classify_tab", "enroll_tab", "explain_tab", "picture_input", "similar_tab"]
