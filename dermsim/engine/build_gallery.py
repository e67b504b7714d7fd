"""Embeds the cases of a data set into a gallery, on one process or several, a part at a time.

No process holds more than a part of `PART` cases, whatever the size of the data. The processes
(started by ``accelerate launch`` or ``torchrun``) share a folder, which may be on several machines;
each writes the parts of its share there, and the first joins them when all are done. Until then the
folder holds the gallery it held.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import reduce
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
import torch
from tqdm import tqdm

from dermsim.core.refused import Refused, RefusedFileExistsError
from dermsim.core.vectors import l2_normalize
from dermsim.data.ham10000 import load_ham10000
from dermsim.data.splits import grouped_splits
from dermsim.data.streaming import Streamed, stream_ham10000
from dermsim.data.tables import case_records
from dermsim.models.encode import encode
from dermsim.tasks.retrieve import CaseTable, Gallery, Kind
from dermsim.tasks.retrieve.folder import (
    free_name,
    has_part,
    is_gallery_folder,
    read_part,
    remove_parts,
    write_part,
    writing,
)
from dermsim.tasks.retrieve.parts import Part

if TYPE_CHECKING:
    from accelerate import PartialState

    from dermsim.engine import DermSim

PART = 65_536
"""Cases in a part."""

CHUNK = 256
"""Pictures after which the progress bar moves and only the embeddings are kept."""


@dataclass(frozen=True)
class Share:
    """What one process embeds.

    Attributes:
        cases: Pictures with their facts.
        total: How many, or None when a stream does not say.
    """

    cases: Iterable[Streamed]
    total: int | None


def launched_processes() -> PartialState:
    """Join the processes that this one was started with, on their accelerators or their CPUs.

    Raises:
        ValueError: If they cannot be joined; each would do all the work, into the same folder.
    """
    from accelerate import PartialState

    # Accelerate joins processes on CPUs only when told that there is nothing else
    alone = "LOCAL_RANK" not in os.environ
    state = PartialState(cpu=not (alone or torch.cuda.is_available()))
    started = int(os.environ.get("WORLD_SIZE", 1))
    if state.num_processes != started:
        raise Refused("build_gallery.processes", started=started, num_processes=state.num_processes)
    return state


def build_gallery(
    engine: DermSim,
    source: str | Path,
    folder: Path,
    *,
    split: Literal["train", "all"] = "train",
    streaming: bool = False,
    kind: Kind | None = None,
    batch_size: int = 32,
    state: PartialState | None = None,
) -> Gallery | None:
    """Embed the cases of a data set into a gallery's folder; an older gallery there is replaced.

    Args:
        engine: The checkpoint whose encoder embeds.
        source: As for `load_ham10000`, or for `stream_ham10000` when `streaming`.
        folder: The gallery's own folder.
        split: ``"train"`` for the training lesions of `grouped_splits`, or every photograph.
        streaming: Read the source as it passes, without downloading it; splits are not known then.
        kind: Index to search it by; None chooses by size.
        batch_size: Pictures per forward pass.
        state: The processes that share the work; `launched_processes` by default.

    Returns:
        The gallery, memory-mapped, on the first process; None on the others.

    Raises:
        FileExistsError: If `folder` is a file, or holds anything but a gallery.
        FileNotFoundError: If the source does not exist.
        ConnectionError: If it is on the Hub, which cannot be reached.
        TimeoutError: If another process goes on writing the folder.
        ValueError: If the source cannot be read, gives an image_id twice with different facts, or
            a split of a stream is asked for.
    """
    if folder.exists() and not is_gallery_folder(folder):
        raise RefusedFileExistsError("build_gallery.other_things", folder=folder)
    state = state or launched_processes()
    share = _share(source, split, streaming, state)
    # one writer: the first process holds the lock for all of them
    with writing(folder) if state.is_main_process else nullcontext():
        return _build(engine, share, folder, kind=kind, batch_size=batch_size, state=state)


def _build(
    engine: DermSim,
    share: Share,
    folder: Path,
    *,
    kind: Kind | None,
    batch_size: int,
    state: PartialState,
) -> Gallery | None:
    """Write the parts of a share and, on the first process, join those of all."""
    state.wait_for_everyone()  # by now the first has made the folder
    first = int(free_name(folder).removeprefix("-") or 1)
    state.wait_for_everyone()  # nobody writes before all have looked
    number, written = first + state.process_index, []
    try:
        for vectors, records in _embedded(engine, share, batch_size, state.is_main_process):
            written.append(_name(number))
            write_part(folder, _name(number), vectors, records)
            number += state.num_processes
        state.wait_for_everyone()
        if not state.is_main_process:
            return None
        return _join(folder, first, state.num_processes, engine.fingerprint, kind)
    except BaseException:
        remove_parts(folder, written)
        raise


def embed_cases(
    engine: DermSim,
    source: str | Path,
    *,
    split: Literal["train", "all"] = "all",
    batch_size: int = 32,
) -> Gallery:
    """Embed the cases of a data set into a gallery in memory, to be joined to another.

    Args:
        engine: The checkpoint whose encoder embeds.
        source: As for `load_ham10000`.
        split: Every photograph, or the training lesions of `grouped_splits`.
        batch_size: Pictures per forward pass.

    Raises:
        FileNotFoundError: If the source does not exist.
        ConnectionError: If it is on the Hub, which cannot be reached.
        ValueError: If it cannot be read.
    """
    share = _share(source, split, streaming=False, state=launched_processes())
    parts = [
        Gallery((Part(vectors),), records, engine.fingerprint)
        for vectors, records in _embedded(engine, share, batch_size, talkative=True)
    ]
    return reduce(Gallery.join, parts)


def _share(source: str | Path, split: str, streaming: bool, state: PartialState) -> Share:
    """Open what this process embeds: shares follow each other in the order of the processes."""
    process, processes = state.process_index, state.num_processes
    if streaming:
        if split != "all":
            raise Refused("build_gallery.stream_split")
        return Share(stream_ham10000(source, process=process, processes=processes), None)
    rows = load_ham10000(source)
    if split == "train":
        rows = grouped_splits(rows)["train"]
    if processes > 1:
        rows = rows.shard(processes, process, contiguous=True)
    return Share(zip(rows["image"], case_records(rows), strict=True), len(rows))


def _name(number: int) -> str:
    return f"-{number:05d}"


def _embedded(
    engine: DermSim, share: Share, batch_size: int, talkative: bool
) -> Iterator[tuple[npt.NDArray[np.float32], CaseTable]]:
    """Yield embeddings and facts, a part at a time, with a progress bar if talkative."""
    cases = iter(share.cases)
    with tqdm(total=share.total, unit="picture", disable=None if talkative else True) as bar:
        while True:
            embeddings: list[npt.NDArray[np.float32]] = []
            hashes: list[npt.NDArray[np.uint64]] = []
            records: list[dict[str, object]] = []
            while len(records) < PART and (chunk := list(islice(cases, CHUNK))):
                pictures = (picture for picture, _ in chunk)
                encoding = encode(
                    engine.model, engine.processor, pictures, batch_size=batch_size, looks=True
                )
                embeddings.append(encoding.embeddings)
                assert encoding.looks is not None
                hashes.append(encoding.looks.cases)
                records.extend(record for _, record in chunk)
                bar.update(len(chunk))
            if not records:
                return
            table = CaseTable.build(records, hashes=np.concatenate(hashes), repeats=True)
            yield l2_normalize(np.concatenate(embeddings)), table


def _join(folder: Path, first: int, processes: int, fingerprint: str, kind: Kind | None) -> Gallery:
    """Make the parts that the processes wrote the folder's gallery; the first of equals stays."""
    parts, tables = [], []
    for process in range(processes):
        for number in count(first + process, processes):
            if not has_part(folder, _name(number)):
                break
            part, table = read_part(folder, _name(number), mapped=True)
            parts.append(part)
            tables.append(table)
    if not parts:
        raise Refused("build_gallery.no_case")
    records = CaseTable.join(tables, repeats=True)
    again = records.repeated()
    if again.any():
        warnings.warn(
            f"{again.sum()} of {len(records)} rows repeat an image_id with the same facts and were "
            f"left out; {len(records) - again.sum()} cases remain",
            stacklevel=3,
        )
        starts = np.cumsum([0, *map(len, parts[:-1])])
        each = zip(parts, starts, strict=True)
        parts = [part.without(again[start : start + len(part)]) for part, start in each]
        records = records.take(np.flatnonzero(~again))
    kept = tuple(part for part in parts if len(part))
    Gallery(kept, records, fingerprint).indexed(kind).save(folder)
    return Gallery.load(folder, mapped=True)
