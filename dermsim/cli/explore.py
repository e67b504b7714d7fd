"""The `dermsim explore` command: what a data set holds, and what it lacks."""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import FlagCreatePairsOff, Positional, arg

from dermsim.cli.command import Command, DataOptions
from dermsim.cli.terminal import check_output, show, table
from dermsim.core.labels import CODES, MALIGNANT
from dermsim.core.language import Language
from dermsim.core.refused import Refused

if TYPE_CHECKING:
    from dermsim.data.census import Census, Exploration


@dataclass(frozen=True, kw_only=True)
class Explore(Command, DataOptions):
    """Look into a data set: diagnoses, ages, sexes, sites, photographs of each lesion, and gaps."""

    source: Positional[str]
    """The photographs: a Hub id, a folder in any known layout, or "synthetic"."""
    output: Annotated[Path | None, arg(aliases=["-o"])] = None
    """HTML file of charts to write: one file that needs nothing else."""
    splits: FlagCreatePairsOff[bool] = False
    """Count train, validation and test apart, too, parted by lesion."""
    language: Language = "en"
    """Of the HTML file."""

    def run(self) -> int:
        """Count, print, and write the charts if asked to."""
        from dermsim.data.census import explore
        from dermsim.data.splits import grouped_splits

        if self.output is not None:
            check_output(self.output)
            if self.output.suffix.lower() not in (".html", ".htm"):
                raise Refused("cli_explore.not_html", output=self.output)
        with warnings.catch_warnings(record=True) as raised:
            warnings.simplefilter("always", UserWarning)
            dataset = self.open(self.source).load()
        name = Path(self.source).name if Path(self.source).exists() else self.source
        notes = tuple(
            str(warning.message).replace(self.source, name)
            for warning in raised
            if warning.category is UserWarning
        )
        for note in notes:
            print(f"dermsim: {note}", file=sys.stderr)
        parted = grouped_splits(dataset) if self.splits else None
        found = explore(dataset, name=name, splits=parted, notes=notes)
        if self.output is not None:
            self._write(found, self.output)
        show(found.to_dict(), readable(found), as_json=self.json)
        return 0

    def _write(self, found: Exploration, path: Path) -> None:
        from dermsim.core.atomic import atomic_path
        from dermsim.ui.explore_page import explore_html

        text = explore_html(found, language=self.language)
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")


def readable(found: Exploration) -> str:
    """Lay out an exploration for the terminal."""
    whole = found.whole
    lines = [
        f"{found.name}: {whole.images:,} photographs of {whole.lesions:,} lesions; "
        f"{whole.malignant:,} photographs are of a malignant diagnosis",
        "",
        _diagnoses(whole),
    ]
    for fact in ("sex", "dx_type", "localization"):
        lines += ["", _fact(fact, whole)]
    lines += ["", _multiplicity(whole)]
    if found.splits:
        rows = [
            [name, part.images, part.lesions, *(part.dx_images[code] for code in CODES)]
            for name, part in found.splits.items()
        ]
        lines += ["", table(["split", "photographs", "lesions", *CODES], rows)]
        lines.append(f"Lesions in more than one split: {found.shared_lesions}.")
    if whole.contradictory:
        lines += ["", f"Lesions of more than one diagnosis: {', '.join(whole.contradictory)}."]
    return "\n".join(lines)


def _diagnoses(whole: Census) -> str:
    rows = []
    for code in sorted(CODES, key=lambda code: -whole.dx_images[code]):
        ages = whole.age_summary.get(code)
        middle = f"{ages.median:.0f} ({ages.lower:.0f} to {ages.upper:.0f})" if ages else None
        mark = "malignant" if code in MALIGNANT else "benign"
        rows.append([code, mark, whole.dx_images[code], whole.dx_lesions[code], middle])
    return table(["dx", "", "photographs", "lesions", "age: median (quartiles)"], rows)


def _fact(fact: str, whole: Census) -> str:
    rows = [
        [value or "not known", sum(counts.values()), *(counts[code] for code in CODES)]
        for value, counts in whole.facts[fact].items()
    ]
    return table([fact, "photographs", *CODES], rows)


def _multiplicity(whole: Census) -> str:
    counted = whole.photographs_per_lesion.items()
    missing = ", ".join(f"{fact} {count:,}" for fact, count in whole.missing.items())
    rows = [[times, lesions] for times, lesions in counted]
    return f"{table(['photographs of a lesion', 'lesions'], rows)}\n\nNot known: {missing}."
