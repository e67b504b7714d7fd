"""Past cases as cards: what is known of them, their pictures where there are some.

Every string that is not ours passes through `html.escape`.
"""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

from PIL import Image, ImageOps

from dermsim.core.labels import CODES, diagnosis
from dermsim.ui.i18n import number, say
from dermsim.ui.render import ENROLLED_COLOR, Pictures, code_tag, empty, name_of, percent

if TYPE_CHECKING:
    from dermsim.tasks.retrieve import Neighbor

ARCHIVE = "https://api.isic-archive.com/images/{}/"
"""A case's public page in the ISIC Archive, opened only when the visitor clicks."""

WORDS = {
    "dx_type": ("histo", "follow_up", "consensus", "confocal"),
    "sex": ("female", "male"),
    "localization": (
        *("abdomen", "acral", "back", "chest", "ear", "face", "foot", "genital", "hand"),
        *("lower extremity", "neck", "scalp", "trunk", "upper extremity"),
    ),
}
"""HAM10000's values of each fact that have a name in each language, among the texts ``facts``."""


def neighbors(
    found: Sequence[Neighbor],
    pictures: Pictures | None,
    total: int,
    *,
    above: str = "",
    language: str = "en",
) -> str:
    """Return the most similar past cases as cards, with a count by diagnosis above them.

    Args:
        found: Neighbours, most similar first.
        pictures: Where the cases' pictures come from, or None when no data set is at hand.
        total: How many past cases were searched.
        above: HTML above the cards.
        language: The visitor's.
    """
    if not found:
        return empty(say("similar.none", language), say("similar.none_how", language))
    cards = "".join(neighbor_card(neighbor, pictures, language=language) for neighbor in found)
    note = "" if pictures else f'<p class="ds-muted">{say("similar.no_pictures", language)}</p>'
    title = say(
        "similar.most_similar",
        language,
        count=len(found),
        total=number(total, language=language),
    )
    return (
        f'<div class="ds"><h2>{title}</h2>{census(found, language=language)}{above}{note}'
        f'<div class="ds-cases">{cards}</div></div>'
    )


def census(found: Sequence[Neighbor], *, language: str = "en") -> str:
    """Draw how the neighbours divide among the diagnoses, commonest first."""
    counts = Counter(neighbor.dx for neighbor in found).most_common()
    strip = "".join(
        f'<i style="flex:{count};background:{diagnosis(code).color}"></i>' for code, count in counts
    )
    words = "".join(
        f'<li style="--tone:{diagnosis(code).color}">{count} × '
        f"{escape(name_of(code, language))}</li>"
        for code, count in counts
    )
    return (
        f'<div class="ds-strip" aria-hidden="true">{strip}</div><ul class="ds-chips">{words}</ul>'
    )


def neighbor_card(neighbor: Neighbor, pictures: Pictures | None, *, language: str = "en") -> str:
    """Return a similar case as a card."""
    value = f"<strong>{number(neighbor.similarity, '.3f', language)}</strong>"
    likeness = f'<p class="ds-likeness">{say("similar.likeness", language, value=value)}</p>'
    if neighbor.percentile is not None:
        closer = say("similar.closer", language, share=percent(neighbor.percentile))
        likeness += f'<p class="ds-muted ds-closer">{closer}</p>'
    return case_card(
        neighbor.image_id,
        neighbor.dx,
        neighbor.facts,
        pictures,
        above=likeness,
        language=language,
    )


def case_card(
    image_id: str,
    dx: str,
    facts: Mapping[str, object],
    pictures: Pictures | None,
    *,
    above: str = "",
    more: Mapping[str, str] | None = None,
    language: str = "en",
) -> str:
    """Return a case as a card.

    Args:
        image_id: Of its photograph.
        dx: Its diagnosis.
        facts: What else is known of it.
        pictures: Where its picture comes from, or None when no data set is at hand.
        above: HTML between its diagnosis and its facts.
        more: Further facts in words.
        language: The visitor's.
    """
    tone = diagnosis(dx).color if dx in CODES else ENROLLED_COLOR
    code = code_tag(dx, language) if dx in CODES else ""
    picture = pictures(image_id) if pictures else None
    rows = "".join(
        f"<div><dt>{escape(key)}</dt><dd>{escape(value)}</dd></div>"
        for key, value in {**case_facts(facts, language=language), **(more or {})}.items()
    )
    return (
        f'<article class="ds-card ds-case" style="--tone:{tone}">'
        f"{thumbnail(picture, image_id, language) if picture else ''}"
        f'<h3 class="ds-sub">{escape(name_of(dx, language))}{code}</h3>{above}'
        f"<dl>{rows}</dl>{_archive_link(image_id, language)}</article>"
    )


def case_facts(facts: Mapping[str, object], *, language: str = "en") -> dict[str, str]:
    """Put a case's facts into words, by what they are called; what is unknown is left out."""
    words = known_facts(facts, language=language)
    return {say(f"facts.{fact}", language): text for fact, text in words.items()}


def known_facts(facts: Mapping[str, object], *, language: str = "en") -> dict[str, str]:
    """Put what is known of ``dx_type``, ``age``, ``sex`` and ``localization`` into words."""
    known = {key: value for key, value in facts.items() if value not in (None, "", "unknown")}
    words: dict[str, str] = {}
    for fact in ("dx_type", "age", "sex", "localization"):
        value = known.get(fact)
        if fact == "age" and isinstance(value, int | float) and value == value:
            words[fact] = f"{value:.0f}"
        elif fact != "age" and value is not None:
            words[fact] = fact_word(fact, str(value), language)
    return words


def fact_word(fact: str, value: str, language: str = "en") -> str:
    """Return the name of a fact's value in a language; one not of HAM10000 as it is."""
    if fact == "dx":
        return name_of(value, language)
    if value == "unknown":
        return say("report.unknown", language)
    if value not in WORDS.get(fact, ()):
        return value
    return say(f"facts.{fact}_{value.replace(' ', '_')}", language)


def _archive_link(image_id: str, language: str) -> str:
    name = escape(image_id, quote=True)
    if not (image_id.startswith("ISIC_") and image_id[5:].isdigit()):
        return f'<p class="ds-muted">{name}</p>'
    return (
        f'<a href="{ARCHIVE.format(name)}" target="_blank" rel="noopener noreferrer">'
        f"{say('similar.in_archive', language, name=name)} ↗</a>"
    )


def thumbnail(picture: Image.Image, image_id: str, language: str) -> str:
    """Return a small picture inside the page itself, so that nothing has to be served."""
    buffer = io.BytesIO()
    ImageOps.fit(picture.convert("RGB"), (320, 240)).save(buffer, "JPEG", quality=82)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    alt = escape(say("similar.photograph", language, name=image_id), quote=True)
    return f'<img src="data:image/jpeg;base64,{data}" alt="{alt}" width="320" height="240">'
