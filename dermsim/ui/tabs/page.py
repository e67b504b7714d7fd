"""A page whose components speak each visitor's language, while its endpoints speak English.

Components are built in English, with texts from `dermsim.ui.i18n.say`. When they are described to
a visitor's browser, each text that is among the known phrases is replaced by the mark of its key,
which the browser looks up in the visitor's language (`gradio.I18n`). The description of the
endpoints, for programs, is left in English.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from typing import Any

import gradio as gr
from gradio.blocks import BlockFunction
from gradio.i18n import I18nData

from dermsim.ui.i18n import LANGUAGES, phrases, translations

READ = ("label", "info", "placeholder")
"""What a visitor reads of any component."""

FACES = ("html", "button", "downloadbutton", "uploadbutton")
"""Components of which the value is read, too."""

_DRAWN: dict[str, dict[str, str]] = {}
"""HTML of the first moment by its key, in each language; none of it depends on a visitor."""


def drawn(draw: Callable[[str], str]) -> str:
    """Draw HTML that stands on the page before any listener has run, in every language.

    Args:
        draw: Language -> HTML.

    Returns:
        The English version, to be the value of a `gr.HTML` of a `Page`.
    """
    english = draw(LANGUAGES[0])
    _DRAWN[_key(english)] = {language: draw(language) for language in LANGUAGES}
    return english


class Page(gr.Blocks):
    """Blocks that are shown in the visitor's language."""

    def spoken(self) -> gr.I18n:
        """Return what the browser translates by, for `launch`."""
        html = {
            language: {key: texts[language] for key, texts in _DRAWN.items()}
            for language in LANGUAGES
        }
        return gr.I18n(
            **{language: texts | html[language] for language, texts in translations().items()}
        )

    def get_config_file(self) -> Any:
        """Describe the page for the browser, with a mark for each text to be translated."""
        config = super().get_config_file()
        known = phrases()
        for component in config["components"]:
            names = (*READ, "value") if component["type"] in FACES else READ
            props = component["props"]
            for name in names:
                text = props.get(name)
                key = _key_of(text, known) if isinstance(text, str) else None
                if key is not None:
                    props[name] = str(I18nData(key))
        return config

    def validate_inputs(self, block_fn: BlockFunction, inputs: list[Any]) -> None:
        """Fill in place what a program left out at the end, as Gradio's own client does.

        Raises:
            gradio.Error: If what is left out has no default.
        """
        if len(inputs) >= len(block_fn.inputs):
            return
        asked = [block for block in block_fn.inputs if not block.skip_api]
        values = [*inputs, *(getattr(block, "value", None) for block in asked[len(inputs) :])]
        if None in values[len(inputs) :]:
            needed = ", ".join(repr(getattr(block, "label", None)) for block in asked)
            raise gr.Error(
                f"{len(inputs)} values came, and these are needed: {needed}.", print_exception=False
            )
        given = iter(values)
        inputs[:] = [None if block.skip_api else next(given) for block in block_fn.inputs]

    def get_api_info(self, *options: Any, **named: Any) -> Any:
        """Describe the endpoints, for programs, in English."""
        return _in_english(super().get_api_info(*options, **named))


def _key(english: str) -> str:
    return f"html.{hashlib.sha256(english.encode()).hexdigest()[:16]}"


def _key_of(text: str, known: dict[str, str]) -> str | None:
    if text in known:
        return known[text]
    return _key(text) if text.startswith("<") and _key(text) in _DRAWN else None


def _in_english(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _in_english(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_in_english(item) for item in value]
    return _english().get(value, value) if isinstance(value, str) else value


@functools.cache
def _english() -> dict[str, str]:
    return {str(I18nData(key)): text for text, key in phrases().items()}
