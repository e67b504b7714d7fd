"""A checkpoint's encoder as a folder of ONNX files, with the report on their parity."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dermsim.core.atomic import atomic_path
from dermsim.core.labels import CODES, DISCLAIMER, LABELS
from dermsim.core.optional import require
from dermsim.core.storage import save_json
from dermsim.core.version import __version__
from dermsim.export.int8 import quantised
from dermsim.export.network_graph import encoder_graph, halved
from dermsim.export.parity import (
    ACCURACY,
    AGREEMENT,
    AUC,
    COSINE,
    WHOLE_COSINE,
    Parity,
    compare_runtimes,
)
from dermsim.lite.encoder import FILES, INPUT, OUTPUTS, REPORT, ExportedEncoder, OnnxEncoder
from dermsim.models.preparation import ImagePreparation

if TYPE_CHECKING:
    from PIL import Image

    from dermsim.engine.dermsim import DermSim

BATCH = 8

FACTS = "encoder.json"
"""What an ONNX file has in itself: labels, thresholds, licence and the rest."""


@dataclass(frozen=True)
class Measured:
    """Photographs to compare on.

    Attributes:
        photographs: As `read_image` gives them, to go through once for each precision.
        diagnoses: Theirs, as places in `CODES`; None where not known.
        name: Where they come from, for the report.
    """

    photographs: Iterable[Image.Image]
    diagnoses: Sequence[int] | None = None
    name: str = "given photographs"


def export_onnx(
    engine: DermSim,
    folder: Path,
    *,
    on: Measured,
    licence: str,
    validation: Iterable[Image.Image] | None = None,
) -> dict[str, Parity]:
    """Write ``model.onnx``, with `validation` ``model_int8.onnx`` too, and ``parity.json``.

    Nothing is written, and what was there stays, where an export gives other answers.

    Args:
        engine: The checkpoint.
        folder: Where to; it is replaced.
        on: Photographs to compare on, which the encoder has not learned from.
        licence: Of the weights, as the Hub spells it.
        validation: Photographs to fit the scales of integers to; None for no such file.

    Returns:
        What was measured, by precision.

    Raises:
        ImportError: If a package of the extra ``onnx`` is not installed.
        ValueError: If ONNX cannot say how photographs are prepared, there is no photograph, or an
            export misses its tolerance.
    """
    onnx: Any = require("onnx", extra="onnx")
    preparation = as_preparation(engine)
    graph = encoder_graph(
        engine.model,
        preparation,
        temperature=engine.calibration.temperature,
        metadata=facts_of_export(engine, preparation, licence=licence),
    )
    found = {}
    with atomic_path(folder) as fresh:
        fresh.mkdir(exist_ok=True)
        onnx.save(halved(copy.deepcopy(graph)), fresh / FILES["fp32"])
        found["fp32"] = _compare(engine, fresh / FILES["fp32"], on, whole=True)
        found["fp32"].check_same()
        if validation is not None:
            small = quantised(graph, _squares(preparation, validation))
            onnx.save(halved(small), fresh / FILES["int8"])
            found["int8"] = _compare(engine, fresh / FILES["int8"], on, whole=False)
            found["int8"].check_close()
        save_json(fresh / REPORT, report(engine, on, found, form="onnx"))
    return found


def export_squares(
    engine: DermSim,
    folder: Path,
    *,
    form: str,
    on: Measured,
    licence: str,
) -> dict[str, Parity]:
    """Write an encoder that takes prepared squares, ``encoder.json`` and ``parity.json``.

    Nothing is written, and what was there stays, where an export gives other answers.

    Args:
        engine: The checkpoint.
        folder: Where to; it is replaced.
        form: ``"openvino"`` or ``"litert"``.
        on: As for `export_onnx`, as is `licence`.
        licence: Of the weights.

    Raises:
        ImportError: If a package of the extra of that name is not installed.
        ValueError: As for `export_onnx`.
    """
    preparation = as_preparation(engine)
    with atomic_path(folder) as fresh:
        fresh.mkdir(exist_ok=True)
        if form == "openvino":
            from dermsim.export import openvino

            runtime: ExportedEncoder = openvino.write_openvino(
                engine, preparation, fresh / openvino.FILE
            )
        else:
            from dermsim.export import litert

            runtime = litert.write_litert(engine, preparation, fresh / litert.FILE)
        parity = compare_runtimes(engine, runtime, on.photographs, diagnoses=on.diagnoses)
        parity.check_same()
        facts = facts_of_export(engine, preparation, licence=licence)
        side = preparation.crop_size["height"]
        facts["input"] = {INPUT: f"(B, {side}, {side}, 3) uint8 RGB, a prepared square"}
        save_json(fresh / FACTS, facts)
        save_json(fresh / REPORT, report(engine, on, {"fp32": parity}, form=form))
    return {"fp32": parity}


def as_preparation(engine: DermSim) -> ImagePreparation:
    """Return how a checkpoint's input is made, whichever class makes it."""
    own = engine.processor
    if isinstance(own, ImagePreparation):
        return own
    kept = {name: getattr(own, name) for name in ImagePreparation.__dataclass_fields__}
    for name in ("size", "crop_size"):  # transformers keeps every side, unknown ones as None
        kept[name] = {side: pixels for side, pixels in dict(kept[name]).items() if pixels}
    return ImagePreparation(**{**kept, "resample": int(kept["resample"])})


def facts_of_export(
    engine: DermSim, preparation: ImagePreparation, *, licence: str
) -> dict[str, Any]:
    """Return what an exported file says of itself."""
    calibration = engine.calibration
    (first, *others) = engine.model.members
    bias = None if others else first.classifier.bias.detach().cpu().float().tolist()
    return {
        "dermsim": __version__,
        "fingerprint": engine.fingerprint,
        "preparation": preparation.to_dict(),
        "input": {INPUT: "(B, H, W, 3) uint8 RGB, of any size"},
        "outputs": list(OUTPUTS),
        "labels": list(CODES),
        "names": {label.code: label.name for label in LABELS},
        "temperature": calibration.temperature,
        "biases": bias,
        "set_thresholds": calibration.set_thresholds,
        "operating_points": {
            name: point.threshold for name, point in calibration.operating_points.items()
        },
        "outlier_threshold": engine.detector.threshold,
        "licence": licence,
        "disclaimer": DISCLAIMER,
    }


def report(engine: DermSim, on: Measured, found: dict[str, Parity], *, form: str) -> dict[str, Any]:
    """Return what stands in ``parity.json``."""
    return {
        "format": form,
        "dermsim": __version__,
        "fingerprint": engine.fingerprint,
        "photographs": on.name,
        "tolerance": {
            "cosine": COSINE,
            "cosine_of_whole_photographs": WHOLE_COSINE,
            "int8_equal_verdicts": AGREEMENT,
            "int8_lost_balanced_accuracy": ACCURACY,
            "int8_lost_melanoma_auc": AUC,
        },
        **{precision: parity.to_dict() for precision, parity in found.items()},
    }


def _compare(engine: DermSim, path: Path, on: Measured, *, whole: bool) -> Parity:
    return compare_runtimes(
        engine, OnnxEncoder(path), on.photographs, diagnoses=on.diagnoses, whole=whole
    )


def _squares(
    preparation: ImagePreparation, photographs: Iterable[Image.Image]
) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield batches of what the encoder sees of photographs."""
    source = iter(photographs)
    while batch := list(islice(source, BATCH)):
        yield np.stack([np.moveaxis(preparation.square(image), 0, -1) for image in batch])
