"""The look into a data set as a document, and the charts in it."""

import re
from xml.etree import ElementTree

import pytest
from refusals import refuses

from dermsim.core.labels import CODES
from dermsim.core.language import LANGUAGES
from dermsim.data.census import explore
from dermsim.data.splits import grouped_splits
from dermsim.data.synthetic import synthetic_ham10000
from dermsim.ui import charts
from dermsim.ui.explore_page import explore_html

SERIES = [charts.Series("a", "#112233"), charts.Series("b", "#445566")]


def say(value):
    return f"{value:.0f}"


def shapes(svg, kind):
    return [node.attrib for node in ElementTree.fromstring(svg).iter(kind)]


@pytest.fixture(scope="module")
def found():
    rows = synthetic_ham10000(70, seed=0)
    return explore(rows, name="drawn <b>", splits=grouped_splits(rows), notes=("one & two",))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_chart_has_a_label_and_its_figures(found, language):
    html = explore_html(found, language=language)
    drawings = re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL)
    assert len(drawings) == 8
    for drawing in drawings:
        root = ElementTree.fromstring(drawing)
        assert root.get("role") == "img" and len(root.get("aria-label")) > 15
    # seven charts have their figures to unfold, the splits' and the gaps' always stand there
    assert html.count("<details>") == 7
    assert html.count("<table") == 9
    assert all("scope=" in header for header in re.findall(r"<th\b[^>]*>", html))
    assert f'<html lang="{language}">' in html


def test_figures_are_the_counts(found):
    html = explore_html(found)
    for code in CODES:
        row = rf"<td class=\"num\">{found.whole.dx_images[code]}</td>"
        assert re.search(row, html)
    assert f"<dd>{found.whole.images}</dd>" in html
    assert "Lesions in more than one: 0." in html


def test_it_needs_nothing_but_itself_and_names_are_no_markup(found):
    html = explore_html(found)
    assert "drawn &lt;b&gt;" in html and "one &amp; two" in html
    assert not re.search(r"<(script|link|iframe|a)\b", html)
    assert "http://" not in html and "https://" not in html
    assert "default-src 'none'" in html


def test_what_is_missing_is_shown():
    rows = synthetic_ham10000(14, seed=0).map(
        lambda row, place: {"sex": None if place < 7 else row["sex"]}, with_indices=True
    )
    html = explore_html(explore(rows, name="x"), language="es")
    assert "Lo que falta" in html
    assert re.search(r">Sexo</th><td class=.num.>7</td><td class=.num.>25,0\u00a0%</td>", html)
    assert re.search(r"<text [^>]*>se desconoce</text>", html)


def test_without_splits_ages_and_notes_there_is_still_a_page():
    rows = synthetic_ham10000(7, seed=0).map(lambda row: {"age": None})
    html = explore_html(explore(rows, name="x"))
    assert "Splits by lesion" not in html and "To be noted" not in html
    assert html.count("<svg") == 6


def test_contradictory_lesions_are_named():
    rows = synthetic_ham10000(7, seed=0).map(lambda row: {"lesion_id": "L<1>"})
    html = explore_html(explore(rows, name="x"))
    assert "Lesions with photographs of more than one diagnosis (1): L&lt;1&gt;." in html


def test_another_language_is_refused(found):
    with refuses("document.language", language="xx"):
        explore_html(found, language="xx")


def test_bars_are_as_long_as_their_counts():
    rows = [("x", {"a": 30, "b": 10}), ("y", {"b": 20})]
    svg = charts.stacked_bars(rows, SERIES, label="t", say=say, notes=["few", ""])
    first, second, third = shapes(svg, "rect")
    widths = [float(bar["width"]) for bar in (first, second, third)]
    assert widths[0] == pytest.approx(3 * widths[1], abs=0.2)
    assert widths[2] == pytest.approx(2 * widths[1], abs=0.2)
    assert float(second["x"]) == pytest.approx(float(first["x"]) + widths[0], abs=0.2)
    assert (first["fill"], second["fill"]) == ("#112233", "#445566")
    assert "40 · few" in svg and ">20<" in svg


def test_columns_are_as_high_as_their_counts():
    columns = [("x", {"a": 30, "b": 10}), ("y", {"b": 20}), ("z", {})]
    svg = charts.stacked_columns(columns, SERIES, label="t", say=say, height=200, sums=True)
    heights = [float(bar["height"]) for bar in shapes(svg, "rect")]
    assert heights == pytest.approx([150, 50, 100], abs=0.2)  # the scale ends at 40
    assert ">40<" in svg and ">0<" in svg


def test_shares_fill_their_row():
    svg = charts.shares([("x", {"a": 1, "b": 3}), ("y", {"a": 100})], SERIES, label="t")
    widths = [float(bar["width"]) for bar in shapes(svg, "rect")]
    assert widths[1] == pytest.approx(3 * widths[0], abs=0.2)
    assert widths[2] == pytest.approx(widths[0] + widths[1], abs=0.2)


def test_boxes_stand_at_their_quartiles():
    svg = charts.boxes([("x", "#112233", (0, 20, 40, 60, 100))], label="t", say=say, most=100)
    (box,) = shapes(svg, "rect")
    whisker = next(line for line in shapes(svg, "line") if line["y1"] == line["y2"])
    low, high = float(whisker["x1"]), float(whisker["x2"])
    assert float(box["x"]) == pytest.approx(low + 0.2 * (high - low), abs=0.2)
    assert float(box["width"]) == pytest.approx(0.4 * (high - low), abs=0.2)


def test_names_in_charts_are_no_markup():
    rows = [("<b>&", {"a": 1})]
    for svg in (
        charts.stacked_bars(rows, SERIES, label='"<', say=say),
        charts.stacked_columns(rows, SERIES, label='"<', say=say),
        charts.shares(rows, SERIES, label='"<'),
    ):
        root = ElementTree.fromstring(svg)
        assert root.get("aria-label") == '"<'
        assert "<b>&" in [node.text for node in root.iter("text")]


@pytest.mark.parametrize(
    ("most", "ticks"),
    [
        (0, [0, 1]),
        (1, [0, 1]),
        (3, [0, 1, 2, 3]),
        (40, [0, 10, 20, 30, 40]),
        (6705, [0, 2000, 4000, 6000, 8000]),
        (999, [0, 500, 1000]),
    ],
)
def test_scales_are_round(most, ticks):
    assert charts.round_ticks(most) == ticks
