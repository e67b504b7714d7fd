"""The `dermsim report` command: all that is said of one picture, as a document."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, UseAppendAction, arg

from dermsim.cli.command import ModelCommand
from dermsim.cli.terminal import check_frame, check_output, show, table
from dermsim.core.explain_methods import DEFAULT, MethodChoice, parse_layer
from dermsim.core.language import Language
from dermsim.core.refused import Refused


@dataclass(frozen=True, kw_only=True)
class CaseReportCommand(ModelCommand):
    """Write a case report of a picture: one HTML file that needs nothing else, to keep or print."""

    picture: Positional[Path]
    """Photograph."""
    frame: int = 0
    """Which picture of a file that holds several, such as DICOM and TIFF, counted from 0."""
    output: Annotated[Path, arg(aliases=["-o"])] = Path("case.html")
    """HTML file to write."""
    language: Language = "en"
    """Of the report."""
    k: Annotated[int, arg(aliases=["-k"])] = 6
    """How many similar past cases, 1 to 24."""
    operating_point: Literal["balanced", "sensitivity_95"] = "balanced"
    """Where malignant begins: balanced, or sensitivity_95, which is more sensitive."""
    exclude_lesion: UseAppendAction[tuple[str, ...]] = ()
    """Lesion to leave out of the past cases; may be repeated. That of a picture which is itself a
    past case always is."""
    method: MethodChoice = DEFAULT
    """How evidence is measured; the last two are for transformers."""
    layer: str | None = None
    """Stage of the backbone by its number, such as 2 or -2, or a module by its name."""

    def run(self) -> int:
        """Write the report."""
        from dermsim.core.atomic import atomic_path
        from dermsim.data.images import read_image
        from dermsim.ui.case_page import case_html
        from dermsim.ui.case_report import examine

        check_output(self.output)
        if self.output.suffix.lower() not in (".html", ".htm"):
            raise Refused("cli_report.not_html", output=self.output)
        check_frame(self.frame)
        picture = read_image(self.picture, frame=self.frame)
        engine = self.engine()
        report = examine(
            engine,
            picture,
            name=self.picture.name,
            model=_called(self.model),
            k=self.k,
            method=self.method,
            layer=parse_layer(self.layer),
            point=self.operating_point,
            exclude_lesion_ids=self.exclude_lesion,
        )
        text = case_html(report, language=self.language)
        with atomic_path(self.output) as temporary:
            temporary.write_text(text, encoding="utf-8")
        found = report.prediction
        answer = {
            "picture": str(self.picture),
            "warning": found.notice,
            "verdict": report.verdict,
            "diagnosis": found.label_name,
            "probability": found.probabilities[found.label_name],
            "malignancy": found.malignancy,
            "output": str(self.output),
        }
        show(answer, table([*answer], [[*answer.values()]]), as_json=self.json, drawn=engine.drawn)
        return 0


def _called(model: str) -> str:
    """Return what a checkpoint is called: a folder's own name without its path, or a Hub id."""
    folder = Path(model)
    return folder.resolve().name if folder.exists() else model
