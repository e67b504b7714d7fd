import json
import os

import numpy as np
import pytest

from dermsim.tasks.retrieve import COLUMNS, Gallery, exact_search
from dermsim.vectors import l2_normalize

DX = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")


def make_records(n):
    return [
        {
            "image_id": f"ISIC_{i:07}",
            "lesion_id": f"HAM_{i // 3}",
            "dx": DX[i % 7],
            "dx_type": "histo" if i % 2 else "follow_up",
            "age": None if i % 10 == 0 else float(i % 90),
            "sex": ("male", "female", None)[i % 3],
            "localization": "back",
        }
        for i in range(n)
    ]


def make_gallery(n=300, dim=16, seed=0):
    embeddings = np.random.default_rng(seed).normal(size=(n, dim))
    return Gallery.build(embeddings, make_records(n), fingerprint="encoder-a")


def ids(results):
    return [[neighbor.image_id for neighbor in neighbors] for neighbors in results]


@pytest.fixture(scope="module")
def gallery():
    return make_gallery()


@pytest.fixture
def queries():
    return np.random.default_rng(1).normal(size=(40, 16)).astype(np.float32)


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
def test_search_finds_what_exact_search_finds(gallery, queries, k):
    similarity, rows = exact_search(l2_normalize(queries), gallery.embeddings, k)
    found = gallery.search(queries, k)
    assert ids(found) == [[f"ISIC_{row:07}" for row in line] for line in rows]
    assert [[n.similarity for n in line] for line in found] == similarity.tolist()


def test_equal_cases_come_in_gallery_order():
    rng = np.random.default_rng(0)
    few = rng.normal(size=(4, 16))
    gallery = Gallery.build(few[np.arange(200) % 4], make_records(200), fingerprint="f")
    found = gallery.search(few, 10)  # 50 equal cases: far more than the shortlist holds
    expected = [[f"ISIC_{row:07}" for row in range(i, 40, 4)] for i in range(4)]
    assert ids(found) == expected


def test_cases_closer_than_float32_can_tell_are_ordered_exactly():
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


def test_length_of_queries_and_order_of_gallery_do_not_matter(gallery, queries):
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
        ({"dx": "unheard of"}, lambda r: False),
        ({}, lambda r: True),
    ],
)
def test_where_filters_on_facts(gallery, queries, where, keep):
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


def test_exclusion_and_filter_together(gallery, queries):
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
        ({"k": 0}, "k must be at least 1, got 0"),
        ({"where": {"colour": "red"}}, "no fact 'colour'"),
        ({"where": {"dx": ("mel", "nv")}}, "only age takes a tuple"),
        ({"where": {"age": (60, 40)}}, "is not a range"),
        ({"where": {"age": (1, 2, 3)}}, "is not a range"),
        ({"where": {"age": ("1", "2")}}, "is not a range"),
        ({"exclude_lesion_ids": "HAM_0"}, "one entry for each of 40 queries"),
        ({"exclude_lesion_ids": [None]}, "one entry for each of 40 queries"),
    ],
)
def test_search_refuses(gallery, queries, arguments, words):
    with pytest.raises(ValueError, match=words):
        gallery.search(queries, **arguments)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (np.ones((1, 3)), "queries have 3 dimensions, expected 16"),
        (np.full((1, 16), np.nan), "queries hold NaN"),
        (np.zeros((1, 16)), "zero vector"),
        (np.ones(16), r"shape \(N, D\)"),
    ],
)
def test_search_refuses_queries(gallery, bad, words):
    with pytest.raises(ValueError, match=words):
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
        (lambda r: r[:-1], "3 embeddings came with 2 records"),
        (lambda r: change(r, image_id="ISIC_0000001"), "'ISIC_0000001' appears twice"),
        (lambda r: change(r, image_id=None), "every record needs a image_id"),
        (lambda r: change(r, dx=""), "every record needs a dx"),
        (lambda r: change(r, age=float("nan")), "use None when not known"),
        (lambda r: change(r, age="forty"), "wrong type"),
        (lambda r: change(r, sex=3), "wrong type"),
        (lambda r: change(r, colour="red"), r"unknown columns \['colour'\]"),
    ],
)
def test_build_refuses_records(edit, words):
    with pytest.raises(ValueError, match=words):
        Gallery.build(np.eye(3), edit(make_records(3)), fingerprint="f")


