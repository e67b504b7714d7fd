"""A gallery on disk: a folder of parts, and ``gallery.json``, which says which of them count.

Each part is ``embeddings*.safetensors`` beside ``records*.parquet``. Nothing that a gallery refers
to is ever written over: a changed gallery is written beside the old one, and replacing
``gallery.json``, one rename, is what makes it the folder's. Whatever is killed before that leaves
the old gallery whole, with a few files that nobody refers to; the next save removes them. Writers
take turns, by the lock of ``gallery.json``. A reader that meets files just removed reads the new
``gallery.json``; and the two files of a part bear the same mark, so that those of two galleries
are never taken for one.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dermsim.core.atomic import ATTEMPTS, LOCK, SCRATCH, atomic_path, exclusive
from dermsim.core.refused import Phrase, Refused, RefusedFileExistsError
from dermsim.core.storage import (
    check_keys,
    load_arrays,
    load_json,
    load_table,
    map_arrays,
    save_arrays,
    save_json,
)
from dermsim.core.vectors import check_embeddings
from dermsim.tasks.retrieve.approximate import ApproximateIndex
from dermsim.tasks.retrieve.case_table import COLUMNS, HASH, CaseTable
from dermsim.tasks.retrieve.parts import IntArray, Part, Vectors

if TYPE_CHECKING:
    import pyarrow as pa

HEADER = "gallery.json"
EMBEDDINGS, RECORDS = "embeddings{}.safetensors", "records{}.parquet"
INDEX, ENTRIES = "index{}.safetensors", "entries{}.safetensors"

OWN = re.compile(
    r"gallery\.json|records(-\d+)?\.parquet|(embeddings|index|entries)(-\d+)?\.safetensors"
)
"""Names of a gallery's files."""

TRANSIENT = re.compile(rf"\.({OWN.pattern})\.(\w+\{SCRATCH}|lock)")
"""Names of their locks, and of the folders in which they are written: both are there for a moment,
and stay behind a killed process."""

MARK = "mark"
"""Fact in the headers of both files of a part: what is in the two, as a hash."""

MAPPED = 512 * 2**20
"""Bytes of embeddings from which they stay on disk."""

CHECKED = 1024
"""Embeddings of each part that are looked at before they are left on disk."""


