import numpy as np
import pytest
from refusals import refuses

from dermsim.core.labels import CODES
from dermsim.core.refused import Phrase
from dermsim.core.vectors import l2_normalize
from dermsim.tasks.retrieve import COLUMNS, Gallery, exact_search


def test_exact_search_against_a_slow_loop(gallery, queries):
    unit = l2_normalize(queries)
    similarity, rows = exact_search(unit, gallery.embeddings, 5)
    for i, query in enumerate(unit):
        dots = [
            sum(float(a) * float(b) for a, b in zip(query, g, strict=True))
            for g in gallery.embeddings
        ]
        order = sorted(range(len(dots)), key=lambda row, dots=dots: (-dots[row], row))[:5]
        assert rows[i].tolist() == order
        np.testing.assert_allclose(similarity[i], [dots[row] for row in order], atol=1e-12)


def test_exact_search_keeps_to_the_allowed_rows(gallery, queries):
    allowed = np.zeros(len(gallery), dtype=bool)
    allowed[[3, 7]] = True
    similarity, rows = exact_search(queries, gallery.embeddings, 5, allowed=allowed)
    assert similarity.shape == rows.shape == (40, 2)
    assert set(rows.ravel()) == {3, 7}
    assert exact_search(queries[:0], gallery.embeddings, 5)[1].shape == (0, 5)


@pytest.mark.parametrize("k", [1, 5, 290, 300, 1000])
def test_search_finds_what_exact_search_finds(gallery, queries, k, ids):
    similarity, rows = exact_search(l2_normalize(queries), gallery.embeddings, k)
    found = gallery.search(queries, k)
    assert ids(found) == [[f"ISIC_{row:07}" for row in line] for line in rows]
    assert [[n.similarity for n in line] for line in found] == similarity.tolist()


def test_equal_cases_come_in_gallery_order(ids, make_records):
    rng = np.random.default_rng(0)
    few = rng.normal(size=(4, 16))
    gallery = Gallery.build(few[np.arange(200) % 4], make_records(200), fingerprint="f")
    found = gallery.search(few, 10)  # 50 equal cases: far more than the shortlist holds
    expected = [[f"ISIC_{row:07}" for row in range(i, 40, 4)] for i in range(4)]
    assert ids(found) == expected


def test_cases_closer_than_float32_can_tell_are_ordered_exactly(ids, make_records):
    rng = np.random.default_rng(0)
    query = rng.normal(size=64)
    near = query + 1e-4 * rng.normal(size=(500, 64))
    gallery = Gallery.build(near, make_records(500), fingerprint="f")
    _, rows = exact_search(l2_normalize(query[None]), gallery.embeddings, 20)
    assert ids(gallery.search(query[None], 20)) == [[f"ISIC_{row:07}" for row in rows[0]]]


def test_one_query_gets_what_it_gets_in_a_batch(gallery, queries):
    batch = gallery.search(queries, 7)
    for i in range(len(queries)):
        assert gallery.search(queries[i : i + 1], 7) == [batch[i]]


def test_length_of_queries_and_order_of_gallery_do_not_matter(gallery, queries, ids):
    plain = gallery.search(queries, 5)
    assert ids(gallery.search(queries * 8.0, 5)) == ids(plain)
    order = np.random.default_rng(2).permutation(len(gallery))
    shuffled = Gallery.build(
        gallery.embeddings[order], [gallery.records[i] for i in order], fingerprint="f"
    )
    assert ids(shuffled.search(queries, 5)) == ids(plain)


def test_a_neighbor_carries_the_facts(gallery):
    [[best]] = gallery.search(gallery.embeddings[4:5], 1)
    assert best.to_dict() == {
        "image_id": "ISIC_0000004",
        "lesion_id": "HAM_1",
        "dx": "mel",
        "similarity": pytest.approx(1.0, abs=1e-6),
        "percentile": None,
        "facts": {"dx_type": "follow_up", "age": 4.0, "sex": "female", "localization": "back"},
    }


