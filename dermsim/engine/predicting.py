"""What a loaded checkpoint says of photographs, whatever runs its encoder: NumPy from here on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dermsim.core.labels import CODES
from dermsim.core.refused import Refused
from dermsim.data.facts import Facts
from dermsim.data.images import ImageSource, as_list
from dermsim.engine.predictions import read_predictions
from dermsim.engine.results import Prediction
from dermsim.engine.searching import LeftOut, Searching, left_out_of
from dermsim.tasks.classify import POINTS, Reached
from dermsim.tasks.enroll import SPACES, ClassBank

if TYPE_CHECKING:
    from dermsim.models.encoding import Encoding
    from dermsim.tasks.classify import Calibration, ThresholdFigures
    from dermsim.tasks.detect import OutlierDetector, QualityGate

BATCH = 32
"""Images in one forward pass, of one thread or of several together."""


class Predicting(Searching):
    """The part of a loaded checkpoint that classifies and embeds.

    Attributes:
        calibration: Reads the logits of images alone.
        calibration_facts: Reads the logits of images with facts; None when it takes none.
        detector: Says how unlike the training data an image is.
        classes: The seven known diagnoses as prototypes, to enrol new ones beside.
        quality: Says which pictures are not to be judged; None in a checkpoint without such a gate.
        reached: What malignancy thresholds reached on photographs that none was fitted to.
        drawn: Whether it was trained on drawings, and knows nothing of skin.
        fingerprint: Names this encoder.
        pixels_needed: Width and height that it needs of a picture.
    """

    calibration: Calibration
    calibration_facts: Calibration | None
    detector: OutlierDetector
    classes: ClassBank
    quality: QualityGate | None
    reached: tuple[ThresholdFigures, ...]
    drawn: bool
    fingerprint: str
    pixels_needed: tuple[int, int]
    _encode: Callable[..., Encoding]

    def predict(
        self,
        images: ImageSource | Sequence[ImageSource],
        *,
        facts: Facts | Sequence[Facts | None] | None = None,
        operating_point: str | float = POINTS[0],
    ) -> list[Prediction]:
        """Classify images.

        Args:
            images: One image or a sequence of them: whatever `read_image` takes.
            facts: What is known of the patient of one image, or of each; None where nothing is.
                An image of whose patient anything is known is read with `calibration_facts`.
            operating_point: Where malignant begins: ``"balanced"``, ``"sensitivity_95"``, or a
                threshold on malignancy in [0, 1]; see `Calibration.operating_point`.

        Returns:
            One prediction per image.

        Raises:
            ValueError: If an image cannot be read; if there are facts and the encoder takes none,
                or they are not as many as the images; if the operating point is unknown.
        """
        known = [facts] if isinstance(facts, Facts) else facts
        encoding = self._encode(as_list(images), facts=known, looks=True)
        return self._predictions(encoding, known, operating_point)

    def predict_and_vote(
        self,
        images: Sequence[ImageSource],
        *,
        facts: Sequence[Facts | None] | None = None,
        operating_point: str | float = POINTS[0],
        exclude_lesion_ids: LeftOut | None = None,
    ) -> list[tuple[Prediction, dict[str, float]]]:
        """Classify images and let the nearest past cases of each vote, in one forward pass.

        Args:
            images: PIL images, paths or bytes.
            facts: As for `predict`, one for each.
            operating_point: As for `predict`.
            exclude_lesion_ids: Per image, the lesion or lesions that do not vote.

        Returns:
            Per image what `predict` says and what `Gallery.vote` says of its embedding; an image
            that is itself one of the past cases has no vote, and neither has its lesion.

        Raises:
            ValueError: As for `predict`.
        """
        encoding = self._encode(images, facts=facts, looks=True)
        predictions = self._predictions(encoding, facts, operating_point)
        seen = [prediction.recognised for prediction in predictions]
        left_out = left_out_of(seen, exclude_lesion_ids)
        votes = self.gallery.vote(encoding.embeddings, **left_out)
        return list(zip(predictions, votes, strict=True))

    def embed(
        self,
        images: ImageSource | Iterable[ImageSource],
        *,
        batch_size: int = BATCH,
        space: str = "embeddings",
    ) -> npt.NDArray[np.float32]:
        """Embed images.

        Args:
            images: One image or several: whatever `read_image` takes.
            batch_size: Images per forward pass.
            space: ``"embeddings"``, or ``"pooled_features"`` for what a `ClassBank` compares: its
                ``space.name`` says which.

        Returns:
            ``(N, D)`` float32; embeddings have rows of unit length.

        Raises:
            ValueError: If an image cannot be read, or the space is unknown.
        """
        if space not in SPACES:
            raise Refused("dermsim.space", space=space, spaces=SPACES)
        return getattr(self._encode(as_list(images), batch_size=batch_size), space)

    @property
    def known(self) -> tuple[str, ...]:
        """Codes of the diagnoses that the encoder was trained with, in the order of `CODES`."""
        return tuple(code for code in CODES if code in self.classes.names)

    def _faults(self, encoding: Encoding) -> list[tuple[str, ...]] | None:
        """Say why pictures are not to be judged; None where there is nothing to tell by."""
        if self.quality is None or encoding.looks is None:
            return None
        return self.quality.reasons(encoding.looks.statistics)

    def reached_at(self, threshold: float) -> tuple[Reached, ...]:
        """Say what a malignancy threshold reached on held-out lesions, and in other clinics."""
        return tuple(figures.at(threshold) for figures in self.reached)

    def class_bank(self) -> ClassBank:
        """The seven known diagnoses as a `ClassBank` to enrol new classes in."""
        return self.classes

    def _predictions(
        self,
        encoding: Encoding,
        facts: Sequence[Facts | None] | None,
        operating_point: str | float,
    ) -> list[Prediction]:
        found = read_predictions(
            encoding,
            detector=self.detector,
            calibration=self.calibration,
            calibration_facts=self.calibration_facts,
            facts=facts,
            operating_point=operating_point,
            quality=self._faults(encoding),
        )
        seen = self._recognised(encoding)
        return [
            replace(one, recognised=case, drawn=self.drawn)
            for one, case in zip(found, seen, strict=True)
        ]
