"""A gallery as a data set: what is not its own is refused before it is unpacked."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from refusals import refuses

from dermsim.hub.gallery_data import GalleryPictures, has_pictures, load_gallery, write_gallery


@pytest.fixture
def folder(engine, tmp_path):
    options = {"licence": "apache-2.0", "repo_id": "a/b-gallery", "model_id": "a/b"}
    write_gallery(tmp_path / "set", engine.gallery, **options)
    return tmp_path / "set"


def rewrite(folder, **columns):
    """Put other values in columns of the one Parquet file."""
    (path,) = folder.glob("data/*.parquet")
    table = pq.read_table(path)
    for name, values in columns.items():
        place = table.column_names.index(name)
        table = table.set_column(place, name, pa.array(values(table.column(name).to_pylist())))
    pq.write_table(table, path)


def test_a_gallery_comes_back_with_what_its_photographs_look_like(engine, folder):
    found = load_gallery(folder, fingerprint=engine.fingerprint)
    assert found.records == engine.gallery.records


@pytest.mark.parametrize("word", ["00", "zz" * 32])
def test_a_hash_that_is_none_is_refused(engine, folder, word):
    rewrite(folder, perceptual_hash=lambda values: [word] * len(values))
    with refuses("gallery_data.hash", column="perceptual_hash"):
        load_gallery(folder, fingerprint=engine.fingerprint)


def test_a_diagnosis_of_nobody_is_refused(engine, folder):
    rewrite(folder, dx=lambda values: [99] * len(values))
    with refuses("gallery_data.dx", dx=99):
        load_gallery(folder, fingerprint=engine.fingerprint)


def test_rows_are_compared_before_they_are_unpacked(engine, folder, monkeypatch):
    header = json.loads((folder / "gallery.json").read_text())
    (folder / "gallery.json").write_text(json.dumps({**header, "rows": header["rows"] + 1}))
    monkeypatch.setattr(pq.ParquetFile, "iter_batches", lambda *_, **__: pytest.fail("unpacked"))
    with refuses("gallery_data.cases", found=208, header="gallery.json"):
        load_gallery(folder, fingerprint=engine.fingerprint)


def test_what_unpacks_to_too_much_is_refused(folder, monkeypatch):
    monkeypatch.setattr("dermsim.core.bounded_parquet.ALLOWED", 10)
    monkeypatch.setattr("dermsim.core.bounded_parquet.TIMES", 0)
    for read in (GalleryPictures, has_pictures):
        with refuses("bounded_parquet.too_large"):
            read(folder)
