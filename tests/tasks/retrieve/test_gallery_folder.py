import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from refusals import refuses

from dermsim.core.atomic import ATTEMPTS
from dermsim.core.refused import Phrase
from dermsim.tasks.retrieve import COLUMNS, Gallery
from dermsim.tasks.retrieve import folder as storing
from dermsim.tasks.retrieve.folder import writing

ROWS = np.zeros(4_000_000, np.int64)
NAMES = ["embeddings.safetensors", "records.parquet", "gallery.json"]


@pytest.fixture
def folder(gallery, tmp_path):
    """A saved gallery of 300 cases."""
    gallery.save(tmp_path / "gallery")
    return tmp_path / "gallery"


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("mapped", [None, False, True])
def test_saves_and_loads_what_it_was(gallery, folder, queries, mapped):
    loaded = Gallery.load(folder, fingerprint="encoder-a", mapped=mapped)
    assert isinstance(loaded.parts[0].vectors, np.memmap) == (mapped is True)
    np.testing.assert_array_equal(loaded.embeddings, gallery.embeddings)
    assert loaded.records == gallery.records
    assert loaded.search(queries, 5) == gallery.search(queries, 5)
    where = {"age": (20, 60)}
    assert loaded.search(queries, 5, where=where) == gallery.search(queries, 5, where=where)
    assert sorted(os.listdir(folder)) == sorted(NAMES)


def test_load_refuses_another_encoder(folder):
    with refuses("retrieve_folder.other_encoder", theirs="encoder-a", model="encoder-b"):
        Gallery.load(folder, fingerprint="encoder-b")


# -- growing and shrinking ------------------------------------------------------------------------


@pytest.mark.parametrize("mapped", [False, True])
def test_adding_writes_only_what_is_new(make_gallery, folder, queries, mapped):
    before = content(folder)
    grown = Gallery.load(folder, mapped=mapped).join(make_gallery(20, seed=4, first=300))
    grown.save(folder)
    after = content(folder)
    assert {name for name in after if after[name] != before.get(name)} == {
        "gallery.json",
        "embeddings-00001.safetensors",
        "records-00001.parquet",
    }
    loaded = Gallery.load(folder, mapped=mapped)
    assert loaded.records == grown.records
    assert loaded.search(queries, 9) == grown.search(queries, 9)


@pytest.mark.parametrize("mapped", [False, True])
def test_removing_rewrites_only_the_parts_it_touches(make_gallery, folder, queries, mapped):
    Gallery.load(folder).join(make_gallery(20, seed=4, first=300)).save(folder)
    left = Gallery.load(folder, mapped=mapped).remove(lesion_ids=["HAM_2"])
    expected = left.search(queries, 9)
    left.save(folder)
    assert sorted(os.listdir(folder)) == [
        "embeddings-00001.safetensors",
        "embeddings-00002.safetensors",
        "gallery.json",
        "records-00001.parquet",
        "records-00002.parquet",
    ]
    loaded = Gallery.load(folder)
    assert len(loaded) == 317
    assert loaded.search(queries, 9) == expected
    assert not loaded.records.rows_of("lesion_id", [{"HAM_2"}])[0].size


def test_a_copy_in_another_folder_is_whole(make_gallery, folder, queries, tmp_path):
    Gallery.load(folder).join(make_gallery(20, seed=4, first=300)).save(folder)
    grown = Gallery.load(folder, mapped=True)
    grown.save(tmp_path / "copy")
    shutil.rmtree(folder)
    assert Gallery.load(tmp_path / "copy").search(queries, 9) == grown.search(queries, 9)


def test_searches_go_on_while_the_folder_changes(folder, queries, make_gallery):
    reading = Gallery.load(folder, mapped=True)
    expected = make_gallery().search(queries, 9)
    make_gallery(50, seed=8).save(folder)
    assert reading.search(queries, 9) == expected
    assert len(Gallery.load(folder)) == 50


# -- killed and failed saves ----------------------------------------------------------------------

KILLED = """
import os, sys
import numpy as np
from dermsim.core.atomic import ATTEMPTS
from dermsim.tasks.retrieve import COLUMNS, Gallery
from dermsim.tasks.retrieve import folder as storing
from dermsim.tasks.retrieve.folder import writing

real = os.replace
for steps, folder in enumerate(sys.argv[1:]):
    if os.fork():  # a process of its own for each
        os.wait()
        continue

    def replace(source, target):
        global steps
        if steps == 0:
            os._exit(9)  # as if killed: nothing is cleaned up
        steps -= 1
        real(source, target)

    os.replace = replace
    records = [{"image_id": f"new-{i}", "dx": "nv"} for i in range(5)]
    grown = Gallery.load(folder).remove(image_ids=["ISIC_0000000"]).add(np.eye(5, 16), records)
    grown.save(folder)
    os._exit(0)
"""


