"""Hooks of the site: each notebook of ``docs/notebooks/`` becomes a page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each notebook, beside those that are files."""
    for path in sorted(Path(config.docs_dir, "notebooks").glob("*.ipynb")):
        page = page_of(json.loads(path.read_text(encoding="utf-8")), path.name)
        files.append(File.generated(config, f"notebooks/{path.stem}.md", content=page))
    return files


def page_of(notebook: dict[str, Any], name: str) -> str:
    """Return a notebook's cells as Markdown.

    Args:
        notebook: The parsed file.
        name: Name of the file, told to the reader.
    """
    parts = []
    for cell in notebook["cells"]:
        source = "".join(cell["source"]).strip()
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
    title, *rest = parts
    told = f"This page is the notebook `docs/notebooks/{name}`. Open it in Jupyter to run it."
    return "\n\n".join([title, told, *rest]) + "\n"
