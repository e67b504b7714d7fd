"""The `dermsim` command: what the app does, on files and folders, in a terminal or a script.

Every command is a frozen dataclass whose fields are its options and whose `run` is its work. The
answer goes to stdout, as a table or with ``--json`` as one JSON document; a sentence about each bad
input goes to stderr and makes the exit status 2.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro
from tyro.conf import FlagCreatePairsOff, Positional, UseAppendAction, arg

from dermsim.cli_atlas import atlas_app
from dermsim.cli_audit import Audit, detector_app
from dermsim.cli_calibrate import Calibrate
from dermsim.cli_enroll import Enroll, bank_app
from dermsim.cli_explain import Explain
from dermsim.cli_explore import Explore
from dermsim.cli_gallery import gallery_app
from dermsim.cli_hub import Push, PushDataset
from dermsim.cli_protocols import protocol_app
from dermsim.cli_report import CaseReportCommand
from dermsim.cli_serve import Serve
from dermsim.command import Command, DataOptions, ModelCommand, load_engine
from dermsim.labels import DISCLAIMER, parse_dx
from dermsim.methods import MethodName
from dermsim.terminal import (
    Pictures,
    check_output,
    classify_table,
    find_pictures,
    notes_as_sentences,
    reported,
    sentence,
    show,
    similar_table,
)

if TYPE_CHECKING:
    from dermsim.explanations.settings import Asked

app = tyro.extras.SubcommandApp()


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: Arguments after the program's name; those of this process when None.

    Returns:
        Exit status: 0, or 2 after a sentence on stderr about each bad input.
    """
    command: Command | Serve = app.cli(
        prog="dermsim",
        description=f"Look into dermatoscopic photographs. {DISCLAIMER}",
        args=argv,
    )
    try:
        with notes_as_sentences():
            return command.run()
    except (ImportError, OSError, ValueError) as error:
        print(f"dermsim: {sentence(error)}", file=sys.stderr)
        return 2


@app.command(name="classify")
@dataclass(frozen=True, kw_only=True)
class Classify(ModelCommand):
    """Say what each picture shows, how sure that is, and what cannot be excluded."""

    pictures: Positional[tuple[Path, ...]]
    """Photographs, zip archives of some, or folders that are searched for them."""
    bank: Path | None = None
    """File of enrolled classes to choose from as well, made by `dermsim enroll`."""
    operating_point: str = "balanced"
    """Where malignant begins: balanced, sensitivity_95, or a threshold on malignancy, as 0.3."""
    age: float | None = None
    """Of the patient in all pictures, in years, for a checkpoint that takes facts."""
    sex: str | None = None
    """Of the patient: female or male."""
    site: str | None = None
    """Where on the body the lesion is: abdomen, acral, back, chest, ear, face, foot, genital, hand,
    "lower extremity", neck, scalp, trunk or "upper extremity"."""
    output: Annotated[Path | None, arg(aliases=["-o"])] = None
    """CSV file to write a row for each picture to, those that cannot be read with the reason."""

    def run(self) -> int:
        """Classify each readable picture, several at a time."""
        from dermsim.batch import classify_pile, save_csv
        from dermsim.data.facts import Facts
        from dermsim.data.piles import OWN_FILES, list_pile
        from dermsim.tasks.classify import parse_point

        facts = Facts(self.age, self.sex, self.site)
        known = facts if facts.known else None
        point = parse_point(self.operating_point)
        if self.output is not None:
            check_output(self.output)
        pile = list_pile(find_pictures(self.pictures, every=True), limits=OWN_FILES)
        engine = self.engine()
        bank = None
        if self.bank is not None:
            from dermsim.tasks.enroll import ClassBank

            bank = ClassBank.load(self.bank, fingerprint=engine.fingerprint)
        batches = classify_pile(
            engine, pile, limits=OWN_FILES, facts=known, bank=bank, operating_point=point
        )
        rows = list(reported(batches, len(pile)))
        if self.output is not None:
            informed = engine.calibration_facts if known else None
            save_csv(
                self.output,
                rows,
                calibration=informed or engine.calibration,
                fingerprint=engine.fingerprint,
                point=point,
            )
        results: list[dict[str, Any]] = [row.to_dict() for row in rows if row.prediction]
        errors = [{"picture": row.file, "error": row.reason} for row in rows if row.reason]
        show({"results": results, "errors": errors}, classify_table(results), as_json=self.json)
        return 2 if errors else 0


