"""The `dermsim concepts` commands: what a checkpoint knows of concepts, fitted, listed and used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro
from tyro.conf import FlagCreatePairsOff, Positional, UseAppendAction, arg

from dermsim.cli.command import Command, ModelCommand, load_engine, open_data
from dermsim.cli.terminal import Pictures, check_output, find_pictures, show, table
from dermsim.core.language import Language
from dermsim.core.refused import Refused, RefusedFileNotFoundError

if TYPE_CHECKING:
    from dermsim.tasks.concepts import Concepts

concepts_app = tyro.extras.SubcommandApp()


@dataclass(frozen=True, kw_only=True)
class FitCommand(Command):
    """What the commands that fit have."""

    model: Positional[Path]
    """Checkpoint folder, whose concepts.json and concepts.safetensors are replaced."""

    def check(self) -> None:
        """Refuse what is no folder before anything is loaded."""
        if not self.model.is_dir():
            raise RefusedFileNotFoundError("cli_atlas.no_checkpoint", model=self.model)


@concepts_app.command(name="outline")
@dataclass(frozen=True, kw_only=True)
class FitOutline(FitCommand):
    """Fit where the lesion is, on the frozen encoder's maps, and measure it on lesions held out."""

    data: str
    """The data the encoder was trained on, of which the training split is fitted to and the test
    split is held out: a Hub id, a folder in any known layout, or "synthetic"."""
    outlines: str
    """Dermatologists' outlines of these pictures, as `dermsim evaluate` takes them."""
    split: Literal["test", "validation"] = "test"
    """Whose lesions are held out; validation while anything is still being chosen."""

    def run(self) -> int:
        """Fit, measure and write."""
        self.check()
        opened = open_data(self.data)
        from dermsim.data.outlines import load_masks
        from dermsim.data.splits import grouped_splits
        from dermsim.training.lesion_outline import fit_outline

        masks = load_masks(self.outlines)

        def outline_of(image_id: str) -> Any:
            return masks[image_id] if image_id in masks else None  # noqa: SIM401 it has no get

        splits = grouped_splits(opened.load(more=False))
        part = fit_outline(
            load_engine(str(self.model)),
            splits["train"],
            splits[self.split],
            outline_of,
            source=opened.name,
        )
        part.save(self.model)
        assert part.outline is not None
        answer = {
            "output": str(self.model / "concepts.json"),
            "dice": part.outline.dice.to_dict(),
            "overlap": part.outline.overlap.to_dict(),
        }
        readable = (
            f"Outlines of {part.outline.dice.n:,} photographs held out: Dice {part.outline.dice}, "
            f"intersection over union {part.outline.overlap}."
        )
        show(answer, readable, as_json=self.json)
        return 0


@concepts_app.command(name="fit")
@dataclass(frozen=True, kw_only=True)
class FitConcepts(FitCommand):
    """Fit a head for each concept that a data set labels, and regions where it outlines them.

    Every figure is of pictures left out, in groups by patient, lesion and near-duplicates.
    """

    source: Positional[str]
    """A data set with concepts: ISIC 2018 Task 2, derm7pt, PH2, SkinCon and so on."""
    learned: UseAppendAction[tuple[str, ...]] = ()
    """Other data that the encoder was trained on: its pictures count in no figure; may be
    repeated."""
    diagnoses: str | None = None
    """HAM10000: fit melanoma from concepts alone to its validation split as well, measure it on its
    test split, and look through the gallery's cases, so that they are found by concept."""

    def run(self) -> int:
        """Fit, measure and write."""
        self.check()
        opened = open_data(self.source)
        known = names_of(self.learned)
        diagnoses = open_data(self.diagnoses) if self.diagnoses else None
        from dermsim.training.concept_regions import outlines_of
        from dermsim.training.concepts import fit_concepts

        rows = opened.load(keep_other=True)
        engine = load_engine(str(self.model))
        part, fitted, seen = fit_concepts(
            engine, rows, regions=outlines_of(self.source), learned=known
        )
        if diagnoses is not None:
            from dermsim.data.splits import grouped_splits
            from dermsim.training.concept_bottleneck import fit_melanoma
            from dermsim.training.concepts import look_through_cases

            splits = grouped_splits(diagnoses.load(more=False))
            part = fit_melanoma(
                engine,
                part,
                splits["validation"],
                splits["test"],
                source=diagnoses.name,
                labelled=(seen.depths, fitted.labels),
            )
            part = look_through_cases(engine, part, splits["train"])
        part.save(self.model)
        answer = {"output": str(self.model / "concepts.json"), **summary(part)}
        show(answer, readable(part), as_json=self.json)
        return 0


@concepts_app.command(name="list")
@dataclass(frozen=True, kw_only=True)
class ListConcepts(ModelCommand):
    """List what is looked for, and what this checkpoint's heads can say of it."""

    language: Language = "en"
    """Of names and definitions."""
    every: FlagCreatePairsOff[bool] = False
    """Every concept of the list, those without a head as well."""

    def run(self) -> int:
        """Print the list."""
        from dermsim.core.checkpoint import local_folder
        from dermsim.data.concepts import load_schema
        from dermsim.tasks.concepts import Concepts

        schema = load_schema()
        if self.every:
            rows = [[c.name, c.names[self.language], c.kind, c.polarity] for c in schema.values()]
            listed = [concept.to_dict(self.language) for concept in schema.values()]
            text = table(["concept", "name", "kind", "more usual in"], rows)
            show({"concepts": listed}, text, as_json=self.json)
            return 0
        part = Concepts.load(local_folder(self.model))
        if part is None:
            raise Refused("cli_concepts.no_heads", model=self.model)
        show(summary(part), readable(part), as_json=self.json)
        return 0


