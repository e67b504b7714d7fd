import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from refusals import refuses

from dermsim.core.vectors import l2_normalize
from dermsim.tasks.atlas import EmbeddingMap, export_cases

N = 40


@pytest.fixture
def atlas():
    rng = np.random.default_rng(0)
    return EmbeddingMap(
        rng.normal(size=(N, 2)).astype(np.float32),
        tuple(f"ISIC_{i}" for i in range(N)),
        l2_normalize(rng.normal(size=(N, 8))).astype(np.float16),
        rng.normal(size=(N, 2)).astype(np.float32),
        {
            "predicted": np.array(["nv", "mel"])[np.arange(N) % 2],
            "ood_score": rng.random(N).astype(np.float32),
            "cluster": np.arange(N) % 5 - 1,
        },
    )


@pytest.fixture
def records():
    return [
        {"image_id": f"ISIC_{i}", "lesion_id": f"L{i // 2}", "dx": "nv", "age": 40.0 if i else None}
        for i in range(N)
    ]


def test_every_tool_finds_its_columns(atlas, records, tmp_path):
    pictures = [{"bytes": b"\xff\xd8", "path": f"/data/{i}.jpg"} for i in range(N)]
    path = tmp_path / "cases.parquet"
    assert export_cases(path, atlas, records, pictures=pictures) == N
    types = {field.name: str(field.type) for field in pq.read_schema(path)}
    assert types == {
        "image_id": "string",
        "lesion_id": "string",
        "dx": "string",
        "dx_type": "string",
        "age": "float",
        "sex": "string",
        "localization": "string",
        "x": "float",
        "y": "float",
        "tsne_x": "float",
        "tsne_y": "float",
        "predicted": "string",
        "ood_score": "float",
        "cluster": "int32",
        "error": "bool",
        "embedding": "list<element: float>",
        "neighbors": "struct<ids: list<element: int64>, distances: list<element: double>>",
        "image": "struct<bytes: binary, path: string>",
        "filepath": "string",
    }


def test_what_pandas_reads_is_what_was_written(atlas, records, tmp_path):
    import pandas as pd

    export_cases(tmp_path / "cases.parquet", atlas, records)
    table = pd.read_parquet(tmp_path / "cases.parquet")
    assert "image" not in table and "filepath" not in table
    assert table["image_id"].tolist() == list(atlas.image_ids)
    np.testing.assert_array_equal(table[["x", "y"]], atlas.coordinates)
    np.testing.assert_array_equal(table[["tsne_x", "tsne_y"]], atlas.tsne)
    assert table["error"].tolist() == [i % 2 == 1 for i in range(N)]
    assert np.isnan(table["age"][0]) and table["age"][1] == 40
    vectors = np.stack(table["embedding"])
    np.testing.assert_array_equal(vectors, l2_normalize(atlas.embeddings))
    for row, neighbors in enumerate(table["neighbors"]):
        distance = 1 - vectors.astype(np.float64) @ vectors[row].astype(np.float64)
        distance[row] = np.inf
        assert neighbors["ids"].tolist() == np.argsort(distance)[:15].tolist()
        np.testing.assert_allclose(neighbors["distances"], np.sort(distance)[:15], atol=1e-6)


def test_a_plain_map_is_written_too(atlas, records, tmp_path):
    plain = EmbeddingMap(atlas.coordinates, atlas.image_ids, atlas.embeddings)
    export_cases(tmp_path / "cases.parquet", plain, records)
    names = pq.read_schema(tmp_path / "cases.parquet").names
    assert "error" not in names and "tsne_x" not in names


def test_refusals_write_nothing(atlas, records, tmp_path):
    path = tmp_path / "cases.parquet"
    with refuses("export.records"):
        export_cases(path, atlas, records[::-1])
    with refuses("export.pictures", atlas_count=40, pictures_count=1):
        export_cases(path, atlas, records, pictures=[{"bytes": None, "path": None}])
    with pytest.raises((pa.ArrowException, TypeError)):
        export_cases(path, atlas, [{**records[0], "age": "old"}, *records[1:]])
    assert not path.exists()
