"""The `dermsim atlas` commands on a real tiny checkpoint."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from dermsim.cli.main import main
from dermsim.tasks.atlas import EmbeddingMap


@pytest.fixture
def run(capsys):
    """Run the command; return status, its JSON answer or None, and stderr."""

    def command(*arguments):
        status = main([*map(str, arguments), "--json"])
        captured = capsys.readouterr()
        return status, json.loads(captured.out) if captured.out else None, captured.err

    return command


@pytest.fixture(scope="module")
def source(synthetic, tmp_path_factory):
    """The checkpoint's training lesions as the Hub serves them."""
    folder = tmp_path_factory.mktemp("source") / "drawn"
    (folder / "data").mkdir(parents=True)
    synthetic["train"].to_parquet(folder / "data" / "train-00000-of-00001.parquet")
    return folder


@pytest.fixture(scope="module")
def other(synthetic, tmp_path_factory):
    """A few of them under other names."""
    folder = tmp_path_factory.mktemp("other") / "drawn"
    (folder / "data").mkdir(parents=True)
    rows = synthetic["train"].select(range(4))
    names = [f"NEW_{name}" for name in rows["image_id"]]
    rows = rows.remove_columns("image_id").add_column("image_id", names)
    rows.to_parquet(folder / "data" / "train-00000-of-00001.parquet")
    return folder


def test_info_scores_clusters_and_lists_what_stands_out(run, checkpoint, engine):
    status, answer, _ = run("atlas", "info", "--model", checkpoint, "--count", 3)
    assert status == 0
    assert answer["cases"] == len(engine.atlas)
    assert set(answer["clusters"]) == {"HDBSCAN, on the map", "k-means"}
    scores = answer["clusters"]["k-means"]
    assert scores["outside"] == 0 and 0 < scores["purity"] <= 1
    assert sum(cluster["size"] for cluster in scores["clusters"]) == len(engine.atlas)
    isolation = engine.atlas.measures["isolation"]
    assert answer["outliers"][0]["image_id"] == engine.atlas.image_ids[int(isolation.argmax())]
    assert len(answer["borderline"]) == 3


def test_info_shows_the_rest_where_no_island_is_found(run, capsys, checkpoint, engine, tmp_path):
    folder, drawn = shutil.copytree(checkpoint, tmp_path / "copy"), engine.atlas
    blank = np.full(len(drawn), -1)
    whole = {"cluster": blank, "kmeans": np.zeros_like(blank)}
    measures = {
        name: values if name not in whole else whole[name].astype(values.dtype)
        for name, values in drawn.measures.items()
    }
    replace(drawn, measures=measures).save(folder / "atlas.parquet")
    status, answer, _ = run("atlas", "info", "--model", folder)
    assert status == 0
    assert list(answer["clusters"]) == ["k-means"]
    assert answer["clusters"]["k-means"]["silhouette"] is None
    assert answer["outliers"]
    assert main(["atlas", "info", "--model", str(folder)]) == 0
    assert "no cluster was found by HDBSCAN, on the map" in capsys.readouterr().out


def test_info_in_words_and_of_other_cases(capsys, checkpoint):
    arguments = ["atlas", "info", "--model", str(checkpoint), "--data", "synthetic"]
    assert main([*arguments, "--split", "test"]) == 0
    said = capsys.readouterr().out
    assert "silhouette of the diagnoses" in said and "Nearest to a border" in said


def test_export_with_and_without_pictures(run, checkpoint, engine, source, tmp_path):
    plain, full = tmp_path / "plain.parquet", tmp_path / "full.parquet"
    status, answer, _ = run("atlas", "export", "--model", checkpoint, "-o", plain)
    assert (status, answer["pictures"], answer["cases"]) == (0, False, len(engine.atlas))
    assert "image" not in pq.read_schema(plain).names
    status, answer, _ = run(
        "atlas", "export", "--model", checkpoint, "-o", full, "--pictures", source
    )
    assert (status, answer["pictures"]) == (0, True)
    table = pq.read_table(full)
    assert table["image_id"].to_pylist() == list(engine.atlas.image_ids)
    assert all(picture["bytes"] for picture in table["image"].to_pylist())


def test_draw_replaces_the_map_of_a_folder(run, checkpoint, engine, source, tmp_path):
    folder = shutil.copytree(checkpoint, tmp_path / "copy")
    path = folder / "atlas.parquet"
    EmbeddingMap(engine.atlas.coordinates, engine.atlas.image_ids, engine.atlas.embeddings).save(
        path
    )
    status, answer, _ = run("atlas", "draw", folder, "--data", source)
    assert (status, answer["cases"]) == (0, len(engine.atlas))
    again = EmbeddingMap.load(path)
    np.testing.assert_array_equal(again.coordinates, engine.atlas.coordinates)
    assert set(again.measures) == set(engine.atlas.measures)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["info", "--count", "0"], "--count must be at least 1, got 0"),
        (["info", "--split", "test"], "name them with --data"),
        (["export", "-o", "FOLDER"], "is a folder: name the file to write"),
        (["export", "-o", "OUT", "--pictures", "OTHER"], "of the pictures, such as"),
    ],
)
def test_bad_input_is_one_sentence_and_writes_nothing(
    run, checkpoint, other, tmp_path, arguments, sentence
):
    words = {"FOLDER": tmp_path, "OUT": tmp_path / "x.parquet", "OTHER": other}
    filled = [str(words.get(word, word)) for word in arguments]
    status, answer, error = run("atlas", filled[0], "--model", checkpoint, *filled[1:])
    assert (status, answer) == (2, None)
    # above it may stand the progress of reading the data
    assert sentence in error.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


def test_a_map_is_not_drawn_from_other_data(run, checkpoint, other, tmp_path):
    folder = shutil.copytree(checkpoint, tmp_path / "copy")
    before = (folder / "atlas.parquet").read_bytes()
    status, _, error = run("atlas", "draw", folder, "--data", other)
    assert status == 2 and "of the gallery's" in error
    assert (folder / "atlas.parquet").read_bytes() == before
    status, _, error = run("atlas", "draw", tmp_path / "nowhere", "--data", "synthetic")
    assert status == 2 and "no checkpoint folder" in error
