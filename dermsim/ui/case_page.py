"""A case report as one HTML document; what must be read before any label comes before any label."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from PIL import Image

from dermsim.core.explain_methods import METHODS
from dermsim.core.labels import CODES, MALIGNANT, diagnosis
from dermsim.engine.answers import strength
from dermsim.tasks.retrieve import VOTERS
from dermsim.ui import heatmaps, notices
from dermsim.ui.case_concepts import concept_section
from dermsim.ui.case_neighbors import dx_html, neighbors_section
from dermsim.ui.document import (
    check_language,
    document,
    dx_name,
    facts_table,
    html_table,
    picture_uri,
)
from dermsim.ui.i18n import number, say
from dermsim.ui.map_worth import worth_figures, worth_verdict
from dermsim.ui.render import percent

if TYPE_CHECKING:  # torch comes with them
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
        language: One of `dermsim.core.language.LANGUAGES`.

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
        concept_section(report.description, language=language),
        neighbors_section(report, language),
        _origin(report, language),
        _notes(language),
        f"<footer><p>{escape(say('page.disclaimer', language))}</p></footer>",
    )
    called = f"{title}: {_called(report, language)}"
    return document(called, "\n".join(parts), language=language, kind="case")


# -- the parts of the document, from the top -------------------------------------------------------


def _head(report: CaseReport, title: str, language: str) -> str:
    made = say("report.made", language, version=report.origin.version, date=_date(report))
    name = f"<strong>{escape(_called(report, language))}</strong>"
    return (
        f"<header><h1>{escape(title)}</h1><p>{name} · {escape(made)}</p></header>\n"
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
        f"<strong>{say('report.heatmap', language)}.</strong> {escape(found)} "
        f"<strong>{worth_verdict(report.worth, language=language)}</strong>",
    )
    return f'<div class="pair pictures">{plain}{painted}</div>'


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
    described = item.described(language)
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
    return (
        f'<section class="card is-{kind}" style="margin:0"><h2 class="soft">'
        f'{say("report.malignancy", language)}</h2><p class="verdict">'
        f'<span aria-hidden="true">{mark}</span> {say(f"report.reads_{kind}", language)}</p>'
        f'<div class="gauge" aria-hidden="true"><i style="width:{malignancy:.1%}"></i>'
        f'<b style="left:{point.threshold:.1%}"></b></div>'
        f"{differ}<p>{text}</p></section>"
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
    listed = None if report.prediction.withheld else report.prediction.prediction_set
    coverage = percent(report.coverage)
    header = [say(f"report.{name}", language) for name in ("diagnosis", "classifier", "cases")]
    if listed is not None:
        header.append(say("report.set", language, coverage=coverage))
    rows = [
        [
            dx_html(code, language),
            _bar(code, said.get(code, 0.0)),
            _bar(code, vote.get(code, 0.0)),
            *([] if listed is None else [_in_list(code in listed, language)]),
        ]
        for code in codes
    ]
    key = "report.votes_text" if report.prediction.withheld else "report.probabilities_text"
    text = say(key, language, voters=VOTERS)
    return (
        f"<section><h2>{say('report.probabilities', language)}</h2>"
        f'<p class="soft">{text} <strong>{agree}</strong></p>'
        f"{html_table(header, rows, kind='pairs')}{_list_text(report, language)}</section>"
    )


def _in_list(listed: bool, language: str) -> str:
    """Mark a diagnosis that the prediction set lists."""
    if not listed:
        return f'<span class="unseen">{say("report.not_listed", language)}</span>'
    return (
        '<span aria-hidden="true">✓</span>'
        f'<span class="unseen">{say("report.listed", language)}</span>'
    )


def _list_text(report: CaseReport, language: str) -> str:
    """Say what the list means, and why a likelier diagnosis may not be in it."""
    if report.prediction.withheld:
        return ""
    text = say("report.set_text", language, coverage=percent(report.coverage))
    for row in report.prediction.listing:
        if row.out_though_likelier and row.limit is not None:
            name = escape(dx_name(row.code, language))
            why = say("classify.out_of_list", language, limit=percent(row.limit))
            text += f" {name}: {why}"
    return f'<p class="soft">{text}</p>'


def _origin(report: CaseReport, language: str) -> str:
    origin, withheld = report.origin, report.prediction.withheld
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
    model = f"{escape(origin.model)}, <code>{escape(origin.fingerprint)}</code>"
    facts = [
        ("model", f"{model}; dermsim {escape(origin.version)}"),
        ("data", escape(data)),
        ("measured", "" if withheld else say("report.measured_text", language)),
        ("threshold", "" if withheld else " ".join(_reached(report, language))),
        ("heatmaps", worth_figures(report.worth, language=language)),
        ("licence", escape(terms)),
    ]
    familiar = "" if report.prediction.is_outlier else f'<p class="soft">{score}</p>'
    rows = [(say(f"report.{key}", language), value) for key, value in facts if value]
    return (
        f"<section><h2>{say('report.origin', language)}</h2>{familiar}{facts_table(rows)}</section>"
    )


def _notes(language: str) -> str:
    """Leave room for what a reader writes by hand."""
    blanks = "".join(
        f"<span>{say(f'report.{key}', language)}</span>" for key in ("patient", "day", "signed")
    )
    return (
        f'<section class="notes"><h2>{say("report.notes", language)}</h2>'
        f'<div class="line"></div><div class="line"></div><p class="blanks">{blanks}</p></section>'
    )


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
