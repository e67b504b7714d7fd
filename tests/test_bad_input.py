"""Galleries that must not be joined to another: one sentence, and not a byte on disk changed."""

import shutil

import numpy as np
import pytest

from dermsim.cli.main import main
from dermsim.core.storage import load_arrays, save_arrays
from dermsim.tasks.retrieve import Gallery
from dermsim.tasks.retrieve.folder import MARK


def cases(names, **facts):
    return [{"image_id": name, "dx": "nv", **facts} for name in names]


@pytest.fixture
def own(tmp_path):
    """A gallery on disk."""
    vectors = np.random.default_rng(0).normal(size=(40, 8))
    Gallery.build(vectors, cases(map(str, range(40))), fingerprint="one").save(tmp_path / "own")
    return tmp_path / "own"


@pytest.fixture
def other(tmp_path):
    """Write a further gallery, of ids that the first has not unless told otherwise."""

    def write(*, first=100, fingerprint="one", **facts):
        vectors = np.random.default_rng(1).normal(size=(30, 8))
        names = map(str, range(first, first + 30))
        gallery = Gallery.build(vectors, cases(names, **facts), fingerprint=fingerprint)
        gallery.save(tmp_path / "other")
        return tmp_path / "other"

    return write


def of_another_encoder(write):
    write(fingerprint="two")


def truncated(write):
    path = write() / "embeddings.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def with_nan(write):
    path = write() / "embeddings.safetensors"
    arrays, facts = load_arrays(path, arrays={"embeddings"}, facts={MARK})
    arrays["embeddings"][3, 2] = np.nan
    save_arrays(path, arrays, facts=facts)


def with_the_same_ids(write):
    write(first=20, localization="back")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (of_another_encoder, "encoder"),
        (truncated, "embeddings.safetensors"),
        (with_nan, "NaN"),
        (with_the_same_ids, "'20'"),
    ],
)
def test_a_bad_gallery_is_not_joined(own, other, tmp_path, capsys, spoil, words):
    spoil(other)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert main(["gallery", "add", str(own), "--other", str(tmp_path / "other")]) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_good_one_is(own, other, capsys):
    folder = other()
    assert main(["gallery", "add", str(own), "--other", str(folder)]) == 0
    shutil.rmtree(folder)
    assert len(Gallery.load(own)) == 70
