"""How what was learned is kept on disk: whole or not at all, and read back strictly.

Safetensors, JSON and Parquet only. Readers name the keys and columns they expect, and refuse a file
that has others.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dermsim.core.atomic import atomic_path
from dermsim.core.bounded_parquet import read_bounded
from dermsim.core.lfs import refuse_lfs_pointer
from dermsim.core.refused import Keyed, Phrase, Refused, RefusedFileNotFoundError, RefusedOSError

if TYPE_CHECKING:
    import pyarrow as pa

LARGEST_JSON = 64 * 2**20
"""Bytes that a JSON file may have; the largest of our own, a report, has a few hundred thousand."""

LARGEST_CONFIG = 2**20
"""Bytes that ``config.json`` and its like may have."""


def pack_json(values: Mapping[str, object]) -> bytes:
    """Return the bytes of an object as indented JSON. NaN is refused with a ValueError."""
    text = json.dumps(values, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    return text.encode("utf-8")


def save_json(path: str | Path, values: Mapping[str, object]) -> None:
    """Write an object as indented JSON, atomically. NaN is refused with a ValueError."""
    data = pack_json(values)
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def read_json(path: str | Path, *, limit: int = LARGEST_JSON) -> object:
    """Read a JSON file of any content.

    Args:
        path: The file.
        limit: Bytes it may have at most.

    Raises:
        FileNotFoundError: If there is no such file, or it is a folder, pipe or device.
        ValueError: If the file is not JSON, or has more bytes.
    """
    source = existing(path)
    if (size := source.stat().st_size) > limit:
        raise Refused("storage.too_large", name=source.name, size=size, limit=limit)
    try:
        return json.loads(source.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # bad JSON, bad UTF-8, or nested without end
        raise Refused("storage.not_json", name=source.name, error=error) from error


def load_json(
    path: str | Path, *, keys: set[str], optional: Set[str] = frozenset()
) -> dict[str, object]:
    """Read a JSON object that has exactly these keys.

    Args:
        path: The file.
        keys: Keys it must have.
        optional: Keys it may have besides, as newer files do.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not JSON, or a key is unknown or missing.
    """
    source = Path(path)
    values = read_json(source)
    besides = optional & values.keys() if isinstance(values, Mapping) else set()
    return check_keys(values, keys | besides, name=source.name)


def check_keys(values: object, keys: set[str], *, name: Keyed | str) -> dict[str, object]:
    """Return `values` if it is a mapping with exactly these keys, or refuse it.

    Raises:
        ValueError: If it is something else, or a key is unknown or missing.
    """
    if not isinstance(values, Mapping):
        raise Refused("storage.not_an_object", name=name, kind=type(values).__name__)
    if set(values) != keys:
        raise Refused("storage.keys", name=name, keys=sorted(values), expected=sorted(keys))
    return dict(values)


def save_arrays(
    path: str | Path, arrays: Mapping[str, npt.NDArray[np.generic]], *, facts: Mapping[str, object]
) -> None:
    """Write named arrays and a few JSON facts into one ``.safetensors`` file, atomically.

    Args:
        path: File to write.
        arrays: Arrays of any shape, by name.
        facts: JSON-able values kept in the file's header.

    Raises:
        OSError: If the file cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    with atomic_path(path) as temporary:
        try:
            save_file(_contiguous(arrays), temporary, _as_metadata(facts))
        except SafetensorError as error:  # what the disk answered, in a library's own words
            raise RefusedOSError("storage.not_writable", path=Path(path), error=error) from error


def pack_arrays(
    arrays: Mapping[str, npt.NDArray[np.generic]], *, facts: Mapping[str, object]
) -> bytes:
    """Return what `save_arrays` would write; facts may come in another order.

    Args:
        arrays: As for `save_arrays`.
        facts: As for `save_arrays`.
    """
    from safetensors.numpy import save

    return save(_contiguous(arrays), _as_metadata(facts))


def _contiguous(
    arrays: Mapping[str, npt.NDArray[np.generic]],
) -> dict[str, npt.NDArray[np.generic]]:
    return {name: np.ascontiguousarray(array) for name, array in arrays.items()}


def _as_metadata(facts: Mapping[str, object]) -> dict[str, str]:
    return {key: json.dumps(value, allow_nan=False) for key, value in facts.items()}


def read_arrays(
    path: str | Path,
) -> tuple[dict[str, npt.NDArray[np.generic]], dict[str, object]]:
    """Read what `save_arrays` wrote, whatever it holds: the caller knows only then what to expect.

    Args:
        path: File to read.

    Returns:
        The arrays and the facts, by name.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged.
    """
    from safetensors import SafetensorError, safe_open

    source = existing(path)
    try:
        with safe_open(source, framework="numpy") as file:
            header = file.metadata() or {}
            values = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        parsed = {key: json.loads(value) for key, value in header.items()}
    except (SafetensorError, json.JSONDecodeError, OSError, TypeError, KeyError) as error:
        raise Refused("storage.not_safetensors", name=source.name, error=error) from error
    return values, parsed


