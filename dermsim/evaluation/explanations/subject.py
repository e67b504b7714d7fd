"""A checkpoint under examination, and the photographs it is examined on, as arrays."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dermsim.core.metrics import FloatArray, IntArray
from dermsim.core.refused import Refused
from dermsim.data.outlines import Outlines
from dermsim.engine.framing import Frame, cut_region
from dermsim.models.encode import encode_pixels
from dermsim.tasks.explain import Plan, embed_regions, explain_classes

if TYPE_CHECKING:
    from datasets import Dataset

    from dermsim.engine import DermSim
    from dermsim.models.encoder import Encoder


Images = npt.NDArray[np.float32]
"""``(N, 3, S, S)`` as the encoder takes them."""

Maps = dict[str, npt.NDArray[np.float32]]
"""By name, ``(N, S, S)`` in [0, 1]."""


class Subject:
    """Asks a checkpoint on behalf of the measures.

    Attributes:
        side: S, of the square that the encoder sees.
    """

    def __init__(self, engine: DermSim, model: Encoder | None = None) -> None:
        """Examine a checkpoint.

        Args:
            engine: The checkpoint.
            model: Another encoder of the same shape to ask for maps instead of its own, such as one
                with random weights.
        """
        self._engine = engine
        self._model = engine.model if model is None else model
        self.side: int = engine.processor.crop_size["height"]

    def pixels(self, images: Sequence[Any]) -> Images:
        """Return what the encoder sees of photographs, ``(N, 3, S, S)``."""
        return self._engine.processor(list(images), return_tensors="np").pixel_values

    def outline(
        self, outline: npt.NDArray[np.bool_], size: tuple[int, int]
    ) -> npt.NDArray[np.bool_]:
        """Return what the encoder could see of an outline, ``(H, W)`` to ``(S, S)``."""
        frame = Frame.of(self._engine.processor)
        return cut_region(outline, size, side=self.side, frame=frame) >= 0.5

    def probabilities(self, pixels: Images) -> FloatArray:
        """Return calibrated probabilities ``(N, 7)`` of images ``(N, 3, S, S)``."""
        return self._engine.calibration.probabilities(encode_pixels(self._engine.model, pixels))

    def embeddings(self, pixels: Images, regions: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
        """Return the embeddings ``(N, D)`` of regions ``(N, S, S)`` of images."""
        return embed_regions(self._model, pixels, regions)

    def maps(self, pixels: Images, labels: IntArray, plans: Sequence[Plan]) -> Maps:
        """Explain a diagnosis of each image; by the name of a plan, ``(N, S, S)`` in [0, 1]."""
        return explain_classes(self._model, pixels, labels, plans)


class Photographs:
    """Rows of a data set with their outlines, read when they are asked for.

    Rows of whose lesion the encoder sees nothing are left out.

    Attributes:
        labels: ``(N,)`` the true diagnoses.
        lesion_ids: N lesions.
        outlines: ``(N, S, S)`` bool.
    """

    def __init__(self, rows: Dataset, outlines: Outlines, subject: Subject) -> None:
        """Read the outlines.

        Raises:
            ValueError: If a photograph has no outline, or one that does not fit it.
        """
        image_ids = list(rows["image_id"])
        if missing := [image_id for image_id in image_ids if image_id not in outlines]:
            raise Refused(
                "subject.no_outline",
                missing_count=len(missing),
                image_ids_count=len(image_ids),
                missing=missing[0],
            )
        squares = np.stack(
            [
                subject.outline(outlines.of(image_id, image.size), image.size)
                for image_id, image in zip(image_ids, rows["image"], strict=True)
            ]
        )
        visible = np.flatnonzero(squares.any(axis=(1, 2)))
        self._rows, self._subject = rows.select(visible), subject
        self.outlines = squares[visible]
        self.labels: IntArray = np.array(self._rows["dx"], dtype=np.int64)
        self.lesion_ids: list[str | None] = list(self._rows["lesion_id"])
        self._image_ids: list[str] = list(self._rows["image_id"])

    def __len__(self) -> int:
        """Return the number of photographs."""
        return len(self._image_ids)

    def pixels(self, rows: Sequence[int] | IntArray) -> Images:
        """Return what the encoder sees of some of them, ``(M, 3, S, S)``."""
        return self._subject.pixels(self._rows.select(rows)["image"])

    def rng(self, row: int, seed: int) -> np.random.Generator:
        """Return a photograph's own source of chance, the same whatever is measured with it."""
        return np.random.default_rng((seed, zlib.crc32(self._image_ids[row].encode())))

    def sample(self, per_class: int) -> IntArray:
        """Choose up to as many photographs of each diagnosis, each of another lesion.

        The choice depends on the image_ids alone, and one of fewer is a part of one of more.

        Args:
            per_class: How many of each diagnosis; fewer where there are fewer lesions.

        Returns:
            Rows, in an order of their own.
        """
        order = sorted(
            range(len(self)),
            key=lambda row: hashlib.blake2b(self._image_ids[row].encode()).digest(),
        )
        taken: dict[int, int] = {}
        lesions: set[str] = set()
        chosen = []
        for row in order:
            label, lesion = int(self.labels[row]), self.lesion_ids[row]
            if taken.get(label, 0) < per_class and lesion not in lesions:
                chosen.append(row)
                taken[label] = taken.get(label, 0) + 1
                if lesion is not None:
                    lesions.add(lesion)
        return np.array(chosen, dtype=np.int64)