@app.command(name="similar")
@dataclass(frozen=True, kw_only=True)
class Similar(ModelCommand):
    """Find the past cases that look most like each picture."""

    pictures: Positional[tuple[Path, ...]]
    """Photographs, or folders that are searched for them."""
    k: Annotated[int, arg(aliases=["-k"])] = 5
    """How many cases."""
    where: UseAppendAction[tuple[str, ...]] = ()
    """Only cases with this fact, such as dx=mel or age=40-60; may be repeated."""
    one_per_lesion: bool = False
    """Of several photographs of one lesion, show the most similar only."""
    gallery: Path | None = None
    """Gallery to search in place of the checkpoint's own, made by `dermsim gallery build`."""

    def run(self) -> int:
        """Search for each readable picture, and let its neighbours vote on the diagnosis."""
        where = parse_where(self.where)
        pictures = Pictures(find_pictures(self.pictures, every=True))
        engine = self.engine()
        if self.gallery is not None:
            from dermsim.tasks.retrieve import Gallery

            engine.gallery = Gallery.load(self.gallery, fingerprint=engine.fingerprint)
        results = []
        for name, image in pictures:
            query = engine.embed([image])
            neighbors = engine.gallery.search(
                query, self.k, where=where, one_per_lesion=self.one_per_lesion
            )[0]
            vote = engine.gallery.vote(query, where=where)[0]
            found = [neighbor.to_dict() for neighbor in neighbors]
            results.append({"picture": name, "neighbors": found, "vote": vote})
        answer = {"results": results, "errors": pictures.errors}
        show(answer, similar_table(results), as_json=self.json)
        return pictures.status


def parse_where(conditions: Sequence[str]) -> dict[str, object]:
    """Turn ``("dx=mel", "age=40-60")`` into a filter for `DermSim.search`.

    Args:
        conditions: Facts as ``name=value``; an age in years may be a range, ends included.

    Returns:
        What `Gallery.search` takes as `where`.

    Raises:
        ValueError: If a condition cannot be understood, or a name comes twice.
    """
    where: dict[str, object] = {}
    for condition in conditions:
        name, _, value = condition.partition("=")
        if not name or not value:
            raise ValueError(f"--where expects name=value, such as dx=mel, got {condition!r}")
        if name in where:
            raise ValueError(f"--where names {name!r} twice, but a case has one value of it")
        if name == "dx":
            where[name] = parse_dx(value)
        else:
            where[name] = _age_range(value) if name == "age" else value
    return where


def _age_range(text: str) -> tuple[float, float]:
    low, _, high = text.partition("-")
    try:
        return float(low), float(high or low)
    except ValueError as error:
        raise ValueError(f"--where expects age=45 or age=40-60, got {text!r}") from error


app.command(name="explain")(Explain)
app.command(name="report")(CaseReportCommand)
app.command(name="explore")(Explore)


@app.command(name="evaluate")
@dataclass(frozen=True, kw_only=True)
class Evaluate(Command, DataOptions):
    """Recompute a checkpoint's evaluation on a data set."""

    model: Positional[str]
    """Checkpoint folder or Hub id."""
    data: str
    """The photographs: a Hub id, a folder in any known layout, or "synthetic"."""
    split: Literal["test", "validation", "all"] = "test"
    """Held-out lesions of the training source, or every photograph of another source."""
    corruptions: FlagCreatePairsOff[bool] = False
    """Measure the same photographs blurred, badly lit, covered with hair and the like, too."""
    shift: str | None = None
    """Photographs of another origin to measure as well, such as ISIC 2017, given as the data."""
    explanations: bool = False
    """Measure heatmaps, too: whether they lie on the lesion and whether the model cares. This takes
    most of an hour on two cores; --masks says where the outlines are."""
    masks: str | None = None
    """Dermatologists' outlines for --explanations: a folder of Parquet files or PNGs; drawn data
    bring their own."""
    methods: UseAppendAction[tuple[MethodName, ...]] = ()
    """Only this way of making heatmaps, for --explanations; may be repeated."""
    photographs: int | None = None
    """Of each diagnosis at most, for a quick look with --explanations."""
    add_to: UseAppendAction[tuple[Path, ...]] = ()
    """JSON file of figures of the same checkpoint and photographs, measured before with --output:
    what it has besides, such as corruptions, is kept; may be repeated."""
    output: Path | None = None
    """JSON file to write the figures to."""

    def run(self) -> int:
        """Evaluate, print, and write the figures if asked to."""
        from dermsim.data.dataset import open_source

        if self.output is not None:
            check_output(self.output)
        opened = self.open(self.data)  # what is wrong there is said before torch is imported
        elsewhere = open_source(self.shift) if self.shift else None
        from dermsim.evaluate import Report, join_reports
        from dermsim.examine import evaluate_checkpoint, origin_name

        explanations = self._explanations()
        earlier = [Report.load(path) for path in self.add_to]
        engine = load_engine(self.model)
        name = Path(self.data).name if self.split == "all" else opened.name
        asked = {"fingerprint": engine.fingerprint, "dataset": name, "split": self.split}
        for path, kept in zip(self.add_to, earlier, strict=True):
            for what, value in asked.items():  # now, and not after an hour
                if getattr(kept, what) != value:
                    raise ValueError(
                        f"the figures in {path} are not of the same: their {what} is "
                        f"{getattr(kept, what)}, and {value} is asked for"
                    )
        report = evaluate_checkpoint(
            engine,
            opened.load(),
            split=self.split,
            name=name,
            corruptions=self.corruptions,
            shift=elsewhere.load() if elsewhere else None,
            shift_name=origin_name(self.shift or ""),
            explanations=explanations,
        )
        if self.output is not None:
            report.save(self.output)  # kept even if nothing can be added to
        for kept in earlier:
            report = join_reports(kept, report)
        if self.output is not None and earlier:
            report.save(self.output)
        show(report.to_dict(), report.markdown(), as_json=self.json)
        return 0

    def _explanations(self) -> Asked | None:
        if not self.explanations:
            if self.masks is not None or self.methods or self.photographs is not None:
                raise ValueError(
                    "--masks, --methods and --photographs are for --explanations: ask for those, "
                    "too"
                )
            return None
        source = self.masks or ("synthetic" if self.data == "synthetic" else None)
        if source is None:
            raise ValueError(
                "--explanations needs --masks: the folder with the dermatologists' outlines of the "
                "photographs"
            )
        from dermsim.data.masks import load_masks
        from dermsim.explanations.settings import Asked, Sizes

        sizes = Sizes() if self.photographs is None else Sizes().at_most(self.photographs)
        return Asked(load_masks(source), self.methods or None, sizes)


