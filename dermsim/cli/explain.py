"""The `dermsim explain` command: where the model looked, painted over the picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from dermsim.cli.command import ModelCommand, load_bank
from dermsim.cli.terminal import check_frame, check_output, show, table
from dermsim.core.explain_methods import DEFAULT, MethodChoice, parse_layer
from dermsim.core.refused import Refused

OPACITY = 0.7
"""Of the strongest place of a map."""


@dataclass(frozen=True, kw_only=True)
class Explain(ModelCommand):
    """Paint over a picture where the model sees evidence for a diagnosis, or for a likeness."""

    picture: Positional[Path]
    """Photograph to explain."""
    target: str | None = None
    """Diagnosis to look for, "malignancy", or a class of --bank; by default the predicted one."""
    like: Path | None = None
    """Another photograph: paint on both, side by side, what makes the two alike."""
    method: MethodChoice = DEFAULT
    """How evidence is measured; by default as did best on validation in this checkpoint. Rollout
    and gradattention are for transformers."""
    layer: str | None = None
    """Stage of the backbone by its number, such as 2 or -2, or a module by its name."""
    smooth: bool = False
    """Average over turns and mirror images: finer, and eight times slower."""
    outline: bool = False
    """Draw a line around the strongest half of the map."""
    bank: Path | None = None
    """File of enrolled classes, made by `dermsim enroll`."""
    frame: int = 0
    """Which picture of a file that holds several, such as DICOM and TIFF, counted from 0."""
    output: Annotated[Path, arg(aliases=["-o"])] = Path("heatmap.png")
    """PNG file to write."""

    def run(self) -> int:
        """Write the overlay."""
        from dermsim.core.atomic import atomic_path
        from dermsim.data.images import read_image
        from dermsim.engine.answers import explain
        from dermsim.ui.heatmaps import paint, side_by_side
        from dermsim.ui.map_worth import worth_figures, worth_verdict

        check_output(self.output)
        if self.output.suffix.lower() != ".png":
            raise Refused("cli_explain.not_png", output=self.output)
        if self.like is not None and self.target is not None:
            raise Refused("cli_explain.two_questions")
        check_frame(self.frame)
        image = read_image(self.picture, frame=self.frame)
        other = read_image(self.like) if self.like is not None else None
        engine = self.engine()
        found = explain(
            engine,
            image,
            target=self.target,
            like=other,
            method=self.method,
            layer=parse_layer(self.layer),
            smooth=self.smooth,
            bank=load_bank(self.bank, engine),
        )
        drawn = paint(found, opacity=OPACITY, outlined=self.outline, side=max)
        painted = drawn[0] if other is None else side_by_side(drawn)
        with atomic_path(self.output) as temporary:
            painted.save(temporary)
        facts = found.to_dict() if other is None else {"like": str(self.like), **found.to_dict()}
        answer = {"picture": str(self.picture), **facts, "output": str(self.output)}
        note = "" if found.strengths[0] > 0 else "\nNothing in the picture speaks for the target."
        told = {name: value for name, value in answer.items() if name != "worth"}
        readable = f"{table([*told], [[*told.values()]])}{note}\n{worth_verdict(found.worth)}"
        if figures := worth_figures(found.worth):
            readable += f"\n{figures}"
        show(answer, readable, as_json=self.json, drawn=engine.drawn)
        return 0
