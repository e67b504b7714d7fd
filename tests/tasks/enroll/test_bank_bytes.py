"""A bank as bytes is the file, and is refused as the file would be."""

import json

import numpy as np
import pytest
from refusals import refuses

from dermsim.core.storage import pack_arrays, read_arrays, save_arrays, unpack_arrays
from dermsim.tasks.enroll import ClassBank


@pytest.fixture
def taught() -> ClassBank:
    rng = np.random.default_rng(0)
    return ClassBank(fingerprint="f").enroll("clover", rng.normal(size=(3, 8)))


def test_the_bytes_are_those_of_the_file(taught, tmp_path):
    path, written = tmp_path / "bank.safetensors", tmp_path / "bytes.safetensors"
    taught.save(path)
    written.write_bytes(taught.to_bytes())
    query = np.ones((1, 8))
    for bank in (ClassBank.load(written), ClassBank.from_bytes(path.read_bytes(), fingerprint="f")):
        assert bank.names == taught.names
        assert bank.predict(query) == ClassBank.load(path).predict(query)


def test_an_empty_bank_has_no_bytes():
    with refuses("files.empty"):
        ClassBank().to_bytes()


def test_another_encoder_s_bank_is_refused(taught):
    with refuses("files.other_encoder", name="the bank", theirs="f", ours="g"):
        ClassBank.from_bytes(taught.to_bytes(), fingerprint="g")


def header(values: object, rest: bytes = b"") -> bytes:
    text = json.dumps(values).encode() if not isinstance(values, bytes) else values
    return len(text).to_bytes(8, "little") + text + rest


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"short",
        b"\xff" * 64,
        header(b"{"),
        header(b"[" * 5000),
        header([]),
        header({"__metadata__": {"a": "no json"}}),
        header({"__metadata__": {"a": 1}}),
        header({"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}, b"\0" * 4),
        header({"x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}),
        header({"x": {"dtype": "C99", "shape": [1], "data_offsets": [0, 4]}}, b"\0" * 4),
    ],
)
def test_damaged_bytes_are_refused(data):
    with refuses("storage.not_safetensors", name="the bank"):
        ClassBank.from_bytes(data)


@pytest.mark.parametrize(
    "change",
    [
        {"temperature": 0},
        {"temperature": "warm"},
        {"old_names": "clover"},
        {"enrolled": [{"name": "clover", "pictures": 10**400, "head": "auto"}]},
        {"enrolled": [{"name": ["clover"], "pictures": 3, "head": "auto"}]},
        {"space": "outer"},
        {"space": []},
    ],
)
def test_facts_that_cannot_be_are_refused(taught, change):
    arrays, facts = unpack_arrays(taught.to_bytes(), name="the bank")
    with refuses("files.no_bank_because", name="the bank"):
        ClassBank.from_bytes(pack_arrays(arrays, facts={**facts, **change}))


def test_a_temperature_that_is_no_number_is_refused(taught):
    data = taught.to_bytes()
    assert data.count(b'"0.1"') == 1
    with refuses("files.no_bank_because", error="calibration.temperature"):
        ClassBank.from_bytes(data.replace(b'"0.1"', b'"NaN"'))


def test_arrays_come_back_as_they_went(tmp_path):
    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3).T, "b": np.zeros((0, 4), np.int64)}
    facts = {"names": ["é"], "t": 0.5, "none": None}
    data = pack_arrays(arrays, facts=facts)
    values, told = unpack_arrays(data, name="it")
    assert told == facts
    for name, array in arrays.items():
        np.testing.assert_array_equal(values[name], array)
        assert values[name].dtype == array.dtype
    save_arrays(tmp_path / "x", arrays, facts=facts)
    assert unpack_arrays((tmp_path / "x").read_bytes(), name="it")[1] == told
    (tmp_path / "x").write_bytes(data)
    assert read_arrays(tmp_path / "x")[1] == told
