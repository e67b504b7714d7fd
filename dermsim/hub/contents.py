"""What a file that is to be sent holds, by its bytes: its name may say anything."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from dermsim.core.refused import Phrase
from dermsim.data.images import IMAGE_SUFFIXES
from dermsim.tasks.atlas.map import COLUMNS as MAP_COLUMNS
from dermsim.tasks.atlas.map import OPTIONAL as MAP_OPTIONAL
from dermsim.tasks.retrieve import COLUMNS as CASE_COLUMNS
from dermsim.tasks.retrieve.case_table import HASH, HASH_WORDS

if TYPE_CHECKING:
    import pyarrow as pa

TABLE_COLUMNS = frozenset((*CASE_COLUMNS, HASH, *MAP_COLUMNS, *MAP_OPTIONAL, "embedding"))
"""Columns of the tables that a release has; a picture is none of them, and no name of a person."""

LONGEST_HASH = 8 * HASH_WORDS
"""Bytes in a cell that are a hash and no picture."""

TEXTS = (".css", ".js", ".md", ".py", ".toml", ".txt", ".typed")
"""How the names of texts end."""

DRAWINGS = ("<svg", "/* xpm */", "%!ps")
"""How pictures begin that are text."""


def why_not_sent(path: Path) -> Phrase | None:
    """Say what is wrong with a file that is sent without pictures.

    Args:
        path: The file.

    Returns:
        What it holds, to follow its name in a sentence; None where it is what its name says, and
        that is a part of a release.
    """
    ending = path.suffix.lower()
    if ending in IMAGE_SUFFIXES:
        return Phrase("contents.pictures")
    checks: dict[str, Callable[[Path], Phrase | None]] = {
        ".json": _json,
        ".onnx": _encoder,
        ".parquet": _table,
        ".safetensors": _arrays,
        **dict.fromkeys(TEXTS, _text),
    }
    if ending not in checks:
        return Phrase("contents.kind")
    return checks[ending](path)


def _text(path: Path) -> Phrase | None:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return Phrase("contents.no_text")
    if "\0" in text:
        return Phrase("contents.no_text")
    # comments and declarations may stand before it
    start = text[:2000].lower()
    markup = path.suffix.lower() in (".md", ".txt", ".typed")
    drawn = markup and any(sign in start for sign in DRAWINGS)
    return Phrase("contents.pictures") if drawn else None


def _json(path: Path) -> Phrase | None:
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        return Phrase("contents.no_json")
    return None


def _arrays(path: Path) -> Phrase | None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            file.keys()
    except (SafetensorError, OSError):
        return Phrase("contents.no_safetensors")
    return None


def _encoder(path: Path) -> Phrase | None:
    from dermsim.lite.encoder import OnnxEncoder

    try:
        OnnxEncoder(path)
    except ValueError:
        return Phrase("contents.no_onnx")
    return None


def _table(path: Path) -> Phrase | None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(path)
    except (pa.ArrowException, OSError):
        return Phrase("contents.no_parquet")
    for field in schema:
        if any(_is_binary(kind) for kind in _kinds(field.type)):
            return Phrase("contents.binary_column", column=field.name)
    if strange := [name for name in schema.names if name not in TABLE_COLUMNS]:
        return Phrase("contents.strange_column", column=strange[0])
    return None


def _kinds(kind: pa.DataType) -> Iterator[pa.DataType]:
    """Yield a type and all that it is made of."""
    import pyarrow as pa

    yield kind
    if pa.types.is_dictionary(kind):
        yield from _kinds(kind.value_type)
    for place in range(kind.num_fields):
        yield from _kinds(kind.field(place).type)


def _is_binary(kind: pa.DataType) -> bool:
    import pyarrow as pa

    if pa.types.is_fixed_size_binary(kind):
        return bool(kind.byte_width > LONGEST_HASH)
    tests = (pa.types.is_binary, pa.types.is_large_binary)
    return any(test(kind) for test in tests) or str(kind) == "binary_view"
