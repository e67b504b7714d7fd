"""What the visitor sees, drawn as HTML and pictures from results; knows neither Gradio nor a model.

Every string that is not ours (file names, class names, case facts) passes through `html.escape`;
the texts of the page are HTML where they hold tags. The classes are styled by ``style.css`` beside
this file. What is said in words takes a ``language``, one of
`dermsim.core.language.LANGUAGES`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from html import escape
from typing import TYPE_CHECKING

from PIL import Image

from dermsim.core.labels import CODES, LABELS, MALIGNANT, diagnosis
from dermsim.core.language import LANGUAGES
from dermsim.tasks.retrieve import VOTERS
from dermsim.ui.i18n import say
from dermsim.ui.page_language import address_in

if TYPE_CHECKING:  # torch comes with them, and the page is served before it is needed
    from dermsim.engine.results import ListedDiagnosis, Prediction
    from dermsim.tasks.classify import Calibration

Pictures = Callable[[str], Image.Image | None]
"""The picture of a past case by its image_id, or None where there is none."""

ENROLLED_COLOR = "#5b8c85"
"""Colour of classes that the visitor taught; none of the seven has it."""


def percent(probability: float) -> str:
    """Return a probability in [0, 1] as HTML, never a false 0 % or 100 %; it does not break."""
    if 0 < probability < 0.01:
        return "&lt;1\u00a0%"
    if 0.99 < probability < 1:
        return "&gt;99\u00a0%"
    return f"{100 * probability:.0f}\u00a0%"


def masthead(
    facts: Iterable[str], *, language: str = "en", query: Mapping[str, str] | None = None
) -> str:
    """Return the page's head: mark, name, promise, facts about the loaded model, languages.

    Args:
        facts: In the visitor's language.
        language: The visitor's.
        query: The parameters of the page's address, which the links to other languages keep.
    """
    chips = "".join(f"<li>{escape(fact)}</li>" for fact in facts)
    links = "".join(
        f'<li><a href="{escape(address_in(code, query or {}), quote=True)}" lang="{code}" '
        f'hreflang="{code}"{_current(code == language)}>{say("masthead.language", code)}</a></li>'
        for code in LANGUAGES
    )
    return (
        f'<a class="ds-skip" href="#tabs">{say("masthead.skip", language)}</a>'
        '<header class="ds ds-masthead"><div class="ds-mark" aria-hidden="true"></div><div>'
        f"<h1>dermsim</h1><p>{say('masthead.lead', language)}</p></div>"
        f'<div class="ds-side"><nav aria-label="{say("masthead.languages", language)}">'
        f'<ul class="ds-languages">{links}</ul></nav><ul class="ds-facts">{chips}</ul></div>'
        "</header>"
    )


def note(text: str) -> str:
    """Return a sentence about the page itself, such as what it does without; nothing for none."""
    return f'<div class="ds ds-note" role="status"><p>{escape(text)}</p></div>' if text else ""


def disclaimer(language: str = "en") -> str:
    """Return the line that stays on screen whatever the visitor does."""
    text = escape(say("page.disclaimer", language))
    return f'<div class="ds ds-disclaimer" role="note"><p>{text}</p></div>'


def empty(title: str, text: str) -> str:
    """Return a quiet panel that says what will appear here and how to make it appear."""
    return (
        '<div class="ds ds-empty"><div class="ds-mark" aria-hidden="true"></div>'
        f"<h2>{escape(title)}</h2><p>{escape(text)}</p></div>"
    )


def legend(language: str = "en") -> str:
    """Return the seven diagnoses in plain words: what Classify shows before any picture."""
    rows = "".join(
        f'<li style="--tone:{item.color}"><h3 class="ds-sub">'
        f"{escape(name_of(item.code, language))}{code_tag(item.code, language)}</h3>"
        f"<p>{escape(description_of(item.code, language))}</p></li>"
        for item in LABELS
    )
    return (
        f'<div class="ds"><h2>{say("classify.seven", language)}</h2>'
        f'<p class="ds-muted">{say("classify.seven_how", language)}</p>'
        f'<ul class="ds-legend">{rows}</ul></div>'
    )


def verdict(
    prediction: Prediction,
    calibration: Calibration,
    *,
    vote: Mapping[str, float] | None = None,
    meaning: str = "",
    enrolled: Mapping[str, float] | None = None,
    own: Collection[str] = (),
    language: str = "en",
) -> str:
    """Return what is to be said of a picture beyond `summary`, which stands above the tabs.

    Where the verdict is withheld there is none: what the model would say is one click away.

    Args:
        prediction: The classifier's answer.
        calibration: What it was read with.
        vote: Of the past cases, to stand beside the probabilities.
        meaning: What the answer means, as HTML.
        enrolled: Probability of each old and enrolled class; None where nothing was taught.
        own: The names that the visitor taught.
        language: The visitor's.
    """
    if prediction.withheld:
        return f'<div class="ds">{anyway(prediction, language=language)}</div>'
    order = {row.code: row.probability for row in prediction.listing}
    share = percent(1 - calibration.alpha)
    listed = bars(order, prediction=prediction, share=share, vote=vote, language=language)
    legend = say("classify.bars_with_votes", language, count=VOTERS) if vote else ""
    taught = "" if enrolled is None else f"<section>{classes(enrolled, own, language)}</section>"
    return (
        f'<div class="ds"><div class="ds-verdict">{meaning}</div>'
        f'<section><h3 class="ds-sub">{say("classify.probabilities", language)}</h3>'
        f'<p class="ds-muted">{say("classify.probabilities_how", language)} {legend}</p>'
        f"{listed}"
        f'<p class="ds-muted">{say("classify.set_how", language, share=share)}</p></section>'
        f"{taught}</div>"
    )


def anyway(prediction: Prediction, *, language: str = "en") -> str:
    """Return what the model answers to a picture that is not to be judged, folded away."""
    first = prediction.listing[0]
    most = say(
        "quality.resembles",
        language,
        name=escape(name_of(first.code, language)),
        share=percent(first.probability),
        malignancy=percent(prediction.malignancy),
    )
    order = {row.code: row.probability for row in prediction.listing}
    return withheld_box(f"<p>{most}</p>{bars(order, language=language)}", language)


def withheld_box(html: str, language: str = "en") -> str:
    """Fold away what is no answer: one deliberate click shows it, and what it is worth."""
    return (
        f'<details class="ds-card ds-anyway"><summary>{say("quality.anyway", language)}</summary>'
        f"<p>{say('quality.anyway_how', language)}</p>{html}</details>"
    )


def bars(
    probabilities: Mapping[str, float],
    *,
    enrolled: Collection[str] = (),
    prediction: Prediction | None = None,
    share: str = "",
    vote: Mapping[str, float] | None = None,
    language: str = "en",
) -> str:
    """Return probabilities as a list of meters, in the order given.

    Args:
        probabilities: By diagnosis code or by the name of an enrolled class.
        enrolled: The names that the visitor taught.
        prediction: Whose prediction set is marked on them; None to mark nothing.
        share: Coverage of the set, as it is written.
        vote: What the past cases give each; None to leave that out.
        language: The visitor's.
    """
    listing = {} if prediction is None else {row.code: row for row in prediction.listing}
    votes: Mapping[str, float] = {} if vote is None else vote
    rows = "".join(
        _bar(
            name,
            probability,
            name in enrolled,
            language,
            listed=listing.get(name),
            coverage=share,
            vote=None if vote is None else votes.get(name, 0.0),
        )
        for name, probability in probabilities.items()
    )
    left_out = any(row.out_though_likelier for row in listing.values())
    why = say("classify.out_of_list", language) if left_out else ""
    return f'<ul class="ds-bars">{rows}</ul>' + (f'<p class="ds-muted">{why}</p>' if why else "")


def comparison(
    probabilities: Mapping[str, float], enrolled: Collection[str], *, language: str = "en"
) -> str:
    """Return the current picture's probabilities against old and enrolled classes."""
    return f'<div class="ds">{classes(probabilities, enrolled, language)}</div>'


