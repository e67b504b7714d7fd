import numpy as np
import pytest
from refusals import refuses

from dermsim.core.vectors import l2_normalize
from dermsim.tasks.retrieve import Gallery, choose_kind
from dermsim.tasks.retrieve import searched as module


@pytest.fixture(scope="module", params=["hnsw", "ivfpq"])
def indexed(request, clustered):
    return clustered.indexed(request.param)


@pytest.fixture
def asked(clustered):
    rng = np.random.default_rng(8)
    rows = rng.choice(5000, 60, replace=False)
    return clustered.embeddings[rows] + 0.05 * rng.normal(size=(60, 32)).astype(np.float32)


def recall(found, truth):
    shared = [
        len({n.image_id for n in a} & {n.image_id for n in b})
        for a, b in zip(found, truth, strict=True)
    ]
    return np.mean(shared) / 10


def test_the_size_chooses_the_index():
    assert [choose_kind(n) for n in (10, 100_000, 100_001, 500_000, 500_001)] == [
        "flat", "flat", "hnsw", "hnsw", "ivfpq"
    ]  # fmt: skip


def test_it_finds_what_it_says_it_finds(clustered, indexed, asked):
    facts = indexed.index_facts
    assert facts.recall_at_10 >= 0.95
    assert (facts.entries, facts.dim, facts.probes) == (5000, 32, 128)
    exact = clustered.search(asked, 10)
    found = indexed.search(asked, 10)
    assert recall(found, exact) >= 0.9
    # what is found at all has the exact likeness and order
    likeness = [{n.image_id: n.similarity for n in line} for line in clustered.search(asked, 500)]
    for line, known in zip(found, likeness, strict=True):
        similarity = [n.similarity for n in line]
        assert similarity == sorted(similarity, reverse=True)
        assert all(n.similarity == known[n.image_id] for n in line if n.image_id in known)


@pytest.mark.parametrize("kind", ["hnsw", "ivfpq"])
def test_the_stated_recall_is_that_of_a_plain_count(clustered, asked, kind):
    index = clustered.indexed(kind, probes=asked).index
    hits = 0
    for query in l2_normalize(asked):
        similarity = clustered.embeddings.astype(np.float64) @ query.astype(np.float64)
        proposed = [row for row in index.search(query[None], 128)[0] if row >= 0]
        best = sorted(proposed, key=lambda row, s=similarity: -s[row])[:10]
        hits += len(set(np.argsort(-similarity)[:10]) & set(best))
    assert index.facts.recall_at_10 == pytest.approx(hits / 600)
    assert index.facts.probes == 60


def test_flat_is_no_index(clustered, asked):
    assert clustered.indexed("flat").index_facts is None
    assert clustered.indexed().index_facts is None  # 5,000 cases are few
    assert clustered.indexed("flat").search(asked, 5) == clustered.search(asked, 5)


def test_a_narrow_filter_is_exact_and_a_wide_one_kept(clustered, indexed, asked, monkeypatch):
    where = {"dx": "mel"}
    assert indexed.search(asked, 10, where=where) == clustered.search(asked, 10, where=where)
    monkeypatch.setattr(module, "SCANNED", 10)
    wide = {"dx": ["mel", "nv", "bkl"], "age": (20, 80)}
    found = indexed.search(asked, 10, where=wide)
    assert all(n.dx in wide["dx"] and 20 <= n.facts["age"] <= 80 for line in found for n in line)
    assert recall(found, clustered.search(asked, 10, where=wide)) >= 0.9


def test_lesions_are_left_out(clustered, indexed):
    queries = clustered.embeddings[:30]
    own = [record["lesion_id"] for record in clustered.records[:30]]
    found = indexed.search(queries, 10, exclude_lesion_ids=own)
    for line, lesion in zip(found, own, strict=True):
        assert len(line) == 10
        assert lesion not in {n.lesion_id for n in line}
    assert recall(found, clustered.search(queries, 10, exclude_lesion_ids=own)) >= 0.9


