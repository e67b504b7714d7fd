"""The commands `dermsim classify` and `dermsim similar`: what a picture shows, and its like."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import FlagCreatePairsOff, Positional, UseAppendAction, arg

from dermsim.cli.command import QuickCommand, load_bank
from dermsim.cli.terminal import (
    INTERRUPTED,
    Pictures,
    check_frame,
    check_output,
    classify_table,
    collect,
    find_pictures,
    point_lines,
    reported,
    show,
    similar_table,
)
from dermsim.core.labels import parse_dx
from dermsim.core.refused import Refused

if TYPE_CHECKING:
    from dermsim.engine.predicting import Predicting


@dataclass(frozen=True, kw_only=True)
class Classify(QuickCommand):
    """Say what each picture shows, how sure that is, and what cannot be excluded."""

    pictures: Positional[tuple[Path, ...]]
    """Photographs, zip archives of some, or folders that are searched for them."""
    bank: Path | None = None
    """File of enrolled classes to choose from as well, made by `dermsim enroll`."""
    operating_point: str = "balanced"
    """Where malignant begins: balanced, sensitivity_95 (more sensitive, more false alarms), or a
    malignancy threshold, as 0.3."""
    age: float | None = None
    """Of the patient in all pictures, in years, for a checkpoint that takes facts."""
    sex: str | None = None
    """Of the patient: female or male."""
    site: str | None = None
    """Where on the body the lesion is: abdomen, acral, back, chest, ear, face, foot, genital, hand,
    "lower extremity", neck, scalp, trunk or "upper extremity"."""
    facts_from_dicom: FlagCreatePairsOff[bool] = False
    """Take age, sex and site from each DICOM file; nothing else about the patient is ever read."""
    exclude_lesion: UseAppendAction[tuple[str, ...]] = ()
    """Lesion whose past cases do not vote; may be repeated. That of a picture which is itself a
    past case never does."""
    frame: int = 0
    """Which picture of files that hold several, such as DICOM and TIFF, counted from 0."""
    prompts: tuple[str, ...] = ()
    """Names to choose from in place of the diagnoses, for a checkpoint with a text encoder, or one
    TOML file with names, synonyms and templates. Nothing was trained with them."""
    output: Annotated[Path | None, arg(aliases=["-o"])] = None
    """CSV file, or workbook (.xlsx), to write a row for each picture to, those that cannot be read
    with the reason. Ctrl-C keeps what was done."""

    def run(self) -> int:
        """Classify each readable picture, several at a time."""
        from dermsim.data.archives import OWN_FILES, list_photographs
        from dermsim.data.facts import Facts
        from dermsim.engine import answers
        from dermsim.engine.batch import FileAnswer, classify_photographs
        from dermsim.engine.batch_files import check_rows_file, save_rows
        from dermsim.tasks.classify import parse_point

        facts = Facts(self.age, self.sex, self.site)
        if facts.known and self.facts_from_dicom:
            raise Refused("cli_classify.facts_twice")
        check_frame(self.frame)
        if self.prompts:
            return self._by_prompts()
        point = parse_point(self.operating_point)
        if self.output is not None:
            check_output(self.output)
            check_rows_file(self.output)
        photographs = list_photographs(find_pictures(self.pictures, every=True), limits=OWN_FILES)
        engine = self.quick_engine(facts=facts.known or self.facts_from_dicom)
        batches = classify_photographs(
            engine,
            photographs,
            limits=OWN_FILES,
            facts=facts,
            dicom_facts=self.facts_from_dicom,
            frame=self.frame,
            bank=load_bank(self.bank, engine),
            operating_point=point,
            exclude_lesion_ids=self.exclude_lesion,
        )
        rows: list[FileAnswer] = []
        stopped = not collect(reported(batches, len(photographs)), rows)
        if self.output is not None:
            informed = engine.calibration_facts if facts.known else None
            save_rows(
                self.output,
                rows,
                calibration=informed or engine.calibration,
                fingerprint=engine.fingerprint,
                point=point,
                informed=engine.calibration_facts,
            )
        results: list[dict[str, Any]] = [row.to_dict() for row in rows if row.prediction]
        errors = [{"picture": row.file, "error": str(row.reason)} for row in rows if row.reason]
        chosen = answers.point(engine, point, facts=facts)
        answer: dict[str, Any] = {"operating_point": chosen, "results": results, "errors": errors}
        if stopped:
            answer["interrupted"] = {"done": len(rows), "of": len(photographs)}
        readable = "\n\n".join([classify_table(results), point_lines(chosen)])
        show(answer, readable, as_json=self.json, drawn=engine.drawn)
        if stopped:
            where = "" if self.output is None else f" and are in {self.output}"
            done = f"{len(rows):,} of {len(photographs):,} pictures were done{where}"
            print(f"dermsim: interrupted: {done}", file=sys.stderr)
            return INTERRUPTED
        return 2 if errors else 0

    def _by_prompts(self) -> int:
        """Classify by names; what else could be asked is not."""
        from dermsim.cli.prompting import classify_by_prompts, wording_of

        asked = type(self)(pictures=self.pictures)
        other = ("bank", "operating_point", "age", "sex", "site", "facts_from_dicom", "output")
        given = [name for name in other if getattr(self, name) != getattr(asked, name)]
        if given:
            raise Refused("cli_classify.with_prompts", option=f"--{given[0].replace('_', '-')}")
        wording = wording_of(self.prompts)
        pictures = Pictures(find_pictures(self.pictures, every=True), frame=self.frame)
        return classify_by_prompts(self.engine(), pictures, wording, as_json=self.json)


@dataclass(frozen=True, kw_only=True)
class Similar(QuickCommand):
    """Find the past cases that look most like each picture, or that a text fits."""

    pictures: Positional[tuple[Path, ...]] = ()
    """Photographs, or folders that are searched for them."""
    text: str | None = None
    """Words to search by, for a checkpoint with a text encoder; with pictures, both are heeded."""
    k: Annotated[int, arg(aliases=["-k"])] = 5
    """How many cases."""
    where: UseAppendAction[tuple[str, ...]] = ()
    """Only cases with this fact, such as dx=mel or age=40-60; may be repeated."""
    one_per_lesion: bool = False
    """Of several photographs of one lesion, show the most similar only."""
    exclude_lesion: UseAppendAction[tuple[str, ...]] = ()
    """Lesion to leave out; may be repeated. That of a picture which is itself a past case always
    is."""
    frame: int = 0
    """Which picture of files that hold several, such as DICOM and TIFF, counted from 0."""
    gallery: Path | None = None
    """Gallery to search in place of the checkpoint's own, made by `dermsim gallery build`."""

    def run(self) -> int:
        """Search for each readable picture, and let its neighbours vote on the diagnosis."""
        from dermsim.engine.answers import similar

        where = parse_where(self.where)
        check_frame(self.frame)
        if self.text is not None:
            return self._by_text(self.text, where)
        if not self.pictures:
            raise Refused("cli_classify.nothing")
        pictures = Pictures(find_pictures(self.pictures, every=True), frame=self.frame)
        engine = self.quick_engine()
        self._search_elsewhere(engine)
        results = []
        for name, image in pictures:
            (found,) = similar(
                engine,
                [image],
                k=self.k,
                where=where,
                one_per_lesion=self.one_per_lesion,
                exclude_lesion_ids=self.exclude_lesion,
            )
            results.append({"picture": name, **found.to_dict()})
        answer = {"results": results, "errors": pictures.errors}
        show(answer, similar_table(results), as_json=self.json, drawn=engine.drawn)
        return pictures.status

    def _search_elsewhere(self, engine: Predicting) -> None:
        """Take the gallery that was named, if one was."""
        if self.gallery is not None:
            from dermsim.tasks.retrieve import Gallery

            engine.gallery = Gallery.load(self.gallery, fingerprint=engine.fingerprint)

    def _by_text(self, text: str, where: dict[str, object]) -> int:
        """Search by words; a lesion cannot be left out of what no picture asks for."""
        from dermsim.cli.prompting import search_by_text

        if self.exclude_lesion:
            raise Refused("cli_classify.with_text")
        pictures = None
        if self.pictures:
            pictures = Pictures(find_pictures(self.pictures, every=True), frame=self.frame)
        engine = self.engine()
        self._search_elsewhere(engine)
        return search_by_text(
            engine,
            text,
            pictures,
            as_json=self.json,
            k=self.k,
            where=where,
            one_per_lesion=self.one_per_lesion,
        )


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
            raise Refused("cli_classify.where_pair", condition=condition)
        if name in where:
            raise Refused("cli_classify.where_twice", name=name)
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
        raise Refused("cli_classify.where_age", text=text) from error
