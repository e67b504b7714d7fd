import os
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from refusals import refuses

from dermsim.core.refused import Phrase
from dermsim.core.vectors import l2_normalize
from dermsim.tasks.atlas import EmbeddingMap


def halves(values):
    """Rows of two float16 values."""
    return pa.FixedSizeListArray.from_arrays(pa.array(values, pa.float16()), 2)


def draw(n, *, seed):
    """Two clusters on the sphere."""
    rng = np.random.default_rng(seed)
    centers = np.random.default_rng(7).normal(size=(2, 16))
    labels = np.arange(n) % 2
    return centers[labels] + 0.2 * rng.normal(size=(n, 16)), labels


def make_map(n=60):
    """A map with coordinates made by hand, so that UMAP is not needed."""
    embeddings, labels = draw(n, seed=0)
    rng = np.random.default_rng(1)
    coordinates = (10 * labels[:, None] + rng.normal(size=(n, 2))).astype(np.float32)
    names = tuple(f"ISIC_{i}" for i in range(n))
    return EmbeddingMap(coordinates, names, l2_normalize(embeddings).astype(np.float16)), embeddings


def test_transform_against_a_slow_loop():
    atlas, _ = make_map()
    queries, _ = draw(5, seed=2)
    for query, placed in zip(l2_normalize(queries), atlas.transform(queries), strict=True):
        unit = l2_normalize(atlas.embeddings.astype(np.float32))
        distance = [1 - float(query @ row) for row in unit]
        nearest = sorted(range(60), key=lambda i, d=distance: d[i])[:10]
        weights = [1 / (max(distance[i], 0) + 1e-4) for i in nearest]
        point = sum(w * atlas.coordinates[i] for w, i in zip(weights, nearest, strict=True))
        np.testing.assert_allclose(placed, point / sum(weights), rtol=1e-3)


def test_a_known_image_falls_on_its_own_point_and_a_new_one_in_its_cluster():
    atlas, embeddings = make_map()
    np.testing.assert_allclose(atlas.transform(embeddings), atlas.coordinates, atol=0.15)
    queries, labels = draw(20, seed=3)
    np.testing.assert_allclose(atlas.transform(queries)[:, 0], 10 * labels, atol=2.5)


def test_one_query_gets_what_it_gets_in_a_batch_whatever_its_length():
    atlas, _ = make_map()
    queries, _ = draw(6, seed=2)
    batch = atlas.transform(queries)
    for i in range(6):
        np.testing.assert_allclose(atlas.transform(9 * queries[i : i + 1])[0], batch[i], atol=1e-3)
    assert batch.dtype == np.float32
    assert atlas.transform(np.zeros((0, 16))).shape == (0, 2)


def test_saves_and_loads_what_it_was(tmp_path):
    atlas, _ = make_map()
    atlas.save(tmp_path / "atlas.parquet")
    loaded = EmbeddingMap.load(tmp_path / "atlas.parquet")
    queries, _ = draw(5, seed=2)
    assert (len(loaded), loaded.image_ids) == (60, atlas.image_ids)
    np.testing.assert_array_equal(loaded.coordinates, atlas.coordinates)
    np.testing.assert_array_equal(loaded.transform(queries), atlas.transform(queries))


def test_what_is_measured_of_the_points_is_kept(tmp_path):
    plain, _ = make_map()
    rng = np.random.default_rng(5)
    atlas = EmbeddingMap(
        plain.coordinates,
        plain.image_ids,
        plain.embeddings,
        rng.normal(size=(60, 2)).astype(np.float32),
        {
            "cluster": np.arange(60) - 1,
            "predicted": np.array(["nv", "mel"])[np.arange(60) % 2],
            "margin": rng.random(60).astype(np.float32),
        },
    )
    atlas.save(tmp_path / "atlas.parquet")
    loaded = EmbeddingMap.load(tmp_path / "atlas.parquet")
    assert set(loaded.measures) == set(atlas.measures)
    for name, values in atlas.measures.items():
        np.testing.assert_array_equal(loaded.measures[name], values)
    np.testing.assert_array_equal(loaded.tsne, atlas.tsne)
    assert list(loaded.layouts) == ["umap", "tsne"]
    assert list(plain.layouts) == ["umap"]


def test_a_new_image_is_placed_on_either_map():
    plain, embeddings = make_map()
    turned = plain.coordinates[:, ::-1].copy()
    atlas = EmbeddingMap(plain.coordinates, plain.image_ids, plain.embeddings, turned)
    queries = embeddings[:7] + 0.05
    placed = atlas.transform(queries)
    np.testing.assert_allclose(atlas.transform(queries, layout="tsne"), placed[:, ::-1], atol=1e-5)
    with refuses("map.no_layout", layout="tsne", layouts=["umap"]):
        plain.transform(queries, layout="tsne")


