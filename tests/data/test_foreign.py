"""What is no picture, or is not read, is named with what to do, in one sentence."""

import pytest
from refusals import refuses

from dermsim.core.checkpoint import local_folder
from dermsim.core.lfs import refuse_lfs_pointer
from dermsim.core.storage import load_table, read_arrays
from dermsim.data.images import read_image

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize 46000000\n" % (
    b"0" * 64
)


@pytest.mark.parametrize(
    ("start", "said"),
    [
        (POINTER, "is a Git LFS pointer and not the picture: run git lfs pull where it lies"),
        (bytes(600), "begins with nothing but zeros, as after a copy that failed: copy it again"),
        (b"%PDF-1.7", "is a PDF document, which is not read: save the picture in it as JPEG"),
        (b"8BPS\0\1", "is a Photoshop document, which is not read: save it as JPEG, PNG or TIFF"),
        (b"PK\3\4more", "is a zip archive or an office document, which is not read: unpack it"),
        (b"FUJIFILMCCD-RAW 0201", "is a raw file of a Fujifilm camera, which is not read: develop"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1", "is a raw file of a Canon camera"),
        (b"\0\0\0\x18ftypisom\0\0\2\0", "is a video, which is not read: save one frame"),
        (
            b"\0\0\0\x18ftypmsf9\0\0\0\0",
            "is of the HEIF family, which is not read: save it",
        ),
        (b"RIFF\0\1\0\0AVI LIST", "is a video"),
        (b"P6\n64 48\n255\n", "is a Netpbm picture, which is not read: save it as JPEG"),
        (b'<?xml version="1.0"?>\n<svg width="3">', "is an SVG drawing, which is not read"),
        (b"\n<!DOCTYPE HTML><html>", "is a web page, as when a download needed a login"),
        (b"\x93NUMPY\1\0", "is a NumPy file, which is not read: load it with numpy"),
        (b"Dear doctor", "is not an image: expected one of JPEG, PNG, WebP"),
    ],
)
def test_it_is_named(start, said, tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(start + b"\1" * 40 if start.strip(b"\0") else start)
    with pytest.raises(ValueError) as refused:
        read_image(path)
    assert str(refused.value).startswith(f"photo.jpg {said}") and "\n" not in str(refused.value)


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
