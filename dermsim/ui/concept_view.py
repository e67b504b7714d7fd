"""What the tab *Concepts* shows, as HTML: scores, switches, maps and sentences of one picture.

A switch needs no server: the score is a sum of what each concept adds, so each choice bears by how
much it changes the log-odds, and ``concepts.js`` adds them up.
"""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from dermsim.core.concept_schema import STATES
from dermsim.data.concepts import load_schema
from dermsim.ui.document import picture_uri
from dermsim.ui.heatmaps import rims
from dermsim.ui.i18n import number, say
from dermsim.ui.render import percent

if TYPE_CHECKING:  # torch comes with the first, and the page is served before it is needed
    from dermsim.core.bootstrap import Interval
    from dermsim.engine.descriptions import Description, Sentence
    from dermsim.tasks.concepts import ConceptHead, ConceptReading, Concepts, Finding

SIDE = 560
"""Longest side in pixels of a picture in the tab."""

ORANGE = (230, 159, 0)
"""Of a region: told from skin by those who see no red or no green (Okabe and Ito 2008)."""

SOFT, DIRECT = "soft", "direct"
"""What `Bottleneck.figures` calls the score from concepts, and the classifier's."""


def withheld(why: str, *, language: str = "en") -> str:
    """Return what is shown of a picture that is not to be described: why, and nothing else."""
    title = say("concepts.withheld", language)
    return f'<div class="ds ds-no-concepts"><h2>{title}</h2></div>{why}'


def concepts(
    found: Description, part: Concepts, picture: Image.Image, *, language: str = "en"
) -> str:
    """Return all that is said of a picture's concepts.

    Args:
        found: What the engine says of it, in `language`.
        part: What the checkpoint knows of concepts.
        picture: RGB, that the description is of.
        language: The visitor's.
    """
    reading = found.reading
    assert reading is not None  # only a picture that is withheld has none
    return (
        '<div class="ds ds-concepts">'
        f"{_scores(found, reading, language)}{_words(found, language)}"
        f"{_places(found, part, picture, language)}{_each(found, reading, part, language)}</div>"
    )


def title_of(finding: Finding, language: str) -> str:
    """Return what a concept is called, as plain text."""
    return load_schema()[finding.concept].names[language]


# -- the melanoma scores ---------------------------------------------------------------------------


def _scores(found: Description, reading: ConceptReading, language: str) -> str:
    """Set the score from concepts beside the classifier's, and the place for what switches give."""
    if reading.melanoma is None or reading.bottleneck is None or found.melanoma_direct is None:
        return ""
    figures = reading.bottleneck.figures
    own = _score("from_concepts", reading.melanoma, figures.get(SOFT), language)
    other = _score("direct", found.melanoma_direct, figures.get(DIRECT), language)
    switched = (
        f'<section class="ds-card ds-what-if"><h3 class="ds-eyebrow">'
        f'{say("concepts.what_if", language)}</h3><output class="ds-figure" aria-live="polite" '
        f'data-log-odds="{_log_odds(reading.melanoma):.6f}">–</output>'
        f'<p class="ds-muted">{say("concepts.what_if_none", language)}</p>'
        f'<button type="button" class="ds-button" hidden>{say("concepts.reset", language)}'
        "</button></section>"
    )
    return f'<div class="ds-verdict">{own}{other}{switched}</div>'


def _score(key: str, share: float, figure: Interval | None, language: str) -> str:
    said = "" if figure is None else say("concepts.figure", language, **_auc(figure, language))
    return (
        f'<section class="ds-card"><h3 class="ds-eyebrow">{say(f"concepts.{key}", language)}</h3>'
        f'<p class="ds-figure">{percent(share)}</p><p class="ds-muted">{said}</p></section>'
    )


# -- the description -------------------------------------------------------------------------------


def _words(found: Description, language: str) -> str:
    lines = "".join(
        f'<li>{escape(sentence.text)}<p class="ds-muted">{_evidence(sentence, language)}</p></li>'
        for sentence in found.sentences
    )
    if not lines:
        lines = f"<li>{say('concepts.no_words', language)}</li>"
    title = say("concepts.words", language)
    return f'<section><h2>{title}</h2><ul class="ds-sentences">{lines}</ul></section>'