def save(
    parts: Sequence[Part],
    records: CaseTable,
    fingerprint: str,
    index: ApproximateIndex | None,
    folder: Path,
) -> None:
    """Make `folder` this gallery's; parts that lie there already are not written again.

    Raises:
        FileExistsError: If `folder` is a file, or holds anything but a gallery.
    """
    if folder.exists() and not is_gallery_folder(folder):
        raise RefusedFileExistsError("build_gallery.other_things", folder=folder)
    with writing(folder):
        listed, start = [], 0
        for part in parts:
            listed.append(_save_part(folder, part, records[start : start + len(part)]))
            start += len(part)
        header: dict[str, Any] = {
            "fingerprint": fingerprint,
            "rows": len(records),
            "dim": parts[0].vectors.shape[1],
        }
        if listed != [{"name": "", "rows": len(records)}]:
            header["parts"] = listed
        if index is not None:
            header["index"] = _save_index(folder, index)
        save_json(folder / HEADER, header)
        _sweep(folder, header)


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Keep other writers of a gallery waiting, and take away what was added if the block fails.

    Args:
        folder: The gallery's own folder; it is made.

    Raises:
        TimeoutError: If another process goes on writing it.
    """
    new = not folder.exists()
    try:
        with exclusive(folder / HEADER):
            before = set(os.listdir(folder))
            try:
                yield
            except BaseException:
                for name in set(os.listdir(folder)) - before:
                    _remove(folder / name)
                raise
    except BaseException:
        if new:
            with suppress(OSError):  # another writer may have begun
                folder.rmdir()
        raise


def is_gallery_folder(folder: Path) -> bool:
    """Say whether a folder holds nothing but a gallery, whole or in the making."""
    return folder.is_dir() and all(
        OWN.fullmatch(name) or TRANSIENT.fullmatch(name) for name in os.listdir(folder)
    )


def write_part(folder: Path, name: str, vectors: Vectors, records: CaseTable) -> None:
    """Write the two files of a part, which is the gallery's once its header says so.

    Args:
        folder: The gallery's folder, which exists.
        name: What the files' names end in, as `free_name` gives it.
        vectors: ``(n, D)`` of length 1.
        records: Their n cases.
    """
    import pyarrow.parquet as pq

    table = records.plain
    mark = _mark(vectors, table)
    save_arrays(folder / EMBEDDINGS.format(name), {"embeddings": vectors}, facts={MARK: mark})
    with atomic_path(folder / RECORDS.format(name)) as temporary:
        pq.write_table(table.replace_schema_metadata({MARK: mark}), temporary)


def _mark(vectors: Vectors, table: pa.Table) -> str:
    """Return a hash of all that is in the two files of a part."""
    import pyarrow as pa

    digest = hashlib.blake2b(np.ascontiguousarray(vectors).tobytes(), digest_size=16)
    with pa.BufferOutputStream() as sink:
        with pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
        digest.update(sink.getvalue())
    return digest.hexdigest()


def has_part(folder: Path, name: str) -> bool:
    """Say whether both files of a part are there."""
    return all((folder / pattern.format(name)).is_file() for pattern in (EMBEDDINGS, RECORDS))


def remove_parts(folder: Path, names: Sequence[str]) -> None:
    """Delete the files of parts, and the folder if nothing else is in it."""
    for name in names:
        for pattern in (EMBEDDINGS, RECORDS):
            (folder / pattern.format(name)).unlink(missing_ok=True)
    with suppress(OSError):  # other processes may still be writing there
        folder.rmdir()


def _save_part(folder: Path, part: Part, records: CaseTable) -> dict[str, Any]:
    """Write one part under a free name, unless it lies here, and return its entry in the header."""
    here = folder.resolve()
    if part.kept is None and part.path is not None and part.path.parent == here:
        name = part.path.name.removeprefix("embeddings").removesuffix(".safetensors")
        if has_part(folder, name):
            return {"name": name, "rows": len(part)}
    name = free_name(folder)
    write_part(folder, name, part.whole, records)
    return {"name": name, "rows": len(part)}


def _save_index(folder: Path, index: ApproximateIndex) -> dict[str, str]:
    """Write an index and its rows under free names, unless they lie here."""
    path = index.path
    if path is None or path.parent != folder.resolve() or not path.is_file():
        path = folder / INDEX.format(free_name(folder))
        index.save(path)
    listed = {"file": path.name}
    if index.rows is not None:
        entries = folder / ENTRIES.format(free_name(folder))
        save_arrays(entries, {"rows": index.rows}, facts={})
        listed["entries"] = entries.name
    return listed


def free_name(folder: Path) -> str:
    """Return what no file's name in a folder ends in: nothing for the first, then numbers."""
    stems = [path.stem for path in folder.iterdir() if path.suffix in (".safetensors", ".parquet")]
    numbers = [int(stem.rpartition("-")[2]) if "-" in stem else 0 for stem in stems]
    return f"-{max(numbers) + 1:05d}" if numbers else ""


def _sweep(folder: Path, header: dict[str, Any]) -> None:
    """Delete the files that the header does not refer to."""
    names = [part["name"] for part in _listed_parts(header)]
    current = {HEADER, *header.get("index", {}).values()}
    current |= {pattern.format(name) for name in names for pattern in (EMBEDDINGS, RECORDS)}
    current.add(LOCK.format(HEADER))  # whoever sweeps holds it
    for path in folder.iterdir():
        if path.name not in current:
            _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(PermissionError):  # Windows keeps a file that is still mapped
            path.unlink(missing_ok=True)


def load(
    folder: Path, *, fingerprint: str | None, mapped: bool | None
) -> tuple[tuple[Part, ...], CaseTable, str, ApproximateIndex | None]:
    """Read what `save` wrote, to be given to `Gallery`.

    Raises:
        FileNotFoundError: If the folder or one of its files is missing.
        ValueError: If a file is damaged, the files do not belong together, or the gallery was
            made by another encoder.
    """
    for _ in range(ATTEMPTS):
        header = _load_header(folder)
        try:
            return _load(folder, header, fingerprint=fingerprint, mapped=mapped)
        except (OSError, ValueError):
            if _load_header(folder) == header:
                raise
    with exclusive(folder / HEADER):  # it is replaced all the time: now its writers wait
        return _load(folder, _load_header(folder), fingerprint=fingerprint, mapped=mapped)


def _load_header(folder: Path) -> dict[str, Any]:
    keys = {"fingerprint", "rows", "dim"}
    return load_json(folder / HEADER, keys=keys, optional={"parts", "index"})