def test_a_killed_save_leaves_the_old_gallery_whole_or_the_new_one(gallery, tmp_path):
    folders = [tmp_path / str(steps) for steps in range(7)]
    for folder in folders:
        gallery.save(folder)
    subprocess.run([sys.executable, "-c", KILLED, *map(str, folders)], check=True)
    # two files of each part, then the header
    sizes = [len(Gallery.load(folder)) for folder in folders]
    assert sizes == [300, 300, 300, 300, 300, 304, 304]
    for folder in folders:  # what was left behind is swept by the next save
        gallery.remove(image_ids=["ISIC_0000001"]).save(folder)
        assert len(Gallery.load(folder)) == 299
        assert len(os.listdir(folder)) == 3


@pytest.mark.parametrize("exists", [True, False])
def test_a_failed_save_leaves_the_disk_as_it_was(
    make_gallery, gallery, tmp_path, monkeypatch, exists
):
    import pyarrow.parquet as pq

    if exists:
        gallery.save(tmp_path / "gallery")
        before = content(tmp_path / "gallery")

    def fail(*args, **kwargs):
        raise OSError("no space left on device")

    monkeypatch.setattr(pq, "write_table", fail)
    with pytest.raises(OSError, match="no space left"):
        make_gallery(20).save(tmp_path / "gallery")
    assert os.listdir(tmp_path) == (["gallery"] if exists else [])
    if exists:
        assert content(tmp_path / "gallery") == before


def test_save_never_replaces_a_folder_of_other_things(gallery, tmp_path):
    (tmp_path / "model.safetensors").write_text("precious")
    with refuses("build_gallery.other_things", FileExistsError):
        gallery.save(tmp_path)
    with refuses("build_gallery.other_things", FileExistsError):
        gallery.save(tmp_path / "model.safetensors")
    assert os.listdir(tmp_path) == ["model.safetensors"]


# -- damaged folders ------------------------------------------------------------------------------


DAMAGED = {
    ".safetensors": "storage.not_safetensors",
    ".json": "storage.not_json",
    ".parquet": "bounded_parquet.damaged",
}


@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_load_refuses_truncated_and_missing_files(folder, name, mapped):
    path = folder / name
    path.write_bytes(path.read_bytes()[:-9])
    with refuses(DAMAGED[path.suffix], name=name):
        Gallery.load(folder, mapped=mapped)
    path.unlink()
    with refuses("storage.no_file", FileNotFoundError, source=path):
        Gallery.load(folder, mapped=mapped)


@pytest.mark.parametrize("name", NAMES)
def test_load_refuses_files_that_do_not_belong_together(make_gallery, folder, tmp_path, name):
    make_gallery(200).save(tmp_path / "other")
    shutil.copy(tmp_path / "other" / name, folder / name)
    with refuses(("bounded_parquet.rows", "retrieve_folder.shape")):
        Gallery.load(folder)


@pytest.mark.parametrize(
    ("embeddings", "words"),
    [
        (np.full((300, 16), np.nan, np.float32), "vectors.not_finite"),
        (np.ones((300, 16), np.float32), "retrieve_folder.length"),
        (np.ones(300, np.float32), "retrieve_folder.not_embeddings"),
        (np.ones((300, 16), np.float16), "retrieve_folder.not_embeddings"),
    ],
)
@pytest.mark.parametrize("mapped", [False, True])
def test_load_checks_the_embeddings(folder, embeddings, words, mapped):
    from safetensors.numpy import save_file

    save_file({"embeddings": embeddings}, folder / "embeddings.safetensors")
    with refuses(words):
        Gallery.load(folder, mapped=mapped)