def _evidence(sentence: Sentence, language: str) -> str:
    own, said = sentence.evidence, []
    if own.precision is not None:
        said.append(say("concepts.evidence", language, precision=percent(own.precision)))
    if sentence.region is not None and own.fall is not None and own.fall_elsewhere is not None:
        values = {
            "fall": number(own.fall, ".2f", language),
            "elsewhere": number(own.fall_elsewhere, ".2f", language),
        }
        said.append(say("concepts.evidence_place", language, **values))
    if own.source == "outline":
        said.append(say("concepts.evidence_outline", language))
    return " ".join(said)


# -- where -----------------------------------------------------------------------------------------


def _places(found: Description, part: Concepts, picture: Image.Image, language: str) -> str:
    """Show the outline, and each structure whose place is said."""
    if found.outline is None or part.outline is None:
        return ""
    dice = part.outline.dice
    told = {"dice": number(dice.value, ".2f", language), "n": number(dice.n, ",", language)}
    title = f"<strong>{say('concepts.outline', language)}.</strong>"
    shown = [
        _figure(
            draw(picture, found.outline),
            say("concepts.outline_alt", language),
            f"{title} {say('concepts.outline_figure', language, **told)}",
        )
    ]
    for sentence in found.sentences:
        if sentence.region is not None:
            shown.append(_region(sentence, found.outline, part, picture, language))
    title = say("concepts.where", language)
    return f'<section><h2>{title}</h2><div class="ds-places">{"".join(shown)}</div></section>'


def _region(
    sentence: Sentence,
    outline: npt.NDArray[np.bool_],
    part: Concepts,
    picture: Image.Image,
    language: str,
) -> str:
    name = load_schema()[sentence.fact.concept].names[language]
    figure = part.structures[sentence.evidence.source].figures[sentence.fact.concept].dense
    told = {"auc": number(figure.value, ".2f", language), "n": number(figure.n, ",", language)}
    return _figure(
        draw(picture, outline, sentence.region),
        say("concepts.region_alt", language, name=name),
        f"<strong>{escape(name[0].upper() + name[1:])}.</strong> "
        f"{say('concepts.region_figure', language, **told)}",
    )


def _figure(image: Image.Image, alt: str, caption: str) -> str:
    return (
        f'<figure><img src="{picture_uri(image, side=SIDE)}" alt="{escape(alt, quote=True)}" '
        f'width="{image.width}" height="{image.height}">'
        f'<figcaption class="ds-muted">{caption}</figcaption></figure>'
    )


def draw(
    picture: Image.Image,
    outline: npt.NDArray[np.bool_],
    region: npt.NDArray[np.bool_] | None = None,
) -> Image.Image:
    """Draw a line around a lesion over its picture, and paint a region.

    Args:
        picture: RGB.
        outline: ``(H, W)`` of the picture's size.
        region: ``(H, W)``, or None for none.

    Returns:
        The picture, `SIDE` pixels long.
    """
    shown = ImageOps.contain(picture, (SIDE, SIDE))
    pixels = np.asarray(shown, dtype=np.float32).copy()
    if region is not None:
        inside = _resized(region, shown.size)
        pixels[inside] = 0.55 * pixels[inside] + 0.45 * np.array(ORANGE)
        edge, around = rims(inside)
        pixels[edge] = ORANGE
        pixels[around] *= 0.4
    inner, outer = rims(_resized(outline, shown.size), bold=2)
    pixels[inner] = 255
    pixels[outer] *= 0.3
    return Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8))


