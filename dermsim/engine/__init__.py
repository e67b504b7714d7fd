"""One checkpoint folder, loaded once, and all tasks on one image: `DermSim`.

It brings torch, so that it is imported when it is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dermsim.engine.dermsim import DermSim

__all__ = ["DermSim"]


def __getattr__(name: str) -> object:
    """Import `DermSim` at its first use (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module("dermsim.engine.dermsim"), name)
    globals()[name] = value
    return value
