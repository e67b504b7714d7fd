import os
import subprocess
import sys

import numpy as np
import pytest
from refusals import refuses

from dermsim.data.synthetic import synthetic_ham10000
from dermsim.engine import build_gallery as gallery_builder
from dermsim.engine.build_gallery import build_gallery
from dermsim.tasks.retrieve import Gallery


@pytest.fixture(scope="module")
def rows():
    """40 drawn lesions, 80 pictures."""
    return synthetic_ham10000(40, seed=5, size=(48, 36))


def write(rows, folder, files=4):
    """Write rows as the Hub serves them, in several files."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    for number in range(files):
        name = f"train-{number:05}-of-{files:05}.parquet"
        rows.shard(files, number, contiguous=True).to_parquet(folder / "data" / name)
    return folder


@pytest.fixture(scope="module")
def source(rows, tmp_path_factory):
    return write(rows, tmp_path_factory.mktemp("source") / "drawn")


@pytest.fixture
def small_parts(monkeypatch):
    """Parts of 30 cases, embedded 7 at a time."""
    monkeypatch.setattr(gallery_builder, "PART", 28)
    monkeypatch.setattr(gallery_builder, "CHUNK", 7)


def facts(gallery):
    return sorted(gallery.records, key=lambda record: str(record["image_id"]))


def test_what_is_built_in_parts_is_what_the_engine_embeds(
    engine, rows, source, tmp_path, small_parts
):
    gallery = build_gallery(engine, source, tmp_path / "gallery", split="all")
    assert [len(part) for part in gallery.parts] == [28, 28, 24]
    assert isinstance(gallery.parts[0].vectors, np.memmap)
    assert gallery.fingerprint == engine.fingerprint
    ordered = rows.sort("image_id")
    assert gallery.records.values("image_id") == list(ordered["image_id"])
    expected = engine.embed([row["image"] for row in ordered])
    np.testing.assert_allclose(gallery.embeddings, expected, atol=1e-6)


def test_a_stream_gives_the_same_cases(engine, source, tmp_path, small_parts):
    whole = build_gallery(engine, source, tmp_path / "whole", split="all")
    streamed = build_gallery(engine, source, tmp_path / "streamed", split="all", streaming=True)
    assert facts(streamed) == facts(whole)
    queries = whole.embeddings[:9]
    found = [[n.image_id for n in line] for line in streamed.search(queries, 5)]
    assert found == [[n.image_id for n in line] for line in whole.search(queries, 5)]


def test_only_the_training_lesions_by_default(engine, source, tmp_path, rows):
    from dermsim.data.splits import grouped_splits

    gallery = build_gallery(engine, source, tmp_path / "gallery")
    assert gallery.records.values("image_id") == list(grouped_splits(rows)["train"]["image_id"])


def test_an_older_gallery_is_replaced_as_a_whole(engine, source, tmp_path):
    engine.gallery.save(tmp_path / "gallery")
    gallery = build_gallery(engine, source, tmp_path / "gallery", split="all")
    assert len(gallery) == len(Gallery.load(tmp_path / "gallery")) == 80
    assert len(os.listdir(tmp_path / "gallery")) == 3


def test_repeated_rows_of_a_stream_are_merged(engine, rows, tmp_path, small_parts):
    from datasets import concatenate_datasets

    again = concatenate_datasets([rows, rows.select(range(10))])
    source = write(again, tmp_path / "source")
    with pytest.warns(UserWarning, match="10 of 90 rows repeat an image_id"):
        gallery = build_gallery(engine, source, tmp_path / "out", split="all", streaming=True)
    assert sorted(gallery.records.values("image_id")) == sorted(rows["image_id"])


def test_contradicting_rows_of_a_stream_are_refused(engine, rows, tmp_path):
    from datasets import concatenate_datasets

    wrong = rows.select(range(1)).map(lambda row: {"dx": (row["dx"] + 1) % 7})
    source = write(concatenate_datasets([rows, wrong.cast(rows.features)]), tmp_path / "source")
    engine.gallery.save(tmp_path / "gallery")
    before = sorted(os.listdir(tmp_path / "gallery"))
    with refuses("case_table.different_facts"):
        build_gallery(engine, source, tmp_path / "gallery", split="all", streaming=True)
    assert sorted(os.listdir(tmp_path / "gallery")) == before
    assert len(Gallery.load(tmp_path / "gallery")) == len(engine.gallery)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"streaming": True}, ValueError, "build_gallery.stream_split"),
        ({"source": "nowhere/at/all"}, FileNotFoundError, "dataset.no_folder"),
        ({"folder": ".", "split": "all"}, FileExistsError, "build_gallery.other_things"),
    ],
)
def test_refusals_write_nothing(engine, source, tmp_path, options, error, words):
    (tmp_path / "letter.txt").write_text("Dear doctor")
    arguments = {"source": source, "folder": "new", **options}
    place = tmp_path / arguments.pop("folder")
    with refuses(words, error):
        build_gallery(engine, arguments.pop("source"), place, **arguments)
    assert os.listdir(tmp_path) == ["letter.txt"]


@pytest.mark.slow
@pytest.mark.parametrize("streaming", [False, True])
def test_two_processes_build_what_one_builds(engine, checkpoint, source, tmp_path, streaming):
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "-m", "dermsim",
        "gallery", "build", "--model", str(checkpoint), "--data", str(source), "--split", "all",
        "--output", str(tmp_path / "gallery"), *(["--streaming"] if streaming else []),
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    shared = Gallery.load(tmp_path / "gallery", fingerprint=engine.fingerprint)
    alone = build_gallery(engine, source, tmp_path / "alone", split="all")
    assert len(shared.parts) == 2
    assert facts(shared) == facts(alone)
    if not streaming:
        assert shared.records == alone.records
    found = shared.search(alone.embeddings[:9], 5)
    assert [[n.image_id for n in line] for line in found] == [
        [n.image_id for n in line] for line in alone.search(alone.embeddings[:9], 5)
    ]


def test_processes_that_were_not_joined_are_refused(engine, source, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with refuses("build_gallery.processes", started=2, num_processes=1):
        build_gallery(engine, source, tmp_path / "gallery", split="all")
    assert not (tmp_path / "gallery").exists()