def _resized(region: npt.NDArray[np.bool_], size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    smooth = Image.fromarray(region.astype(np.uint8) * 255).resize(size, Image.Resampling.BICUBIC)
    found: npt.NDArray[np.bool_] = np.asarray(smooth) >= 128
    return found


# -- each concept ----------------------------------------------------------------------------------


def _each(found: Description, reading: ConceptReading, part: Concepts, language: str) -> str:
    title = say("concepts.each", language)
    if not reading.findings:
        said = say("concepts.none_usable", language)
        return f'<section><h2>{title}</h2><p class="ds-muted">{said}</p></section>'
    how = say("concepts.each_how", language) if reading.bottleneck is not None else ""
    rows = "".join(
        _concept(name, finding, found, reading, part, language)
        for name, finding in reading.findings.items()
    )
    return (
        f'<section><h2>{title}</h2><p class="ds-muted">{how}</p>'
        f'<ul class="ds-concept-list">{rows}</ul></section>'
    )


def _concept(
    name: str,
    finding: Finding,
    found: Description,
    reading: ConceptReading,
    part: Concepts,
    language: str,
) -> str:
    concept = load_schema()[finding.concept]
    title = concept.names[language]
    state, share = finding.state or "unsaid", percent(finding.probability)
    meter = (
        f'<span class="ds-track" role="meter" aria-label="{escape(title, quote=True)}" '
        f'aria-valuemin="0" aria-valuemax="1" aria-valuenow="{finding.probability:.4f}" '
        f'aria-valuetext="{share}"><i style="width:{finding.probability:.1%}"></i></span>'
    )
    definition = escape(concept.definitions[language])
    if finding.polarity != "neither":
        definition += f" {say(f'concepts.polarity_{finding.polarity}', language)}"
    return (
        f'<li data-concept="{escape(name, quote=True)}"><div class="ds-concept-head">'
        f'<h3 class="ds-sub">{escape(title[0].upper() + title[1:])}</h3>'
        f'<span class="ds-tag is-{state}">{say(f"concepts.state_{state}", language)}</span>'
        f"{meter}<b>{share}</b></div><p>{definition}</p>"
        f'<p class="ds-muted">{_rests_on(name, part.head_of(name), found, part, language)}</p>'
        f"{_switch(name, title, finding, reading, language)}</li>"
    )


def _rests_on(
    name: str, head: ConceptHead, found: Description, part: Concepts, language: str
) -> str:
    """Say how good a head is, when it says something, and whether it may point."""
    source = str(part.sources.get(head.source, {}).get("title", head.source))
    told = {**_auc(head.auc, language), "source": escape(source)}
    told["positives"] = number(head.positives, ",", language)
    told["negatives"] = number(head.negatives, ",", language)
    said = [say("concepts.head_figure", language, **told)]
    for state, limit in zip(STATES, (head.present, head.absent), strict=True):
        if limit is None:
            said.append(say(f"concepts.never_{state}", language))
        else:
            values = {"limit": percent(limit.probability)}
            said.append(say(f"concepts.said_{state}", language, **values))
    if not part.may_point(head):
        key = "points_not"
    else:
        key = "points_not_here" if name in found.withheld else "points"
    return " ".join([*said, say(f"concepts.{key}", language)])


def _switch(name: str, title: str, finding: Finding, reading: ConceptReading, language: str) -> str:
    """Offer what the melanoma score would be with a concept set; each choice bears its change."""
    bottleneck = reading.bottleneck
    if bottleneck is None or reading.melanoma is None:
        return ""
    if f"{finding.concept}@{finding.source}" not in bottleneck.inputs:
        return f'<p class="ds-muted">{say("concepts.not_read", language)}</p>'
    start = _log_odds(reading.melanoma)
    scores = {state: reading.with_concept(name, absent=state == "absent") for state in STATES}
    choices = [(0.0, say("concepts.as_found", language), reading.melanoma)]
    choices += [
        (_log_odds(score) - start, say(f"concepts.state_{state}", language), score)
        for state, score in scores.items()
    ]
    group = escape(f"switch-{name}", quote=True)
    options = "".join(
        f'<label><input type="radio" name="{group}" data-change="{change:.6f}"'
        f"{' checked' if place == 0 else ''}> {text} <b>{percent(score)}</b></label>"
        for place, (change, text, score) in enumerate(choices)
    )
    legend = say("concepts.suppose", language, name=escape(title))
    return f'<fieldset class="ds-switch"><legend>{legend}</legend>{options}</fieldset>'


# -- figures ---------------------------------------------------------------------------------------


def _auc(figure: Interval, language: str) -> dict[str, str]:
    ends = {"auc": figure.value, "low": figure.low, "high": figure.high}
    told = {name: number(value, ".2f", language) for name, value in ends.items()}
    return {**told, "n": number(figure.n, ",", language)}


def _log_odds(share: float) -> float:
    inside = min(max(share, 1e-9), 1 - 1e-9)
    return math.log(inside / (1 - inside))