def test_build_refuses_embeddings():
    with pytest.raises(ValueError, match="first in row 2"):
        Gallery.build([[1.0], [1.0], [np.nan]], make_records(3), fingerprint="f")
    with pytest.raises(ValueError, match="at least one case"):
        Gallery.build(np.zeros((0, 3)), [], fingerprint="f")


def test_saves_and_loads_what_it_was(gallery, queries, tmp_path):
    gallery.save(tmp_path / "gallery")
    loaded = Gallery.load(tmp_path / "gallery", fingerprint="encoder-a")
    np.testing.assert_array_equal(loaded.embeddings, gallery.embeddings)
    assert loaded.records == gallery.records
    assert loaded.search(queries, 5) == gallery.search(queries, 5)
    assert len(Gallery.load(tmp_path / "gallery")) == 300
    assert sorted(os.listdir(tmp_path / "gallery")) == [
        "embeddings.safetensors",
        "gallery.json",
        "records.parquet",
    ]


def test_load_refuses_another_encoder(gallery, tmp_path):
    gallery.save(tmp_path / "gallery")
    with pytest.raises(ValueError, match="made by encoder 'encoder-a', the model is 'encoder-b'"):
        Gallery.load(tmp_path / "gallery", fingerprint="encoder-b")


@pytest.mark.parametrize("name", ["embeddings.safetensors", "records.parquet", "gallery.json"])
def test_load_refuses_truncated_and_missing_files(gallery, tmp_path, name):
    gallery.save(tmp_path / "gallery")
    path = tmp_path / "gallery" / name
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match=rf"{name} is (damaged|not valid JSON)"):
        Gallery.load(tmp_path / "gallery")
    path.unlink()
    with pytest.raises(FileNotFoundError, match=name):
        Gallery.load(tmp_path / "gallery")


def test_load_refuses_files_that_do_not_belong_together(gallery, tmp_path):
    gallery.save(tmp_path / "gallery")
    make_gallery(200).save(tmp_path / "other")
    for name in ("embeddings.safetensors", "records.parquet", "gallery.json"):
        gallery.save(tmp_path / "gallery")
        (tmp_path / "gallery" / name).write_bytes((tmp_path / "other" / name).read_bytes())
        with pytest.raises(ValueError, match="do not belong together"):
            Gallery.load(tmp_path / "gallery")


def test_load_checks_what_the_files_say(gallery, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq
    from safetensors.numpy import save_file

    folder = tmp_path / "gallery"
    gallery.save(folder)
    for embeddings, words in [
        (np.full((300, 16), np.nan, np.float32), "hold NaN"),
        (np.ones((300, 16), np.float32), "not of length 1"),
    ]:
        save_file({"embeddings": embeddings}, folder / "embeddings.safetensors")
        with pytest.raises(ValueError, match=words):
            Gallery.load(folder)
    gallery.save(folder)
    twice = pa.Table.from_pylist([gallery.records[0]] * 300)
    pq.write_table(twice, folder / "records.parquet")
    with pytest.raises(ValueError, match="appears twice"):
        Gallery.load(folder)
    pq.write_table(twice.drop_columns("sex"), folder / "records.parquet")
    with pytest.raises(ValueError, match=r"records\.parquet has the columns"):
        Gallery.load(folder)
    gallery.save(folder)
    (folder / "gallery.json").write_text(json.dumps({"fingerprint": "encoder-a"}))
    with pytest.raises(ValueError, match=r"gallery\.json has the keys"):
        Gallery.load(folder)


def test_a_failed_save_leaves_the_old_gallery_whole(gallery, tmp_path, monkeypatch):
    import pyarrow.parquet as pq

    gallery.save(tmp_path / "gallery")

    def fail(*args, **kwargs):
        raise OSError("no space left on device")

    monkeypatch.setattr(pq, "write_table", fail)
    with pytest.raises(OSError, match="no space left"):
        make_gallery(20).save(tmp_path / "gallery")
    assert os.listdir(tmp_path) == ["gallery"]
    assert len(Gallery.load(tmp_path / "gallery")) == 300


def test_save_never_replaces_a_folder_of_other_things(gallery, tmp_path):
    (tmp_path / "model.safetensors").write_text("precious")
    with pytest.raises(FileExistsError, match="other things than a gallery"):
        gallery.save(tmp_path)
    with pytest.raises(FileExistsError, match="other things"):
        gallery.save(tmp_path / "model.safetensors")
    assert os.listdir(tmp_path) == ["model.safetensors"]


def test_columns_are_the_dataset_s_own():
    assert COLUMNS[:3] == ("image_id", "lesion_id", "dx")
