"""The `dermsim push` commands: a checkpoint and its page, or a data set, to the Hub.

Nothing is sent unless ``--no-dry-run`` is given; without it they show what would be.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tyro.conf import FlagCreatePairsOff, Positional

from dermsim.cli.command import Command, open_data
from dermsim.cli.terminal import show, table
from dermsim.core.refused import Phrase, Refused
from dermsim.core.released import HUB_MODEL, default_model

if TYPE_CHECKING:
    from huggingface_hub import HfApi

    from dermsim.hub.difference import Difference
    from dermsim.hub.parcel import Parcel
    from dermsim.hub.release import Names
    from dermsim.hub.send import Sent

LINES = 60
"""Lines of a text difference that are printed."""

DRY = "Nothing was sent: this was a dry run, and --no-dry-run sends it."


@dataclass(frozen=True, kw_only=True)
class HubCommand(Command):
    """A command that sends something to the Hub."""

    dry_run: bool = True
    """Show what would be sent, and send nothing."""
    private: FlagCreatePairsOff[bool] = False
    """Make new repositories private."""
    revision: str | None = None
    """Branch to commit to in place of main; made from it when there is none."""
    create_pr: FlagCreatePairsOff[bool] = False
    """Open a pull request in place of moving main."""
    include_images: FlagCreatePairsOff[bool] = False
    """Send patients' photographs along, where their licence allows it."""

    def check(self) -> None:
        """Refuse options that exclude each other, before any work is done."""
        from dermsim.hub.send import check_target

        check_target(revision=self.revision, create_pr=self.create_pr)

    def deliver(
        self, parcels: Sequence[Parcel], *, message: str
    ) -> tuple[list[Difference], list[Sent]]:
        """Compare parcels with what is on the Hub and, unless this is a dry run, send them."""
        from huggingface_hub import HfApi

        from dermsim.hub.difference import compare
        from dermsim.hub.parcel import refuse_pictures
        from dermsim.hub.rights import check_rights
        from dermsim.hub.send import send

        api: HfApi = HfApi()
        branch = None if self.revision == "main" else self.revision
        differences = [compare(api, parcel, revision=branch) for parcel in parcels]
        if self.dry_run:
            return differences, []
        if not self.include_images:
            for parcel in parcels:
                refuse_pictures(parcel)
        check_rights(api, differences, create_pr=self.create_pr, private=self.private)
        sent = send(
            api,
            differences,
            message=message,
            private=self.private,
            revision=self.revision,
            create_pr=self.create_pr,
        )
        return differences, sent

    def report(
        self,
        differences: Sequence[Difference],
        sent: Sequence[Sent],
        *,
        first: Sequence[str] = (),
        **answer: Any,
    ) -> None:
        """Print what was found and done."""
        document = {
            **answer,
            "repositories": [difference.to_dict() for difference in differences],
            "dry_run": self.dry_run,
            "sent": [one.to_dict() for one in sent],
        }
        parts = [*first, *map(describe, differences)]
        if self.dry_run:
            parts.append(DRY)
        elif sent:
            parts += [f"Sent {one.kind} {one.repo_id}: {one.url}" for one in sent]
        else:
            parts.append("Nothing was sent: the Hub holds all of it already.")
        show(document, "\n\n".join(parts), as_json=self.json)


def describe(difference: Difference) -> str:
    """Say what would become of a repository: its licence, its files, and the lines that change."""
    parcel = difference.parcel
    state = f"at commit {difference.head[:12]}" if difference.head else "not there yet"
    rows = [
        [change.status, change.size, change.path]
        for change in difference.changes
        if change.status != "same"
    ]
    same = len(difference.changes) - len(rows)
    head = f"{parcel.kind} {parcel.repo_id} ({state}), licence {parcel.licence}: {parcel.note}"
    body = table(["", "bytes", "file"], rows) if rows else "The Hub holds it already."
    left = len(difference.lines) - LINES
    lines = [*difference.lines[:LINES], *([f"... and {left} more lines"] if left > 0 else [])]
    unchanged = [f"Files that are the same: {same}."] if same and rows else []
    return "\n".join([head, body, *unchanged, *lines])


