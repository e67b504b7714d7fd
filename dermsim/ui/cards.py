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

from dermsim.labels import CODES, diagnosis
from dermsim.ui.render import ENROLLED_COLOR, Pictures, code_tag, empty, name_of

if TYPE_CHECKING:
    from dermsim.tasks.retrieve import Neighbor

ARCHIVE = "https://api.isic-archive.com/images/{}/"
"""A case's public page in the ISIC Archive, opened only when the visitor clicks."""

CONFIRMED_BY = {
    "histo": "histopathology",
    "follow_up": "follow-up",
    "consensus": "expert consensus",
    "confocal": "confocal microscopy",
}
"""HAM10000's `dx_type` in words."""


def neighbors(
    found: Sequence[Neighbor], pictures: Pictures | None, total: int, *, above: str = ""
) -> str:
    """Return the most similar past cases as cards, with a count by diagnosis above them.

    Args:
        found: Neighbours, most similar first.
        pictures: Where the cases' pictures come from, or None when no data set is at hand.
        total: How many past cases were searched.
        above: HTML above the cards.
    """
    if not found:
        return empty("No past case is like that", "Loosen the filters to find some.")
    cards = "".join(neighbor_card(neighbor, pictures) for neighbor in found)
    note = (
        ""
        if pictures
        else '<p class="ds-muted">Patient photographs are not shipped with the model: start with '
        "<code>--dataset</code> to see them here, or open a case in the ISIC Archive.</p>"
    )
    return (
        f'<div class="ds"><h3>The {len(found)} most similar of {total:,} past cases</h3>'
        f'{census(found)}{above}{note}<div class="ds-cases">{cards}</div></div>'
    )


def census(found: Sequence[Neighbor]) -> str:
    """Draw how the neighbours divide among the diagnoses, commonest first."""
    counts = Counter(neighbor.dx for neighbor in found).most_common()
    strip = "".join(
        f'<i style="flex:{count};background:{diagnosis(code).color}"></i>' for code, count in counts
    )
    words = "".join(
        f'<li style="--tone:{diagnosis(code).color}">{count} × {escape(name_of(code))}</li>'
        for code, count in counts
    )
    return (
        f'<div class="ds-strip" aria-hidden="true">{strip}</div><ul class="ds-chips">{words}</ul>'
    )


def neighbor_card(neighbor: Neighbor, pictures: Pictures | None) -> str:
    """Return a similar case as a card."""
    likeness = f'<p class="ds-likeness">Likeness <strong>{neighbor.similarity:.3f}</strong></p>'
    return case_card(neighbor.image_id, neighbor.dx, neighbor.facts, pictures, above=likeness)


def case_card(
    image_id: str,
    dx: str,
    facts: Mapping[str, object],
    pictures: Pictures | None,
    *,
    above: str = "",
    more: Mapping[str, str] | None = None,
) -> str:
    """Return a case as a card.

    Args:
        image_id: Of its photograph.
        dx: Its diagnosis.
        facts: What else is known of it.
        pictures: Where its picture comes from, or None when no data set is at hand.
        above: HTML between its diagnosis and its facts.
        more: Further facts in words.
    """
    tone = diagnosis(dx).color if dx in CODES else ENROLLED_COLOR
    code = code_tag(dx) if dx in CODES else ""
    picture = pictures(image_id) if pictures else None
    rows = "".join(
        f"<div><dt>{escape(key)}</dt><dd>{escape(value)}</dd></div>"
        for key, value in {**case_facts(facts), **(more or {})}.items()
    )
    return (
        f'<article class="ds-card ds-case" style="--tone:{tone}">'
        f"{_thumbnail(picture, image_id) if picture else ''}"
        f"<h4>{escape(name_of(dx))}{code}</h4>{above}"
        f"<dl>{rows}</dl>{_archive_link(image_id)}</article>"
    )


def case_facts(facts: Mapping[str, object]) -> dict[str, str]:
    """Put a case's facts into words; what is unknown is left out."""
    known = {key: value for key, value in facts.items() if value not in (None, "", "unknown")}
    words = {}
    if "dx_type" in known:
        code = str(known["dx_type"])
        words["Confirmed by"] = CONFIRMED_BY.get(code, code)
    if isinstance(age := known.get("age"), int | float) and age == age:
        words["Age"] = f"{age:.0f}"
    for key, title in {"sex": "Sex", "localization": "Site"}.items():
        if key in known:
            words[title] = str(known[key])
    return words


def _archive_link(image_id: str) -> str:
    name = escape(image_id, quote=True)
    if not (image_id.startswith("ISIC_") and image_id[5:].isdigit()):
        return f'<p class="ds-muted">{name}</p>'
    return (
        f'<a href="{ARCHIVE.format(name)}" target="_blank" rel="noopener noreferrer">'
        f"{name} in the ISIC Archive ↗</a>"
    )


def _thumbnail(picture: Image.Image, image_id: str) -> str:
    """Return a small picture inside the page itself, so that nothing has to be served."""
    buffer = io.BytesIO()
    ImageOps.fit(picture.convert("RGB"), (320, 240)).save(buffer, "JPEG", quality=82)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    alt = escape(f"Photograph of case {image_id}", quote=True)
    return f'<img src="data:image/jpeg;base64,{data}" alt="{alt}" width="320" height="240">'