@concepts_app.command(name="sort")
@dataclass(frozen=True, kw_only=True)
class SortPictures(ModelCommand):
    """Sort pictures without labels by a concept, those that most probably show it first."""

    pictures: Positional[tuple[Path, ...]]
    """Photographs, or folders that are searched for them."""
    by: str
    """The concept, by its name, title or a synonym, such as streaks."""
    frame: int = 0
    """Which picture of files that hold several, such as DICOM and TIFF, counted from 0."""
    output: Annotated[Path | None, arg(aliases=["-o"])] = None
    """CSV file to write every picture to."""

    def run(self) -> int:
        """Read the concept in each picture."""
        from dermsim.engine.concept_answers import sort_by_concept

        if self.output is not None:
            check_output(self.output, ending=".csv")
        pictures = Pictures(find_pictures(self.pictures, every=True), frame=self.frame)
        rows = sort_by_concept(self.engine(), pictures, concept=self.by)
        header = ["picture", "probability", "state", "withheld"]
        if self.output is not None:
            from dermsim.core.csv_table import save_csv

            save_csv(self.output, header, rows)
        text = table(header, [[row[name] for name in header] for row in rows])
        show({"results": rows, "errors": pictures.errors}, text, as_json=self.json)
        return pictures.status


@concepts_app.command(name="audit")
@dataclass(frozen=True, kw_only=True)
class AuditArtefacts(ModelCommand):
    """Say whether the melanoma score moves with hair, ruler, ink, gel or dark corners.

    Each is drawn over every picture, and the score with it is compared with the score without.
    """

    pictures: Positional[tuple[Path, ...]]
    """Photographs, or folders that are searched for them."""
    seed: int = 0
    """Of what is drawn."""

    def run(self) -> int:
        """Draw, ask and compare."""
        from dermsim.evaluation.artefacts import audit_artefacts

        pictures = Pictures(find_pictures(self.pictures, every=True))
        found = audit_artefacts(self.engine(), pictures, seed=self.seed)
        document = {**found.to_dict(), "errors": pictures.errors}
        show(document, found.markdown(), as_json=self.json)
        return pictures.status


def names_of(sources: Sequence[str]) -> set[str]:
    """Return the image_ids of data sets, whatever their diagnoses are called."""
    from dermsim.data.dataset import open_source

    opened = [open_source(source, unknown_is_other=True) for source in sources]
    return {str(fact["image_id"]) for own in opened for fact in own.facts}


def summary(part: Concepts) -> dict[str, Any]:
    """Return what a checkpoint knows of concepts as plain Python values."""
    heads = []
    for head in part.heads.heads:
        own = part.structures.get(head.source)
        figures = own.figures.get(head.concept) if own else None
        heads.append(
            {
                **head.to_dict(),
                "may_point": part.may_point(head),
                "region": figures.to_dict() if figures else None,
            }
        )
    outline = part.outline
    return {
        "heads": heads,
        "sources": dict(part.sources),
        "transfers": [transfer.to_dict() for transfer in part.transfers],
        "outline": outline
        and {
            "source": outline.source,
            "dice": outline.dice.to_dict(),
            "overlap": outline.overlap.to_dict(),
        },
        "bottleneck": part.bottleneck.to_dict() if part.bottleneck else None,
    }


def readable(part: Concepts) -> str:
    """Lay out what a checkpoint knows of concepts."""
    rows: list[list[object]] = []
    for head in part.heads.heads:
        own = part.structures.get(head.source)
        figures = own.figures.get(head.concept) if own else None
        rows.append(
            [
                head.concept,
                head.source,
                f"{head.auc}",
                f"{head.positives} of {head.positives + head.negatives}",
                "yes" if head.usable else "no",
                _said(head.present, "from"),
                _said(head.absent, "below"),
                f"{figures.dense}" if figures else None,
                "yes" if part.may_point(head) else "no",
            ]
        )
    header = ["concept", "data set", "AUC", "shown by", "usable", "present", "absent"]
    lines = [table([*header, "pixel AUC", "may point"], rows)] if rows else ["No concept heads."]
    for transfer in part.transfers:
        lines.append(
            f"{transfer.concept} of {transfer.fitted_to}, asked of {transfer.asked_of}: AUC "
            f"{transfer.auc}."
        )
    if part.outline is not None:
        lines.append(f"Outlines of lesions held out: Dice {part.outline.dice}.")
    if part.bottleneck is not None:
        lines.append("Melanoma, AUC on lesions held out:")
        lines += [f"  {name}: {own}" for name, own in part.bottleneck.figures.items()]
    return "\n".join(lines)


def _said(threshold: Any, word: str) -> str | None:
    if threshold is None:
        return None
    return f"{word} {threshold.probability:.2f}, {threshold.precision:.2f} right"
