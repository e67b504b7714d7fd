"""A case report: all that the model says of one picture, and what that rests on.

`examine` asks the engine, `dermsim.ui.case_page.case_html` writes the document; the page and
`dermsim report` share both.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from dermsim.core.explain_methods import DEFAULT
from dermsim.core.explain_worth import Worth
from dermsim.core.refused import Refused
from dermsim.core.version import __version__
from dermsim.data.images import ImageSource, read_image
from dermsim.engine import answers
from dermsim.engine.batch import CHOSEN
from dermsim.engine.searching import are_drawn
from dermsim.evaluation.card import licence

if TYPE_CHECKING:  # torch comes with them
    from collections.abc import Sequence

    from dermsim.engine import DermSim
    from dermsim.engine.descriptions import Description
    from dermsim.engine.results import Prediction, Verdict
    from dermsim.tasks.classify import OperatingPoint, Reached
    from dermsim.tasks.explain import Heatmap
    from dermsim.tasks.retrieve import CaseTable, Neighbor

NEIGHBORS = 6
"""Past cases in a report unless more are asked for."""

MAX_NEIGHBORS = 24


@dataclass(frozen=True)
class Origin:
    """What answers rest on, so that they can be made again.

    Attributes:
        model: What the checkpoint is called.
        fingerprint: Names the encoder.
        data: Name of the data set of the past cases.
        cases: How many past cases there are.
        lesions: Of how many lesions they are; one of unknown lesion counts as its own.
        digest: Names exactly these cases with their diagnoses.
        licence: Of the weights, as the Hub spells it.
        version: Of dermsim.
    """

    model: str
    fingerprint: str
    data: str
    cases: int
    lesions: int
    digest: str
    licence: str
    version: str = __version__


@dataclass(frozen=True, eq=False)
class CaseReport:
    """What is said of one picture.

    Attributes:
        name: Of the picture's file; empty where there is none.
        picture: RGB, upright.
        prediction: The classifier's answer.
        vote: Of the nearest past cases, by diagnosis.
        neighbors: The most similar past cases, one photograph of each lesion.
        heatmap: Evidence for the predicted diagnosis.
        layer: Where its features were taken, in the engine's words; None for where heads begin.
        worth: What such maps were measured to be worth.
        unfamiliar_from: Strangeness above which a picture is unfamiliar.
        point_name: Name of the operating point, `CHOSEN` for one that has none.
        point: The operating point.
        reached: What it reached on held-out lesions and in other clinics; empty where that was not
            measured.
        coverage: Share of each diagnosis that prediction sets were calibrated to cover.
        origin: What all of it rests on.
        when: When it was said, in UTC.
        description: What is said of dermoscopic structures; None where the checkpoint knows of
            none.
    """

    name: str
    picture: Image.Image
    prediction: Prediction
    vote: dict[str, float]
    neighbors: tuple[Neighbor, ...]
    heatmap: Heatmap
    layer: int | str | None
    worth: Worth
    unfamiliar_from: float
    point_name: str
    point: OperatingPoint
    reached: tuple[Reached, ...]
    coverage: float
    origin: Origin
    when: datetime
    description: Description | None = None

    @property
    def verdict(self) -> Verdict:
        """Benign or malignant at the operating point, or withheld."""
        return self.prediction.verdict_at(self.point.threshold)


def examine(
    engine: DermSim,
    image: ImageSource,
    *,
    name: str | None = None,
    model: str | None = None,
    k: int = NEIGHBORS,
    method: str = DEFAULT,
    layer: int | str | None = None,
    point: str | OperatingPoint = "balanced",
    exclude_lesion_ids: Sequence[str] = (),
    when: datetime | None = None,
) -> CaseReport:
    """Ask the engine all that a report says of a picture.

    Args:
        engine: The loaded checkpoint.
        image: A PIL image, a path, or the bytes of a file.
        name: What the picture is called; by default as its file, if it has one.
        model: What the checkpoint is called; by default after its backbone.
        k: How many past cases, 1 to `MAX_NEIGHBORS`.
        method: As for `DermSim.explain`.
        layer: As for `DermSim.explain`.
        point: Name of an operating point, or one of the reader's own choice.
        exclude_lesion_ids: Lesions that are no past cases of this picture.
        when: The time to write on it; now when None.

    Raises:
        FileNotFoundError: If the picture does not exist.
        ValueError: If it cannot be read, or an option is unknown or out of range.
    """
    chosen = _point_of(engine, point)
    picture = read_image(image)
    called = name or (Path(image).name if isinstance(image, str | Path) else "")
    left_out: Any = {"exclude_lesion_ids": exclude_lesion_ids}
    (like,) = answers.similar(
        engine, [picture], k=k, one_per_lesion=True, most=MAX_NEIGHBORS, **left_out
    )
    (found,) = answers.classify(engine, [picture], **left_out)
    target = found.prediction.label_name
    heatmap = engine.explain(picture, method=method, target=target, layer=layer)
    return CaseReport(
        name=called,
        picture=picture,
        prediction=found.prediction,
        vote=found.vote,
        neighbors=like.neighbors,
        heatmap=heatmap,
        layer=_layer_of(engine, heatmap, layer),
        worth=engine.worth_of(heatmap, layer=layer),
        unfamiliar_from=engine.detector.threshold,
        point_name=point if isinstance(point, str) else CHOSEN,
        point=chosen,
        reached=engine.reached_at(chosen.threshold),
        coverage=1 - engine.calibration.alpha,
        origin=origin_of(engine, model=model),
        when=(when or datetime.now(UTC)).astimezone(UTC),
        description=engine.describe(picture) if engine.concept_part is not None else None,
    )


def _point_of(engine: DermSim, point: str | OperatingPoint) -> OperatingPoint:
    points = engine.calibration.operating_points
    if isinstance(point, str) and point not in points:
        raise Refused("case_report.operating_point", point=point, points=list(points))
    return points[point] if isinstance(point, str) else point


def _layer_of(engine: DermSim, heatmap: Heatmap, layer: int | str | None) -> int | str | None:
    """Return the name of the layer that a heatmap was taken at."""
    taken = engine.worth.layer(heatmap.method) if layer is None and engine.worth else layer
    return engine.explanation_stages()[taken] if isinstance(taken, int) else taken


def origin_of(engine: DermSim, *, model: str | None = None) -> Origin:
    """Say what an engine's answers rest on.

    Args:
        engine: The loaded checkpoint.
        model: What it is called; by default after its backbone.
    """
    records = engine.gallery.records
    lesions = list(records.values("lesion_id"))
    data = "synthetic" if are_drawn(records) else "HAM10000"
    return Origin(
        model=model or f"dermsim ({engine.model.config.backbone})",
        fingerprint=engine.fingerprint,
        data=data,
        cases=len(records),
        lesions=len(set(lesions) - {None}) + lesions.count(None),
        digest=_digest(records),
        licence=licence(data),
    )


def _digest(records: CaseTable) -> str:
    """Name a set of past cases by their photographs, lesions and diagnoses, in whatever order."""
    columns = (records.values(name) for name in ("image_id", "lesion_id", "dx"))
    lines = sorted("\t".join(map(str, row)) for row in zip(*columns, strict=True))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