@pytest.mark.parametrize(
    ("where", "keep"),
    [
        ({"dx": "mel"}, lambda r: r["dx"] == "mel"),
        ({"dx": ["mel", "nv"]}, lambda r: r["dx"] in ("mel", "nv")),
        ({"dx": {"mel"}, "sex": "male"}, lambda r: r["dx"] == "mel" and r["sex"] == "male"),
        ({"age": (40, 60)}, lambda r: r["age"] is not None and 40 <= r["age"] <= 60),
        ({"age": 41}, lambda r: r["age"] == 41),
        ({"sex": None}, lambda r: r["sex"] is None),
        ({"sex": ["male", None]}, lambda r: r["sex"] != "female"),
        ({"dx_type": "histo", "age": (0, 200)}, lambda r: r["dx_type"] == "histo" and r["age"]),
        ({"age": (91, 99)}, lambda r: False),
        ({"sex": "F"}, lambda r: r["sex"] == "female"),
        ({"sex": ["Hombre"], "localization": "Espalda"}, lambda r: r["sex"] == "male"),
        ({"dx": ["Melanoma", "nevo"]}, lambda r: r["dx"] in ("mel", "nv")),
        ({}, lambda r: True),
    ],
)
def test_where_filters_on_facts(gallery, queries, where, keep, ids):
    allowed = np.array([keep(record) for record in gallery.records])
    _, rows = exact_search(l2_normalize(queries), gallery.embeddings, 8, allowed=allowed)
    found = gallery.search(queries, 8, where=where)
    assert ids(found) == [[f"ISIC_{row:07}" for row in line] for line in rows]


def test_lesions_are_excluded_per_query(gallery):
    queries = gallery.embeddings[[0, 0, 0, 0]]
    own, both, none, unknown = gallery.search(
        queries, 300, exclude_lesion_ids=["HAM_0", {"HAM_0", "HAM_1"}, None, "HAM_999"]
    )
    assert [len(line) for line in (own, both, none, unknown)] == [297, 294, 300, 300]
    assert not {n.lesion_id for n in both} & {"HAM_0", "HAM_1"}
    [[first]] = gallery.search(queries[:1], 1, exclude_lesion_ids=["HAM_0"])
    assert first == own[0]


def test_exclusion_and_filter_together(gallery, queries, ids):
    found = gallery.search(
        queries, 300, where={"dx": "mel"}, exclude_lesion_ids=["HAM_1"] * len(queries)
    )
    expected = {
        r["image_id"] for r in gallery.records if r["dx"] == "mel" and r["lesion_id"] != "HAM_1"
    }
    assert all(set(line) == expected for line in ids(found))


def test_an_unknown_lesion_excludes_nothing():
    records = [{"image_id": str(i), "dx": "nv", "lesion_id": None} for i in range(3)]
    gallery = Gallery.build(np.eye(3), records, fingerprint="f")
    assert len(gallery.search(np.eye(3)[:1], 3, exclude_lesion_ids=[None])[0]) == 3
    assert gallery.search(np.zeros((0, 3)), 3) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"k": 0}, Phrase("gallery.k", k=0)),
        ({"where": {"colour": "red"}}, Phrase("case_table.no_fact", column="colour")),
        ({"where": {"age": "old"}}, Phrase("case_table.cannot_be", column="age", wanted="old")),
        (
            {"where": {"sex": "x"}},
            Phrase("case_table.no_value", column="sex", asked="x", known=["female", "male"]),
        ),
        (
            {"where": {"sex": ["male", "x"]}},
            Phrase("case_table.no_value", column="sex", asked="x", known=["female", "male"]),
        ),
        (
            {"where": {"localization": "Face"}},
            Phrase("case_table.no_value", column="localization", asked="Face", known=["back"]),
        ),
        (
            {"where": {"dx": "wart"}},
            Phrase(
                "case_table.no_value",
                column="dx",
                asked="wart",
                known=["akiec", "bcc", "bkl", "df", "mel", "nv", "vasc"],
            ),
        ),
        (
            {"where": {"dx_type": "guess"}},
            Phrase(
                "case_table.no_value", column="dx_type", asked="guess", known=["follow_up", "histo"]
            ),
        ),
        ({"where": {"sex": 3}}, Phrase("case_table.cannot_be", column="sex", wanted=3)),
        ({"where": {"dx": ("mel", "nv")}}, "case_table.not_a_range"),
        ({"where": {"age": (60, 40)}}, "case_table.not_a_range"),
        ({"where": {"age": (1, 2, 3)}}, "case_table.not_a_range"),
        ({"where": {"age": ("1", "2")}}, "case_table.not_a_range"),
        ({"exclude_lesion_ids": "HAM_0"}, Phrase("retrieve_search.exclude", queries=40)),
        ({"exclude_lesion_ids": [None]}, Phrase("retrieve_search.exclude", queries=40)),
    ],
)
def test_search_refuses(gallery, queries, arguments, words):
    with refuses(words):
        gallery.search(queries, **arguments)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (np.ones((1, 3)), Phrase("vectors.dimensions", name="queries", dimensions=3, expected=16)),
        (np.full((1, 16), np.nan), Phrase("vectors.not_finite", name="queries")),
        (np.zeros((1, 16)), "vectors.zero"),
        (np.ones(16), "vectors.shape"),
    ],
)
def test_search_refuses_queries(gallery, bad, words):
    with refuses(words):
        gallery.search(bad)


