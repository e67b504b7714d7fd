"""What surrounds a converted encoder, fitted to one's own photographs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dermsim.engine import DermSim
from dermsim.engine.words import load_words
from dermsim.models.encoder import load_encoder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from datasets import Dataset


def fit_converted(folder: Path, splits: Mapping[str, Dataset] | Any) -> DermSim:
    """Fit calibration, gallery, detector, classes and atlas around an encoder; it learns nothing.

    Args:
        folder: What `dermsim.models.conversion.convert` wrote.
        splits: With ``"train"``, which becomes the gallery, and ``"validation"``.

    Raises:
        ValueError: If the folder is damaged.
    """
    model, preparation = load_encoder(folder)
    parts = {name: splits[name] for name in ("train", "validation")}
    engine = DermSim.fit(model, preparation, **parts)
    engine.words = load_words(folder, dim=model.config.embed_dim)
    return engine
