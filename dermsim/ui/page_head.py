"""The page's style sheet and scripts, and what these say in each language."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dermsim.core.labels import CODES
from dermsim.core.language import LANGUAGES
from dermsim.ui import render
from dermsim.ui.i18n import say


def page_head() -> str:
    """Return the style sheet and the script as part of the page's head.

    Given as `css_paths`, Gradio would rewrite every selector and lose what it does not know.
    """
    folder = Path(__file__).parent
    sheets = ("style.css", "concepts.css")
    sheet = "\n".join((folder / name).read_text(encoding="utf-8") for name in sheets)
    script = (folder / "page.js").read_text(encoding="utf-8")
    names = ("uploads.js", "concepts.js", "tabs.js")
    others = [(folder / name).read_text(encoding="utf-8") for name in names]
    constants = "".join(
        f"const {name} = {json.dumps(texts)};\n" for name, texts in _described().items()
    )
    scripts = (f"{constants}{script}", *others)
    told = "".join(f'<script type="module">{text}</script>' for text in scripts)
    return f"<style>{sheet}</style>{told}"


def _described() -> dict[str, dict[str, Any]]:
    """Return what ``page.js`` says of the pictures, in each language."""
    images = {
        "#picture": "wiring.picture",
        "#evidence": "explain.evidence",
        "#alike": "explain.alike",
    }
    return {
        "NAMES": {
            language: {
                code: say("page.example", language, name=render.name_of(code, language))
                for code in CODES
            }
            for language in LANGUAGES
        },
        "IMAGES": {
            language: {selector: say(key, language) for selector, key in images.items()}
            for language in LANGUAGES
        },
        "MAP": {language: say("atlas.plot", language) for language in LANGUAGES},
    }
