"""A folder proves itself by what it measures again; anything that is not as it says is named."""

import json
import shutil

import numpy as np
import pytest
from refusals import refuses

from dermsim.hub.proof import prove
from dermsim.tasks.retrieve import Gallery


@pytest.fixture
def copy(released, tmp_path):
    """A checkpoint that a test may spoil."""
    return shutil.copytree(released, tmp_path / "checkpoint")


def rewrite(folder, **changes):
    evaluation = json.loads((folder / "evaluation.json").read_text())
    (folder / "evaluation.json").write_text(json.dumps({**evaluation, **changes}))


def test_a_whole_sample_gives_the_figure_again(released, photographs):
    proof = prove(released, dataset=photographs, sample=10_000)
    assert proof.measured.to_dict() == proof.reported.to_dict(), (
        "every photograph was classified again"
    )
    assert proof.cases == len(Gallery.load(released / "gallery"))
    assert proof.likeness == pytest.approx(1, abs=1e-4)
    assert proof.split == "test"
    assert f"{proof.cases} past cases embedded again" in proof.sentence()
    json.dumps(proof.to_dict(), allow_nan=False)


def test_a_sample_is_of_whole_lesions_and_always_the_same(released, photographs):
    proof = prove(released, dataset=photographs, sample=12)
    assert proof.cases == 12
    assert 12 <= proof.measured.n <= 24, "two photographs of each lesion"
    assert proof.measured.n % 2 == 0
    assert prove(released, dataset=photographs, sample=12) == proof


def test_without_photographs_it_only_reloads(released):
    proof = prove(released)
    assert (proof.measured, proof.likeness, proof.cases) == (None, None, 0)
    assert "No photographs were at hand" in proof.sentence()
    assert proof.to_dict()["measured"] is None


def test_an_evaluation_of_another_encoder_is_refused(copy):
    rewrite(copy, fingerprint="0123456789abcdef")
    with refuses("proof.other_encoder", fingerprint="0123456789abcdef"):
        prove(copy)


def test_a_figure_that_does_not_come_out_is_refused(copy, photographs):
    metrics = json.loads((copy / "evaluation.json").read_text())["metrics"]
    metrics["accuracy"] = {"value": 0.95, "low": 0.9, "high": 0.99, "n": 36}
    rewrite(copy, metrics=metrics)
    with refuses(
        "proof.accuracy",
        reported="0.950 (0.900 to 0.990, n 36)",
        split="test",
        measured="0.111 (0.000 to 0.278, n 36)",
    ):
        prove(copy, dataset=photographs)


def test_a_gallery_of_other_photographs_is_refused(copy, photographs):
    gallery = Gallery.load(copy / "gallery")
    turned = np.roll(gallery.embeddings, 1, axis=0)
    shutil.rmtree(copy / "gallery")
    Gallery.build(turned, gallery.records, fingerprint=gallery.fingerprint).save(copy / "gallery")
    with refuses("load.unusable", error="load.atlas_embedding"):
        prove(copy, dataset=photographs)


def test_other_photographs_are_refused(released, photographs):
    with refuses("proof.other_data"):
        prove(released, dataset=photographs.select(range(100)))
    ids = list(photographs["image_id"])
    other = photographs.remove_columns("image_id").add_column("image_id", ids[20:] + ids[:20])
    with refuses("proof.embedding"):
        prove(released, dataset=other)


def test_another_split_is_refused(copy, photographs):
    rewrite(copy, n_images=99)
    with refuses("proof.images", n_images=99, split="test", count=36):
        prove(copy, dataset=photographs)


def test_an_empty_sample_proves_nothing(released):
    with refuses("proof.sample", sample=0):
        prove(released, sample=0)
