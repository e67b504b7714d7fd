"""The `dermsim enroll` command, and `dermsim bank`: classes taught with a few pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro
from tyro.conf import Positional, arg

from dermsim.cli.command import Command, DataOptions, ModelCommand, load_bank, open_data
from dermsim.cli.terminal import check_output, find_pictures, show, table
from dermsim.core.refused import Refused

if TYPE_CHECKING:
    from PIL import Image

    from dermsim.tasks.enroll import EnrollmentReport

HeadChoice = Literal["auto", "mean", "neighbors", "logistic"]
"""``"auto"`` and `dermsim.tasks.enroll.HEADS`, spelled out so that `--help` imports little."""

bank_app = tyro.extras.SubcommandApp()


@dataclass(frozen=True, kw_only=True)
class Enroll(ModelCommand, DataOptions):
    """Teach new classes with a few pictures each, and keep them in a file for `classify --bank`."""

    pictures: Positional[tuple[Path, ...]] = ()
    """Photographs of the new class, or folders that are searched for them."""
    source: Annotated[str | None, arg(name="from")] = None
    """Data to take classes from instead: a folder of pictures for each class, or pictures with a
    table. Every word for a diagnosis becomes a class, but for names of the seven."""
    name: str | None = None
    """What the class is called; with --from, the only one to take."""
    bank: Path
    """File of enrolled classes to create or extend."""
    head: HeadChoice = "auto"
    """How the class is told from the others; auto chooses by the number of pictures."""

    def run(self) -> int:
        """Extend the bank; one bad picture refuses all, so that no class is half learned."""
        from dermsim.engine.answers import enrollment, teach

        check_output(self.bank)
        classes = self._classes()
        engine = self.engine()
        bank = load_bank(self.bank if self.bank.exists() else None, engine) or engine.class_bank()
        for name, images in classes.items():
            bank = teach(engine, images, name=name, head=self.head, bank=bank)
        report = enrollment(bank)
        bank.save(self.bank)
        new = ", ".join(f"{name} ({head})" for name, head in bank.kinds.items())
        answer = {
            "bank": str(self.bank),
            "classes": list(bank.names),
            "pictures": sum(map(len, classes.values())),
            "heads": bank.kinds,
            "report": report.to_dict() if report else None,
        }
        lines = [f"{self.bank} now holds {new}"]
        lines += ["", report_table(report)] if report else []
        show(answer, "\n".join(lines), as_json=self.json)
        return 0

    def _classes(self) -> dict[str, list[Image.Image]]:
        """Read the photographs of each new class."""
        from dermsim.data.images import read_image

        if self.source is None:
            if self.label_column or self.map:
                raise Refused("cli_enroll.mapping_without_source")
            if self.name is None:
                raise Refused("cli_enroll.no_name")
            return {self.name: [read_image(path) for path in find_pictures(self.pictures)]}
        if self.pictures:
            raise Refused("cli_enroll.two_sources")
        from dermsim.data.new_classes import read_classes

        return read_classes(
            self.source, label_column=self.label_column, names=self.mapping, only=self.name
        )


def report_table(report: EnrollmentReport) -> str:
    """Lay out a report: a row for each old class, and one for each new."""
    names = [new.name for new in report.new]
    old = table(
        ["old class", "images", "right before", "right after", *(f"to {name}" for name in names)],
        [
            [c.name, c.images, c.before, c.after, *(c.taken[name] for name in names)]
            for c in report.old
        ],
    )
    new = table(
        ["new class", "pictures", "head", "recognised when held back"],
        [[c.name, c.pictures, c.head, c.recognised] for c in report.new],
    )
    before, after = report.before, report.after
    summary = (
        f"Balanced accuracy over the old classes, on {report.source} (n = {before.n}): "
        f"{before} before, {after} after."
    )
    doubts = [
        f"Picture {n} of {c.name} looks like {other} when held back."
        for c in report.new
        for n, other in c.mistaken.items()
    ]
    return "\n\n".join([summary, old, new, *(["\n".join(doubts)] if doubts else [])])


@bank_app.command(name="info")
@dataclass(frozen=True, kw_only=True)
class BankInfo(Command):
    """Say which classes a file holds."""

    bank: Positional[Path]
    """File made by `dermsim enroll`."""

    def run(self) -> int:
        """List the classes."""
        from dermsim.engine.answers import classes
        from dermsim.tasks.enroll import ClassBank

        bank = ClassBank.load(self.bank)
        found = classes(bank)
        answer = {
            "bank": str(self.bank),
            "fingerprint": bank.fingerprint,
            "space": bank.space.name,
            "classes": found,
        }
        rows = [[own["name"], own["pictures"], own["head"] or "(old class)"] for own in found]
        readable = f"{self.bank}, encoder {bank.fingerprint}\n\n"
        show(answer, readable + table(["class", "pictures", "head"], rows), as_json=self.json)
        return 0


@bank_app.command(name="remove")
@dataclass(frozen=True, kw_only=True)
class BankRemove(Command):
    """Take a class out of a file, as if it had never been enrolled."""

    bank: Positional[Path]
    """File made by `dermsim enroll`; it is rewritten."""
    name: str
    """The class to remove."""

    def run(self) -> int:
        """Rewrite the file."""
        from dermsim.tasks.enroll import ClassBank

        bank = ClassBank.load(self.bank).remove(self.name)
        bank.save(self.bank)
        answer = {"bank": str(self.bank), "removed": self.name, "classes": list(bank.names)}
        show(answer, f"{self.bank} now holds {', '.join(bank.names)}", as_json=self.json)
        return 0


@bank_app.command(name="report")
@dataclass(frozen=True, kw_only=True)
class BankReport(ModelCommand):
    """Measure on a data set what became of the old classes when the new ones were enrolled."""

    bank: Positional[Path]
    """File made by `dermsim enroll`."""
    data: str
    """The photographs: a Hub id, a folder in any known layout, or "synthetic"."""
    split: Literal["test", "validation", "all"] = "test"
    """Held-out lesions of the training source, or every photograph of another source."""

    def run(self) -> int:
        """Embed the data set's images of old classes and compare."""
        opened = open_data(self.data)
        from tqdm import tqdm

        from dermsim.core.labels import CODES
        from dermsim.data.splits import grouped_splits
        from dermsim.evaluation.held_out import refuse_learned
        from dermsim.tasks.enroll import ClassBank, before_and_after

        engine = self.engine()
        bank = ClassBank.load(self.bank, fingerprint=engine.fingerprint)
        rows = opened.load(more=False)
        if self.split != "all":
            rows = grouped_splits(rows)[self.split]
        names = [CODES[dx] for dx in rows["dx"]]
        kept = [row for row, name in enumerate(names) if name in bank.old_names]
        if not kept:
            raise Refused("cli_enroll.no_old_class", data=self.data, bank=self.bank)
        chosen = rows.select(kept)
        refuse_learned(engine.gallery, chosen)
        images = tqdm(chosen["image"], total=len(kept), unit="picture", disable=None)
        report = before_and_after(
            bank,
            engine.embed(images, space=bank.space.name),
            [names[row] for row in kept],
            lesion_ids=list(chosen["lesion_id"]),
            source=f"{self.data}, {self.split}",
        )
        show(report.to_dict(), report_table(report), as_json=self.json)
        return 0
