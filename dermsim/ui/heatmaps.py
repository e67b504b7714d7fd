"""Heatmaps as pictures and words: over a photograph, beside another, with their strength."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from html import escape
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter, ImageOps

from dermsim.core.explain_methods import METHODS
from dermsim.core.labels import CODES
from dermsim.data.images import read_image
from dermsim.engine.answers import FAINTEST, Explanation
from dermsim.ui.i18n import number, say
from dermsim.ui.render import name_of, percent

if TYPE_CHECKING:  # it brings torch, and the page is served before it is needed
    from dermsim.tasks.explain import Heatmap

TARGET_NAMES = {"malignancy": "explain.malignancy", "similarity": "explain.their_likeness"}
"""Targets that are neither a diagnosis nor an enrolled class, with the texts that name them."""

GAP = 12
"""Pixels between pictures that are shown side by side."""

SIDE = 900
"""Longest side in pixels of a picture on the page; small ones are enlarged, so that the outline is
smooth."""

ALIKE = 0.9999
"""Likeness above which two pictures are one and the same."""


def paint(
    explanation: Explanation,
    *,
    opacity: float,
    outlined: bool = False,
    side: Callable[[tuple[int, int]], int] = lambda size: SIDE,
) -> list[Image.Image]:
    """Draw an explanation's pictures, each under its heatmap.

    Args:
        explanation: Of one picture or two.
        opacity: Of a map's strongest place, in [0, 1].
        outlined: Whether to draw a line around each map's top region.
        side: Width and height of a picture -> the longest side of what is drawn, in pixels.

    Raises:
        ValueError: If the opacity is out of range or a picture cannot be read any more.
    """
    if not isinstance(opacity, int | float) or not 0 <= opacity <= 1:
        raise ValueError(f"Asked for an opacity of {opacity}: choose 0 to 1.")
    pictures = [read_image(source, at_least=(SIDE, SIDE)) for source in explanation.pictures]
    return [
        overlay(
            picture,
            heatmap,
            opacity=opacity,
            strength=strength,
            outlined=outlined,
            side=side(picture.size),
        )
        for picture, heatmap, strength in zip(
            pictures, explanation.heatmaps, explanation.strengths, strict=True
        )
    ]


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
        inner, outer = rims(replace(heatmap, values=values).top_region())
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


def explanation(heatmap: Heatmap, answer: str, strength: float, *, language: str = "en") -> str:
    """Return the words under a heatmap: what it shows and how strong the evidence is.

    Args:
        heatmap: The map.
        answer: Code of the model's own answer.
        strength: As it is drawn.
        language: The visitor's.
    """
    values = {
        "name": _strong(target_name(heatmap.target, language)),
        "own": escape(target_name(answer, language)),
        "share": percent(strength),
        "value": number(heatmap.score or 0, ".3f", language),
    }
    if heatmap.peak <= 0:
        key = "no_evidence"
    elif heatmap.target == answer:
        key = "evidence_own"
    elif heatmap.target in CODES or heatmap.target == "malignancy":
        key = "evidence_fainter" if strength < 1 else "evidence_as_strong"
    else:
        key = "like_class"
    finding, hint = say(f"explain.{key}", language, **values), say("explain.handle", language)
    return _caption(finding, heatmap, language, hint)


def likeness(heatmap: Heatmap, other: Heatmap | None, name: str, *, language: str = "en") -> str:
    """Return the words under the maps of a likeness.

    Args:
        heatmap: On the visitor's picture.
        other: On the picture it is like, or None where there is only one.
        name: What the other is called.
        language: The visitor's.
    """
    values = {"name": _strong(name), "value": number(heatmap.score or 0, ".3f", language)}
    if max(heatmap.peak, other.peak if other else 0) <= FAINTEST:
        findings = [say("explain.like_nothing", language, **values)]
        if (heatmap.score or 0) > ALIKE:
            findings.append(say("explain.same_picture", language))
    else:
        key = "explain.like_case" if other else "explain.like_class"
        findings = [say(key, language, **values)]
    if other is None:
        findings.append(say("explain.no_picture_of_case", language))
    return _caption(" ".join(findings), heatmap, language)


def target_name(target: str, language: str = "en") -> str:
    """Return what a target is called in words; an enrolled class is called as it was named."""
    if target in TARGET_NAMES:
        return say(TARGET_NAMES[target], language)
    return name_of(target, language)


def method_name(method: str, language: str = "en") -> str:
    """Return what a method is called: as by its authors, unless that is a plain description."""
    key = f"methods.name_{method}"
    return say(key, language) if METHODS[method].needs_attention else METHODS[method].title


def _strong(text: str) -> str:
    return f"<strong>{escape(text)}</strong>"


def _caption(finding: str, heatmap: Heatmap, language: str, hint: str = "") -> str:
    name = heatmap.method
    peak = say("explain.peak", language, value=number(heatmap.peak, ".3g", language))
    return (
        f'<div class="ds ds-caption"><p class="ds-lead">{finding}</p>'
        f'<p class="ds-ramp" aria-hidden="true"><span>{say("explain.some", language)}</span><i></i>'
        f'<span>{say("explain.most", language)}</span></p><p class="ds-muted">{hint} '
        f'<a href="{METHODS[name].paper}" target="_blank" rel="noopener noreferrer">'
        f"{escape(method_name(name, language))}</a>: {escape(say(f'methods.{name}', language))} "
        f"{peak}</p></div>"
    )


def rims(
    region: npt.NDArray[np.bool_], *, bold: int = 1
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return a line just inside a region and one just outside, ``(h, w)`` each.

    Args:
        region: ``(h, w)``.
        bold: How many times as wide as the lines around evidence are.
    """
    inside = Image.fromarray(region.astype(np.uint8) * 255)
    width = 2 * bold * max(1, round(max(region.shape) / 450)) + 1
    smaller, larger = ImageFilter.MinFilter(width), ImageFilter.MaxFilter(width)
    core, around = (np.asarray(inside.filter(f)) > 0 for f in (smaller, larger))
    return region & ~core, around & ~region


def _heat_colors(values: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Colour values (h, w) in [0, 1] as (h, w, 3) in [0, 255]: violet, teal, yellow."""
    # Light rises along the ramp, so it also reads in grey and to colour-blind eyes.
    stops = np.array([[68, 40, 110], [33, 120, 140], [60, 190, 130], [250, 230, 60]], np.float32)
    places = np.linspace(0, 1, len(stops))
    return np.stack([np.interp(values, places, stops[:, c]) for c in range(3)], axis=-1)
