import json

import numpy as np
import pytest
from refusals import refuses

from dermsim.core.storage import (
    check_keys,
    load_arrays,
    load_json,
    load_table,
    map_arrays,
    save_arrays,
    save_json,
)


def test_json_may_have_what_is_optional_and_nothing_else(tmp_path):
    path = tmp_path / "a.json"
    for values in ({"a": 1}, {"a": 1, "b": 2}):
        save_json(path, values)
        assert load_json(path, keys={"a"}, optional={"b"}) == values
    for values in ({"b": 2}, {"a": 1, "c": 3}):
        save_json(path, values)
        with refuses("storage.keys", name="a.json"):
            load_json(path, keys={"a"}, optional={"b"})


def test_json_errors(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        save_json(tmp_path / "nan.json", {"a": float("nan")})
    assert not (tmp_path / "nan.json").exists()
    with refuses("storage.no_file", FileNotFoundError, source=tmp_path / "missing.json"):
        load_json(tmp_path / "missing.json", keys=set())
    for text, words in [
        (b"{", "storage.not_json"),
        (b"\xff{}", "storage.not_json"),
        (b"[]", "storage.not_an_object"),
    ]:
        (tmp_path / "bad.json").write_bytes(text)
        with refuses(words):
            load_json(tmp_path / "bad.json", keys=set())


def test_check_keys_is_strict():
    assert check_keys({"a": 1}, {"a"}, name="x") == {"a": 1}
    for values in ({}, {"a": 1, "b": 2}):
        with refuses("storage.keys", name="x", expected=["a"]):
            check_keys(values, {"a"}, name="x")


def test_arrays_round_trip_with_facts(tmp_path):
    path = tmp_path / "a.safetensors"
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    save_arrays(path, {"x": array.T}, facts={"names": ["é"], "t": 0.5})
    arrays, facts = load_arrays(path, arrays={"x"}, facts={"names", "t"})
    np.testing.assert_array_equal(arrays["x"], array.T)
    assert facts == {"names": ["é"], "t": 0.5}


def test_arrays_errors(tmp_path):
    path = tmp_path / "a.safetensors"
    with refuses("storage.no_file", FileNotFoundError):
        load_arrays(path, arrays=set(), facts=set())
    save_arrays(path, {"x": np.zeros(3)}, facts={"t": 1})
    with refuses("storage.keys", keys=["x"], expected=["y"]):
        load_arrays(path, arrays={"y"}, facts={"t"})
    with refuses("storage.keys", name="the header of a.safetensors", keys=["t"]):
        load_arrays(path, arrays={"x"}, facts=set())
    whole = path.read_bytes()
    for damaged in (b"", whole[:20], whole[:-4], b"\x00" * 64, json.dumps({"a": 1}).encode()):
        path.write_bytes(damaged)
        with refuses("storage.not_safetensors", name="a.safetensors"):
            load_arrays(path, arrays={"x"}, facts={"t"})


def test_arrays_refuse_a_header_that_is_not_json(tmp_path):
    from safetensors.numpy import save_file

    save_file({"x": np.zeros(2)}, tmp_path / "a.safetensors", {"t": "not json"})
    with refuses("storage.not_safetensors"):
        load_arrays(tmp_path / "a.safetensors", arrays={"x"}, facts={"t"})


def test_table_errors(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "a.parquet"
    with refuses("storage.no_file", FileNotFoundError):
        load_table(path, columns=["a"])
    pq.write_table(pa.table({"b": [1]}), path)
    with refuses("bounded_parquet.columns", names=["b"], columns=["a"]):
        load_table(path, columns=["a"])
    path.write_bytes(path.read_bytes()[:-10])
    with refuses("bounded_parquet.damaged", name="a.parquet"):
        load_table(path, columns=["b"])


def test_mapped_arrays_are_those_that_were_saved(tmp_path):
    path = tmp_path / "a.safetensors"
    arrays = {
        "wide": np.arange(12, dtype=np.float32).reshape(3, 4),
        "half": np.arange(5, dtype=np.float16),
        "rows": np.arange(7, dtype=np.int64),
        "bytes": np.arange(3, dtype=np.uint8),
        "none": np.zeros((0, 4), np.float32),
    }
    save_arrays(path, arrays, facts={"kind": "test"})
    mapped, facts = map_arrays(path, arrays=set(arrays), facts={"kind"})
    assert facts == {"kind": "test"}
    for name, array in arrays.items():
        np.testing.assert_array_equal(mapped[name], array)
        assert mapped[name].dtype == array.dtype
    assert isinstance(mapped["wide"], np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        mapped["wide"][0, 0] = 1
    save_arrays(path, {"other": np.ones(1, np.float32)}, facts={})  # replaces the file
    np.testing.assert_array_equal(mapped["wide"], arrays["wide"])


def test_mapped_arrays_are_checked(tmp_path):
    path = tmp_path / "a.safetensors"
    with refuses("storage.no_file", FileNotFoundError):
        map_arrays(path, arrays=set(), facts=set())
    save_arrays(path, {"a": np.ones(3, np.float64)}, facts={})
    with refuses("storage.dtype", dtype="F64"):
        map_arrays(path, arrays={"a"}, facts=set())
    with refuses("storage.keys", name="a.safetensors"):
        map_arrays(path, arrays={"b"}, facts=set())
    with refuses("storage.keys", name="the header of a.safetensors"):
        map_arrays(path, arrays={"a"}, facts={"kind"})
    path.write_bytes(path.read_bytes()[:-1])
    with refuses("storage.not_safetensors"):
        map_arrays(path, arrays={"a"}, facts=set())
