"""What the tab Atlas shows, as plain functions of an engine."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from refusals import refuses

from dermsim.core.refused import Phrase
from dermsim.data.synthetic import draw_lesion
from dermsim.engine.atlas import Atlas
from dermsim.tasks.atlas import MEASURES
from dermsim.ui import atlas_callbacks, figures

EVERYTHING = ([], [], [], [], 0, 100)


@pytest.fixture(scope="module")
def drawn(engine):
    return atlas_callbacks.atlas_of(engine)


@pytest.fixture(scope="module")
def lesion(tmp_path_factory):
    path = tmp_path_factory.mktemp("pictures") / "lesion.png"
    draw_lesion("mel", seed=3, size=(200, 150)).save(path)
    return str(path)


def figure(engine, *, layout="umap", color="dx", image=None, facts=EVERYTHING):
    return json.loads(atlas_callbacks.draw(engine, layout, color, image, *facts))


def points(found):
    """Return row -> (x, y) of all points that can be chosen."""
    return {
        row: place
        for trace in found["data"]
        for row, *place in zip(trace.get("customdata", []), trace["x"], trace["y"], strict=False)
    }


def test_a_map_is_joined_to_its_gallery_once(engine, drawn):
    assert atlas_callbacks.atlas_of(engine) is drawn
    assert [case["image_id"] for case in drawn.records] == list(drawn.map.image_ids)


@pytest.mark.parametrize("layout", ["umap", "tsne"])
@pytest.mark.parametrize("color", figures.COLORS)
def test_every_case_is_a_point_where_the_map_has_it(engine, drawn, layout, color):
    found = points(figure(engine, layout=layout, color=color))
    assert sorted(found) == list(range(len(drawn.map)))
    places = np.array([found[row] for row in range(len(drawn.map))])
    np.testing.assert_allclose(places, drawn.map.layouts[layout], atol=5e-4)


def test_points_have_their_diagnosis_colour_and_the_rare_lie_on_top(engine, drawn):
    traces = figure(engine)["data"]
    sizes = [len(trace["x"]) for trace in traces]
    assert sizes == sorted(sizes, reverse=True)
    for trace in traces:
        codes = {drawn.dx[row] for row in trace["customdata"]}
        assert len(codes) == 1
        assert trace["name"].endswith(f" · {sizes[traces.index(trace)]}")


def test_what_two_readings_say_parts_the_points(engine, drawn):
    wrong = drawn.map.measures["neighbor_dx"] != np.array(drawn.dx)
    assert 0 < wrong.sum() < len(wrong)
    traces = figure(engine, color="disagree")["data"]
    drawn_wrong = [
        row for t in traces if t["name"].startswith("disagree") for row in t["customdata"]
    ]
    assert sorted(drawn_wrong) == np.flatnonzero(wrong).tolist()


@pytest.mark.parametrize("color", figures.MIXED)
def test_what_is_wrong_is_not_painted_over_what_is_right(engine, color):
    traces = figure(engine, color=color)["data"]
    names = [trace["name"] for trace in traces]
    # drawn in turn: among the first and among the last there is both
    half = len(names) // 2
    assert len(set(names[:half])) == len(set(names[half:])) == 2
    assert sum(trace["showlegend"] for trace in traces) == 2
    assert len({trace["legendgroup"] for trace in traces}) == 2


def test_clusters_that_say_nothing_are_no_colour(engine, drawn):
    def offered(numbers):
        class Other:
            atlas = replace(drawn.map, measures={**drawn.map.measures, "cluster": numbers})
            gallery = engine.gallery

        return "cluster" in [value for _, value in atlas_callbacks.choices(Other)[1]]

    some = np.arange(len(drawn.map))
    assert offered((some % 4).astype(np.int32))
    assert not offered((some % 2).astype(np.int32))
    assert not offered(np.where(some < 3, some, 3).astype(np.int32))  # nearly all in one


def test_the_picture_under_the_pointer_is_small_and_only_where_there_is_one(engine, drawn):
    picture = draw_lesion("nv", seed=1, size=(600, 450))
    page = atlas_callbacks.hover_picture(engine, 3, pictures=lambda image_id: picture)
    assert page.startswith('<div data-row="3"><img src="data:image/jpeg') and len(page) < 40_000
    assert drawn.map.image_ids[3] in page
    nothing = atlas_callbacks.hover_picture(engine, 3, pictures=lambda image_id: None)
    assert nothing == '<div data-row="3"></div>'


def test_a_number_colours_by_itself_and_the_largest_lie_on_top(engine, drawn):
    (trace,) = figure(engine, color="ood_score")["data"]
    colors = trace["marker"]["color"]
    assert colors == sorted(colors)
    scores = drawn.map.measures["ood_score"][trace["customdata"]]
    np.testing.assert_allclose(colors, scores, atol=1e-4)


def test_what_the_filter_leaves_out_is_grey_and_cannot_be_chosen(engine, drawn):
    found = figure(engine, facts=(["mel"], [], [], [], 0, 100))
    hidden, *traces = found["data"]
    assert hidden["hoverinfo"] == "skip" and "customdata" not in hidden
    (melanoma,) = traces
    rows = [row for row, code in enumerate(drawn.dx) if code == "mel"]
    assert sorted(melanoma["customdata"]) == rows
    assert len(hidden["x"]) == len(drawn.map) - len(rows) > 0


@pytest.mark.parametrize("layout", ["umap", "tsne"])
def test_the_visitors_picture_is_a_star(engine, drawn, lesion, layout):
    star = figure(engine, layout=layout, image=lesion)["data"][-1]
    assert star["name"] == "Your picture" and "customdata" not in star
    (place,) = drawn.map.transform(engine.embed([lesion]), layout=layout)
    np.testing.assert_allclose([star["x"][0], star["y"][0]], place, atol=5e-4)


def test_colours_change_and_the_view_stays(engine):
    one, other = figure(engine)["layout"], figure(engine, color="cluster")["layout"]
    assert one["uirevision"] == other["uirevision"]
    assert one["selectionrevision"] == other["selectionrevision"]
    fewer = figure(engine, facts=(["mel"], [], [], [], 0, 100))["layout"]
    assert fewer["uirevision"] == one["uirevision"]
    assert fewer["selectionrevision"] != one["selectionrevision"]
    assert figure(engine, layout="tsne")["layout"]["uirevision"] != one["uirevision"]


def test_strange_facts_are_shown_as_they_are_written(engine, drawn):
    records = [dict(case) for case in drawn.records]
    records[0]["localization"] = "<img src=x>"
    table = type(drawn.records).build(records)
    told = figures.map_figure(
        Atlas(drawn.map, table), layout="umap", color="dx", shown=np.arange(len(records))
    )
    assert "<img" not in told and "&lt;img" in told


def test_lists_hold_what_stands_out(engine, drawn):
    dx, measures = np.array(drawn.dx), drawn.map.measures
    isolated = atlas_callbacks.listed(engine, "isolation", [], *EVERYTHING)
    assert measures["isolation"][isolated[0]] == measures["isolation"].max()
    border = atlas_callbacks.listed(engine, "margin", [], *EVERYTHING)
    assert measures["margin"][border[0]] == measures["margin"].min()
    doubted = atlas_callbacks.listed(engine, "disagree", [], *EVERYTHING)
    assert sorted(doubted) == np.flatnonzero(measures["neighbor_dx"] != dx).tolist()
    assert np.all(np.diff(measures["margin"][doubted]) <= 0)
    wrong = atlas_callbacks.listed(engine, "error", [], *EVERYTHING)
    assert sorted(wrong) == np.flatnonzero(measures["predicted"] != dx).tolist()
    only = atlas_callbacks.listed(engine, "isolation", [], ["nv"], [], [], [], 0, 100)
    assert {drawn.dx[row] for row in only} == {"nv"}
    assert atlas_callbacks.listed(engine, "circled", [5, 2], ["nv"], [], [], [], 0, 100) == [5, 2]


def test_a_table_holds_the_facts_and_what_was_measured(engine, drawn):
    header, cells = atlas_callbacks.rows_table(engine, [7, 3])
    assert header[:3] == ["Case", "Diagnosis", "Neighbours"] and len(set(header)) == len(header)
    assert len(header) == len(atlas_callbacks.SHOWN)
    first = dict(zip(atlas_callbacks.SHOWN, cells[0], strict=True))
    assert first["image_id"] == drawn.map.image_ids[7]
    assert first["dx"] == drawn.dx[7]
    assert first["margin"] == pytest.approx(float(drawn.map.measures["margin"][7]), abs=5e-4)
    assert atlas_callbacks.rows_table(engine, []) == (header, [])
    spanish, _ = atlas_callbacks.rows_table(engine, [7], language="es")
    assert spanish[0] == "Caso" and "Localización" in spanish


def test_a_table_on_the_page_ends_and_the_file_does_not(engine, drawn, monkeypatch, tmp_path):
    monkeypatch.setattr(atlas_callbacks, "LISTED", 3)
    rows = list(range(10))
    assert len(atlas_callbacks.rows_table(engine, rows)[1]) == 3
    assert "10 cases, of which 3 are shown" in atlas_callbacks.count_html(rows)
    assert "1 case." in atlas_callbacks.count_html([7])
    with atlas_callbacks.save_csv(engine, rows, tmp_path).open(
        encoding="utf-8", newline=""
    ) as stream:
        found = list(csv.DictReader(stream))
    assert [case["image_id"] for case in found] == list(drawn.map.image_ids[:10])
    assert set(found[0]) >= {*MEASURES, "umap_x", "tsne_y", "age", "lesion_id"}
    assert float(found[4]["tsne_y"]) == pytest.approx(drawn.map.tsne[4, 1])


def test_a_case_is_shown_with_its_neighbours_of_other_lesions(engine, drawn):
    asked = []
    page = atlas_callbacks.case_panel(engine, 4, pictures=lambda image_id: asked.append(image_id))
    own, *others = asked
    assert own == drawn.map.image_ids[4]
    records = {case["image_id"]: case for case in engine.gallery.records}
    lesions = [records[name]["lesion_id"] for name in others]
    assert len(others) == atlas_callbacks.NEAREST
    assert records[own]["lesion_id"] not in lesions and len(set(lesions)) == len(lesions)
    assert "Neighbours" in page and "Distance from training" in page and 'data-row="4"' in page
    assert atlas_callbacks.case_panel(engine, own, pictures=lambda image_id: None) == page


def test_groups_are_scored(engine):
    page = atlas_callbacks.agreement(engine)
    assert "purity" in page and "k-means clusters" in page


@pytest.mark.parametrize(
    ("act", "sentence"),
    [
        (
            lambda e: atlas_callbacks.draw(e, "pca", "dx", None),
            Phrase("atlas_callbacks.no_layout", layout="pca"),
        ),
        (
            lambda e: atlas_callbacks.draw(e, "umap", "age", None),
            Phrase("atlas_callbacks.no_color", color="age"),
        ),
        (
            lambda e: atlas_callbacks.draw(e, "umap", "dx", None, [], [], [], [], 50, 40),
            "filters.no_age",
        ),
        (
            lambda e: atlas_callbacks.listed(e, "best", []),
            Phrase("atlas_callbacks.no_list", name="best"),
        ),
        (
            lambda e: atlas_callbacks.listed(e, "circled", [10**6]),
            Phrase("atlas_callbacks.no_case", row=1000000),
        ),
        (
            lambda e: atlas_callbacks.listed(e, "circled", ["0"]),
            Phrase("atlas_callbacks.no_case", row="0"),
        ),
        (
            lambda e: atlas_callbacks.listed(e, "circled", [True]),
            Phrase("atlas_callbacks.no_case", row=True),
        ),
        (
            lambda e: atlas_callbacks.case_panel(e, -1),
            Phrase("atlas_callbacks.no_case", row=-1),
        ),
        (
            lambda e: atlas_callbacks.case_panel(e, "ISIC_nowhere"),
            Phrase("atlas_callbacks.no_case", row="ISIC_nowhere"),
        ),
    ],
)
def test_what_is_not_there_is_refused(engine, act, sentence):
    with refuses(sentence):
        act(engine)


def test_a_map_that_was_drawn_without_measures_offers_less(engine):
    class Old:
        atlas = replace(engine.atlas, measures={}, tsne=None)
        gallery = engine.gallery

    layouts, colors, lists = atlas_callbacks.choices(Old)
    assert [value for _, value in layouts] == ["umap"]
    assert [value for _, value in colors] == ["dx", "disagree", "cluster", "kmeans"]
    assert [value for _, value in lists] == ["circled", "isolation", "margin", "disagree"]
    with refuses("atlas_callbacks.no_list", name="error"):
        atlas_callbacks.listed(Old, "error", [])
