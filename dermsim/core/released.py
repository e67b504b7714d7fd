"""Where the released checkpoint is: beside the package in a checkout, else on the Hub."""

from __future__ import annotations

from pathlib import Path

HUB_MODEL = "dermsim/dermsim-ham10000"
"""The released checkpoint on the Hub, for installations without a checkout."""


def default_model() -> str:
    """Return the checkpoint folder beside the package in a checkout, or the released one's id."""
    folder = Path(__file__).resolve().parents[2] / "hub" / "dermsim-ham10000"
    return str(folder) if (folder / "config.json").is_file() else HUB_MODEL
