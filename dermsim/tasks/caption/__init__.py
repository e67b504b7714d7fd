"""Descriptions in words: facts, the grammar that writes and parses them, and their agreement."""

from dermsim.tasks.caption.agreement import disagrees, with_disagreement
from dermsim.tasks.caption.facts import ASYMMETRY, BORDER, COLOURS, DISAGREEMENT, Evidence, Fact
from dermsim.tasks.caption.grammar import Grammar

__all__ = [
    "ASYMMETRY",
    "BORDER",
    "COLOURS",
    "DISAGREEMENT",
    "Evidence",
    "Fact",
    "Grammar",
    "disagrees",
    "with_disagreement",
]
