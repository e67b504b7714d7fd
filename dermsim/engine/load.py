"""Reads all parts of a checkpoint folder, and refuses those that do not belong together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dermsim.core.atomic import read_steadily
from dermsim.core.checkpoint import EXPLANATIONS, QUALITY
from dermsim.core.explain_worth import ExplanationWorth
from dermsim.core.labels import CODES
from dermsim.core.refused import Refused
from dermsim.core.storage import read_json
from dermsim.core.vectors import l2_normalize
from dermsim.tasks.atlas import EmbeddingMap
from dermsim.tasks.classify import Calibration, ThresholdFigures, read_figures
from dermsim.tasks.concepts import Concepts
from dermsim.tasks.detect import OutlierDetector, QualityGate
from dermsim.tasks.enroll import ClassBank
from dermsim.tasks.retrieve import Gallery

if TYPE_CHECKING:
    from dermsim.engine.words import Words
    from dermsim.models.encoder import Encoder

FIGURES = "evaluation.json"
"""What was measured of the checkpoint; it is no part, and a checkpoint may lack it."""

FACTS_CALIBRATION = "calibration_facts.json"
"""The part that only the folder of an encoder that takes facts has."""

SAME_CASE = 0.99
"""Cosine that the atlas's half-precision embedding of a case has at least with the gallery's."""


def load_parts(folder: Path) -> dict[str, Any]:
    """Read a folder that has every part, and again if it is replaced meanwhile.

    Args:
        folder: What `local_folder` returned.

    Returns:
        The arguments of `dermsim.engine.DermSim`, by name.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a part is damaged, or was made by another encoder than the folder's.
    """
    return read_steadily(folder, lambda: _load_parts(folder))


def _load_parts(folder: Path) -> dict[str, Any]:
    from dermsim.engine.words import load_words  # they bring torch
    from dermsim.models.encode import fingerprint
    from dermsim.models.encoder import load_encoder, seen_side
    from dermsim.models.network_dermsim_dual import DermSimDualNetwork

    model, processor = load_encoder(folder)
    try:
        _check_labels(model)
        mark = fingerprint(model, processor)
        dual = isinstance(model, DermSimDualNetwork)
        parts: dict[str, Any] = {
            "model": model,
            "processor": processor,
            "calibration": Calibration.load(folder / "calibration.json"),
            "calibration_facts": (
                Calibration.load(folder / FACTS_CALIBRATION) if model.config.facts_dim else None
            ),
            "detector": OutlierDetector.load(folder / "detector.safetensors", fingerprint=mark),
            "gallery": Gallery.load(folder / "gallery", fingerprint=mark),
            "classes": ClassBank.load(folder / "classes.safetensors", fingerprint=mark),
            "atlas": EmbeddingMap.load(folder / "atlas.parquet"),
            "quality": read_quality(folder / QUALITY, seen_side(processor)),
            "reached": read_reached(folder / FIGURES, mark),
            "concepts": Concepts.load(folder, fingerprint=mark),
            "worth": ExplanationWorth.load(folder / EXPLANATIONS, fingerprint=mark),
            "words": load_words(folder, dim=model.config.embed_dim) if dual else None,
        }
        _check_temperatures(model, parts)
        _check_detector(parts["detector"], model, parts["gallery"])
        _check_atlas(parts["atlas"], parts["gallery"])
    except ValueError as error:
        raise Refused("load.unusable", folder=folder, error=error) from error
    return parts


def read_quality(path: Path, side: int) -> QualityGate | None:
    """Read the quality gate where there is one."""
    return QualityGate.load(path, side=side) if path.is_file() else None


def read_reached(path: Path, mark: str) -> tuple[ThresholdFigures, ...]:
    """Read what malignancy thresholds reached where that was measured; else there is nothing.

    Args:
        path: ``evaluation.json`` of a checkpoint.
        mark: Fingerprint of its encoder.

    Raises:
        ValueError: If the file is damaged.
    """
    if not path.is_file():
        return ()
    document = read_json(path)
    if not isinstance(document, dict):
        raise Refused("storage.not_an_object", name=path.name, kind=type(document).__name__)
    return read_figures(document, fingerprint=mark)


def save_optional(
    folder: Path,
    calibration_facts: Calibration | None,
    concepts: Concepts | None,
    quality: QualityGate | None,
    worth: ExplanationWorth | None,
    words: Words | None,
) -> None:
    """Write the parts that only some checkpoints have."""
    if calibration_facts is not None:
        calibration_facts.save(folder / FACTS_CALIBRATION)
    if concepts is not None:
        concepts.save(folder)
    if quality is not None:
        quality.save(folder / QUALITY)
    if worth is not None:
        worth.save(folder / EXPLANATIONS)
    if words is not None:
        words.save(folder)


def save_extra(folder: Path, extra: Mapping[str, bytes]) -> None:
    """Write files beside the parts of a checkpoint.

    Raises:
        ValueError: If one has the name of a part, or a name that leads elsewhere.
    """
    for name, data in extra.items():
        if Path(name).name != name or (folder / name).exists():
            raise Refused("load.extra_name", name=name)
        (folder / name).write_bytes(data)


def _check_labels(model: Encoder) -> None:
    names = tuple((model.config.id2label or {}).values())
    if names != CODES:
        raise Refused("load.classes", names=list(names), codes=CODES)


def _check_temperatures(model: Encoder, parts: Mapping[str, Any]) -> None:
    """Refuse a folder whose remote model would give other probabilities than its engine."""
    for kind in ("calibration", "calibration_facts"):
        told = getattr(model.config, kind.replace("calibration", "calibration_temperature"))
        fitted = None if parts[kind] is None else parts[kind].temperature
        if told is not None and told != fitted:
            raise Refused("load.calibration", told=told, kind=kind, fitted=fitted)


def _check_detector(detector: OutlierDetector, model: Encoder, gallery: Gallery) -> None:
    widths = {
        "pooled_features": sum(member.feature_width for member in model.members),
        "embeddings": gallery.dim,
    }
    if detector.measures is not None:
        space, width = detector.measures
        if width != widths[space]:
            raise Refused("load.detector", space=space, width=width, widths=widths[space])


def _check_atlas(atlas: EmbeddingMap, gallery: Gallery) -> None:
    """Refuse an atlas of other embeddings; it bears no fingerprint, but shares cases."""
    width, expected = atlas.embeddings.shape[1], gallery.dim
    if width != expected:
        raise Refused("load.atlas_dimensions", width=width, expected=expected)
    found = gallery.records.rows_of("image_id", [{name} for name in atlas.image_ids])
    shared = [row for row, rows in enumerate(found) if len(rows)]
    if not shared:
        return
    drawn = l2_normalize(atlas.embeddings[shared])
    own = gallery.fetch(np.array([found[row][0] for row in shared]))
    alike = np.einsum("nd,nd->n", drawn, own)
    if (alike < SAME_CASE).any():
        worst = atlas.image_ids[shared[int(alike.argmin())]]
        raise Refused("load.atlas_embedding", worst=worst)
