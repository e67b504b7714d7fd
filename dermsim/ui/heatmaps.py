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
from dermsim.core.refused import Refused
from dermsim.data.images import read_image
from dermsim.engine.answers import Explanation
from dermsim.ui.i18n import number, say
from dermsim.ui.map_worth import worth_html
from dermsim.ui.render import name_of, percent

if TYPE_CHECKING:  # it brings torch, and the page is served before it is needed
    from dermsim.core.explain_worth import Worth
    from dermsim.tasks.explain import Heatmap

TARGET_NAMES = {"malignancy": "explain.malignancy", "similarity": "explain.their_likeness"}
"""Targets that are neither a diagnosis nor an enrolled class, with the texts that name them."""

GAP = 12
"""Pixels between pictures that are shown side by side."""

SIDE = 900
"""Longest side in pixels of a picture on the page; small ones are enlarged, so that the outline is
smooth."""

STOPS = np.array([[68, 40, 110], [33, 120, 140], [60, 190, 130], [250, 230, 60]], np.float32)
"""Colours of a map from least to most. Light rises along them, so that they also read in grey and
to colour-blind eyes."""

FLOOR = 0.15
"""Share of its peak up to which a map is not painted: a veil over all that the encoder sees would
show its edges and nothing else."""

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
        raise Refused("heatmaps.opacity", opacity=opacity)
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
    seen = _box(heatmap, shown.size)
    values = np.zeros((shown.height, shown.width), dtype=np.float32)
    part = Image.fromarray(heatmap.values).resize(
        (seen[2] - seen[0], seen[3] - seen[1]), Image.Resampling.BICUBIC, _box_in(heatmap)
    )
    inside = slice(seen[1], seen[3]), slice(seen[0], seen[2])
    values[inside] = np.asarray(part).clip(0, 1)
    painted = ((values - FLOOR) / (1 - FLOOR)).clip(0, 1)
    alpha = (painted * opacity * strength)[..., None]  # (h, w, 1)
    mixed = np.asarray(shown) * (1 - alpha) + _heat_colors(values) * alpha
    if outlined:
        # within what the encoder sees, so that no line follows the edge of that
        region = replace(heatmap, values=values).top_region()[inside]
        drawn = mixed[inside]
        for rim, color in zip(rims(region), (STOPS[-1], STOPS[0]), strict=True):
            drawn[rim] += (color - drawn[rim]) * strength
    if opacity > 0:
        _frame(mixed, seen)
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


def explanation(found: Explanation, *, language: str = "en") -> str:
    """Return the words under a heatmap: what it shows, how strong the evidence is, its worth.

    Args:
        found: Of one picture.
        language: The visitor's.
    """
    (heatmap,), (strength,), answer = found.heatmaps, found.strengths, found.answer
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
    return _caption(finding, heatmap, found.worth, language, hint)


def how_alike(similarity: float, share: float | None, *, language: str = "en") -> str:
    """Say how alike two pictures are, in words that follow a colon or a comma.

    Args:
        similarity: The cosine of their embeddings.
        share: Of pairs of past cases with one diagnosis that are less alike; None where there are
            no pairs to compare with, and the cosine has to do.
        language: The visitor's.
    """
    if share is None:
        return say("explain.likeness_value", language, value=number(similarity, ".2f", language))
    return say("explain.so_alike", language, share=percent(share))


def likeness(
    found: Explanation, name: str, *, share: float | None = None, language: str = "en"
) -> str:
    """Return the words under the maps of a likeness.

    Args:
        found: Of the visitor's picture, and of the picture it is like where there is one.
        name: What the other is called.
        share: As for `how_alike`.
        language: The visitor's.
    """
    heatmap, *others = found.heatmaps
    other = others[0] if others else None
    alike = how_alike(heatmap.score or 0, share, language=language)
    values = {"name": _strong(name), "alike": alike}
    if max(found.strengths) <= 0:
        findings = [say("explain.alike_as_a_whole", language, **values)]
        if (heatmap.score or 0) > ALIKE:
            findings.append(say("explain.same_picture", language))
    else:
        key = "explain.like_case" if other else "explain.like_case_alone"
        findings = [say(key, language, **values)]
    if other is None:
        findings.append(say("explain.no_picture_of_case", language))
    return _caption(" ".join(findings), heatmap, found.worth, language)


def target_name(target: str, language: str = "en") -> str:
    """Return what a target is called in words; an enrolled class is called as it was named."""
    if target in TARGET_NAMES:
        return say(TARGET_NAMES[target], language)
    return name_of(target, language)


def method_name(method: str, language: str = "en") -> str:
    """Return what a method is called: as by its authors, unless that is a plain description."""
    key = f"methods.name_{method}"
    described = METHODS[method].needs_attention or method == "occlusion"
    return say(key, language) if described else METHODS[method].title


def _strong(text: str) -> str:
    return f"<strong>{escape(text)}</strong>"


def _caption(finding: str, heatmap: Heatmap, worth: Worth, language: str, hint: str = "") -> str:
    name = heatmap.method
    peak = say("explain.peak", language, value=number(heatmap.peak, ".3g", language))
    return (
        f'<div class="ds ds-caption"><p class="ds-lead">{finding}</p>'
        f'<p class="ds-ramp" aria-hidden="true"><span>{say("explain.some", language)}</span><i></i>'
        f"<span>{say('explain.most', language)}</span></p>{worth_html(worth, language=language)}"
        f'<p class="ds-muted">{hint} '
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
    places = np.linspace(0, 1, len(STOPS))
    return np.stack([np.interp(values, places, STOPS[:, c]) for c in range(3)], axis=-1)


def _box(heatmap: Heatmap, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return what the encoder saw in pixels of a drawing: left, top, right and bottom."""
    left, top, right, bottom = heatmap.seen
    width, height = size
    first, above = min(round(left * width), width - 1), min(round(top * height), height - 1)
    last, below = max(round(right * width), first + 1), max(round(bottom * height), above + 1)
    return first, above, last, below


def _box_in(heatmap: Heatmap) -> tuple[float, float, float, float]:
    """Return the same in places of the map's own array."""
    height, width = heatmap.values.shape
    left, top, right, bottom = heatmap.seen
    return left * width, top * height, right * width, bottom * height


def _frame(picture: npt.NDArray[np.floating], seen: tuple[int, int, int, int]) -> None:
    """Draw a line around what the encoder saw, unless it saw the whole picture."""
    height, width = picture.shape[:2]
    left, top, right, bottom = seen
    if (right - left, bottom - top) == (width, height):
        return
    line = max(1, round(max(width, height) / 450))
    for inset, color in ((0, STOPS[0]), (line, STOPS[-1])):
        first, above, last, below = left + inset, top + inset, right - inset, bottom - inset
        for rows, columns in (
            (slice(above, above + line), slice(first, last)),
            (slice(below - line, below), slice(first, last)),
            (slice(above, below), slice(first, first + line)),
            (slice(above, below), slice(last - line, last)),
        ):
            picture[rows, columns] = color
