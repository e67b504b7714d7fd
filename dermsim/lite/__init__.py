"""A checkpoint asked without torch: its exported encoder, and what else NumPy does with an answer.

``from dermsim.lite import LightDermSim``; it needs NumPy, Pillow, onnxruntime and faiss, and
PyArrow and safetensors to read the folder.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dermsim.lite.light import LightDermSim

__all__ = ["LightDermSim"]


def __getattr__(name: str) -> object:
    """Import `LightDermSim` at its first use (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module("dermsim.lite.light"), name)
    globals()[name] = value
    return value