def unpack_arrays(
    data: bytes, *, name: Keyed | str
) -> tuple[dict[str, npt.NDArray[np.generic]], dict[str, object]]:
    """Read what `pack_arrays` returned, as `read_arrays` reads a file.

    Args:
        data: The bytes.
        name: What to call them in an error.

    Raises:
        ValueError: If they are damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        values = load(data)  # checks the header and that it fits the bytes
        length = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + length]).get("__metadata__", {})
        parsed = {key: json.loads(value) for key, value in header.items()}
    except (SafetensorError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise Refused("storage.not_safetensors", name=name, error=error) from error
    return values, parsed


def load_arrays(
    path: str | Path, *, arrays: set[str], facts: set[str], optional: Set[str] = frozenset()
) -> tuple[dict[str, npt.NDArray[np.generic]], dict[str, object]]:
    """Read what `save_arrays` wrote, with exactly the names that are expected.

    Args:
        path: File to read.
        arrays: Names of the arrays the file must hold.
        facts: Names of the facts the file must hold.
        optional: Names of the facts it may hold besides.

    Returns:
        The arrays and the facts, by name.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged, or holds other names than expected.
    """
    values, parsed = read_arrays(path)
    name = Path(path).name
    check_keys(parsed, facts | (optional & parsed.keys()), name=Phrase("storage.header", name=name))
    check_keys(values, arrays, name=name)
    return values, parsed


def map_arrays(
    path: str | Path, *, arrays: set[str], facts: set[str], optional: Set[str] = frozenset()
) -> tuple[dict[str, npt.NDArray[Any]], dict[str, object]]:
    """Open what `save_arrays` wrote without reading it: each array stays on disk until it is used.

    Args:
        path: File to open. It must not be changed while the arrays are in use; replacing it is
            harmless.
        arrays: Names of the arrays the file must hold.
        facts: Names of the facts the file must hold.
        optional: Names of the facts it may hold besides.

    Returns:
        The arrays, read-only and memory-mapped, and the facts, by name.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged, or holds other names than expected.
    """
    from safetensors import SafetensorError, safe_open

    source = existing(path)
    try:
        with safe_open(source, framework="numpy") as file:  # checks header and size
            header = file.metadata() or {}
            names = set(file.keys())
        parsed = {key: json.loads(value) for key, value in header.items()}
    except (SafetensorError, json.JSONDecodeError, OSError, TypeError) as error:
        raise Refused("storage.not_safetensors", name=source.name, error=error) from error
    check_keys(
        parsed, facts | (optional & parsed.keys()), name=Phrase("storage.header", name=source.name)
    )
    check_keys(dict.fromkeys(names), arrays, name=source.name)
    with source.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        layout = json.loads(stream.read(length))
    mapped: dict[str, npt.NDArray[Any]] = {}
    for name in names:
        kind = _DTYPES.get(layout[name]["dtype"])
        if kind is None:
            raise Refused(
                "storage.dtype",
                name=source.name,
                dtype=layout[name]["dtype"],
                expected=sorted(_DTYPES),
            )
        shape = tuple(layout[name]["shape"])
        start = 8 + length + layout[name]["data_offsets"][0]
        if 0 in shape:  # nothing to map
            mapped[name] = np.zeros(shape, kind)
        else:
            mapped[name] = np.memmap(source, dtype=kind, mode="r", offset=start, shape=shape)
    return mapped, parsed


_DTYPES = {"F32": np.float32, "F16": np.float16, "I64": np.int64, "U8": np.uint8}
"""Safetensors' names of the types that are memory-mapped."""


def load_table(
    path: str | Path,
    *,
    columns: Sequence[str],
    optional: Sequence[str] = (),
    rows: int | None = None,
) -> pa.Table:
    """Read a Parquet file that has exactly these columns, in this order.

    Args:
        path: The file.
        columns: Columns it must have.
        optional: Further columns it may have after them, in this order.
        rows: How many rows it must have, or None for any number.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged, has other columns or rows, or unpacks to more than a
            file of its size has reason to (`dermsim.core.bounded_parquet`).
    """
    return read_bounded(existing(path), columns=columns, optional=optional, rows=rows)


def existing(path: str | Path) -> Path:
    """Return the path of a file that can be read to its end.

    Raises:
        FileNotFoundError: If there is none, or it is a folder, pipe or device.
        ValueError: If it is a pointer of Git LFS.
    """
    source = Path(path)
    if not source.is_file():
        raise RefusedFileNotFoundError("storage.no_file", source=source)
    refuse_lfs_pointer(source)
    return source
