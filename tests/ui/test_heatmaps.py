"""Heatmaps as pictures and words."""

import numpy as np
import pytest
from PIL import Image

from dermsim.core.bootstrap import Interval
from dermsim.core.explain_methods import METHODS
from dermsim.core.explain_worth import MethodWorth, Worth
from dermsim.core.labels import CODES
from dermsim.engine.answers import Explanation, strength
from dermsim.tasks.explain import Heatmap
from dermsim.ui import heatmaps
from dermsim.ui.heatmaps import explanation, likeness, overlay, side_by_side

NASTY = "<img src=x onerror=\"alert('1')\">"


def heatmap(peak: float = 2.0, target: str = "mel", score: float = 0.7, **options) -> Heatmap:
    values = np.zeros((60, 80), dtype=np.float32)
    values[25:35, 35:45] = 1
    return Heatmap(values, peak, options.get("method", "gradcam"), target, score)


def shown(*maps, answer="mel", strengths=None, worth=None) -> Explanation:
    given = strengths or tuple(strength(one, one) for one in maps)
    return Explanation((skin(),) * len(maps), maps, given, answer, worth or Worth())


def skin(size=(80, 60)) -> Image.Image:
    return Image.new("RGB", size, "#c08070")


def test_an_overlay_colours_where_the_evidence_is_and_nothing_else():
    drawn = np.asarray(overlay(skin(), heatmap(), opacity=0.6, strength=1.0, side=80))
    assert drawn.shape == (60, 80, 3)
    assert (drawn[:15] == np.asarray(skin())[:15]).all()
    assert np.abs(drawn[30, 40].astype(int) - np.asarray(skin())[30, 40]).max() > 40


def change(strength: float, opacity: float = 0.6, **options) -> int:
    drawn = overlay(skin(), heatmap(), opacity=opacity, strength=strength, side=80, **options)
    return int(np.abs(np.asarray(drawn).astype(int) - np.asarray(skin())).sum())


def test_a_faint_map_is_drawn_faint():
    assert change(1.0) > 3 * change(0.2) > 0
    assert change(0.0) == change(1.0, opacity=0.0) == 0


@pytest.mark.parametrize("size", [(2400, 1800), (80, 60)])
def test_an_overlay_is_as_large_as_the_page_needs(size):
    drawn = overlay(skin(size), heatmap(), opacity=1, strength=1, outlined=True)
    assert drawn.size == (900, 675)


def test_the_outline_runs_around_the_top_region_and_fades_with_the_evidence():
    options = {"opacity": 0, "strength": 1, "side": 80}
    plain = np.asarray(overlay(skin(), heatmap(), **options)).astype(int)
    lined = np.asarray(overlay(skin(), heatmap(), **options, outlined=True)).astype(int)
    rows, columns = np.nonzero((lined != plain).any(axis=2))
    assert {rows.min(), rows.max()} <= {23, 24, 35, 36}
    assert {columns.min(), columns.max()} <= {33, 34, 45, 46}
    assert (lined[30, 40] == plain[30, 40]).all(), "the region itself stays clear"
    inner, outer = heatmaps.STOPS[-1].astype(int), heatmaps.STOPS[0].astype(int)
    colors = {tuple(color) for color in lined[rows, columns]}
    assert colors == {tuple(inner), tuple(outer)}, "both are colours of the scale"
    assert change(1.0, 0.0, outlined=True) > change(0.3, 0.0, outlined=True) > 0
    assert change(0.0, 0.0, outlined=True) == 0


def test_without_evidence_there_is_no_outline():
    empty = Heatmap(np.zeros((60, 80), dtype=np.float32), 0.0, "gradcam", "mel")
    drawn = overlay(skin(), empty, opacity=1, strength=1, outlined=True, side=80)
    assert np.array_equal(drawn, skin())


