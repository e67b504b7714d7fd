"""The `dermsim gallery` commands: what a gallery holds, building one, and changing it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro
from tyro.conf import Positional, UseAppendAction, arg

from dermsim.cli.command import Command, ModelCommand
from dermsim.cli.terminal import show, table
from dermsim.core.labels import CODES, diagnosis
from dermsim.core.refused import Refused

if TYPE_CHECKING:
    from dermsim.tasks.retrieve import Gallery, Kind

gallery_app = tyro.extras.SubcommandApp()

IndexKind = Literal["auto", "flat", "hnsw", "ivfpq"]
"""`dermsim.tasks.retrieve.KINDS` and the choice by size, spelled out because importing is slow."""


@gallery_app.command(name="info")
@dataclass(frozen=True, kw_only=True)
class GalleryInfo(ModelCommand):
    """Say what a gallery holds, and how it is searched."""

    folder: Positional[Path | None] = None
    """Gallery to look into; the checkpoint's own when left out."""

    def run(self) -> int:
        """Count the cases."""
        from dermsim.tasks.retrieve import Gallery

        gallery = Gallery.load(self.folder) if self.folder else self.engine().gallery
        answer = _describe(gallery)
        names = [*CODES, *sorted(set(answer["dx"]) - set(CODES))]
        rows = [
            [code, diagnosis(code).name if code in CODES else "", answer["dx"].get(code, 0)]
            for code in names
        ]
        summary = "{cases} cases of {lesions} lesions, encoder {fingerprint}".format(**answer)
        counts = table(["dx", "diagnosis", "cases"], rows)
        readable = f"{summary}\nsearched by {_search_in_words(answer)}\n\n{counts}"
        show(answer, readable, as_json=self.json)
        return 0


def _describe(gallery: Gallery) -> dict[str, Any]:
    """Return what there is to say of a gallery as plain values."""
    names, codes = gallery.records.codes("dx")
    known = [lesion for lesion in gallery.records.values("lesion_id") if lesion is not None]
    counts = Counter({name: int((codes == place).sum()) for place, name in enumerate(names)})
    index = gallery.index
    return {
        "cases": len(gallery),
        "lesions": len(set(known)) + len(gallery) - len(known),
        "fingerprint": gallery.fingerprint,
        "dim": gallery.dim,
        "parts": len(gallery.parts),
        "dx": {code: counts[code] for code in (*CODES, *sorted(set(names) - set(CODES)))},
        "index": None if index is None else {**vars(index.facts), "covers": index.covered},
    }


def _search_in_words(answer: dict[str, Any]) -> str:
    if (index := answer["index"]) is None:
        return "comparing with every case: exact"
    words = (
        "{kind}, which finds {recall_at_10:.1%} of the ten nearest cases (of {probes} queries)"
    ).format(**index)
    if newer := answer["cases"] - index["covers"]:
        words += f"; {newer} cases were added since and are searched exactly"
    return words


@gallery_app.command(name="build")
@dataclass(frozen=True, kw_only=True)
class GalleryBuild(ModelCommand):
    """Embed a data set's cases, to search them in place of the checkpoint's own.

    Started by `accelerate launch -m dermsim gallery build ...` or `torchrun -m dermsim ...`, the
    processes share the work; on several machines they need a folder that all can reach.
    """

    data: str
    """HAM10000 or the like: a Hub id, a folder in any of its layouts, or "synthetic"."""
    output: Annotated[Path, arg(aliases=["-o"])]
    """Folder of its own to write the gallery to; an older gallery there is replaced."""
    split: Literal["train", "all"] = "train"
    """Only the training lesions, or every photograph."""
    streaming: bool = False
    """Read a Hub data set or Parquet folder as it passes, without downloading it; needs
    --split all."""
    index: IndexKind = "auto"
    """How to search it: flat is exact, hnsw and ivfpq are faster and state what they miss; auto
    chooses by size."""
    batch_size: int = 32
    """Pictures per forward pass."""

    def run(self) -> int:
        """Write the gallery; only the first process has an answer."""
        from dermsim.engine import DermSim
        from dermsim.engine.build_gallery import build_gallery, launched_processes

        state = launched_processes()
        engine = DermSim.from_pretrained(self.model, device=str(state.device))
        gallery = build_gallery(
            engine,
            self.data,
            self.output,
            split=self.split,
            streaming=self.streaming,
            kind=_kind(self.index),
            batch_size=self.batch_size,
            state=state,
        )
        if gallery is not None:
            _report(gallery, self.output, as_json=self.json)
        state.wait_for_everyone()
        state.destroy_process_group()
        return 0


