"""What a loaded checkpoint says of diagnoses, apart from the rest of `DermSim`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from dermsim.core.labels import CODES
from dermsim.data.facts import Facts
from dermsim.data.images import ImageSource, as_list
from dermsim.engine.predictions import read_predictions
from dermsim.engine.searching import LeftOut, left_out_of
from dermsim.tasks.classify import POINTS, Calibration, Reached, ThresholdFigures

if TYPE_CHECKING:
    from dermsim.engine.results import Prediction, Recognised
    from dermsim.engine.shared_encoder import SharedEncoder
    from dermsim.models.encode import Encoding
    from dermsim.tasks.detect import OutlierDetector, QualityGate
    from dermsim.tasks.enroll import ClassBank
    from dermsim.tasks.retrieve import Gallery


class Classifying:
    """The part of `DermSim` that classifies.

    Attributes:
        calibration: Reads the logits of images alone.
        calibration_facts: Reads the logits of images with facts; None when it takes none.
        detector: Says how unlike the training data an image is.
        gallery: The past cases, which vote.
        classes: The diagnoses that the encoder was trained with.
        quality: Says which pictures are not to be judged; None without such a gate.
        reached: What malignancy thresholds reached on photographs that none was fitted to.
        drawn: Whether the encoder was trained on drawings.
    """

    calibration: Calibration
    calibration_facts: Calibration | None
    detector: OutlierDetector
    gallery: Gallery
    classes: ClassBank
    quality: QualityGate | None
    reached: tuple[ThresholdFigures, ...]
    drawn: bool

    if TYPE_CHECKING:
        _encode: SharedEncoder

        def _recognised(self, encoding: Encoding) -> list[Recognised | None]: ...

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

        Examples:
            >>> (prediction,) = engine.predict(picture)
            >>> prediction.prediction_set
            ('mel', 'bkl', 'akiec')
            >>> round(prediction.malignancy, 1)
            0.9
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

        Examples:
            >>> [(prediction, vote)] = engine.predict_and_vote([picture])
            >>> prediction.label_name, max(vote, key=vote.get)
            ('mel', 'mel')
        """
        encoding = self._encode(images, facts=facts, looks=True)
        predictions = self._predictions(encoding, facts, operating_point)
        seen = [prediction.recognised for prediction in predictions]
        left_out = left_out_of(seen, exclude_lesion_ids)
        votes = self.gallery.vote(encoding.embeddings, **left_out)
        return list(zip(predictions, votes, strict=True))

    @property
    def known(self) -> tuple[str, ...]:
        """Codes of the diagnoses that the encoder was trained with, in the order of `CODES`."""
        return tuple(code for code in CODES if code in self.classes.names)

    def reached_at(self, threshold: float) -> tuple[Reached, ...]:
        """Say what a malignancy threshold reached on held-out lesions, and in other clinics.

        Examples:
            >>> for reached in engine.reached_at(0.3):
            ...     print(reached.dataset, round(reached.sensitivity.value, 2))
            HAM10000 0.87
            ISIC 2017 0.58
        """
        return tuple(figures.at(threshold) for figures in self.reached)

    def _faults(self, encoding: Encoding) -> list[tuple[str, ...]] | None:
        """Say why pictures are not to be judged; None where there is nothing to tell by."""
        if self.quality is None or encoding.looks is None:
            return None
        return self.quality.reasons(encoding.looks.statistics)

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