@app.command(name="ensemble")
@dataclass(frozen=True, kw_only=True)
class Ensemble(Command):
    """Join checkpoints to one that asks them all, or to the mean of their weights; measure it."""

    members: Positional[tuple[str, ...]]
    """Checkpoint folders or Hub ids, at least two, trained on the same split of the same data."""
    data: str
    """Those data: a Hub id, a folder in any known layout, or "synthetic"."""
    output: Annotated[Path, arg(aliases=["-o"])]
    """New folder to write the checkpoint to."""
    average: FlagCreatePairsOff[bool] = False
    """Average the weights of encoders alike instead: one encoder, no slower than each of them. It
    sees pictures as the first does."""
    test_image_size: int | None = None
    """With --average, the side in pixels at which it sees them instead."""
    split: Literal["test", "validation"] = "test"
    """What to measure it on; the meta-learner of an ensemble has seen validation."""

    def run(self) -> int:
        """Build, evaluate, and write the folder with its card."""
        from dermsim.data.ham10000 import load_ham10000
        from dermsim.data.splits import grouped_splits
        from dermsim.ensemble import average_weights, build_ensemble, training_record
        from dermsim.examine import evaluate_checkpoint

        if self.output.exists():
            raise FileExistsError(f"{self.output} exists: name a new folder to write to")
        if self.test_image_size is not None and not self.average:
            raise ValueError(
                "--test-image-size is for --average: an ensemble sees what members see"
            )
        dataset = load_ham10000(self.data)
        splits = grouped_splits(dataset)
        parts = {"train": splits["train"], "validation": splits["validation"]}
        if self.average:
            size = self.test_image_size
            engine = average_weights(self.members, **parts, test_image_size=size)
        else:
            engine = build_ensemble(self.members, **parts)
        name = "synthetic" if self.data == "synthetic" else "HAM10000"
        report = evaluate_checkpoint(engine, dataset, split=self.split, name=name)
        command = "ensemble --average" if self.average else "ensemble"
        if self.test_image_size is not None:
            command += f" --test-image-size {self.test_image_size}"
        record = training_record(engine, self.members, command=command)
        engine.save_pretrained(self.output, report=report, training=record)
        answer = {"output": str(self.output), "members": list(self.members), **report.to_dict()}
        kind = "the mean of" if self.average else "an ensemble of"
        readable = f"{report.markdown()}\n{self.output} holds {kind} {len(self.members)} members"
        show(answer, readable, as_json=self.json)
        return 0


app.command(
    gallery_app, name="gallery", help="Look into galleries of past cases, build and change them."
)
app.command(name="enroll")(Enroll)
app.command(bank_app, name="bank", help="Look into files of enrolled classes, and change them.")
app.command(
    atlas_app, name="atlas", help="Look at the map of cases: clusters, outliers, export; redraw it."
)
app.command(name="audit")(Audit)
app.command(
    detector_app, name="detector", help="Look at what tells unfamiliar images, or refit it."
)
app.command(name="calibrate")(Calibrate)
app.command(protocol_app, name="protocol", help="Measure a checkpoint by one of the protocols.")
app.command(name="serve")(Serve)
app.command(name="push")(Push)
app.command(name="push-dataset")(PushDataset)
