"""The answers of `dermsim.engine.answers` as the JSON documents of `schemas`, without HTTP.

REST and the tools for assistants are two ways of asking for these.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from dermsim.core.explain_methods import parse_layer
from dermsim.core.labels import LABELS, parse_dx
from dermsim.core.refused import Refused
from dermsim.engine import answers
from dermsim.engine.concept_answers import concept_conditions
from dermsim.serve.concept_schemas import DescribeAnswer
from dermsim.serve.limits import NEIGHBORS, Limits
from dermsim.serve.schemas import (
    BankClass,
    Box,
    DiagnosisInfo,
    EmbedAnswer,
    EnrollAnswer,
    Enrollment,
    ExplainAnswer,
    Map,
    MapWorth,
    ModelInfo,
    OldClass,
    PictureCases,
    PictureClasses,
    Point,
    PredictAnswer,
    SimilarAnswer,
)
from dermsim.tasks.classify import POINTS

if TYPE_CHECKING:  # they bring torch, and requests are answered while it loads
    from dermsim.data.facts import Facts
    from dermsim.engine import DermSim
    from dermsim.tasks.enroll import ClassBank
    from dermsim.tasks.explain import Heatmap

DEFAULT_POINT = POINTS[0]


def predict(
    engine: DermSim,
    pictures: Sequence[Image.Image],
    *,
    operating_point: str | float = DEFAULT_POINT,
    facts: Facts | None = None,
    bank: ClassBank | None = None,
    exclude_lesion_ids: Sequence[str] = (),
) -> PredictAnswer:
    """Classify pictures; see `dermsim.engine.answers.classify`."""
    asked: Any = {
        "facts": facts,
        "bank": bank,
        "operating_point": operating_point,
        "exclude_lesion_ids": exclude_lesion_ids,
    }
    found = answers.classify(engine, pictures, **asked)
    point = Point(**answers.point(engine, operating_point, facts=facts))
    results = [PictureClasses(operating_point=point, **each.to_dict()) for each in found]  # type: ignore[arg-type]
    return PredictAnswer(**_common(engine), results=results)


def embed(
    engine: DermSim, pictures: Sequence[Image.Image], *, space: str = "embeddings"
) -> EmbedAnswer:
    """Embed pictures; see `DermSim.embed`."""
    vectors = engine.embed(pictures, space=space)
    return EmbedAnswer(
        **_common(engine),
        space=space,
        dim=vectors.shape[1],
        embeddings=vectors.tolist(),
    )


def similar(engine: DermSim, pictures: Sequence[Image.Image], **asked: Any) -> SimilarAnswer:
    """Find the past cases most like each picture; see `dermsim.engine.answers.similar`."""
    found = answers.similar(engine, pictures, most=NEIGHBORS, **asked)
    results = [PictureCases(**each.to_dict()) for each in found]  # type: ignore[arg-type]
    return SimilarAnswer(**_common(engine), results=results)


def case_filter(
    *,
    dx: Sequence[str] = (),
    sex: Sequence[str] = (),
    localization: Sequence[str] = (),
    dx_type: Sequence[str] = (),
    age_min: float | None = None,
    age_max: float | None = None,
    concept: Sequence[str] = (),
) -> dict[str, Any]:
    """Make the filter that `Gallery.search` takes; nothing asked for lets all cases pass.

    Args:
        dx: Diagnoses, by any of their names.
        sex: As in HAM10000, like the two that follow.
        localization: Sites.
        dx_type: How the diagnosis was confirmed.
        age_min: Lowest age in years; a case whose age is not known is then left out.
        age_max: Highest.
        concept: Concepts with a state, such as ``"streaks=present"``.

    Raises:
        ValueError: If a diagnosis is unknown, a concept comes without a state or no age is left.
    """
    where: dict[str, Any] = {"dx": [parse_dx(name) for name in dx]}
    where |= {"sex": list(sex), "localization": list(localization), "dx_type": list(dx_type)}
    where = {fact: values for fact, values in where.items() if values}
    where |= concept_conditions(concept)
    if age_min is not None or age_max is not None:
        low, high = age_min if age_min is not None else 0.0, age_max
        where["age"] = (low, high if high is not None else 200.0)
        if low > where["age"][1]:
            raise Refused("documents.no_age", youngest=low, oldest=high)
    return where


def enroll(engine: DermSim, pictures: Sequence[Image.Image], **asked: Any) -> EnrollAnswer:
    """Return a bank that also knows a class; see `dermsim.engine.answers.teach`."""
    taught = answers.teach(engine, pictures, **asked)
    return EnrollAnswer(
        **_common(engine),
        bank=base64.b64encode(taught.to_bytes()).decode(),
        classes=[BankClass(**known) for known in answers.classes(taught)],
        report=enrollment(taught),
    )


def enrollment(bank: ClassBank) -> Enrollment | None:
    """Say what became of the old classes; None when the bank keeps no images to say it by."""
    report = answers.enrollment(bank)
    if report is None:
        return None
    return Enrollment(
        images=report.before.n,
        balanced_accuracy_before=report.before.value,
        balanced_accuracy_after=report.after.value,
        old=[
            OldClass(name=c.name, images=c.images, before=c.before, after=c.after)
            for c in report.old
        ],
    )


LONGEST_SIDE = 1024
"""Of the pictures in an explanation, in pixels."""

ENOUGH = 2 * LONGEST_SIDE
"""Pixels of a side that a picture keeps to be explained: scaled down once more, it looks alike."""


def explain(
    engine: DermSim,
    picture: Image.Image,
    *,
    layer: str | None = None,
    opacity: float = 0.7,
    outline: bool = False,
    **asked: Any,
) -> ExplainAnswer:
    """Paint over a picture where it holds evidence, or over two what makes them alike.

    Args:
        engine: The loaded checkpoint.
        picture: As `read_image` returns it.
        layer: A stage of the backbone by its number, or a module by its name.
        opacity: As for `dermsim.ui.heatmaps.paint`.
        outline: Whether to draw a line around the strongest half.
        asked: As for `dermsim.engine.answers.explain`.
    """
    from dermsim.ui.heatmaps import paint

    found = answers.explain(engine, picture, layer=parse_layer(layer), **asked)
    painted = paint(
        found, opacity=opacity, outlined=outline, side=lambda size: min(max(size), LONGEST_SIDE)
    )
    return ExplainAnswer(
        **_common(engine),
        target=found.heatmaps[0].target,
        method=found.heatmaps[0].method,
        score=found.heatmaps[0].score,
        worth=MapWorth.model_validate(found.worth.to_dict()),
        maps=[_map(*part) for part in zip(painted, found.heatmaps, found.strengths, strict=True)],
    )


def _map(painted: Image.Image, heatmap: Heatmap, strength: float) -> Map:
    small = Image.fromarray(heatmap.values).resize(painted.size, Image.Resampling.BICUBIC)
    grey = (np.asarray(small).clip(0, 1) * 65535).round().astype(np.uint16)
    return Map(
        width=painted.width,
        height=painted.height,
        overlay=_png(painted),
        values=_png(Image.fromarray(grey)),
        peak=heatmap.peak,
        strength=strength,
        strongest_part=_box(heatmap.top_region()),
    )


def _box(region: npt.NDArray[np.bool_]) -> Box | None:
    """Return the box around a region (H, W); None when it is empty."""
    rows, columns = (np.flatnonzero(region.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return None
    height, width = region.shape
    return Box(
        left=float(columns[0] / width),
        top=float(rows[0] / height),
        right=float((columns[-1] + 1) / width),
        bottom=float((rows[-1] + 1) / height),
    )


def _png(image: Image.Image) -> str:
    stream = BytesIO()
    image.save(stream, "PNG", compress_level=1)  # they are decoded once, on arrival
    return base64.b64encode(stream.getvalue()).decode()


def describe(engine: DermSim, picture: Image.Image, *, language: str = "en") -> DescribeAnswer:
    """Describe a picture in words; see `DermSim.describe`."""
    found: dict[str, Any] = engine.describe(picture, language=language).to_dict()
    return DescribeAnswer(**_common(engine), **found)


def model_info(engine: DermSim, *, limits: Limits) -> ModelInfo:
    """Say what the server runs on and accepts."""
    from dermsim.core.version import __version__

    calibration = engine.calibration
    return ModelInfo(
        **_common(engine),
        version=__version__,
        backbone=engine.model.config.backbone,
        embedding_dim=engine.gallery.dim,
        takes_facts=engine.calibration_facts is not None,
        diagnoses=[DiagnosisInfo(code=d.code, name=d.name, malignant=d.malignant) for d in LABELS],
        operating_points=[Point(**answers.point(engine, name)) for name in POINTS],
        coverages=[*calibration.levels],
        methods=[method.name for method in engine.explanation_methods()],
        default_method=engine.explanation_method(),
        stages=[*engine.explanation_stages()],
        cases=len(engine.gallery),
        limits={
            "request_bytes": limits.request_bytes,
            "pictures": limits.pictures,
            "pixels": limits.pixels,
            "bank_bytes": limits.bank_bytes,
            "neighbors": NEIGHBORS,
        },
    )


def _common(engine: DermSim) -> dict[str, Any]:
    """Return what every answer has."""
    return {
        "fingerprint": engine.fingerprint,
        "trained_on": "drawings" if engine.drawn else "photographs",
    }
