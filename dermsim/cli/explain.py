"""The `dermsim explain` command: where the model looked, painted over the picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from dermsim.cli.command import ModelCommand
from dermsim.cli.terminal import check_frame, check_output, show, table
from dermsim.core.explain_methods import MethodName, parse_layer, parse_target

if TYPE_CHECKING:
    from PIL.Image import Image

    from dermsim.engine import DermSim
    from dermsim.tasks.enroll import ClassBank

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
    method: MethodName = "gradcam"
    """How evidence is measured; the last two are for transformers."""
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
        from dermsim.core.storage import atomic_path
        from dermsim.data.images import read_image

        check_output(self.output)
        if self.output.suffix.lower() != ".png":
            raise ValueError(f"the overlay is a PNG, so {self.output} must end in .png")
        if self.like is not None and self.target is not None:
            raise ValueError("--target and --like are two questions: ask one at a time")
        check_frame(self.frame)
        image = read_image(self.picture, frame=self.frame)
        other = read_image(self.like) if self.like is not None else None
        engine = self.engine()
        if other is not None:
            painted, facts = self._likeness(engine, image, other)
        else:
            painted, facts = self._evidence(engine, image)
        with atomic_path(self.output) as temporary:
            painted.save(temporary)
        answer = {"picture": str(self.picture), **facts, "output": str(self.output)}
        note = "" if facts["strength"] > 0 else "\nNothing in the picture speaks for the target."
        show(answer, table([*answer], [[*answer.values()]]) + note, as_json=self.json)
        return 0

    def _evidence(self, engine: DermSim, image: Image) -> tuple[Image, dict[str, Any]]:
        """Paint the evidence for one target."""
        from dermsim.ui.heatmaps import overlay, strength

        bank = self._bank(engine)
        target = parse_target(self.target, bank.names if bank else ())
        # the model's own answer first: its peak is the measure of the other's
        own, *others = engine.explain_many(
            [image] if target is None else [image, image],
            method=self.method,
            target=[None] if target is None else [None, target],
            layer=parse_layer(self.layer),
            smooth=self.smooth,
            bank=bank,
        )
        heatmap = others[0] if others else own
        share = strength(heatmap, own)
        painted = overlay(
            image,
            heatmap,
            opacity=OPACITY,
            strength=share,
            outlined=self.outline,
            side=max(image.size),
        )
        facts = {
            "target": heatmap.target,
            "method": heatmap.method,
            "score": heatmap.score,
            "peak": heatmap.peak,
            "strength": share,
        }
        return painted, facts

    def _likeness(
        self, engine: DermSim, image: Image, other: Image
    ) -> tuple[Image, dict[str, Any]]:
        """Paint what makes two pictures alike on both."""
        from dermsim.ui.heatmaps import overlay, side_by_side, strength

        maps = engine.explain_likeness(
            image, other, method=self.method, layer=parse_layer(self.layer), smooth=self.smooth
        )
        painted = [
            overlay(
                picture,
                heatmap,
                opacity=OPACITY,
                strength=strength(heatmap, heatmap),
                outlined=self.outline,
                side=max(picture.size),
            )
            for picture, heatmap in zip((image, other), maps, strict=True)
        ]
        facts = {
            "like": str(self.like),
            "target": maps[0].target,
            "method": maps[0].method,
            "score": maps[0].score,
            "peak": maps[0].peak,
            "peak_like": maps[1].peak,
            "strength": strength(maps[0], maps[0]),
        }
        return side_by_side(painted), facts

    def _bank(self, engine: DermSim) -> ClassBank | None:
        if self.bank is None:
            return None
        from dermsim.tasks.enroll import ClassBank

        return ClassBank.load(self.bank, fingerprint=engine.fingerprint)
