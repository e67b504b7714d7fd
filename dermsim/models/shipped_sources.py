"""The source files that travel with the weights, so that transformers alone can open the folder.

They are the package's own, whose names end in ``_dermsim``. Those are written so that they need one
another, torch, timm, transformers, NumPy and Pillow, and nothing else of dermsim. In the package
they lie in the folders of their subjects; beside the weights all lie in one, so the lines that
import one from another folder are rewritten, and nothing else is.
"""

from __future__ import annotations

import re
from pathlib import Path

from dermsim.core.refused import RefusedFileNotFoundError

PACKAGE = Path(__file__).resolve().parents[1]

_ACROSS = re.compile(
    r"^(\s*from )dermsim\.\w+(\.\w+_dermsim(?:_ensemble|_dual)? import )", re.MULTILINE
)
_SIBLING = re.compile(r"^\s*from \.(\w+_dermsim(?:_ensemble|_dual)?) import ", re.MULTILINE)


def shipped_text(source: str) -> str:
    """Return a source as it lies beside the weights: every import from dermsim is of a sibling.

    Args:
        source: Of a module whose name ends in ``_dermsim``.
    """
    return _ACROSS.sub(r"\1\2", source)


def shipped_sources(*modules: str) -> dict[str, str]:
    """Return modules, and all that they need of dermsim, as they lie beside the weights.

    Args:
        modules: Names without a folder, such as ``"modeling_dermsim"``.

    Returns:
        The text by file name.

    Raises:
        FileNotFoundError: If dermsim has no module of that name.
    """
    places = {path.stem: path for path in PACKAGE.glob("*/*_dermsim*.py")}
    found: dict[str, str] = {}
    wanted = list(modules)
    while wanted:
        name = wanted.pop()
        if f"{name}.py" in found:
            continue
        if name not in places:
            raise RefusedFileNotFoundError("shipped_sources.no_module", name=name)
        text = shipped_text(places[name].read_text(encoding="utf-8"))
        found[f"{name}.py"] = text
        wanted += _SIBLING.findall(text)
    return found


def write_sources(folder: Path, *, modeling: str = "modeling_dermsim") -> None:
    """Write all sources that a checkpoint needs where dermsim is not installed.

    Args:
        folder: The checkpoint.
        modeling: Which module holds its encoder's classes.
    """
    for name, text in shipped_sources(modeling, "image_processing_dermsim").items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