def _load(
    folder: Path, header: dict[str, Any], *, fingerprint: str | None, mapped: bool | None
) -> tuple[tuple[Part, ...], CaseTable, str, ApproximateIndex | None]:
    """Read the files that a header refers to."""
    if fingerprint is not None and header["fingerprint"] != fingerprint:
        raise Refused(
            "retrieve_folder.other_encoder",
            theirs=header["fingerprint"],
            model=fingerprint,
        )
    listed = _listed_parts(header)
    rows, dim = header["rows"], header["dim"]
    if not all(isinstance(number, int) and number > 0 for number in (rows, dim)):
        raise Refused("retrieve_folder.numbers", header=HEADER, rows=rows, dim=dim)
    on_disk = rows * dim * 4 > MAPPED if mapped is None else mapped
    parts, tables = [], []
    for entry in listed:
        part, table = read_part(folder, str(entry["name"]), mapped=on_disk)
        if len(part) != entry["rows"] or len(table) != len(part) or part.vectors.shape[1] != dim:
            raise Refused(
                "retrieve_folder.shape",
                shape=part.vectors.shape,
                count=len(table),
                header=HEADER,
                stated=(entry["rows"], dim),
            )
        parts.append(part)
        tables.append(table)
    records = CaseTable.join(tables)
    if len(records) != rows:
        raise Refused("retrieve_folder.cases", count=len(records), header=HEADER, rows=rows)
    index = _load_index(folder, header["index"], len(records)) if "index" in header else None
    return tuple(parts), records, str(header["fingerprint"]), index


def _listed_parts(header: dict[str, Any]) -> list[dict[str, object]]:
    """Return the parts that a header lists; a gallery in one piece need not."""
    listed = header.get("parts", [{"name": "", "rows": header["rows"]}])
    if not isinstance(listed, list) or not listed:
        raise Refused("retrieve_folder.parts", header=HEADER)
    entries = [
        check_keys(part, {"name", "rows"}, name=Phrase("retrieve_folder.part", header=HEADER))
        for part in listed
    ]
    for entry in entries:  # a name becomes part of a path
        if not re.fullmatch(r"(-\d+)?", str(entry["name"])):
            raise Refused("retrieve_folder.no_part", header=HEADER, name=entry["name"])
    return entries


def read_part(folder: Path, name: str, *, mapped: bool) -> tuple[Part, CaseTable]:
    """Read what `write_part` wrote; whether an image_id repeats is not looked at.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If one is damaged or does not hold a part of a gallery.
    """
    path = folder / EMBEDDINGS.format(name)
    read = map_arrays if mapped else load_arrays
    arrays, facts = read(path, arrays={"embeddings"}, facts=set(), optional={MARK})
    vectors: Vectors = arrays["embeddings"]  # type: ignore[assignment]
    if vectors.ndim != 2 or vectors.dtype != np.float32:
        raise Refused(
            "retrieve_folder.not_embeddings",
            name=path.name,
            dtype=vectors.dtype,
            shape=vectors.shape,
        )
    looked_at = vectors[:CHECKED] if mapped else vectors
    lengths = np.linalg.norm(check_embeddings(looked_at), axis=1)
    if np.abs(lengths - 1).max(initial=0) > 1e-3:
        raise Refused("retrieve_folder.length", name=path.name)
    table = load_table(
        folder / RECORDS.format(name), columns=COLUMNS, optional=[HASH], rows=len(vectors)
    )
    told = (table.schema.metadata or {}).get(MARK.encode())
    if facts.get(MARK) != (None if told is None else told.decode("utf-8", "replace")):
        raise Refused("retrieve_folder.marks", name=path.name, records=RECORDS.format(name))
    return Part(vectors, path=path.resolve()), CaseTable.check(table, repeats=True)


def _load_index(folder: Path, listed: object, cases: int) -> ApproximateIndex:
    names = check_keys(listed, {"file", *(set(listed) & {"entries"})}, name=f"index in {HEADER}")  # type: ignore[call-overload]
    for name in names.values():
        if not OWN.fullmatch(str(name)):
            raise Refused("retrieve_folder.no_file", header=HEADER, name=name)
    rows: IntArray | None = None
    if "entries" in names:
        entries = folder / str(names["entries"])
        rows = load_arrays(entries, arrays={"rows"}, facts=set())[0]["rows"]  # type: ignore[assignment]
    index = ApproximateIndex.load(folder / str(names["file"]), rows=rows)
    alive = index.covered
    if alive > cases or (
        rows is not None and not np.array_equal(rows[rows >= 0], np.arange(alive))
    ):
        raise Refused("retrieve_folder.other_index", alive=alive, cases=cases)
    return index
