"""How well the quality gate works: which faulty pictures it catches, which good ones it stops.

Faulty pictures are made of held-out photographs. No encoder is asked: the gate reads pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

from dermsim.core.bootstrap import Bootstrap
from dermsim.core.labels import CODES
from dermsim.core.refused import Refused
from dermsim.data.images import ImageSource, read_image
from dermsim.data.splits import grouped_splits
from dermsim.data.spoiled import SPOILERS, changed, drawn_skin, framed, squares
from dermsim.evaluation.held_out import refuse_learned
from dermsim.evaluation.protocols.protocol_tables import Table, TableRow
from dermsim.models.encoder import seen_side
from dermsim.models.looks import describe
from dermsim.tasks.detect import REASONS, QualityGate

if TYPE_CHECKING:
    from datasets import Dataset

    from dermsim.data.outlines import Outlines
    from dermsim.engine import DermSim

EACH = 400
"""Pictures of each fault at most, and of drawn skin."""

Picture = npt.NDArray[np.float64]


def evaluate_quality(
    engine: DermSim,
    dataset: Dataset,
    outlines: Outlines,
    *,
    split: str = "test",
    shift: Dataset | None = None,
    shift_name: str = "another origin",
    far: Mapping[str, Iterable[ImageSource]] | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Table:
    """Run the protocol.

    Args:
        engine: A checkpoint with a quality gate.
        dataset: Rows of the `load_ham10000` schema.
        outlines: Of the lesions of the split.
        split: ``"test"``, or ``"validation"`` while anything is still being chosen.
        shift: Photographs of other clinics, none of which should be stopped.
        shift_name: What those are called.
        far: Pictures of other things, by what they are called.
        resamples: Lesion-bootstrap resamples.
        seed: Seed of pictures and resamples.

    Raises:
        ValueError: If the checkpoint has no gate, the split is unknown, a photograph has no outline
            or is in the checkpoint's gallery.
    """
    gate = engine.quality
    if gate is None:
        raise Refused("protocols_quality.no_gate")
    if split not in ("validation", "test"):
        raise Refused("incremental.split", split=split)
    rows = grouped_splits(dataset)[split]
    refuse_learned(engine.gallery, rows)
    side = seen_side(engine.processor)
    found = [
        *_good(gate, rows, side, Bootstrap(list(rows["lesion_id"]), resamples, seed), seed),
        *_faulty(gate, rows, outlines, side, resamples, seed),
    ]
    if shift is not None:
        pictures = (squares(row, None, side)[0] for row in shift)
        lesions = Bootstrap(list(shift["lesion_id"]), resamples, seed)
        found.append(_row(f"{shift_name}, as they are", gate, pictures, lesions))
    for name, images in (far or {}).items():
        stopped = [_square(read_image(image), side) for image in images]
        found.append(_row(name, gate, stopped, Bootstrap([None] * len(stopped), resamples, seed)))
    return Table(
        "quality",
        f"The {split} lesions of HAM10000. A picture is stopped when the gate names any reason; "
        "named is the share for which it names the fault that was made. Good photographs changed "
        "in ways that are no fault are framed, dimmed, softened, enlarged or tinted. Intervals are "
        f"95 %, from {resamples:,} bootstrap resamples of whole lesions; n counts pictures.",
        tuple(found),
        {"fingerprint": engine.fingerprint, "seed": seed, **gate.provenance},
    )


def _good(
    gate: QualityGate, rows: Dataset, side: int, bootstrap: Bootstrap, seed: int
) -> Iterator[TableRow]:
    """Measure what is stopped of good photographs, of each diagnosis and of changed ones."""
    pictures = [squares(row, None, side)[0] for row in rows]
    stopped = _stopped(gate, pictures)
    labels = np.array(rows["dx"])
    yield TableRow({"pictures": "good, all"}, {"stopped": bootstrap.mean(stopped)})
    for label in np.unique(labels):
        figures = {"stopped": bootstrap.mean(stopped, among=labels == label)}
        yield TableRow({"pictures": f"good, {CODES[label]}"}, figures)
    generator = np.random.default_rng(seed)
    for name, change in (("good, changed", changed), ("good, in a black frame", framed)):
        altered = _stopped(gate, (change(picture, generator) for picture in pictures))
        yield TableRow({"pictures": name}, {"stopped": bootstrap.mean(altered)})


def _faulty(
    gate: QualityGate, rows: Dataset, outlines: Outlines, side: int, resamples: int, seed: int
) -> Iterator[TableRow]:
    """Measure what is caught of every fault."""
    generator = np.random.default_rng(seed)
    for reason, spoil in SPOILERS.items():
        pictures: list[Picture] = []
        ids: list[str | None] = []
        for place in generator.permutation(len(rows)).tolist():
            picture = spoil(*squares(rows[place], outlines, side), generator)
            if picture is not None:
                pictures.append(picture)
                ids.append(rows[place]["lesion_id"])
            if len(pictures) == EACH:
                break
        if pictures:
            yield _row(reason, gate, pictures, Bootstrap(ids, resamples, seed), reason=reason)
    skin = (drawn_skin(side, generator) for _ in range(EACH))
    lesions = Bootstrap([None] * EACH, resamples, seed)
    yield _row("drawn skin of all tones", gate, skin, lesions, reason="no_lesion")


def _row(
    name: str,
    gate: QualityGate,
    pictures: Iterable[Picture],
    bootstrap: Bootstrap,
    *,
    reason: str | None = None,
) -> TableRow:
    statistics = np.concatenate([describe(picture[None]) for picture in pictures])
    beyond = gate.beyond(statistics)
    figures = {"stopped": bootstrap.mean(np.asarray(beyond.any(axis=1)))}
    if reason is not None:
        figures["named"] = bootstrap.mean(beyond[:, REASONS.index(reason)])
    return TableRow({"pictures": name}, figures)


def _stopped(gate: QualityGate, pictures: Iterable[Picture]) -> npt.NDArray[np.bool_]:
    statistics = np.concatenate([describe(picture[None]) for picture in pictures])
    return np.asarray(gate.beyond(statistics).any(axis=1), np.bool_)


def _square(image: Image.Image, side: int) -> Picture:
    return squares({"image": image, "image_id": ""}, None, side)[0]
