"""What is answered to who asks where the model looked; it belongs to `answers`."""

from __future__ import annotations

import base64
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from dermsim.core.explain_methods import parse_layer, parse_target
from dermsim.serve.schemas import Box, ExplainAnswer, Map

if TYPE_CHECKING:  # they bring torch, and requests are answered while it loads
    from dermsim.engine import DermSim
    from dermsim.tasks.enroll import ClassBank
    from dermsim.tasks.explain import Heatmap

LONGEST_SIDE = 1024
"""Of the pictures in an explanation, in pixels."""


def explain(
    engine: DermSim,
    picture: Image.Image,
    *,
    method: str = "gradcam",
    target: str | None = None,
    like: Image.Image | None = None,
    layer: str | None = None,
    smooth: bool = False,
    bank: ClassBank | None = None,
    opacity: float = 0.7,
    outline: bool = False,
) -> ExplainAnswer:
    """Paint over a picture where it holds evidence, or over two what makes them alike.

    Args:
        engine: The loaded checkpoint.
        picture: As `read_image` returns it.
        method: One of `dermsim.core.explain_methods.METHODS`.
        target: Diagnosis by any of its names, ``"malignancy"`` or a class of `bank`; None for the
            model's own answer.
        like: Another picture, to explain the likeness to instead.
        layer: A stage of the backbone by its number, or a module by its name.
        smooth: Whether to average over turns and mirror images.
        bank: Where enrolled classes are looked up.
        opacity: Of a map's strongest place, in [0, 1].
        outline: Whether to draw a line around the strongest half.

    Raises:
        ValueError: If `target` and `like` are both given, or a name is unknown or not for this
            encoder.
    """
    from dermsim.ui.heatmaps import strength

    options: dict[str, Any] = {"method": method, "layer": parse_layer(layer), "smooth": smooth}
    if like is not None:
        if target is not None:
            raise ValueError("target and like are two questions: ask one at a time.")
        shown = [picture, like]
        maps = list(engine.explain_likeness(picture, like, **options))
        strengths = [strength(heatmap, heatmap) for heatmap in maps]
    else:
        shown = [picture]
        goal = parse_target(target, bank.names if bank else ())
        # the model's own answer too: its peak is the measure of the other's
        own, *others = engine.explain_many(
            [picture] if goal is None else [picture, picture],
            target=[None] if goal is None else [None, goal],
            bank=bank,
            **options,
        )
        maps = others or [own]
        strengths = [strength(maps[0], own)]
    drawn = zip(shown, maps, strengths, strict=True)
    return ExplainAnswer(
        fingerprint=engine.fingerprint,
        target=maps[0].target,
        method=maps[0].method,
        score=maps[0].score,
        maps=[_draw(*part, opacity=opacity, outline=outline) for part in drawn],
    )


def _draw(
    picture: Image.Image, heatmap: Heatmap, share: float, *, opacity: float, outline: bool
) -> Map:
    from dermsim.ui.heatmaps import overlay

    side = min(max(picture.size), LONGEST_SIDE)
    painted = overlay(
        picture, heatmap, opacity=opacity, strength=share, outlined=outline, side=side
    )
    small = Image.fromarray(heatmap.values).resize(painted.size, Image.Resampling.BICUBIC)
    grey = (np.asarray(small).clip(0, 1) * 65535).round().astype(np.uint16)
    return Map(
        width=painted.width,
        height=painted.height,
        overlay=_png(painted),
        values=_png(Image.fromarray(grey)),
        peak=heatmap.peak,
        strength=share,
        strongest_part=_box(heatmap.top_region()),
    )


def _box(region: npt.NDArray[np.bool_]) -> Box | None:
    """Return the box around a region (H, W); None when it is empty."""
    rows, columns = (np.flatnonzero(region.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return None
    height, width = region.shape
    return Box(
        left=float(columns[0] / width),
        top=float(rows[0] / height),
        right=float((columns[-1] + 1) / width),
        bottom=float((rows[-1] + 1) / height),
    )


def _png(image: Image.Image) -> str:
    stream = BytesIO()
    image.save(stream, "PNG", compress_level=1)  # they are decoded once, on arrival
    return base64.b64encode(stream.getvalue()).decode()
