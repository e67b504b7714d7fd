"""Weights of others are passed on only where their licence lets them be."""

import json
import shutil

import pytest
from refusals import refuses

from dermsim.hub.licences import check_licence, licence_with, read_source
from dermsim.hub.release import Names, assemble


@pytest.fixture
def with_source(released, tmp_path):
    """A finished checkpoint of weights from elsewhere."""

    def make(licence):
        folder = shutil.copytree(released, tmp_path / "checkpoint", dirs_exist_ok=True)
        values = {"name": "bob/clip", "revision": "0" * 40, "licence": licence, "sha256": {}}
        (folder / "SOURCE.json").write_text(json.dumps(values))
        return folder

    return make


@pytest.mark.parametrize("licence", ["cc-by-nc-nd-4.0", "CC-BY-ND-4.0", "cc_by_nd_3.0"])
def test_no_derivatives(with_source, tmp_path, licence):
    folder = with_source(licence)
    with refuses("licences.no_derivatives", name="bob/clip", licence=licence):
        assemble(folder, tmp_path / "parcels", names=Names("alice/tower"))
    assert not (tmp_path / "parcels").exists()


def test_no_licence_is_no_permission(with_source, tmp_path):
    with refuses("licences.not_stated", name="bob/clip"):
        assemble(with_source(None), tmp_path / "parcels", names=Names("alice/tower"))


def test_the_licence_travels(with_source, tmp_path):
    (tmp_path / "parcels").mkdir()
    names = Names("alice/tower", space="alice/tower")
    model, space = assemble(with_source("cc-by-nc-sa-4.0"), tmp_path / "parcels", names=names)
    assert model.licence == space.licence == "cc-by-nc-sa-4.0"
    card = (model.folder / "README.md").read_text()
    assert "license: cc-by-nc-sa-4.0" in card and "bob/clip" in card
    assert "license: cc-by-nc-sa-4.0" in (space.folder / "README.md").read_text()


@pytest.mark.parametrize(
    ("weights", "data", "expected"),
    [
        ("mit", "cc-by-nc-4.0", "cc-by-nc-4.0"),  # the past cases are of the data
        ("mit", "apache-2.0", "mit"),
        ("cc-by-nc-4.0", "apache-2.0", "cc-by-nc-4.0"),
        ("cc-by-nc-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0"),
    ],
)
def test_the_stricter_licence_holds(weights, data, expected):
    assert licence_with({"name": "x", "licence": weights}, data) == expected
    assert licence_with(None, data) == data


def test_a_text_image_encoder_that_does_not_say_where_it_is_from(dual_checkpoint, tmp_path):
    folder = shutil.copytree(dual_checkpoint, tmp_path / "checkpoint")
    check_licence(folder)
    (folder / "SOURCE.json").unlink()
    with refuses("licences.not_stated", name="checkpoint"):
        check_licence(folder)


def test_weights_trained_here_are_nobody_else_s(released):
    check_licence(released)
    assert read_source(released) is None


@pytest.mark.parametrize("text", ["[]", '{"name": "x"}'])
def test_a_source_that_says_nothing(with_source, text):
    folder = with_source("mit")
    (folder / "SOURCE.json").write_text(text)
    with refuses("licences.unreadable"):
        check_licence(folder)
