"""A case report as one HTML document; what must be read before any label comes before any label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

from PIL import Image

from dermsim.core.explain_methods import METHODS
from dermsim.core.labels import CODES, MALIGNANT, diagnosis
from dermsim.engine.answers import strength
from dermsim.tasks.retrieve import VOTERS
from dermsim.ui import heatmaps, notices
from dermsim.ui.cards import ARCHIVE
from dermsim.ui.case_concepts import concept_section
from dermsim.ui.document import (
    check_language,
    document,
    dx_name,
    fact_name,
    facts_table,
    html_table,
    picture_uri,
)
from dermsim.ui.i18n import number, say
from dermsim.ui.render import percent

if TYPE_CHECKING:  # torch comes with them
    from dermsim.tasks.retrieve import Neighbor
    from dermsim.ui.case_report import CaseReport

SIDE = 900
"""Longest side in pixels of a picture in the report."""

OPACITY = 0.6
"""Of the strongest place of a heatmap."""

LICENCES = {"cc-by-nc-4.0": "CC BY-NC 4.0", "apache-2.0": "Apache-2.0"}
"""As they are written out, by the Hub's spelling."""


def case_html(report: CaseReport, *, language: str = "en") -> str:
    """Write a report as one HTML document.

    Args:
        report: What `examine` found.
        language: One of `dermsim.ui.i18n.LANGUAGES`.

    Raises:
        ValueError: If the language is another.
    """
    check_language(language)
    title = say("report.title", language)
    parts = (
        _head(report, title, language),
        _notices(report, language),
        _pictures(report, language),
        _answers(report, language),
        _probabilities(report, language),
        _prediction_set(report, language),
        concept_section(report.description, language=language),
        _neighbors(report, language),
        _origin(report, language),
        f"<footer><p>{escape(say('page.disclaimer', language))}</p></footer>",
    )
    return document(f"{title}: {_called(report, language)}", "\n".join(parts), language=language)


# -- the parts of the document, from the top -------------------------------------------------------


def _head(report: CaseReport, title: str, language: str) -> str:
    made = say("report.made", language, version=report.origin.version, date=_date(report))
    return (
        f"<header><h1>{escape(title)}</h1>"
        f"<p><strong>{escape(_called(report, language))}</strong></p>"
        f"<p>{escape(made)}</p></header>\n"
        f'<div class="notice" role="note"><p>{escape(say("page.disclaimer", language))}</p></div>'
    )


def _notices(report: CaseReport, language: str) -> str:
    """Say what must be read before any label: why there is none, and whose answer it would be."""
    found, parts = report.prediction, []
    if found.withheld:
        reasons = "".join(
            f"<li>{notices.reason_text(found, reason, language)}</li>" for reason in found.withheld
        )
        parts.append(("quality.withheld", f"<ul>{reasons}</ul>"))
    if (known := found.recognised) is not None:
        kind = "learned" if known.learned else "past_case"
        text = say(f"quality.{kind}_text", language, name=escape(known.image_id))
        parts.append((f"quality.{kind}", f"<p>{text}</p>"))
    if found.drawn:
        parts.append(("quality.drawn", f"<p>{say('quality.drawn_text', language)}</p>"))
    return "".join(
        f'<div class="notice warning" role="alert"><h2>{say(title, language)}</h2>{text}</div>'
        for title, text in parts
    )


def _pictures(report: CaseReport, language: str) -> str:
    """Show the picture, and beside it the same with the evidence."""
    width, height = report.picture.size
    called = _called(report, language)
    size = say("report.picture_size", language, name=called, width=width, height=height)
    plain = _figure(
        report.picture,
        say("report.picture_alt", language, name=called),
        f"<strong>{say('report.picture', language)}.</strong> {escape(size)}",
    )
    heatmap = report.heatmap
    shown = heatmaps.overlay(
        report.picture,
        heatmap,
        opacity=OPACITY,
        strength=strength(heatmap, heatmap),
        outlined=True,
        side=min(SIDE, max(report.picture.size)),
    )
    name = dx_name(heatmap.target, language)
    found = say(
        "report.heatmap_text" if heatmap.peak > 0 else "report.heatmap_none",
        language,
        name=name,
        method=METHODS[heatmap.method].title,
        layer=_layer(report, language),
        peak=number(heatmap.peak, ".3g", language),
    )
    painted = _figure(
        shown,
        say("report.heatmap_alt", language, name=name),
        f"<strong>{say('report.heatmap', language)}.</strong> {escape(found)}",
    )
    return f'<div class="pair">{plain}{painted}</div>'


def _figure(image: Image.Image, alt: str, caption: str) -> str:
    return (
        f'<figure><img src="{picture_uri(image, side=SIDE)}" alt="{escape(alt, quote=True)}" '
        f'width="{image.width}" height="{image.height}"><figcaption>{caption}</figcaption></figure>'
    )