@gallery_app.command(name="add")
@dataclass(frozen=True, kw_only=True)
class GalleryAdd(ModelCommand):
    """Add cases to a gallery, from a data set or from another gallery; nothing is rebuilt."""

    folder: Positional[Path]
    """The gallery."""
    data: str | None = None
    """Data set whose cases to embed and add, as for `build`."""
    split: Literal["train", "all"] | None = None
    """Of the data set, only the training lesions; every photograph unless that is asked for."""
    other: Path | None = None
    """Gallery of the same encoder whose cases to add."""

    def run(self) -> int:
        """Write the new cases beside the old ones."""
        from dermsim.tasks.retrieve import Gallery

        if (self.data is None) == (self.other is None):
            raise Refused("cli_gallery.nothing_to_add")
        if self.other is not None and self.split is not None:
            raise Refused("cli_gallery.split_without_data")
        gallery = Gallery.load(self.folder, mapped=True)
        more = Gallery.load(self.other, mapped=True) if self.other else self._embedded(gallery)
        grown = gallery.join(more)
        grown.save(self.folder)
        _report(grown, self.folder, as_json=self.json)
        return 0

    def _embedded(self, gallery: Gallery) -> Gallery:
        from dermsim.engine.build_gallery import embed_cases

        engine = self.engine()
        if engine.fingerprint != gallery.fingerprint:  # before hours of embedding
            raise Refused(
                "cli_gallery.other_encoder",
                fingerprint=gallery.fingerprint,
                model=engine.fingerprint,
            )
        assert self.data is not None
        return embed_cases(engine, self.data, split=self.split or "all")


@gallery_app.command(name="remove")
@dataclass(frozen=True, kw_only=True)
class GalleryRemove(Command):
    """Remove cases from a gallery; their embeddings and facts are gone from its files."""

    folder: Positional[Path]
    """The gallery."""
    image: UseAppendAction[tuple[str, ...]] = ()
    """An image_id to remove; may be repeated."""
    lesion: UseAppendAction[tuple[str, ...]] = ()
    """A lesion_id all of whose photographs to remove; may be repeated."""

    def run(self) -> int:
        """Rewrite the parts that held them."""
        from dermsim.tasks.retrieve import Gallery

        gallery = Gallery.load(self.folder, mapped=True)
        left = gallery.remove(image_ids=self.image, lesion_ids=self.lesion)
        left.save(self.folder)
        _report(left, self.folder, as_json=self.json, removed=len(gallery) - len(left))
        return 0


@gallery_app.command(name="index")
@dataclass(frozen=True, kw_only=True)
class GalleryIndex(Command):
    """Make a gallery's index anew, as after many additions."""

    folder: Positional[Path]
    """The gallery."""
    kind: IndexKind = "auto"
    """flat, hnsw, ivfpq, or auto to choose by size."""

    def run(self) -> int:
        """Learn the index and write it beside the cases."""
        from dermsim.tasks.retrieve import Gallery

        gallery = Gallery.load(self.folder, mapped=True).indexed(_kind(self.kind))
        gallery.save(self.folder)
        _report(gallery, self.folder, as_json=self.json)
        return 0


def _kind(choice: IndexKind) -> Kind | None:
    return None if choice == "auto" else choice


def _report(gallery: Gallery, folder: Path, *, as_json: bool, **more: int) -> None:
    """Print what a gallery holds after it was written."""
    answer = {"output": str(folder), **more, **_describe(gallery)}
    readable = f"{folder} holds {len(gallery)} cases, searched by {_search_in_words(answer)}"
    show(answer, readable, as_json=as_json)