def compared_anyway(
    probabilities: Mapping[str, float],
    enrolled: Collection[str],
    *,
    language: str = "en",
) -> str:
    """Return the same of a picture that is not to be judged, folded away."""
    return (
        f'<div class="ds">{withheld_box(classes(probabilities, enrolled, language), language)}'
        "</div>"
    )


def classes(probabilities: Mapping[str, float], own: Collection[str], language: str) -> str:
    """Return a heading, and probabilities against old and enrolled classes under it."""
    order = sorted(probabilities.items(), key=lambda item: -item[1])
    name, probability = order[0]
    closest = say(
        "enroll.closest",
        language,
        name=f"<strong>{escape(name_of(name, language))}</strong>",
        share=percent(probability),
    )
    return (
        f'<h3 class="ds-sub">{say("enroll.compared", language)}</h3><p class="ds-lead">{closest}'
        f'</p><p class="ds-muted">{say("enroll.compared_how", language)}</p>'
        f"{bars(dict(order), enrolled=own, language=language)}"
    )


def bank_panel(counts: Mapping[str, int], *, language: str = "en") -> str:
    """Return the classes the visitor has taught, with how many pictures each had."""
    title = f'<div class="ds ds-bank"><h2>{say("enroll.yours", language)}</h2>'
    if not counts:
        return f'{title}<p class="ds-muted">{say("enroll.none_yet", language)}</p></div>'
    items = "".join(
        f"<li><strong>{escape(name)}</strong><span>{_pictures(count, language)}</span></li>"
        for name, count in counts.items()
    )
    return (
        f'{title}<ul style="--tone:{ENROLLED_COLOR}">{items}</ul>'
        f'<p class="ds-muted">{say("enroll.in_this_tab", language)}</p></div>'
    )