def _layer(report: CaseReport, language: str) -> str:
    if METHODS[report.heatmap.method].needs_attention:
        return say("report.layer_all", language)
    if report.layer is None:
        return say("report.layer_heads", language)
    return say("report.layer_named", language, name=report.layer)


def _answers(report: CaseReport, language: str) -> str:
    """Say what is most probable, and whether that is benign or malignant; or only what it is like.

    A document cannot be asked to show more: where the verdict is withheld, the figures are there in
    small print, without a colour and without a verdict.
    """
    found = report.prediction
    item = diagnosis(found.label_name)
    share = percent(found.probabilities[item.code])
    if found.withheld:
        most = say(
            "quality.resembles",
            language,
            name=escape(dx_name(item.code, language)),
            share=share,
            malignancy=percent(found.malignancy),
        )
        return (
            f'<section class="card" style="margin:0"><h2 class="soft">'
            f"{say('quality.withheld_short', language)}</h2>"
            f'<p class="soft">{say("quality.anyway_how", language)} {most}</p></section>'
        )
    described = item.description_es if language == "es" else item.description
    if found.conflict_at(report.point.threshold) == "benign_label_above_threshold":
        described = ""
    answer = (
        f'<section class="card" style="--tone:{item.color};margin:0"><h2 class="soft">'
        f'{say("report.answer", language)}</h2><p class="verdict">'
        f'{escape(dx_name(item.code, language))}</p><p class="figure">{share}</p>'
        f'<p class="soft">{escape(described)}</p></section>'
    )
    return f'<div class="pair">{answer}{_malignancy(report, language)}</div>'


def _malignancy(report: CaseReport, language: str) -> str:
    kind, mark = ("malignant", "▲") if report.verdict == "malignant" else ("benign", "●")
    malignancy, point = report.prediction.malignancy, report.point
    text = say(
        "report.malignancy_text",
        language,
        share=percent(malignancy),
        names=", ".join(escape(dx_name(code, language)) for code in MALIGNANT),
        point=say(f"report.point_{report.point_name}", language),
        threshold=percent(point.threshold),
    )
    conflict = report.prediction.conflict_at(point.threshold)
    differ = f"<p><strong>{say(_CONFLICTS[conflict], language)}</strong></p>" if conflict else ""
    reached = "".join(f'<p class="soft">{line}</p>' for line in _reached(report, language))
    return (
        f'<section class="card is-{kind}" style="margin:0"><h2 class="soft">'
        f'{say("report.malignancy", language)}</h2><p class="verdict">'
        f'<span aria-hidden="true">{mark}</span> {say(f"report.reads_{kind}", language)}</p>'
        f'<div class="gauge" aria-hidden="true"><i style="width:{malignancy:.1%}"></i>'
        f'<b style="left:{point.threshold:.1%}"></b></div>'
        f"{differ}<p>{text}</p>{reached}</section>"
    )


_CONFLICTS = {
    "benign_label_above_threshold": "classify.benign_but_above",
    "malignant_label_below_threshold": "classify.malignant_but_below",
}


def _reached(report: CaseReport, language: str) -> Sequence[str]:
    """Say what the threshold reached on photographs that it was not chosen on."""
    lines = []
    for reached in report.reached:
        shares = {"sensitivity": reached.sensitivity, "specificity": reached.specificity}
        values: dict[str, object] = {"name": escape(reached.dataset)}
        for name, share in shares.items():
            ends = {"low": _exact(share.low, language), "high": _exact(share.high, language)}
            values[name] = _exact(share.value, language)
            values[f"{name}_range"] = say("report.range", language, **ends)
        values["malignant"] = number(reached.sensitivity.n, ",", language)
        values["benign"] = number(reached.specificity.n, ",", language)
        lines.append(say(f"report.reached_{reached.origin}", language, **values))
    return lines or [say("case.not_reached", language)]


def _probabilities(report: CaseReport, language: str) -> str:
    """Set the classifier's probabilities beside the vote of the past cases."""
    said, vote = report.prediction.probabilities, report.vote
    other = max(vote, key=lambda code: vote[code])
    if report.prediction.withheld:
        agree = ""
    elif other == report.prediction.label_name:
        agree = say("report.agree", language)
    else:
        agree = say("report.disagree", language, name=escape(dx_name(other, language)))
    codes = sorted({**said, **vote}, key=lambda code: (-said.get(code, 0.0), code))
    rows = [
        [_dx(code, language), _bar(code, said.get(code, 0.0)), _bar(code, vote.get(code, 0.0))]
        for code in codes
    ]
    header = [say(f"report.{name}", language) for name in ("diagnosis", "classifier", "cases")]
    key = "report.votes_text" if report.prediction.withheld else "report.probabilities_text"
    text = say(key, language, voters=VOTERS)
    return (
        f"<section><h2>{say('report.probabilities', language)}</h2>"
        f'<p class="soft">{text} <strong>{agree}</strong></p>'
        f"{html_table(header, rows, kind='pairs')}</section>"
    )


