"""Does the melanoma score move with what is in the picture and not in the skin?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from dermsim.core.bootstrap import Bootstrap
from dermsim.core.refused import Refused
from dermsim.evaluation.artefact_drawings import DRAWINGS
from dermsim.evaluation.protocols.protocol_tables import Table, TableRow

if TYPE_CHECKING:
    from PIL.Image import Image

    from dermsim.engine import DermSim

BATCH = 16


def audit_artefacts(
    engine: DermSim, pictures: Iterable[tuple[str, Image]], *, seed: int = 0
) -> Table:
    """Draw each artefact over every picture, and compare the melanoma score with and without.

    Each picture is its own control, so that its diagnosis need not be known.

    Args:
        engine: The checkpoint.
        pictures: Pairs of a name and a photograph.
        seed: Of what is drawn.

    Returns:
        For each artefact the mean change of the score, the mean change whatever its sign, and the
        share of pictures whose label changed, each with an interval over pictures.

    Raises:
        ValueError: If there is no picture.
    """
    scores: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    batch: list[Image] = []
    for _, image in pictures:
        batch.append(image)
        if len(batch) == BATCH:
            _ask(engine, batch, seed + len(scores), scores, labels)
            batch = []
    if batch:
        _ask(engine, batch, seed + len(scores), scores, labels)
    if not scores:
        raise Refused("artefacts.nothing_readable")
    score, label = np.concatenate(scores, axis=1), np.concatenate(labels, axis=1)
    bootstrap = Bootstrap([None] * score.shape[1])
    rows = []
    for place, name in enumerate(DRAWINGS, start=1):
        change, other = score[place] - score[0], label[place] != label[0]
        rows.append(
            TableRow(
                {"artefact": name},
                {
                    "change": bootstrap.interval(lambda r, c=change: float(c[r].mean())),  # type: ignore[misc]
                    "change of any sign": bootstrap.interval(
                        lambda r, c=change: float(np.abs(c[r]).mean())  # type: ignore[misc]
                    ),
                    "other label": bootstrap.interval(lambda r, o=other: float(o[r].mean())),  # type: ignore[misc]
                },
            )
        )
    summary = (
        f"Probability of melanoma of {score.shape[1]:,} pictures with an artefact drawn over them, "
        "less that without it. An interval clear of zero says that the score moves with it."
    )
    return Table("artefacts", summary, tuple(rows), {"fingerprint": engine.fingerprint})


def _ask(
    engine: DermSim,
    images: list[Image],
    seed: int,
    scores: list[np.ndarray],
    labels: list[np.ndarray],
) -> None:
    """Ask about a batch as it is and with each artefact: ``(1 + artefacts, B)`` are appended."""
    versions = [images]
    for draw in DRAWINGS.values():
        versions.append([draw(image, seed * BATCH + row) for row, image in enumerate(images)])
    found = engine.predict([image for version in versions for image in version])
    shape = len(versions), len(images)
    scores.append(np.array([own.probabilities["mel"] for own in found]).reshape(shape))
    labels.append(np.array([own.label for own in found]).reshape(shape))
