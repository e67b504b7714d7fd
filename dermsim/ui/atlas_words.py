"""What is said of the map's points, as HTML: one case with its neighbours, clusters.

Every string that is not ours passes through `html.escape`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from dermsim.ui import cards, render
from dermsim.ui.figures import NAMED, PALETTE
from dermsim.ui.i18n import number, say

if TYPE_CHECKING:
    from dermsim.tasks.atlas import ClusterScores
    from dermsim.tasks.retrieve import Neighbor


def case_html(
    case: Mapping[str, object],
    measured: Mapping[str, Any],
    neighbors: Sequence[Neighbor],
    pictures: render.Pictures | None,
    *,
    threshold: float,
    row: int,
    language: str = "en",
) -> str:
    """Show one case with what is measured of it, and its neighbours beside it.

    Args:
        case: Its facts.
        measured: What the map says of it, by a name in `MEASURES`.
        neighbors: The cases of other lesions most like it.
        pictures: Where pictures come from, or None.
        threshold: Strangeness from which a picture counts as unfamiliar.
        row: Its place on the map, which ``atlas.js`` marks there.
        language: The visitor's.
    """
    facts = {
        name: value for name, value in case.items() if name not in ("image_id", "lesion_id", "dx")
    }
    own = cards.case_card(
        str(case["image_id"]),
        str(case["dx"]),
        facts,
        pictures,
        more=_measured(measured, threshold, language),
        language=language,
    )
    others = "".join(cards.neighbor_card(n, pictures, language=language) for n in neighbors)
    return (
        f'<div class="ds" data-row="{row}"><div class="ds-atlas-case"><div>'
        f'<h2 class="ds-sub">{say("atlas.this_case", language)}</h2>{own}</div><div>'
        f'<h2 class="ds-sub">{say("atlas.most_like", language)}</h2>'
        f"{cards.census(neighbors, language=language)}"
        f'<div class="ds-cases">{others}</div></div></div></div>'
    )


def _measured(measured: Mapping[str, Any], threshold: float, language: str) -> dict[str, str]:
    """Put what the map says of a case into words."""
    words = {}
    if "predicted" in measured:
        words["predicted"] = render.name_of(measured["predicted"], language)
    if "neighbor_dx" in measured:
        name = render.name_of(measured["neighbor_dx"], language)
        lead = f"{measured.get('margin', 0.0):.0%}"
        words["neighbors"] = say("atlas.neighbors_by", language, name=name, lead=lead)
    if "uncertainty" in measured:
        value = number(measured["uncertainty"], ".2f", language)
        words["uncertainty"] = say("atlas.in_bits", language, value=value)
    if "ood_score" in measured:
        value = number(measured["ood_score"], ".1f", language)
        strange = measured["ood_score"] > threshold
        words["ood_score"] = say("atlas.unfamiliar", language, value=value) if strange else value
    if "cluster" in measured:
        cluster = measured["cluster"]
        words["cluster"] = say("atlas.no_cluster", language) if cluster < 0 else str(cluster + 1)
    return {say(f"atlas.fact_{name}", language): text for name, text in words.items()}


def agreement_html(found: Mapping[str, ClusterScores], *, language: str = "en") -> str:
    """Say how well each kind of cluster agrees with the diagnoses.

    Args:
        found: By the key of the text that names the kind.
        language: The visitor's.
    """
    names = {key: escape(say(key, language)) for key in found}
    rows = "".join(
        f'<tr><th scope="row">{names[key]}</th><td>{len(s.clusters)}</td><td>{s.outside:.0%}</td>'
        f"<td>{s.purity:.0%}</td><td>{number(s.adjusted_rand, '.2f', language)}</td>"
        f"<td>{number(s.mutual_information, '.2f', language)}</td>"
        f"<td>{number(s.silhouette, '.2f', language)}</td></tr>"
        for key, s in found.items()
    )
    chips = "".join(
        f'<section><h3 class="ds-sub">{say("atlas.one_by_one", language, name=names[key])}</h3>'
        f"<ul class='ds-chips'>{_clusters(scores, language)}</ul></section>"
        for key, scores in found.items()
    )
    heads = ("groups", "in_none", "purity", "ARI", "NMI", "silhouette")
    columns = "".join(
        f'<th scope="col">{name if name.isupper() else say(f"atlas.{name}", language)}</th>'
        for name in heads
    )
    return (
        f'<div class="ds"><p class="ds-muted">{say("atlas.agreement", language)}</p>'
        f'<table class="ds-table"><thead><tr><td></td>{columns}</tr></thead>'
        f"<tbody>{rows}</tbody></table>{chips}</div>"
    )


def _clusters(scores: ClusterScores, language: str) -> str:
    return "".join(
        f'<li style="--tone:{PALETTE[c.cluster % len(PALETTE)]}">{c.cluster + 1}: {c.purity:.0%} '
        f"{escape(render.name_of(c.dx, language))}, {number(c.size, language=language)}</li>"
        for c in scores.clusters[:NAMED]
    )