def test_cases_added_later_are_found_without_indexing_again(indexed, make_records):
    new = np.random.default_rng(1).normal(size=(3, 32)).astype(np.float32)
    grown = indexed.add(new, make_records(3, 5000))
    assert grown.index is indexed.index
    found = grown.search(new, 2)
    assert [line[0].image_id for line in found] == [f"ISIC_000{5000 + i}" for i in range(3)]
    assert all(line[0].similarity == pytest.approx(1) for line in found)


def test_cases_removed_later_are_not_found_and_the_rest_is(clustered, indexed, asked):
    rows = np.random.default_rng(2).choice(4998, 1000, replace=False)
    gone = {f"ISIC_{row:07}" for row in rows} | {"ISIC_0004998", "ISIC_0004999"}
    # in two steps: the second renumbers what the first left
    left = indexed.remove(image_ids=gone - {"ISIC_0004999"}).remove(image_ids=["ISIC_0004999"])
    assert len(left) == 3998
    found = left.search(asked, 10)
    assert not gone & {n.image_id for line in found for n in line}
    exact = clustered.remove(image_ids=gone).search(asked, 10)
    assert recall(found, exact) >= 0.9


def test_where_all_that_was_proposed_is_gone_the_search_is_exact(clustered, indexed):
    query = clustered.embeddings[:1]
    near = [n.image_id for n in clustered.search(query, 400)[0]]
    left = indexed.remove(image_ids=near)
    [found] = left.search(query, 10)
    assert [n.image_id for n in found] == [
        n.image_id for n in clustered.search(query, 410)[0][400:]
    ]


@pytest.mark.parametrize("change", ["nothing", "added", "removed"])
def test_saves_and_loads_what_it_was(indexed, asked, make_records, tmp_path, change):
    gallery = indexed
    if change == "added":
        gallery = gallery.add(asked[:5], make_records(5, 5000))
    if change == "removed":
        gallery = gallery.remove(lesion_ids=["HAM_7"])
    gallery.save(tmp_path / "gallery")
    [index] = (tmp_path / "gallery").glob("index*")
    loaded = Gallery.load(tmp_path / "gallery", mapped=True)
    assert loaded.index_facts == gallery.index_facts
    assert loaded.search(asked, 10) == gallery.search(asked, 10)
    # changed again, it is saved beside the index that is there
    written = index.stat().st_mtime_ns
    again = loaded.remove(lesion_ids=["HAM_9"]).add(asked[5:9], make_records(4, 6000))
    again.save(tmp_path / "gallery")
    assert index.stat().st_mtime_ns == written
    assert Gallery.load(tmp_path / "gallery").search(asked, 10) == again.search(asked, 10)


@pytest.mark.parametrize("cut", [9, 10_000])
def test_a_truncated_index_is_refused(indexed, tmp_path, cut):
    indexed.save(tmp_path / "gallery")
    path = tmp_path / "gallery" / "index-00001.safetensors"
    path.write_bytes(path.read_bytes()[:-cut])
    with refuses("storage.not_safetensors", name="index-00001.safetensors"):
        Gallery.load(tmp_path / "gallery")


def test_an_index_that_is_none_is_refused(indexed, tmp_path):
    from dermsim.core.storage import save_arrays

    indexed.save(tmp_path / "gallery")
    path = tmp_path / "gallery" / "index-00001.safetensors"
    facts = vars(indexed.index_facts)
    save_arrays(path, {"index": np.zeros(99, np.uint8)}, facts=facts)
    with refuses("approximate.not_an_index"):
        Gallery.load(tmp_path / "gallery")
    save_arrays(path, {"index": np.zeros(99, np.uint8)}, facts=facts | {"kind": "flat"})
    with refuses("approximate.not_an_index"):
        Gallery.load(tmp_path / "gallery")


def test_an_index_of_more_cases_than_there_are_is_refused(clustered, indexed, tmp_path):
    indexed.save(tmp_path / "gallery")
    small = Gallery(clustered.parts, clustered.records, "f").remove(lesion_ids=["HAM_3"])
    Gallery(small.parts, small.records, "f", indexed.index).save(tmp_path / "gallery")
    with refuses("retrieve_folder.other_index", alive=5000, cases=4997):
        Gallery.load(tmp_path / "gallery")


def test_too_few_cases_are_refused(gallery):
    with refuses("approximate.too_few", fewest=1000, rows=300):
        gallery.indexed("hnsw")