def _prediction_set(report: CaseReport, language: str) -> str:
    if report.prediction.withheld:
        return ""
    chips = "".join(f"<li>{_dx(code, language)}</li>" for code in report.prediction.prediction_set)
    coverage = percent(report.coverage)
    text = say("report.set_text", language, coverage=coverage)
    for row in report.prediction.listing:
        if row.out_though_likelier and row.limit is not None:
            name = escape(dx_name(row.code, language))
            why = say("classify.out_of_list", language, limit=percent(row.limit))
            text += f" {name}: {why}"
    return (
        f"<section><h2>{say('report.set', language, coverage=coverage)}</h2>"
        f'<ul class="chips">{chips}</ul><p class="soft">{text}</p></section>'
    )


def _neighbors(report: CaseReport, language: str) -> str:
    count, total = len(report.neighbors), number(report.origin.cases, ",", language)
    header = [
        say(key, language)
        for key in (
            *("report.diagnosis", "report.likeness", "facts.dx_type"),
            *("facts.age", "facts.sex", "facts.localization", "report.record"),
        )
    ]
    rows = [_neighbor(case, language) for case in report.neighbors]
    title = say("report.neighbors", language, count=count, total=total)
    return (
        f"<section><h2>{title}</h2>"
        f'<p class="soft">{say("report.neighbors_text", language)} '
        f"{say('report.likeness_how', language)}</p>"
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(title, quote=True)}">'
        f"{html_table(header, rows, numbers=(1, 3), kind='cases')}</div></section>"
    )


def _neighbor(case: Neighbor, language: str) -> Sequence[str]:
    facts: Mapping[str, object] = case.facts
    words = {
        fact: escape(fact_name(fact, facts.get(fact), language))
        for fact in ("dx_type", "sex", "localization")
    }
    age = facts.get("age")
    years = f"{age:.0f}" if isinstance(age, int | float) and age == age else "–"
    return (
        _dx(case.dx, language),
        number(case.similarity, ".3f", language)
        if case.percentile is None
        else say(
            "report.likeness_place",
            language,
            value=number(case.similarity, ".2f", language),
            share=percent(case.percentile),
        ),
        words["dx_type"],
        years,
        words["sex"],
        words["localization"],
        _record(case.image_id),
    )


def _record(image_id: str) -> str:
    """Return a photograph's name, and the address of its public record where it has one."""
    name = escape(image_id)
    if image_id.startswith("ISIC_") and image_id[5:].isdigit():
        address = ARCHIVE.format(name).replace("/images/", "/<wbr>images/")
        return f'{name}<br><span class="soft">{address}</span>'
    return name


def _origin(report: CaseReport, language: str) -> str:
    origin = report.origin
    name = LICENCES.get(origin.licence, origin.licence)
    data = say(
        "report.data_text",
        language,
        name=origin.data,
        cases=number(origin.cases, ",", language),
        lesions=number(origin.lesions, ",", language),
        digest=origin.digest,
    )
    terms = say("report.licence_nc", language, name=name) if "nc" in origin.licence else name
    score = say(
        "report.familiar",
        language,
        score=number(report.prediction.ood_score, ".1f", language),
        threshold=number(report.unfamiliar_from, ".1f", language),
    )
    facts = [
        ("model", escape(origin.model)),
        ("fingerprint", f"<code>{escape(origin.fingerprint)}</code>"),
        ("version", escape(origin.version)),
        ("data", escape(data)),
        ("date", escape(_date(report))),
        ("licence", escape(terms)),
    ]
    familiar = "" if report.prediction.is_outlier else f'<p class="soft">{score}</p>'
    return (
        f"<section><h2>{say('report.origin', language)}</h2>{familiar}"
        f"{facts_table((say(f'report.{key}', language), value) for key, value in facts)}</section>"
    )


def _dx(code: str, language: str) -> str:
    """Return a diagnosis with its colour, name and code, marked where it counts as malignant."""
    known = code in CODES
    mark = (
        f' <span class="mark" aria-hidden="true">▲</span><span class="unseen">'
        f" ({say('report.counted_malignant', language)})</span>"
        if code in MALIGNANT
        else ""
    )
    tone = diagnosis(code).color if known else "#888888"
    name = escape(dx_name(code, language))
    short = f" <code>{code}</code>" if known else ""
    return f'<span class="dot" style="--tone:{tone}"></span>{name}{short}{mark}'


def _bar(code: str, share: float) -> str:
    tone = diagnosis(code).color if code in CODES else "#888888"
    return (
        f'<span class="track" aria-hidden="true"><i style="width:{share:.1%};--tone:{tone}"></i>'
        f"</span>{percent(share)}"
    )


def _exact(share: float, language: str) -> str:
    return f"{number(100 * share, '.1f', language)}\u00a0%"


def _called(report: CaseReport, language: str) -> str:
    return report.name or say("report.picture", language)


def _date(report: CaseReport) -> str:
    return f"{report.when:%Y-%m-%d %H:%M} UTC"
