"""Concepts of drawn lesions, and a tiny checkpoint's concepts fitted to them."""

from dataclasses import replace

import numpy as np

from dermsim.core.labels import CODES

SHOWN = {
    "pigment_network": ("mel", "nv", "df"),
    "milia_like_cyst": ("bkl",),
    "globules": ("nv", "bcc"),
    "negative_network": ("df",),
    "streaks": ("mel", "vasc"),
}
"""By concept the diagnoses whose drawings are said to show it."""

SOURCE = "isic2018_attributes"


def with_concepts(rows, *, source=SOURCE, only=None):
    """Say of drawn rows which concepts they show, by their diagnosis; only of one if named."""
    told = [
        [
            {"concept": concept, "state": "present" if CODES[dx] in shown else "absent"}
            for concept, shown in SHOWN.items()
            if only in (None, concept)
        ]
        for dx in rows["dx"]
    ]
    grown = rows.add_column("concepts", told)
    grown = grown.add_column("modality", ["dermoscopy"] * len(rows))
    return grown.add_column("source", [source] * len(rows))


def outline_of(outlines):
    """Look outlines up as arrays."""

    def lookup(image_id):
        return np.asarray(outlines[image_id]) if image_id in outlines else None

    return lookup


def upper_half(outlines):
    """Look up the upper halves of outlines: where a drawn structure is said to be."""

    def lookup(image_id):
        whole = np.asarray(outlines[image_id])
        rows = np.flatnonzero(whole.any(axis=1))
        kept = whole.copy()
        kept[(rows[0] + rows[-1]) // 2 :] = False
        return kept

    return lookup


def fit_all(engine, splits, outlines):
    """Fit outline, heads, regions, bottleneck and cases; return what the engine then knows."""
    from datasets import concatenate_datasets

    from dermsim.training.concept_bottleneck import fit_melanoma
    from dermsim.training.concept_regions import STRUCTURE_PLAN
    from dermsim.training.concepts import fit_concepts, look_through_cases
    from dermsim.training.lesion_outline import OUTLINE_PLAN, fit_outline

    plan = replace(OUTLINE_PLAN, epochs=8, batch=16)
    engine.concept_part = fit_outline(
        engine,
        splits["train"],
        splits["test"],
        outline_of(outlines),
        source="synthetic",
        plan=plan,
    )
    rest = concatenate_datasets([splits["test"], splits["validation"]])
    part, fitted, seen = fit_concepts(
        engine,
        with_concepts(rest),
        regions=[
            ("pigment_network", upper_half(outlines)),
            ("streaks", outline_of(outlines)),
        ],
        folds=3,
        resamples=50,
        plan=replace(STRUCTURE_PLAN, epochs=6, batch=16),
    )
    part = fit_melanoma(
        engine,
        part,
        splits["validation"],
        splits["test"],
        source="synthetic",
        labelled=(seen.depths, fitted.labels),
    )
    return look_through_cases(engine, part, splits["train"])