@pytest.mark.parametrize(
    ("peak", "target", "score", "own", "expected"),
    [
        (1.0, "nv", 3.0, 2.0, 0.5),
        (1.0, "malignancy", -2.0, 4.0, 0.25),
        (3.0, "nv", 3.0, 2.0, 1.0),
        (1.0, "nv", 3.0, 0.0, 1.0),
        (0.0, "nv", 3.0, 2.0, 0.0),
        (9.0, "similarity", 0.8, 2.0, 1.0),
        (0.05, "similarity", 0.99, 2.0, 0.5),
        (0.01, "similarity", 0.99, 2.0, 0.0),
        (0.0005, "similarity", 0.995, 2.0, 0.0),
        (9.0, "clover", 0.6, 2.0, 0.6),
        (0.0, "similarity", 0.8, 2.0, 0.0),
        (6e-11, "similarity", 1.0, 2.0, 0.0),
    ],
)
def test_strength(peak, target, score, own, expected):
    found = strength(heatmap(peak, target, score), heatmap(own))
    assert found == pytest.approx(expected)


def test_side_by_side():
    row = side_by_side([skin((80, 60)), Image.new("RGB", (60, 120), "blue")])
    assert row.size == (80 + heatmaps.GAP + 30, 60)
    assert row.getpixel((85, 30)) == (255, 255, 255)
    assert row.getpixel((100, 30)) == (0, 0, 255)


@pytest.mark.parametrize(
    ("peak", "target", "answer", "share", "words"),
    [
        (2.0, "mel", "mel", 1.0, "the model's own answer."),
        (0.5, "mel", "nv", 0.25, "25 % as strong as for the model's own answer, Melanocytic nae"),
        (0.0, "mel", "nv", 0.0, "Nothing in this picture speaks for <strong>Melanoma"),
        (0.5, "malignancy", "nv", 0.25, "Evidence for <strong>malignancy</strong>: 25 % as strong"),
        (0.5, "malignancy", "nv", 1.0, "<strong>malignancy</strong>: at least as strong as for"),
        (0.5, "clover", "nv", 0.7, "like <strong>clover</strong>: their likeness is 0.700"),
    ],
)
def test_an_explanation_says_how_strong_the_evidence_is(peak, target, answer, share, words):
    found = shown(heatmap(peak, target), answer=answer, strengths=(share,))
    page = explanation(found).replace("\u00a0", " ")
    assert words in page


def test_the_raw_peak_and_the_method_are_given():
    page = explanation(shown(heatmap(0.01234, method="hirescam")))
    assert "Raw peak 0.0123" in page
    assert METHODS["hirescam"].title in page and METHODS["hirescam"].sentence in page
    assert 'href="https://arxiv.org/abs/2011.08891" target="_blank" rel="noopener' in page


def alike(peak: float = 2.0, score: float = 0.7) -> Heatmap:
    return heatmap(peak, "similarity", score)


def test_a_likeness_says_to_what_and_whether_it_could_be_shown():
    both = likeness(shown(alike(), alike()), "Melanoma (ISIC_1)")
    assert "on the left, like <strong>Melanoma (ISIC_1)</strong>, on the right" in both
    assert "their likeness is 0.70." in both
    placed = likeness(shown(alike(), alike()), "Melanoma (ISIC_1)", share=0.931)
    assert "more alike than 93 % of pairs with one diagnosis" in placed.replace("\u00a0", " ")
    assert "0.70" not in placed
    assert "--dataset" not in both
    alone = likeness(shown(alike()), "Melanoma (ISIC_1)")
    assert "--dataset" in alone and "on the right" not in alone


@pytest.mark.parametrize("peak", [6e-11, 0.0005, 0.01])
def test_a_likeness_without_a_place_is_one_as_a_whole_and_nothing_is_painted(peak):
    found = shown(alike(peak, 0.995), alike(peak, 0.995))
    assert "alike as a whole" in likeness(found, "Melanoma (ISIC_1)")
    for drawn in heatmaps.paint(found, opacity=1.0, outlined=True, side=max):
        assert np.array_equal(drawn, skin())


def test_the_same_picture_is_said_to_be_the_same():
    found = shown(alike(6e-11, 1.0), alike(6e-11, 1.0))
    assert "the same picture to the model" in likeness(found, "Melanoma (ISIC_1)")


def test_what_a_visitor_wrote_is_escaped():
    for page in (
        explanation(shown(heatmap(target=NASTY))),
        likeness(shown(alike()), NASTY),
    ):
        assert "onerror" in page and "<img" not in page


def test_targets_have_names_for_people():
    assert heatmaps.target_name("mel") == "Melanoma"
    assert heatmaps.target_name("my own") == "my own"
    assert all(heatmaps.target_name(code) != code for code in CODES)