def test_search_leaves_torch_its_threads(gallery, queries):
    import torch

    before = torch.get_num_threads()
    gallery.search(queries, 5)
    gallery.search(queries[:1], 5)
    assert torch.get_num_threads() == before


def change(records, **values):
    return [{**records[0], **values}, *records[1:]]


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda r: r[:-1], Phrase("gallery.records", unit_count=3, records_count=2)),
        (
            lambda r: change(r, image_id="ISIC_0000001"),
            Phrase("case_table.repeats", name="ISIC_0000001"),
        ),
        (lambda r: change(r, image_id=None), Phrase("case_table.no_id", column="image_id")),
        (lambda r: change(r, dx=""), Phrase("case_table.no_id", column="dx")),
        (lambda r: change(r, age=float("nan")), "case_table.age"),
        (lambda r: change(r, age="forty"), "case_table.type"),
        (lambda r: change(r, sex=3), "case_table.type"),
        (
            lambda r: change(r, colour="red"),
            Phrase("case_table.unknown_columns", unknown=["colour"]),
        ),
    ],
)
def test_build_refuses_records(edit, words, make_records):
    with refuses(words):
        Gallery.build(np.eye(3), edit(make_records(3)), fingerprint="f")


def test_build_refuses_embeddings(make_records):
    with refuses("vectors.not_finite", row=2):
        Gallery.build([[1.0], [1.0], [np.nan]], make_records(3), fingerprint="f")
    with refuses("gallery.empty"):
        Gallery.build(np.zeros((0, 3)), [], fingerprint="f")


# -- one picture of each lesion -------------------------------------------------------------------


def test_one_per_lesion_keeps_the_most_similar_of_each(gallery, queries):
    found = gallery.search(queries, 20, one_per_lesion=True)
    for line, everything in zip(found, gallery.search(queries, 300), strict=True):
        expected, seen = [], set()
        for neighbor in everything:
            if neighbor.lesion_id not in seen:
                seen.add(neighbor.lesion_id)
                expected.append(neighbor)
        assert line == expected[:20]


def test_one_per_lesion_stops_when_the_lesions_do(gallery, queries):
    [found] = gallery.search(queries[:1], 300, one_per_lesion=True)
    assert len(found) == len({neighbor.lesion_id for neighbor in found}) == 100


def test_photographs_of_unknown_lesions_are_lesions_of_their_own():
    records = [{"image_id": str(i), "dx": "nv"} for i in range(3)]
    gallery = Gallery.build(np.eye(3), records, fingerprint="f")
    assert len(gallery.search(np.ones((1, 3)), 3, one_per_lesion=True)[0]) == 3


# -- the vote -------------------------------------------------------------------------------------


def test_the_vote_is_that_of_the_neighbours(gallery, queries):
    counts = np.bincount(np.arange(300) % 7) / 300
    for line, vote in zip(gallery.search(queries, 16), gallery.vote(queries), strict=True):
        votes = dict(zip(CODES, counts, strict=True))
        for neighbor in line:
            votes[neighbor.dx] += np.exp((neighbor.similarity - line[0].similarity) / 0.07)
        total = sum(votes.values())
        assert vote == pytest.approx({code: share / total for code, share in votes.items()})


