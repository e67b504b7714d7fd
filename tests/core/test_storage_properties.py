"""Whatever fails, and whenever: what was on disk is there whole, or the new one is."""

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refuses

from dermsim.core.atomic import atomic_path
from dermsim.core.storage import load_json, save_json

NAMES = st.text("abcdef", min_size=1, max_size=3)
TREES = st.dictionaries(NAMES, st.binary(max_size=20), min_size=1, max_size=4)
BEFORE = st.one_of(st.none(), st.binary(max_size=20), TREES)


def write(path: Path, content) -> None:
    if isinstance(content, dict):
        path.mkdir()
        for name, data in content.items():
            (path / name).write_bytes(data)
    else:
        path.write_bytes(content)


def read(path: Path):
    if path.is_dir():
        return {inside.name: inside.read_bytes() for inside in path.iterdir()}
    return path.read_bytes() if path.exists() else None


@given(before=BEFORE, after=st.one_of(st.binary(max_size=20), TREES), fails=st.booleans())
@settings(max_examples=80, deadline=None)
def test_either_the_old_or_the_new_and_never_a_mixture(before, after, fails):
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "what"
        if before is not None:
            write(target, before)
        refused = before is not None and isinstance(before, dict) != isinstance(after, dict)
        expected = before if fails or refused else after
        if fails:
            with pytest.raises(ZeroDivisionError), atomic_path(target) as fresh:
                write(fresh, after)
                raise ZeroDivisionError
        elif refused:
            folder_first = isinstance(before, dict)
            of = IsADirectoryError if folder_first else NotADirectoryError
            key = "atomic.is_folder" if folder_first else "atomic.is_file"
            with refuses(key, of, target=target), atomic_path(target) as fresh:
                write(fresh, after)
        else:
            with atomic_path(target) as fresh:
                write(fresh, after)
        assert read(target) == expected
        assert [path.name for path in Path(folder).iterdir()] == (
            [] if expected is None else ["what"]
        )


JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**53), 2**53),
        st.floats(allow_nan=False),
        st.text(),
    ).filter(lambda value: value not in (float("inf"), float("-inf"))),
    lambda inside: st.one_of(
        st.lists(inside, max_size=3), st.dictionaries(st.text(), inside, max_size=3)
    ),
    max_leaves=8,
)


@given(values=st.dictionaries(st.text(), JSON, max_size=4))
@settings(max_examples=80, deadline=None)
def test_json_comes_back_as_it_was(values):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "values.json"
        save_json(path, values)
        assert json.loads(path.read_text(encoding="utf-8")) == values
        assert load_json(path, keys=set(values)) == values