# --- what they are worth -------------------------------------------------------------------------


def measured(energy: float, road: float) -> MethodWorth:
    def gain(value: float) -> Interval:
        return Interval(value, value - 0.02, value + 0.02, 56)

    share, fall = Interval(0.5, 0.4, 0.6, 126), Interval(0.2, 0.1, 0.3, 56)
    return MethodWorth("gradcam", None, share, gain(energy), fall, gain(road))


@pytest.mark.parametrize(
    ("energy", "road", "words"),
    [
        (0.1, 0.1, "they are better than a blob"),
        (0.1, 0.0, "by one of two figures they are better"),
        (-0.1, 0.1, "by the other they are worse"),
        (0.0, 0.0, "they are no better than a blob"),
        (-0.1, 0.0, "they are worse than a blob"),
        (-0.1, -0.1, "they are worse than a blob"),
    ],
)
def test_a_heatmap_says_what_was_measured(energy, road, words):
    worth = Worth(measured(energy, road), "HAM10000", "validation", None)
    page = explanation(shown(heatmap(), worth=worth)).replace("\u00a0", " ")
    assert words in page
    assert f"difference {100 * energy:+.1f} %" in page and "56 pictures" in page
    assert "HAM10000" in page
    assert ("Do not rely" in page) == (max(energy, road) <= 0)


@pytest.mark.parametrize(
    ("why", "words"),
    [
        ("not_measured", "Nobody has measured"),
        ("other_layer", "Maps from this layer were not measured"),
        ("smooth", "Smoothed maps were not measured"),
        ("likeness", "Maps of a likeness were not measured"),
    ],
)
def test_a_heatmap_says_why_there_are_no_figures(why, words):
    page = explanation(shown(heatmap(), worth=Worth(why=why)))
    assert words in page and "difference" not in page


# --- what the model sees -------------------------------------------------------------------------


def seen(values=None) -> Heatmap:
    values = np.zeros((60, 80), dtype=np.float32) if values is None else values
    return Heatmap(values, 1.0, "gradcam", "mel", 1.0, (0.125, 0.0, 0.875, 1.0))


def test_what_the_encoder_sees_is_framed_and_nothing_else_is_touched():
    drawn = np.asarray(overlay(skin(), seen(), opacity=0.6, strength=1.0, side=80))
    changed = (drawn != np.asarray(skin())).any(axis=2)
    columns = np.flatnonzero(changed.any(axis=0))
    assert (columns.min(), columns.max()) == (10, 69)
    assert not changed[2:-2, 12:68].any(), "no veil within"
    whole = Heatmap(np.zeros((60, 80), dtype=np.float32), 1.0, "gradcam", "mel")
    assert np.array_equal(overlay(skin(), whole, opacity=0.6, strength=1.0, side=80), skin())


def test_a_weak_map_is_no_veil():
    values = np.zeros((60, 80), dtype=np.float32)
    values[:, 10:70] = 0.14
    values[30, 40] = 1.0
    drawn = np.asarray(overlay(skin(), seen(values), opacity=1.0, strength=1.0, side=80))
    assert (drawn[5:25, 15:65] == np.asarray(skin())[5:25, 15:65]).all()


def test_an_outline_does_not_run_along_the_edge_of_what_is_seen():
    values = np.zeros((60, 80), dtype=np.float32)
    values[20:40, 10:30] = 1.0  # up to the left edge of the square
    drawn = np.asarray(
        overlay(skin(), seen(values), opacity=0.0, strength=1.0, outlined=True, side=80)
    )
    changed = (drawn != np.asarray(skin())).any(axis=2)
    assert changed[18:42].any() and not changed[25:35, 10:20].any()


@pytest.mark.parametrize("strength", [0.05, 0.3, 1.0])
def test_nothing_is_whiter_than_picture_and_scale(strength):
    rng = np.random.default_rng(0)
    found = seen(rng.random((60, 80), dtype=np.float32))
    drawn = np.asarray(
        overlay(skin(), found, opacity=0.6, strength=strength, outlined=True, side=80)
    )
    brightest = np.maximum(heatmaps.STOPS.max(axis=0), np.asarray(skin()).max(axis=(0, 1)))
    assert (drawn.max(axis=(0, 1)) <= np.ceil(brightest)).all()