def test_the_vote_heeds_filters_and_knows_nothing_without_neighbours(gallery, queries):
    [vote] = gallery.vote(queries[:1], 5, where={"dx": ["mel", "nv"]})
    blank = np.bincount(np.arange(300) % 7) / 300
    share = dict(zip(CODES, blank, strict=True))  # of the one vote that is not a neighbour's
    found = gallery.search(queries[:1], 5, where={"dx": ["mel", "nv"]})[0]
    strengths = {"mel": 0.0, "nv": 0.0}
    for neighbor in found:
        strengths[neighbor.dx] += np.exp((neighbor.similarity - found[0].similarity) / 0.07)
    total = 1 + sum(strengths.values())
    matching = share["mel"] + share["nv"]
    expected = {code: (share[code] / matching + s) / total for code, s in strengths.items()}
    assert vote == pytest.approx({**dict.fromkeys(CODES, 0.0), **expected})
    [blank] = gallery.vote(queries[:1], where={"age": (91, 99)})
    assert blank["akiec"] == pytest.approx(43 / 300)


# -- adding and removing --------------------------------------------------------------------------


def test_a_gallery_built_in_steps_finds_what_one_built_at_once_finds(make_gallery, queries):
    first, second, third = make_gallery(100), make_gallery(80, seed=5, first=100), None
    grown = first.add(second.embeddings, list(second.records))
    third = make_gallery(30, seed=6, first=180)
    grown = grown.join(third)
    whole = Gallery.build(
        np.concatenate([first.embeddings, second.embeddings, third.embeddings]),
        [*first.records, *second.records, *third.records],
        fingerprint="encoder-a",
    )
    assert len(grown) == 210
    np.testing.assert_array_equal(grown.embeddings, whole.embeddings)
    assert grown.search(queries, 7) == whole.search(queries, 7)
    assert len(first) == 100, "the gallery that was added to is unchanged"


def test_what_was_removed_is_not_found_and_the_rest_is_as_before(gallery, queries):
    left = gallery.remove(image_ids=["ISIC_0000000"], lesion_ids=["HAM_1", "HAM_99"])
    gone = {f"ISIC_{i:07}" for i in (0, 3, 4, 5, 297, 298, 299)}
    assert {r["image_id"] for r in gallery.records} - {r["image_id"] for r in left.records} == gone
    everything = gallery.search(queries, 300)
    expected = [[n for n in line if n.image_id not in gone] for line in everything]
    assert left.search(queries, 300) == expected
    assert len(gallery) == 300
    again = left.join(gallery.remove(image_ids={r["image_id"] for r in left.records}))
    assert len(again.search(queries[:1], 400)[0]) == 300


def test_a_part_all_of_whose_cases_are_removed_goes(make_gallery, queries):
    grown = make_gallery(20).join(make_gallery(2, seed=9, first=20))
    left = grown.remove(image_ids=["ISIC_0000020", "ISIC_0000021"])
    assert left.search(queries, 3) == make_gallery(20).search(queries, 3)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda g, r: g.add(np.eye(1, 16), r[:1]),
            Phrase("case_table.repeats", name="ISIC_0000000"),
        ),
        (
            lambda g, r: g.add(np.eye(1, 3), r[:1]),
            Phrase("vectors.dimensions", dimensions=3, expected=16),
        ),
        (lambda g, r: g.add(np.full((1, 16), np.nan), r[:1]), "vectors.not_finite"),
        (
            lambda g, r: g.add(np.eye(2, 16), r[:1]),
            Phrase("gallery.records", unit_count=2, records_count=1),
        ),
        (
            lambda g, r: g.remove(image_ids=["ISIC_7"]),
            Phrase("gallery.no_case", column="image_id", name="ISIC_7"),
        ),
        (
            lambda g, r: g.remove(lesion_ids=["HAM_0", "x"]),
            Phrase("gallery.no_case", column="lesion_id", name="x"),
        ),
        (lambda g, r: g.remove(), "gallery.nothing_named"),
        (lambda g, r: g.remove(image_ids={n["image_id"] for n in r}), "gallery.last_case"),
    ],
)
def test_changes_are_refused(make_gallery, make_records, change, words):
    gallery = make_gallery(9)
    with refuses(words):
        change(gallery, make_records(9))
    assert len(gallery) == 9


def test_cases_of_another_encoder_are_refused(make_gallery, make_records):
    stranger = Gallery.build(np.eye(1, 16), make_records(1, 900), fingerprint="encoder-b")
    with refuses("gallery.other_encoder", fingerprint="encoder-b"):
        make_gallery(9).join(stranger)


def test_columns_are_the_dataset_s_own():
    assert COLUMNS[:3] == ("image_id", "lesion_id", "dx")
