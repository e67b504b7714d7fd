"""What is no picture, or is not read, is named with what to do, in one sentence."""

import pytest
from refusals import refuses

from dermsim.core.checkpoint import local_folder
from dermsim.core.lfs import refuse_lfs_pointer
from dermsim.core.refused import Phrase
from dermsim.core.storage import load_table, read_arrays
from dermsim.data.images import read_image

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize 46000000\n" % (
    b"0" * 64
)


@pytest.mark.parametrize(
    ("start", "said"),
    [
        (POINTER, "foreign.lfs_pointer"),
        (bytes(600), "foreign.zeros"),
        (b"%PDF-1.7", ("pdf", "save_page")),
        (b"8BPS\0\1", ("photoshop", "save_as_picture")),
        (b"PK\3\4more", ("zip", "unpack")),
        (b"FUJIFILMCCD-RAW 0201", ("raw_fujifilm", "develop")),
        (b"\0\0\0\x18ftypcrx \0\0\0\1", ("raw_canon", "develop")),
        (b"\0\0\0\x18ftypisom\0\0\2\0", ("video", "save_frame")),
        (
            b"\0\0\0\x18ftypmsf9\0\0\0\0",
            ("heif_family", "save_as_picture"),
        ),
        (b"RIFF\0\1\0\0AVI LIST", ("video", "save_frame")),
        (b"P6\n64 48\n255\n", ("netpbm", "save_as_picture")),
        (b'<?xml version="1.0"?>\n<svg width="3">', ("svg", "save_as_picture")),
        (b"\n<!DOCTYPE HTML><html>", ("web_page", "download_again")),
        (b"\x93NUMPY\1\0", ("numpy", "load_array")),
        (b"Dear doctor", "images.not_an_image"),
    ],
)
def test_it_is_named(start, said, tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(start + b"\1" * 40 if start.strip(b"\0") else start)
    if isinstance(said, tuple):
        kind, advice = (f"foreign.{word}" for word in said)
        said = Phrase("foreign.not_read", kind=kind, advice=advice)
    with refuses(said, name="photo.jpg") as refused:
        read_image(path)
    assert str(refused.value).startswith("photo.jpg ") and "\n" not in str(refused.value)


@pytest.mark.parametrize("part", ["model.safetensors", "detector.safetensors", "atlas.parquet"])
def test_a_checkpoint_with_pointers(checkpoint, tmp_path, part):
    for path in checkpoint.iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / part).unlink()
    (tmp_path / part).write_bytes(POINTER)
    with refuses("lfs.pointer", names=[part], parent=tmp_path):
        local_folder(tmp_path)


def test_other_files_that_are_pointers(tmp_path):
    (tmp_path / "a.safetensors").write_bytes(POINTER)
    (tmp_path / "b.parquet").write_bytes(POINTER)
    with refuses("lfs.pointer", names=["a.safetensors"]):
        read_arrays(tmp_path / "a.safetensors")
    with refuses("lfs.pointer", names=["b.parquet"]):
        load_table(tmp_path / "b.parquet", columns=["x"])
    with refuses("lfs.pointers", names=["a.safetensors", "b.parquet"]):
        refuse_lfs_pointer(*sorted(tmp_path.iterdir()))


def test_what_is_none_is_let_through(tmp_path):
    (tmp_path / "large").write_bytes(POINTER + bytes(2000))
    (tmp_path / "text").write_text("version 3")
    refuse_lfs_pointer(tmp_path / "large", tmp_path / "text", tmp_path / "nothing", tmp_path)
