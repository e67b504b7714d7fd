"""Heatmaps as pictures and words: over a photograph, beside another, with their strength."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from html import escape
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter, ImageOps

from dermsim.labels import CODES, diagnosis
from dermsim.methods import METHODS
from dermsim.ui.render import percent

if TYPE_CHECKING:  # it brings torch, and the page is served before it is needed
    from dermsim.tasks.explain import Heatmap

TARGET_NAMES = {"malignancy": "malignancy", "similarity": "their likeness"}
"""Targets that are neither a diagnosis nor an enrolled class, in words."""

GAP = 12
"""Pixels between pictures that are shown side by side."""

SIDE = 900
"""Longest side in pixels of a picture on the page; small ones are enlarged, so that the outline is
smooth."""

FAINTEST = 1e-6
"""Peak of a likeness below which there is rounding alone. A picture cannot be made more like its
own case, so that nothing in it raises that likeness."""

ALIKE = 0.9999
"""Likeness above which two pictures are one and the same."""


def strength(heatmap: Heatmap, own: Heatmap) -> float:
    """Say how strongly a map is to be drawn, in [0, 1]: faint evidence is drawn faint.

    Logits compare within a picture, so the evidence for a diagnosis or for malignancy is as strong
    as its peak is beside the peak for the model's own answer. A likeness, to a picture or to an
    enrolled class, is as strong as the cosine it explains, unless nothing in the picture raises it.

    Args:
        heatmap: The map to draw.
        own: The map of the same picture and method for the model's own answer.
    """
    if heatmap.peak <= 0:
        return 0.0
    if heatmap.target not in CODES and heatmap.target != "malignancy":
        return float(np.clip(heatmap.score or 0.0, 0, 1)) if heatmap.peak > FAINTEST else 0.0
    return min(heatmap.peak / own.peak, 1.0) if own.peak > 0 else 1.0


def overlay(
    image: Image.Image,
    heatmap: Heatmap,
    *,
    opacity: float,
    strength: float,
    outlined: bool = False,
    side: int = SIDE,
) -> Image.Image:
    """Draw a heatmap over its picture.

    Args:
        image: RGB picture as `read_image` returns it.
        heatmap: Map over the whole picture, of any size, values in [0, 1].
        opacity: Of the map's strongest place, in [0, 1].
        strength: How strong the evidence is, in [0, 1]; a faint map is drawn faint.
        outlined: Whether to draw a line around the map's top region.
        side: Longest side of the result in pixels.
    """
    shown = ImageOps.contain(image, (side, side))
    resized = Image.fromarray(heatmap.values).resize(shown.size, Image.Resampling.BICUBIC)
    values = np.asarray(resized).clip(0, 1)
    alpha = (values * opacity * strength)[..., None]  # (h, w, 1)
    mixed = np.asarray(shown) * (1 - alpha) + _heat_colors(values) * alpha
    if outlined:
        inner, outer = _rims(replace(heatmap, values=values).top_region())
        mixed = np.where(inner[..., None], mixed * (1 - strength) + 255 * strength, mixed)
        mixed = np.where(outer[..., None], mixed * (1 - 0.7 * strength), mixed)
    return Image.fromarray(mixed.round().astype(np.uint8))


def side_by_side(pictures: Sequence[Image.Image]) -> Image.Image:
    """Put pictures in a row on white, all as high as the first."""
    height = pictures[0].height
    scaled = [
        p if p.height == height else p.resize((max(1, round(p.width * height / p.height)), height))
        for p in pictures
    ]
    width = sum(p.width for p in scaled) + GAP * (len(scaled) - 1)
    row = Image.new("RGB", (width, height), "white")
    left = 0
    for picture in scaled:
        row.paste(picture, (left, 0))
        left += picture.width + GAP
    return row


def explanation(heatmap: Heatmap, answer: str, strength: float) -> str:
    """Return the words under a heatmap: what it shows and how strong the evidence is.

    Args:
        heatmap: The map.
        answer: Code of the model's own answer.
        strength: As it is drawn.
    """
    name = escape(target_name(heatmap.target))
    if heatmap.peak <= 0:
        finding = f"Nothing in this picture speaks for <strong>{name}</strong>."
    elif heatmap.target == answer:
        finding = f"Evidence for <strong>{name}</strong>, the model's own answer."
    elif heatmap.target in CODES or heatmap.target == "malignancy":
        own = f"for the model's own answer, {escape(target_name(answer))}"
        finding = f"Evidence for <strong>{name}</strong>: " + (
            f"{percent(strength)} as strong as {own}, and drawn that much fainter."
            if strength < 1
            else f"at least as strong as {own}."
        )
    else:
        finding = (
            f"What makes the picture like <strong>{name}</strong>: their likeness is "
            f"{heatmap.score or 0:.3f}, and the map is drawn as strongly."
        )
    return _caption(finding, heatmap, "Drag the handle to see the picture without the map. ")


def likeness(heatmap: Heatmap, other: Heatmap | None, name: str) -> str:
    """Return the words under maps of a likeness.

    Args:
        heatmap: On the visitor's picture.
        other: On the other picture, or None where there is no picture of it.
        name: What the other is called.
    """
    name, cosine = escape(name), f"{heatmap.score or 0:.3f}"
    if max(heatmap.peak, other.peak if other else 0) <= FAINTEST:
        finding = f"Nothing here raises the likeness to <strong>{name}</strong>, which is {cosine}."
        if (heatmap.score or 0) > ALIKE:
            finding += " It is the same picture to the model, and could not be more like it."
    elif other is None:
        finding = (
            f"What makes the picture like <strong>{name}</strong>: their likeness is {cosine}, "
            "and the map is drawn as strongly."
        )
    else:
        finding = (
            f"What makes your picture, on the left, like <strong>{name}</strong>, on the right: "
            f"their likeness is {cosine}, and the maps are drawn as strongly."
        )
    if other is None:
        finding += (
            " There is no picture of that case here: start with <code>--dataset</code> to see the "
            "map on both."
        )
    return _caption(finding, heatmap)


def target_name(target: str) -> str:
    """Return what a target is called in words; an enrolled class is called as it was named."""
    if target in CODES:
        return diagnosis(target).name
    return TARGET_NAMES.get(target, target)


def _caption(finding: str, heatmap: Heatmap, hint: str = "") -> str:
    method = METHODS[heatmap.method]
    return (
        f'<div class="ds ds-caption"><p class="ds-lead">{finding}</p>'
        '<p class="ds-ramp" aria-hidden="true"><span>some</span><i></i><span>most evidence</span>'
        f'</p><p class="ds-muted">{hint}<a href="{method.paper}" target="_blank" rel="noopener '
        f'noreferrer">{escape(method.title)}</a>: {escape(method.sentence)} Raw peak '
        f"{heatmap.peak:.3g}. It shows what moved the score, not where a lesion ends; the model "
        "sees the central square only.</p></div>"
    )


def _rims(
    region: npt.NDArray[np.bool_],
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return a line just inside a region and one just outside, ``(h, w)`` each."""
    inside = Image.fromarray(region.astype(np.uint8) * 255)
    width = 2 * max(1, round(max(region.shape) / 450)) + 1
    smaller, larger = ImageFilter.MinFilter(width), ImageFilter.MaxFilter(width)
    core, around = (np.asarray(inside.filter(f)) > 0 for f in (smaller, larger))
    return region & ~core, around & ~region


def _heat_colors(values: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Colour values (h, w) in [0, 1] as (h, w, 3) in [0, 255]: violet, teal, yellow."""
    # Light rises along the ramp, so it also reads in grey and to colour-blind eyes.
    stops = np.array([[68, 40, 110], [33, 120, 140], [60, 190, 130], [250, 230, 60]], np.float32)
    places = np.linspace(0, 1, len(stops))
    return np.stack([np.interp(values, places, stops[:, c]) for c in range(3)], axis=-1)
