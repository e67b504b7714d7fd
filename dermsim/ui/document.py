"""HTML documents that need nothing but themselves: one file to keep, print or send.

Pictures and styles lie inside, there is no script, and a content security policy in the head lets
no browser fetch anything, whatever the document says.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files

from PIL import Image

from dermsim.core.labels import CODES, diagnosis
from dermsim.core.language import LANGUAGES
from dermsim.core.refused import Refused
from dermsim.ui.i18n import say

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""Of the document: nothing from anywhere (https://www.w3.org/TR/CSP3/)."""


def check_language(language: str) -> None:
    """Refuse a language that documents are not written in.

    Raises:
        ValueError: If it is not one of `LANGUAGES`.
    """
    if language not in LANGUAGES:
        raise Refused("document.language", language=language, languages=LANGUAGES)


def document(title: str, body: str, *, language: str, kind: str = "") -> str:
    """Return a whole HTML document.

    Args:
        title: Plain text, of the window and of what is printed.
        body: HTML.
        language: One of `LANGUAGES`.
        kind: Class of the document, for its style; none when empty.
    """
    main = f'<main class="{kind}">' if kind else "<main>"
    style = files("dermsim.ui").joinpath("document.css").read_text(encoding="utf-8")
    return (
        f'<!DOCTYPE html>\n<html lang="{language}">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n"
        f"<body>\n{main}\n{body}\n</main>\n</body>\n</html>\n"
    )


def picture_uri(image: Image.Image, *, side: int) -> str:
    """Return a picture as a ``data:`` address: a JPEG of its pixels and nothing else.

    Args:
        image: RGB; what its file said of camera, place or patient is not taken along.
        side: Longest side in pixels; a smaller picture stays as it is.
    """
    bare = Image.frombytes("RGB", image.size, image.convert("RGB").tobytes())
    bare.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    bare.save(buffer, "JPEG", quality=88)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def html_table(
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    numbers: Sequence[int] = (),
    kind: str = "",
) -> str:
    """Return a table whose first column names the rows.

    Args:
        header: Plain texts.
        rows: Cells as HTML.
        numbers: Places of the columns that are aligned to the right.
        kind: Class of the table, for its style; none when empty.
    """

    def mark(place: int) -> str:
        return ' class="num"' if place in numbers else ""

    head = "".join(
        f'<th scope="col"{mark(place)}>{escape(text)}</th>' for place, text in enumerate(header)
    )
    lines = "".join(
        f'<tr><th scope="row">{row[0]}</th>'
        + "".join(f"<td{mark(place)}>{cell}</td>" for place, cell in enumerate(row[1:], start=1))
        + "</tr>"
        for row in rows
    )
    style = f' class="{kind}"' if kind else ""
    return f"<table{style}><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>"


def facts_table(facts: Iterable[tuple[str, str]]) -> str:
    """Return names, as plain text, and values, as HTML, a row each."""
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{value}</td></tr>' for name, value in facts
    )
    return f'<table class="facts"><tbody>{rows}</tbody></table>'


def dx_name(code: str, language: str) -> str:
    """Return what a diagnosis is called in a language; a code of one's own as it is."""
    if code not in CODES:
        return code
    item = diagnosis(code)
    return item.named(language)


def fact_name(fact: str, value: object, language: str) -> str:
    """Return a value of ``dx_type``, ``sex`` or ``localization`` in words; an unheard-of one as is.

    Args:
        fact: Which of them.
        value: As the data set has it; None or ``"unknown"`` when it is not known.
        language: One of `LANGUAGES`.
    """
    if value in (None, "", "unknown"):
        return say("report.unknown", language)
    key = f"facts.{fact}_{str(value).replace(' ', '_')}"
    try:
        return say(key, language)
    except KeyError:  # HAM10000 has no such value, but another source may
        return str(value)
