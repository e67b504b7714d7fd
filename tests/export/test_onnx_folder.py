"""A checkpoint's encoder as ONNX: what the file says, and what it answers."""

import json
import shutil

import numpy as np
import onnx
import onnxruntime
import pytest
from refusals import refuses

from dermsim.core.labels import CODES
from dermsim.data.images import read_image
from dermsim.engine import DermSim
from dermsim.export import onnx_folder
from dermsim.export.network_graph import halved, network_graph
from dermsim.export.onnx_folder import Measured, as_preparation, export_onnx
from dermsim.export.photographs import Rows
from dermsim.lite.encoder import OUTPUTS, OnnxEncoder


@pytest.fixture(scope="module")
def pictures(synthetic):
    return [read_image(row["image"]) for row in synthetic["test"].select(range(6))]


def test_the_file_says_what_it_is(exported, engine):
    path = exported / "onnx" / "model.onnx"
    onnx.checker.check_model(path, full_check=True)
    facts = OnnxEncoder(path).metadata
    assert facts["fingerprint"] == engine.fingerprint
    assert facts["labels"] == list(CODES) and facts["licence"] == "apache-2.0"
    assert facts["temperature"] == engine.calibration.temperature
    assert facts["set_thresholds"] == engine.calibration.set_thresholds
    assert len(facts["biases"]) == len(CODES)
    assert facts["operating_points"].keys() == engine.calibration.operating_points.keys()
    assert [path.name for path in sorted((exported / "onnx").iterdir())] == [
        "model.onnx",
        "parity.json",
    ]
    assert str(exported).encode() not in path.read_bytes() and b".py" not in path.read_bytes()


def test_the_report_says_how_far_it_is(exported, engine, synthetic):
    report = json.loads((exported / "onnx" / "parity.json").read_text())
    found = report["fp32"]
    assert report["fingerprint"] == engine.fingerprint
    assert found["photographs"] == found["labels"] == found["sets"] == len(synthetic["test"])
    assert found["lowest_cosine"] > 0.9999 and found["whole"]["lowest_cosine"] > 0.999
    assert 0 < found["embeddings"]["mean"] <= found["embeddings"]["largest"] < 1e-4


def test_it_takes_any_number_of_photographs_of_any_size(exported, engine):
    encoder = OnnxEncoder(exported / "onnx" / "model.onnx")
    draw = np.random.default_rng(0)
    for shape in ((1, 64, 64, 3), (3, 70, 91, 3), (2, 200, 150, 3)):
        pixels = draw.integers(0, 256, shape, dtype=np.uint8)
        found = dict(zip(OUTPUTS, encoder.run(pixels), strict=True))
        assert all(len(value) == shape[0] for value in found.values())
        np.testing.assert_allclose(np.linalg.norm(found["embeddings"], axis=1), 1, atol=1e-5)
        expected = engine.calibration.probabilities(found["logits"])
        np.testing.assert_allclose(found["probabilities"], expected, atol=1e-5)


def test_half_precision_loses_nothing(engine, pictures):
    graph = network_graph(engine.model, temperature=1.0, sides=(64, 64))
    pixels = engine.processor(pictures, return_tensors="np").pixel_values

    def answer(model):
        options = onnxruntime.SessionOptions()
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        return session.run(None, {"pixel_values": pixels})

    whole, size = answer(graph), graph.ByteSize()
    half = halved(graph)
    assert half.ByteSize() < 0.6 * size
    for one, other in zip(whole, answer(half), strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_ensemble_is_exported_too(engine, sibling_checkpoint, pictures, tmp_path, synthetic):
    from dermsim.models.encoder import join_encoders

    sibling = DermSim.from_pretrained(sibling_checkpoint)
    joined = join_encoders([engine.model, sibling.model]).eval()
    both = DermSim.fit(
        joined, engine.processor, train=synthetic["train"], validation=synthetic["validation"]
    )
    found = export_onnx(both, tmp_path / "onnx", on=Measured(pictures), licence="apache-2.0")
    assert found["fp32"].labels == len(pictures)
    assert OnnxEncoder(tmp_path / "onnx" / "model.onnx").metadata["biases"] is None


def test_an_export_that_answers_otherwise_leaves_what_was_there(
    engine, pictures, tmp_path, monkeypatch
):
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx" / "kept").write_text("older")
    honest = onnx_folder.encoder_graph

    def off(*arguments, **options):
        graph = honest(*arguments, **options)
        for tensor in graph.graph.initializer:
            if tensor.name.endswith("factor"):
                half = onnx.numpy_helper.to_array(tensor) / 2
                tensor.CopyFrom(onnx.numpy_helper.from_array(half, tensor.name))
        return graph

    monkeypatch.setattr(onnx_folder, "encoder_graph", off)
    with refuses("onnx_export.cosine"):
        export_onnx(engine, tmp_path / "onnx", on=Measured(pictures), licence="apache-2.0")
    assert [path.name for path in (tmp_path / "onnx").iterdir()] == ["kept"]


def test_integers_are_a_file_beside_it(engine, pictures, tmp_path, monkeypatch, synthetic):
    # random weights have nothing to lose; that they may is tested in test_parity
    monkeypatch.setattr(onnx_folder.Parity, "check_close", lambda self: None)
    on = Measured(Rows(synthetic["test"], engine.pixels_needed), list(synthetic["test"]["dx"]))
    found = export_onnx(engine, tmp_path / "onnx", on=on, licence="apache-2.0", validation=pictures)
    assert found["int8"].accuracy.keys() == {"checkpoint", "exported", "lost"}
    assert found["int8"].lowest_cosine > 0.9
    kinds = {node.op_type for node in onnx.load(tmp_path / "onnx" / "model_int8.onnx").graph.node}
    assert {"QuantizeLinear", "DequantizeLinear", "Resize"} <= kinds
    assert "int8" in json.loads((tmp_path / "onnx" / "parity.json").read_text())


def test_the_class_of_transformers_prepares_the_same(checkpoint, tmp_path):
    engine = DermSim.from_pretrained(shutil.copytree(checkpoint, tmp_path / "copy"))
    own = engine.processor
    engine.processor = own.to_processor()
    assert as_preparation(engine) == own