def name_of(name: str, language: str = "en") -> str:
    """Return the name of a diagnosis code in a language, and any other name as it is."""
    if name not in CODES:
        return name
    return diagnosis(name).named(language)


def description_of(code: str, language: str = "en") -> str:
    """Return what a diagnosis is, in plain words of a language."""
    return diagnosis(code).described(language)


def code_tag(code: str, language: str = "en") -> str:
    """Return a diagnosis code as HTML, marked when it counts as malignant."""
    text = say("classify.counted_malignant", language)
    mark = f' <span class="ds-alert" role="img" title="{text}">▲</span>'
    return f" <code>{escape(code)}</code>{mark if code in MALIGNANT else ''}"


def _current(is_current: bool) -> str:
    return ' aria-current="true"' if is_current else ""


def _pictures(count: int, language: str) -> str:
    key = "enroll.one_picture" if count == 1 else "enroll.pictures"
    return say(key, language, count=count)


def _bar(
    name: str,
    probability: float,
    is_enrolled: bool,
    language: str,
    *,
    listed: ListedDiagnosis | None = None,
    coverage: str = "",
    vote: float | None = None,
) -> str:
    share = percent(probability)
    known = None if is_enrolled or name not in CODES else diagnosis(name)
    shown = name_of(name, language) if known else name
    title = f"{escape(shown)}{code_tag(name, language) if known else ''}"
    tag = f' <span class="ds-tag">{say("enroll.tag", language)}</span>' if is_enrolled else ""
    if listed is not None and listed.in_set:
        tag += f' <span class="ds-tag">{say("classify.in_list", language, share=coverage)}</span>'
    elif listed is not None and listed.out_though_likelier and listed.limit is not None:
        text = say("classify.listed_from", language, limit=percent(listed.limit))
        tag += f' <span class="ds-tag ds-tag-out">{text}</span>'
    meter = (
        f'<span class="ds-name">{title}{tag}</span><span class="ds-share">{share}</span>'
        f'<span class="ds-track" role="meter" aria-label="{escape(shown, quote=True)}" '
        f'aria-valuemin="0" aria-valuemax="1" aria-valuenow="{probability:.4f}" '
        f'aria-valuetext="{share}"><i style="width:{probability:.1%}"></i></span>'
    )
    if vote is not None:
        unseen = f'<span class="ds-unseen">{say("classify.vote", language)} </span>'
        meter += (
            f'<span class="ds-votes">{unseen}{percent(vote)}</span>'
            f'<span class="ds-track ds-track-votes"><i style="width:{vote:.1%}"></i></span>'
        )
    text = description_of(name, language) if known else say("enroll.taught", language)
    return (
        f'<li style="--tone:{known.color if known else ENROLLED_COLOR}"><details>'
        f"<summary>{meter}</summary><p>{escape(text)}</p></details></li>"
    )