@pytest.mark.parametrize("measures", [{"colour": np.zeros(60)}, {"margin": np.zeros(59)}])
def test_measures_of_other_points_are_refused(measures):
    plain, _ = make_map()
    with refuses("map.measure", count=60):
        EmbeddingMap(plain.coordinates, plain.image_ids, plain.embeddings, measures=measures)


def test_load_refuses(tmp_path):
    path = tmp_path / "atlas.parquet"
    with refuses("storage.no_file", FileNotFoundError):
        EmbeddingMap.load(path)
    pq.write_table(pa.table({"x": [1.0]}), path)
    with refuses("bounded_parquet.columns"):
        EmbeddingMap.load(path)
    path.write_bytes(b"PAR1")
    with refuses("bounded_parquet.damaged"):
        EmbeddingMap.load(path)


@pytest.mark.parametrize(
    ("column", "values", "words"),
    [
        ("embedding", [1.0, 2.0], "map.column_types"),
        ("x", ["left", "right"], "map.column_types"),
        ("embedding", halves([None, 1.0, 1.0, 0.0]), "map.empty_cells"),
        ("image_id", [None, "b"], "map.empty_cells"),
        (
            "embedding",
            halves([np.nan, 1.0, 1.0, 0.0]),
            Phrase("vectors.not_finite", name="embeddings"),
        ),
        (
            "x",
            np.array([np.nan, 1.0], np.float32),
            Phrase("vectors.not_finite", name="coordinates"),
        ),
        ("tsne_x", np.zeros(2, np.float32), "map.column_types"),
        ("margin", ["near", "far"], "map.column_types"),
        ("predicted", ["nv", None], "map.empty_cells"),
        ("colour", ["red", "blue"], "bounded_parquet.columns"),
    ],
)
def test_load_checks_the_columns(tmp_path, column, values, words):
    table = {
        "image_id": ["a", "b"],
        "x": np.zeros(2, np.float32),
        "y": np.zeros(2, np.float32),
        "embedding": halves([1.0, 0.0, 0.0, 1.0]),
    }
    path = tmp_path / "atlas.parquet"
    pq.write_table(pa.table(table), path)
    assert len(EmbeddingMap.load(path)) == 2
    pq.write_table(pa.table({**table, column: values}), path)
    with refuses(words):
        EmbeddingMap.load(path)


def test_transform_refuses():
    atlas, _ = make_map()
    with refuses("vectors.dimensions", dimensions=3, expected=16):
        atlas.transform(np.ones((1, 3)))
    with refuses("vectors.zero"):
        atlas.transform(np.zeros((1, 16)))


def test_fit_refuses_before_importing_umap():
    for embeddings, names, words in [
        (np.eye(9), ["a"] * 9, Phrase("map.too_few", neighbors=10, count=9)),
        (np.eye(12), ["a"], Phrase("map.image_ids", unit_count=12, image_ids_count=1)),
    ]:
        with refuses(words):
            EmbeddingMap.fit(embeddings, names)


def test_using_a_map_does_not_import_umap(tmp_path):

    make_map()[0].save(tmp_path / "atlas.parquet")
    program = (
        "import sys, numpy as np\n"
        "from dermsim.tasks.atlas import EmbeddingMap\n"
        "EmbeddingMap.load(sys.argv[1]).transform(np.ones((1, 16)))\n"
        "print(sorted({'umap', 'numba', 'sklearn', 'torch'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "atlas.parquet")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_both_maps_draw_the_clusters_apart_and_the_same_every_time(umap):
    embeddings, labels = draw(80, seed=0)
    names = [str(i) for i in range(80)]
    first, second = (EmbeddingMap.fit(embeddings, names, seed=3) for _ in range(2))
    for layout, coordinates in first.layouts.items():
        np.testing.assert_array_equal(coordinates, second.layouts[layout])
        a, b = coordinates[labels == 0], coordinates[labels == 1]
        gap = np.linalg.norm(a.mean(axis=0) - b.mean(axis=0))
        assert gap > 2 * max(a.std(axis=0).max(), b.std(axis=0).max())
        placed = first.transform(draw(20, seed=4)[0], layout=layout)
        assert (np.linalg.norm(placed[::2] - a.mean(axis=0), axis=1) < gap / 2).all()


@pytest.mark.slow
def test_drawing_leaves_the_threads_of_torch_alone():
    code = """
import numpy as np, torch
from dermsim.tasks.atlas import EmbeddingMap
rows = np.random.default_rng(0).normal(size=(40, 16))
EmbeddingMap.fit(rows, [str(row) for row in range(40)], tsne=False)
print(torch.get_num_threads())
"""
    alone = {**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "3"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=alone)
    assert (done.stdout, done.returncode) == ("1\n", 0), done.stderr
