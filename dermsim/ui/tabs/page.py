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

from dermsim.core.language import LANGUAGES
from dermsim.ui.given_files import foreign_files
from dermsim.ui.gradio_seams import HookedBlocks, browser_text
from dermsim.ui.i18n import phrases, say, translations
from dermsim.ui.uploads import upload_folder

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


class Page(HookedBlocks):
    """Blocks that are shown in the visitor's language."""

    def spoken(self) -> gr.I18n:
        """Return what the browser translates by, for `launch`."""
        html = {
            language: {key: texts[language] for key, texts in _DRAWN.items()}
            for language in LANGUAGES
        }
        return gr.I18n(
            **{language: {**texts, **html[language]} for language, texts in translations().items()}
        )

    def shown(self, kind: str, props: dict[str, Any]) -> None:
        """Put a mark for each text that the browser is to translate."""
        for name in (*READ, "value") if kind in FACES else READ:
            text = props.get(name)
            key = _key_of(text) if isinstance(text, str) else None
            if key is not None:
                props[name] = browser_text(key)

    def check_given(self, value: Any, *, is_file: bool, uris: bool) -> None:
        """Refuse files that are not uploads: addresses, and paths of the server.

        Raises:
            gradio.Error: In one sentence.
        """
        folder = upload_folder().path
        for key in foreign_files(value, folder=folder, is_file=is_file, uris=uris):
            raise gr.Error(say(key), print_exception=False)

    def described(self, api: Any) -> Any:
        """Say the endpoints in English."""
        return _in_english(api)


def _key(english: str) -> str:
    return f"html.{hashlib.sha256(english.encode()).hexdigest()[:16]}"


def _key_of(text: str) -> str | None:
    if text in _keys():
        return _keys()[text]
    return _key(text) if text.startswith("<") and _key(text) in _DRAWN else None


def _in_english(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _in_english(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_in_english(item) for item in value]
    return _english().get(value, value) if isinstance(value, str) else value


@functools.cache
def _keys() -> dict[str, str]:
    return phrases()


@functools.cache
def _english() -> dict[str, str]:
    return {browser_text(key): text for text, key in _keys().items()}
