"""Hooks of the site: notebooks become pages, and links that lead out of ``docs/`` become names."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

LINK = re.compile(r"(?<!!)\[([^\]]*)\]\((?![a-z]+:|#)([^)\s#]+)[^)\s]*\)")
"""A link to a file: its words, and where it leads."""


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


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Name a file of the repository that is no page, in place of a link that leads nowhere."""
    docs = Path(config.docs_dir).resolve()
    here = docs / Path(page.file.src_uri).parent

    def named(found: re.Match[str]) -> str:
        target = (here / found[2]).resolve()
        if target.is_relative_to(docs):
            return found[0]
        path = target.relative_to(docs.parent).as_posix()
        return found[1] if found[1].strip("`") == path else f"{found[1]} (`{path}`)"

    return LINK.sub(named, markdown)
