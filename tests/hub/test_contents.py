"""What is sent without pictures holds none, under whatever name, in whatever column."""

import base64
import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from dermsim.core.refused import Phrase
from dermsim.hub.contents import why_not_sent

PICTURES = {}
for kind in ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM"):
    stream = io.BytesIO()
    Image.new("RGB", (8, 8), "brown").save(stream, kind)
    PICTURES[kind] = stream.getvalue()
PICTURES["DICOM"] = bytes(128) + b"DICM" + bytes(40)
PICTURES["HEIC"] = b"\0\0\0\x18ftypheic\0\0\0\0" + bytes(40)

NAMES = (
    *("case", "case.bin", "case.HEIC", "case.dcm", "gallery/embeddings-00009.safetensors"),
    *("calibration_facts.json", "README.md", "modeling_dermsim.py", "records.PARQUET"),
)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", PICTURES)
def test_a_picture_passes_under_no_name(tmp_path, kind, name):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(PICTURES[kind])
    assert why_not_sent(path) is not None


@pytest.mark.parametrize("name", ["README.md", "notes.txt"])
def test_a_picture_that_is_text_does_not_pass_either(tmp_path, name):
    (tmp_path / name).write_text("<!-- drawn --><svg width='8' height='8'></svg>")
    assert why_not_sent(tmp_path / name) == Phrase("contents.pictures")


BYTES = pa.array([PICTURES["PNG"]] * 2, pa.binary())


@pytest.mark.parametrize("name", ["rows.parquet", "rows.PARQUET"])
@pytest.mark.parametrize(
    "column",
    [
        {"image": pa.StructArray.from_arrays([BYTES], ["bytes"])},
        {"photo": BYTES},
        {"image_id": BYTES},
        {"dx": BYTES.cast(pa.large_binary())},
        {"dx": BYTES.dictionary_encode()},
        {"sex": pa.array([[PICTURES["PNG"]]] * 2, pa.list_(pa.binary()))},
        {"patient_name": ["A", "B"]},
        {"perceptual_hash": pa.array([bytes(33)] * 2, pa.binary(33))},
        {"hash": pa.array([bytes(32)] * 2, pa.binary(32))},
        {"photo": [base64.b64encode(PICTURES["PNG"]).decode()] * 2},
    ],
)
def test_a_column_of_pictures_or_names_does_not_pass(tmp_path, name, column):
    pq.write_table(pa.table({**column, "age": [1.0, 2.0]}), tmp_path / name)
    keys = ("contents.binary_column", "contents.strange_column")
    assert why_not_sent(tmp_path / name).key in keys


def test_what_a_release_holds_passes(released):
    files = [path for path in released.rglob("*") if path.is_file()]
    assert files and [path for path in files if why_not_sent(path)] == []


def test_plain_files_pass(tmp_path):
    from safetensors.numpy import save_file

    (tmp_path / "a.json").write_text(json.dumps({"a": 1}))
    (tmp_path / "a.py").write_text("svg = '<svg></svg>'\n")  # a program may draw
    save_file({"x": np.zeros(3, np.float32)}, tmp_path / "a.safetensors")
    table = {"image_id": ["a"], "embedding": pa.array([[0.5, 0.5]], pa.list_(pa.float32(), 2))}
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    assert [path.name for path in tmp_path.iterdir() if why_not_sent(path)] == []


def test_an_exported_encoder_passes_and_nothing_else_by_that_name(exported, tmp_path):
    assert why_not_sent(exported / "onnx" / "model.onnx") is None
    (tmp_path / "model.onnx").write_bytes(PICTURES["JPEG"])
    assert why_not_sent(tmp_path / "model.onnx") == Phrase("contents.no_onnx")