@dataclass(frozen=True, kw_only=True)
class Push(HubCommand):
    """Send a checkpoint to the Hub: the model, its gallery as a data set, and a Space."""

    checkpoint: Positional[Path] = field(default_factory=lambda: Path(default_model()))
    """Checkpoint folder, as a finished run or `hub/` holds it."""
    to: str = HUB_MODEL
    """Name of the model on the Hub, owner/name. The Space gets the same, the gallery's data set
    that with -gallery behind it."""
    only: tuple[Literal["model", "gallery", "space"], ...] = ("model", "gallery", "space")
    """Which of the three to send."""
    data: str | None = None
    """What it was trained on: a Hub id, a folder in any known layout, or "synthetic". A sample is
    measured again; without it nothing can be sent."""
    sample: int = 200
    """Photographs to measure again."""
    hardware: Literal["cpu-basic", "zero-a10g"] = "cpu-basic"
    """What the Space is built for; zero-a10g is ZeroGPU."""

    def run(self) -> int:
        """Assemble, prove, compare, and send if asked to."""
        self.check()
        opened = None if self.data is None else open_data(self.data)
        from dermsim.hub.proof import prove
        from dermsim.hub.release import assemble
        from dermsim.hub.tidy import check_tidy

        if self.data is None and (self.include_images or not self.dry_run):
            raise Refused("cli_push.no_data")
        check_tidy(self.checkpoint)
        names = self.names()
        dataset = None if opened is None else opened.load(more=False)
        with tempfile.TemporaryDirectory(prefix="dermsim-push-") as scratch:
            parcels = assemble(
                self.checkpoint,
                Path(scratch),
                names=names,
                pictures=dataset if self.include_images else None,
                private=self.private,
                hardware=self.hardware,
            )
            proof = prove(Path(scratch) / "model", dataset=dataset, sample=self.sample)
            parts = {"dataset": "gallery", "model": "model", "space": "space"}
            wanted = [parcel for parcel in parcels if parts[parcel.kind] in self.only]
            differences, sent = self.deliver(wanted, message=f"Encoder {proof.fingerprint}")
            self.report(differences, sent, first=[proof.sentence()], proof=proof.to_dict())
        return 0

    def names(self) -> Names:
        """Say where everything goes. A gallery that is there already goes on being referred to."""
        from huggingface_hub import HfApi

        from dermsim.hub.asking import ask
        from dermsim.hub.release import Names

        gallery: str | None = f"{self.to}-gallery"
        names = Names(self.to, gallery=gallery, space=self.to if "space" in self.only else None)
        if "gallery" not in self.only:
            there = partial(HfApi().repo_exists, str(gallery), repo_type="dataset")
            if not ask(Phrase("asking.whether_there", repo_id=gallery), there):
                return replace(names, gallery=None)
        return names


@dataclass(frozen=True, kw_only=True)
class PushDataset(HubCommand):
    """Send a local copy of HAM10000 to the Hub, as Parquet in splits that share no lesion."""

    source: Positional[str]
    """The photographs: a folder in any known layout, or "synthetic"."""
    to: str
    """Name of the data set on the Hub, owner/name."""

    def run(self) -> int:
        """Write the Parquet files, compare, and send if asked to."""
        from dermsim.data.ham10000 import load_ham10000
        from dermsim.hub.parcel import check_repo_id
        from dermsim.hub.photographs import write_photographs

        self.check()
        check_repo_id(self.to)
        if not (self.dry_run or self.include_images):
            raise Refused("cli_push.patients_photographs")
        rows = load_ham10000(self.source)
        with tempfile.TemporaryDirectory(prefix="dermsim-push-") as scratch:
            parcel = write_photographs(Path(scratch) / "dataset", rows, repo_id=self.to)
            differences, sent = self.deliver([parcel], message=f"{len(rows):,} photographs")
            self.report(differences, sent, images=len(rows))
        return 0
