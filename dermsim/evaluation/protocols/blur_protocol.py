"""Does a region carry the finding? It is blurred in the photograph, and the head asked again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from dermsim.core.bootstrap import Bootstrap
from dermsim.data.concepts import concept_labels, load_schema, source_of
from dermsim.data.images import read_image
from dermsim.evaluation.protocols.protocol_tables import Table, TableRow
from dermsim.models.stages import encode_depths, sum_up
from dermsim.tasks.concepts.dense import on_grid
from dermsim.tasks.concepts.lesion import equal_regions, region_of

if TYPE_CHECKING:
    from datasets import Dataset

    from dermsim.engine import DermSim
    from dermsim.tasks.concepts import ConceptHead

BLUR = 1 / 20
"""Standard deviation of the blur, as a share of the side: structures are finer than that."""

ELSEWHERE = 4
"""Regions of the same size that each is compared with."""

PICTURES = 60
"""Pictures that are asked about for each concept, the first that show it."""


def measure_blur(engine: DermSim, rows: Dataset, *, most: int = PICTURES) -> Table | None:
    """Blur the region of each concept that may point, and regions of the same size elsewhere.

    Args:
        engine: The checkpoint.
        rows: As `dermsim.data.dataset.load_dataset` returns them, of one data set with concepts.
        most: Pictures for each concept.

    Returns:
        For each such concept how far the log-odds of its head fall; None where none may point at a
        place, or no picture shows it.
    """
    part, source = engine.concepts_part(), source_of(rows)
    found = []
    for head in part.usable.heads:
        concept = load_schema()[head.concept]
        if not part.may_point(head) or source not in concept.labels:
            continue
        shown = concept_labels(rows, [concept], source=source)[:, 0] == 1
        falls = [
            fall
            for row in np.flatnonzero(shown)[:most].tolist()
            if (fall := _falls(engine, head, read_image(rows[row]["image"]), seed=row)) is not None
        ]
        if len(falls) > 1:
            found.append(_row(head, np.array(falls)))
    if not found:
        return None
    summary = (
        f"How far the log-odds of a concept fall when its region is blurred in the photograph, on "
        f"up to {most} pictures of {source} that show it, beside regions of the same size "
        "elsewhere in the lesion."
    )
    return Table("blurred regions", summary, tuple(found), {"fingerprint": engine.fingerprint})


def _row(head: ConceptHead, falls: npt.NDArray[np.float64]) -> TableRow:
    bootstrap = Bootstrap([None] * len(falls))
    columns = {
        "region": falls[:, 0],
        "elsewhere": falls[:, 1],
        "region more than elsewhere": falls[:, 0] - falls[:, 1],
    }
    return TableRow(
        {"concept": head.concept},
        {
            name: bootstrap.interval(lambda rows, own=own: float(own[rows].mean()))  # type: ignore[misc]
            for name, own in columns.items()
        },
    )


def _falls(
    engine: DermSim, head: ConceptHead, photograph: Image.Image, *, seed: int
) -> tuple[float, float] | None:
    """Return by how much the score falls without the region, and without others; None without."""
    part = engine.concepts_part()
    look = engine.look(photograph)
    own = part.structures[head.source]
    log_odds = look.structures[head.source][own.concepts.index(head.concept)]
    lesion = on_grid(look.lesion.astype(np.float32), len(log_odds)) >= 0.5
    if not lesion.any():
        return None
    region = region_of(log_odds, lesion, threshold=own.figures[head.concept].threshold)
    rng = np.random.default_rng(seed)
    others = equal_regions(region, lesion, count=ELSEWHERE, rng=rng)
    values = engine.processor([photograph], return_tensors="pt").pixel_values
    side = values.shape[-1]
    soft = _blurred(values[0].numpy(), BLUR * side)
    versions = [values[0].numpy()]
    for covered in (region, *others):
        share = on_grid(covered.astype(np.float32), side)
        versions.append(values[0].numpy() * (1 - share) + soft * share)
    with torch.inference_mode():
        batch = torch.from_numpy(np.stack(versions).astype(np.float32)).to(engine.model.device)
        output, stages = encode_depths(engine.model, batch)
        depths = sum_up(output.pooled_features, stages).cpu().numpy()
    keys = [other.key for other in part.heads.heads]
    alone = part.heads.take([keys.index(head.key)])
    scores = alone.calibrated(alone.scores(depths))[:, 0]
    return float(scores[0] - scores[1]), float(scores[0] - scores[2:].mean())


def _blurred(pixels: npt.NDArray[np.float32], deviation: float) -> npt.NDArray[np.float32]:
    from scipy.ndimage import gaussian_filter

    found: npt.NDArray[np.float32] = gaussian_filter(
        pixels, sigma=(0, deviation, deviation), mode="nearest"
    )
    return found
