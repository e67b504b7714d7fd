"""Heatmaps as pictures and words."""

import numpy as np
import pytest
from PIL import Image

from dermsim.core.explain_methods import METHODS
from dermsim.core.labels import CODES
from dermsim.engine.answers import strength
from dermsim.tasks.explain import Heatmap
from dermsim.ui import heatmaps
from dermsim.ui.heatmaps import explanation, likeness, overlay, side_by_side

NASTY = "<img src=x onerror=\"alert('1')\">"


def heatmap(peak: float = 2.0, target: str = "mel", score: float = 0.7, **options) -> Heatmap:
    values = np.zeros((60, 80), dtype=np.float32)
    values[25:35, 35:45] = 1
    return Heatmap(values, peak, options.get("method", "gradcam"), target, score)


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
    assert lined.max() == 255, "a bright line inside, a dark one outside"
    assert lined.min() < plain.min()
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
        (9.0, "similarity", 0.8, 2.0, 0.8),
        (9.0, "similarity", -0.3, 2.0, 0.0),
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
    page = explanation(heatmap(peak, target), answer, share).replace("\u00a0", " ")
    assert words in page


def test_the_raw_peak_and_the_method_are_given():
    page = explanation(heatmap(0.01234, method="hirescam"), "mel", 1.0)
    assert "Raw peak 0.0123" in page
    assert METHODS["hirescam"].title in page and METHODS["hirescam"].sentence in page
    assert 'href="https://arxiv.org/abs/2011.08891" target="_blank" rel="noopener' in page


def test_a_likeness_says_to_what_and_whether_it_could_be_shown():
    both = likeness(heatmap(), heatmap(), "Melanoma (ISIC_1)")
    assert "on the left, like <strong>Melanoma (ISIC_1)</strong>, on the right" in both
    assert "their likeness is 0.700" in both
    assert "--dataset" not in both
    assert "--dataset" in likeness(heatmap(), None, "Melanoma (ISIC_1)")


def test_nothing_makes_a_picture_more_like_its_own_case():
    same = likeness(*[heatmap(6e-11, score=1.0)] * 2, "Melanoma (ISIC_1)")
    assert "Nothing here raises the likeness to <strong>Melanoma (ISIC_1)</strong>" in same
    assert "same picture to the model" in same
    other = likeness(heatmap(0.0, score=0.3), None, "Melanoma (ISIC_1)")
    assert "which is 0.300" in other and "same picture" not in other


def test_what_a_visitor_wrote_is_escaped():
    for page in (explanation(heatmap(target=NASTY), "mel", 1), likeness(heatmap(), None, NASTY)):
        assert "onerror" in page and "<img" not in page


def test_targets_have_names_for_people():
    assert heatmaps.target_name("mel") == "Melanoma"
    assert heatmaps.target_name("my own") == "my own"
    assert all(heatmaps.target_name(code) != code for code in CODES)
