"""The preparation of photographs as an ONNX graph: pixels of any size in, the encoder's input out.

It is written as ONNX text, which `onnx.parser` reads. ``antialias`` with ``exclude_outside`` and
the cubic coefficient -0.5 resize as Pillow does: without ``exclude_outside`` the border is off by
up to 12 levels.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from PIL import Image

from dermsim.core.optional import require
from dermsim.core.refused import Refused

if TYPE_CHECKING:
    import onnx

    from dermsim.models.preparation import ImagePreparation

OPSET, IR = 20, 10
"""Versions of the operators and of the file."""

INPUT, OUTPUT = "pixels", "pixel_values"

MODES = {
    Image.Resampling.BILINEAR: 'mode="linear"',
    Image.Resampling.BICUBIC: 'mode="cubic", cubic_coeff_a=-0.5',
}
"""Pillow's filters that ONNX has, too."""

_SHORTEST = """
  shorter = ReduceMin(sides)
  scaled = Mul(sides, edge)
  target = Div(scaled, shorter)
"""
# Round takes halves to even numbers, as Python's round does.
_LONGEST = """
  longer = ReduceMax(sides)
  sides_exact = Cast<to=11>(sides)
  edge_exact = Cast<to=11>(edge)
  longer_exact = Cast<to=11>(longer)
  scaled = Mul(sides_exact, edge_exact)
  fitted = Div(scaled, longer_exact)
  rounded = Round(fitted)
  whole = Cast<to=7>(rounded)
  target = Max(whole, one)
"""
# A picture beside its mirror image repeats every two sides: place p lies at min(q, 2s - 1 - q) of
# it, where q is the rest of p by 2s.
_MIRRORED = """
  {side} = Gather(target, {which})
  {side}_room = Sub(edge_scalar, {side})
  {side}_margin = Div({side}_room, two_scalar)
  {side}_all = Range(zero_scalar, edge_scalar, one_scalar)
  {side}_shifted = Sub({side}_all, {side}_margin)
  {side}_period = Mul({side}, two_scalar)
  {side}_rest = Mod({side}_shifted, {side}_period)
  {side}_last = Sub({side}_period, one_scalar)
  {side}_back = Sub({side}_last, {side}_rest)
  {side}_place = Min({side}_rest, {side}_back)
"""
_SHADES = """
  channels = Constant<value_ints=[1, 2, 3]>()
  plane = Constant<value_ints=[2, 3]>()
  channel = Constant<value_ints=[1]>()
  brightest = ReduceMax(levels, channels)
  highest = Max(brightest, unit)
  parts = Div(levels, highest)
  powers = Pow(parts, power)
  means = ReduceMean(powers, plane)
  light = Pow(means, root)
  squares = Mul(light, light)
  mean_square = ReduceMean(squares, channel)
  strength = Sqrt(mean_square)
  gains = Div(strength, light)
  faintest = ReduceMin(light, channels)
  lit = Greater(faintest, nothing)
  balanced = Mul(levels, gains)
  seen = Where(lit, balanced, levels)
"""


def preparation_graph(preparation: ImagePreparation) -> onnx.ModelProto:
    """Write down how an encoder's input is made.

    Args:
        preparation: What the checkpoint does with photographs.

    Returns:
        A model from ``pixels``, ``(B, H, W, 3)`` uint8 RGB of one size, any size, to
        ``pixel_values``, ``(B, 3, S, S)`` float32.

    Raises:
        ImportError: If onnx is not installed.
        ValueError: If ONNX has no such filter, or what is cut out is larger than what it is cut of.
    """
    parser = require("onnx.parser", extra="onnx")
    if preparation.resample not in MODES:
        raise Refused("onnx_export.filter", resample=preparation.resample)
    longest = "longest_edge" in preparation.size
    edge = preparation.size["longest_edge" if longest else "shortest_edge"]
    height, width = preparation.crop_size["height"], preparation.crop_size["width"]
    if max(height, width) > edge:
        raise Refused("onnx_export.crop", height=height, width=width, edge=edge)
    body = _LONGEST if longest else _SHORTEST
    square = "resized"
    body += f"""
  sizes = Concat<axis=0>(leading, target)
  resized = Resize<{MODES[Image.Resampling(preparation.resample)]}, antialias=1, exclude_outside=1,
    coordinate_transformation_mode="half_pixel">(planes, , , sizes)
"""
    if longest:
        body += _MIRRORED.format(side="rows", which="zero_scalar")
        body += _MIRRORED.format(side="columns", which="one_scalar")
        body += "  mirrored = Gather<axis=2>(resized, rows_place)\n"
        body += "  framed = Gather<axis=3>(mirrored, columns_place)\n"
        square = "framed"
    shades = _SHADES if preparation.do_color_constancy else "  seen = Identity(levels)\n"
    graph = f"""
  planes = Transpose<perm=[0, 3, 1, 2]>({INPUT})
  sides = Shape<start=2, end=4>(planes)
  leading = Shape<start=0, end=2>(planes)
{body}
  lengths = Shape<start=2, end=4>({square})
  room = Sub(lengths, crop)
  first = Div(room, two)
  last = Add(first, crop)
  axes = Constant<value_ints=[2, 3]>()
  central = Slice({square}, first, last, axes)
  levels = Cast<to=1>(central)
{shades}
  shares = Mul(seen, factor)
  centred = Sub(shares, mean)
  {OUTPUT} = Div(centred, std)
"""
    text = f"""
<ir_version: {IR}, opset_import: ["" : {OPSET}]>
prepare (uint8[B, H, W, 3] {INPUT}) => (float[B, 3, {height}, {width}] {OUTPUT})
<{_constants(graph, preparation, edge)}>
{{{graph}}}
"""
    return parser.parse_model(text)


def _constants(body: str, preparation: ImagePreparation, edge: int) -> str:
    """Return the numbers that a graph works with, as ONNX text, and none that it does not name.

    Args:
        body: The graph.
        preparation: What it writes down.
        edge: Pixels of the shorter or longer side after resizing.
    """
    crop = f"{preparation.crop_size['height']}, {preparation.crop_size['width']}"
    mean, std = (
        ", ".join(repr(float(value)) for value in channels)
        for channels in (preparation.image_mean, preparation.image_std)
    )
    number = float(preparation.rescale_factor)
    known = {
        **{"edge": ("int64[1]", edge), "one": ("int64[1]", 1), "two": ("int64[1]", 2)},
        **{"edge_scalar": ("int64", edge), "zero_scalar": ("int64", 0)},
        **{"one_scalar": ("int64", 1), "two_scalar": ("int64", 2), "crop": ("int64[2]", crop)},
        **{"unit": ("float", 1.0), "nothing": ("float", 0.0), "power": ("float", 6.0)},
        **{"root": ("float", 1 / 6), "factor": ("float", number)},
        **{"mean": ("float[3, 1, 1]", mean), "std": ("float[3, 1, 1]", std)},
    }
    used = set(re.findall(r"\w+", body))
    return ", ".join(
        f"{kind} {name} = {{{value}}}" for name, (kind, value) in known.items() if name in used
    )