def test_load_checks_the_records(gallery, folder):
    import pyarrow as pa
    import pyarrow.parquet as pq

    mark = pq.read_schema(folder / "records.parquet").metadata
    twice = pa.Table.from_pylist([gallery.records[0]] * 300).replace_schema_metadata(mark)
    pq.write_table(twice, folder / "records.parquet")
    with refuses("case_table.repeats"):
        Gallery.load(folder)
    pq.write_table(twice.drop_columns("sex"), folder / "records.parquet")
    with refuses("bounded_parquet.columns", name="records.parquet"):
        Gallery.load(folder)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rows": None}, Phrase("retrieve_folder.numbers", rows=None)),
        ({"dim": 0}, Phrase("retrieve_folder.numbers", dim=0)),
        ({"parts": []}, "retrieve_folder.parts"),
        ({"parts": [{"name": ""}]}, "storage.keys"),
        (
            {"parts": [{"name": "/../../secret", "rows": 300}]},
            Phrase("retrieve_folder.no_part", name="/../../secret"),
        ),
        ({"parts": [{"name": "", "rows": 299}]}, "retrieve_folder.shape"),
        ({"index": {"file": "../other.json"}}, "retrieve_folder.no_file"),
        ({"index": []}, "storage.not_an_object"),
        ({"colour": "red"}, Phrase("storage.keys", name="gallery.json")),
    ],
)
def test_load_checks_the_header(folder, change, words):
    header = json.loads((folder / "gallery.json").read_text()) | change
    (folder / "gallery.json").write_text(json.dumps(header))
    with refuses(words):
        Gallery.load(folder)


# --- several writers, and readers meanwhile ------------------------------------------------------


def test_files_of_two_galleries_are_never_taken_for_one(make_gallery, folder, tmp_path):
    """As many rows of as many numbers, but of other cases: counting them does not help."""
    make_gallery(300, seed=9).save(tmp_path / "other")
    for name in ("embeddings.safetensors", "records.parquet"):
        shutil.copytree(folder, tmp_path / name)
        shutil.copy(tmp_path / "other" / name, tmp_path / name / name)
        for mapped in (False, True):
            with refuses("retrieve_folder.marks"):
                Gallery.load(tmp_path / name, mapped=mapped)


def test_the_same_gallery_has_the_same_files(gallery, folder, tmp_path):
    gallery.save(tmp_path / "again")
    assert content(tmp_path / "again") == content(folder)


def test_a_writer_waits_for_the_other(make_gallery, folder, monkeypatch):
    monkeypatch.setattr("dermsim.core.atomic.PATIENCE", 0.1)
    before = content(folder)
    with ThreadPoolExecutor(1) as other, writing(folder):
        save = other.submit(make_gallery(200).save, folder)
        with refuses("atomic.busy", TimeoutError, target=folder / "gallery.json"):
            save.result()
    assert content(folder) == before


def test_a_reader_that_meets_a_new_gallery_reads_that(make_gallery, folder, monkeypatch):
    read, met = storing.read_part, []

    def read_part(*arguments, **options):
        if not met:  # after the header was read, the files it names go away
            met.append(1)
            make_gallery(200).save(folder)
        return read(*arguments, **options)

    monkeypatch.setattr(storing, "read_part", read_part)
    assert len(Gallery.load(folder)) == 200


def test_a_gallery_that_always_changes_is_read_while_its_writers_wait(
    make_gallery, folder, monkeypatch
):
    read, met = storing.read_part, []

    def read_part(*arguments, **options):
        met.append(1)
        if len(met) <= ATTEMPTS:
            make_gallery(200 + len(met)).save(folder)
        else:
            assert ".gallery.json.lock" in os.listdir(folder)
        return read(*arguments, **options)

    monkeypatch.setattr(storing, "read_part", read_part)
    assert len(Gallery.load(folder)) == 200 + ATTEMPTS


def test_what_killed_writers_left_is_removed_by_the_next_save(make_gallery, folder):
    (folder / ".gallery.json.lock").touch()
    (folder / ".records-00007.parquet.a1b2c3d4.saving").mkdir()
    (folder / "embeddings-00007.safetensors").write_bytes(b"half")
    make_gallery(200).save(folder)
    names = {"gallery.json", "embeddings-00008.safetensors", "records-00008.parquet"}
    assert set(os.listdir(folder)) == names


# --- strangers' galleries ------------------------------------------------------------------------


def test_rows_are_compared_before_they_are_unpacked(folder, monkeypatch):
    """Four million rows of one word: a few kilobytes that unpack to a hundred megabytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    many = pa.table({name: pa.array([None], pa.string()).take(ROWS) for name in COLUMNS})
    pq.write_table(many, folder / "records.parquet")
    assert (folder / "records.parquet").stat().st_size < 200_000
    monkeypatch.setattr(
        pq.ParquetFile, "iter_batches", lambda *_, **__: pytest.fail("it was unpacked")
    )
    with refuses("bounded_parquet.rows", name="records.parquet", num_rows=4000000, rows=300):
        Gallery.load(folder)
