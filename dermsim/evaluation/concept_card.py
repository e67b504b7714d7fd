"""What the card says of concepts: each with its AUC, n and whether it may point."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dermsim.core.markdown import markdown_table

if TYPE_CHECKING:
    from dermsim.tasks.concepts import Concepts
    from dermsim.tasks.concepts.thresholds import Threshold

_WAYS = {
    "soft": "concepts alone, by their log-odds (`soft`)",
    "hard": "concepts alone, as yes or no (`hard`)",
    "linear": "a linear head on all features, fitted to the same photographs (`linear`)",
    "direct": "the classifier's own score (`direct`)",
    "random projections": "as many random directions of the features (control)",
    "shuffled concepts": "heads of concepts dealt to the wrong pictures (control)",
}
"""What the rows of `Bottleneck.figures` are."""


def concept_section(part: Concepts | None) -> str:
    """Return the card's section about concepts; empty for a checkpoint without any."""
    if part is None or not len(part.heads):
        return ""
    rows = []
    for head in part.heads.heads:
        own = part.structures.get(head.source)
        figures = own.figures.get(head.concept) if own else None
        rows.append(
            [
                f"`{head.concept}`",
                f"{head.auc}",
                f"{head.auc.n:,}",
                f"{head.positives:,} of {head.positives + head.negatives:,}",
                "yes" if head.usable else "no",
                _said(head.present, "from"),
                _said(head.absent, "below"),
                f"{figures.dense}" if figures else "–",
                "yes" if part.may_point(head) else "no",
            ]
        )
    columns = ["concept", "AUC", "n", "shown by", "usable", "said present", "said absent"]
    table = markdown_table([*columns, "pixel AUC", "may point"], rows)
    parts = ["## Concepts", "", *_origin(part), "", *table]
    for transfer in part.transfers:
        parts += [
            "",
            f"`{transfer.concept}` of {transfer.fitted_to}, asked of {transfer.asked_of}: AUC "
            f"{transfer.auc}.",
        ]
    if part.outline is not None:
        own_outline = part.outline
        parts += [
            "",
            f"The outline of the lesion, on {own_outline.dice.n:,} photographs of lesions held out "
            f"of {own_outline.source}: Dice {own_outline.dice}, intersection over union "
            f"{own_outline.overlap}.",
        ]
    if part.bottleneck is not None and part.bottleneck.figures:
        found = part.bottleneck.figures
        n = next(iter(found.values())).n
        melanoma = markdown_table(
            ["melanoma by", "AUC"],
            [[_WAYS.get(name, name), f"{figure}"] for name, figure in found.items()],
        )
        parts += [
            "",
            f"Melanoma from concepts alone, fitted to {part.bottleneck.n:,} photographs of "
            f"{part.bottleneck.source} that the encoder was not trained on, on {n:,} others:",
            "",
            *melanoma,
        ]
    return "\n".join([*parts, "", ""])


def _origin(part: Concepts) -> list[str]:
    named = [
        f"{own['title']} ({own['pictures']:,} pictures, {own['groups']:,} groups, "
        f"{own['seen_by_the_encoder']:,} of them seen by the encoder and counted in no figure; "
        f"{own['licence']})"
        for own in part.sources.values()
    ]
    return [
        f"Linear heads on the frozen encoder, fitted to {' and '.join(named)}. Every figure is of "
        "pictures left out of the fit, in groups by patient, lesion and near-duplicates. A head "
        "that is not usable is kept and never shown. A structure may point where its dense head "
        "ranks the pixels of a lesion better than a Gaussian, darkness, another concept's head and "
        "its own activation map, each beyond doubt.",
    ]


def _said(threshold: Threshold | None, word: str) -> str:
    if threshold is None:
        return "never"
    return f"{word} {threshold.probability:.2f} ({threshold.precision:.2f} right)"
