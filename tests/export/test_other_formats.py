"""The formats that take prepared squares: OpenVINO, LiteRT."""

import json

import numpy as np
import pytest
import torch
from refusals import refuses

from dermsim.cli.export import Export
from dermsim.data.images import read_image
from dermsim.export.onnx_folder import Measured, as_preparation, export_squares
from dermsim.export.squares import Squares, shades_of_grey
from dermsim.models.color_constancy_dermsim import shades_of_grey as with_numpy


@pytest.fixture(scope="module")
def pictures(synthetic):
    return [read_image(row["image"]) for row in synthetic["test"].select(range(6))]


def test_the_light_is_taken_off_as_numpy_does():
    draw = np.random.default_rng(0)
    squares = draw.integers(0, 256, (4, 3, 9, 7), dtype=np.uint8)
    squares[1], squares[2, 0] = 0, 0
    found = shades_of_grey(torch.from_numpy(squares).float()).numpy()
    expected = [with_numpy(square) for square in squares]
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_a_square_gives_what_the_checkpoint_gives(engine, pictures):
    preparation = as_preparation(engine)
    squares = np.stack([np.moveaxis(preparation.square(image), 0, -1) for image in pictures])
    with torch.inference_mode():
        embeddings, *_ = Squares(engine, preparation).eval()(torch.from_numpy(squares))
    np.testing.assert_allclose(embeddings.numpy(), engine.embed(pictures), atol=1e-5)


@pytest.mark.parametrize(
    ("form", "package", "files"),
    [
        ("openvino", "openvino", {"model.xml", "model.bin"}),
        ("litert", "litert_torch", {"model.tflite"}),
    ],
)
def test_it_answers_the_same(engine, pictures, tmp_path, form, package, files):
    pytest.importorskip(package, reason=f'needs pip install "dermsim[{form}]"')
    found = export_squares(
        engine, tmp_path / form, form=form, on=Measured(pictures), licence="apache-2.0"
    )
    assert found["fp32"].sets == len(pictures) and found["fp32"].lowest_cosine > 0.9999
    written = {path.name for path in (tmp_path / form).iterdir()}
    assert written == files | {"encoder.json", "parity.json"}
    facts = json.loads((tmp_path / form / "encoder.json").read_text())
    assert facts["fingerprint"] == engine.fingerprint and facts["input"]
    if form == "openvino":
        assert 'element_type="f16"' not in (tmp_path / form / "model.xml").read_text()


def test_what_is_not_installed_is_refused(engine, pictures, tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "litert_torch", None)
    with refuses("optional.not_installed", ImportError, package="litert_torch", extra="litert"):
        export_squares(
            engine, tmp_path / "out", form="litert", on=Measured(pictures), licence="apache-2.0"
        )
    assert not (tmp_path / "out").exists()


def test_integers_are_onnx(checkpoint):
    with refuses("cli_export.int8_format", format="openvino"):
        Export(model=checkpoint, data="synthetic", int8=True, format="openvino").run()
