"""DermSim: everything in one checkpoint folder, loaded once; one image in, one `Analysis` out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from dermsim.core.atomic import atomic_path
from dermsim.core.checkpoint import local_folder
from dermsim.core.explain_methods import DEFAULT
from dermsim.core.explain_worth import ExplanationWorth
from dermsim.core.refused import Refused
from dermsim.core.released import default_model
from dermsim.core.storage import save_json
from dermsim.data.facts import Facts
from dermsim.data.images import ImageSource, read_image
from dermsim.engine.describe import Describing
from dermsim.engine.explain import Explaining
from dermsim.engine.fit import fit_parts
from dermsim.engine.load import load_parts, save_extra, save_optional
from dermsim.engine.predicting import Predicting
from dermsim.engine.prompting import Prompting
from dermsim.engine.results import Analysis
from dermsim.engine.searching import are_drawn, left_out_of
from dermsim.engine.shared_encoder import SharedEncoder
from dermsim.engine.words import Words
from dermsim.models.encode import fingerprint
from dermsim.models.encoder import Encoder, Processor, save_encoder
from dermsim.models.encoding import pixels_needed
from dermsim.tasks.atlas import EmbeddingMap
from dermsim.tasks.classify import POINTS, Calibration, ThresholdFigures
from dermsim.tasks.concepts import Concepts
from dermsim.tasks.detect import OutlierDetector, QualityGate
from dermsim.tasks.enroll import ClassBank
from dermsim.tasks.retrieve import Gallery

if TYPE_CHECKING:
    from datasets import Dataset


class DermSim(Explaining, Predicting, Prompting, Describing):
    """An encoder and all that was learned around it; safe to share between threads.

    Threads that ask at the same time share forward passes (`dermsim.engine.shared_runs`). How many
    images go through an encoder together rounds what it says: no number of an embedding is off by
    more than 1e-6 from that of the image alone. When too many wait, `Overloaded` of that module is
    raised; its `patience` limits how long a thread waits. Heatmaps are drawn apart.

    Use `DermSim.from_pretrained`, or `DermSim.fit` for an encoder that was just trained.

    Attributes:
        model: The encoder, in eval mode, float32.
        processor: Makes the encoder's input from photographs.
        calibration: Reads the logits of images alone.
        calibration_facts: Reads the logits of images with facts; None when it takes none.
        detector: Says how unlike the training data an image is.
        gallery: The past cases. Another may be put in its place.
        classes: The seven known diagnoses as prototypes, to enrol new ones beside.
        atlas: The map of the gallery.
        concept_part: What was fitted about concepts; None where nothing was.
        fingerprint: Names this encoder: embeddings of another fingerprint cannot be compared.
        quality: Says which pictures are not to be judged; None in a checkpoint without such a gate.
        reached: What malignancy thresholds reached on photographs that none was fitted to; empty
            where that was not measured.
        worth: What its heatmaps were measured to be worth; None where that was not measured.
        words: What a text-image encoder knows in words; None of one of pictures alone.
        drawn: Whether it was trained on the drawings of `dermsim.data.synthetic`, and knows nothing
            of skin.
        pixels_needed: Width and height that it needs of a picture, as ``at_least`` of `read_image`.

    Examples:
        >>> from dermsim import DermSim
        >>> from dermsim.data.synthetic import draw_lesion
        >>> engine = DermSim.from_pretrained()
        >>> picture = draw_lesion("mel", seed=1)
        >>> engine.predict(picture)[0].label_name
        'mel'

        All other examples of the package use this ``engine`` and this ``picture``, a drawing.
    """

    def __init__(
        self,
        model: Encoder,
        processor: Processor,
        *,
        calibration: Calibration,
        detector: OutlierDetector,
        gallery: Gallery,
        classes: ClassBank,
        atlas: EmbeddingMap,
        calibration_facts: Calibration | None = None,
        quality: QualityGate | None = None,
        reached: tuple[ThresholdFigures, ...] = (),
        concepts: Concepts | None = None,
        worth: ExplanationWorth | None = None,
        words: Words | None = None,
    ) -> None:
        if (model.config.facts_dim > 0) != (calibration_facts is not None):
            raise Refused("dermsim.calibration_facts")
        self.model = model
        self.processor = processor
        self.calibration = calibration
        self.calibration_facts = calibration_facts
        self.detector = detector
        self.gallery = gallery
        self.classes = classes
        self.atlas = atlas
        self.concept_part = concepts
        self.fingerprint = fingerprint(model, processor)
        self.pixels_needed = pixels_needed(processor)
        self.quality = quality
        self.reached = reached
        self.worth = worth
        self.words = words
        self._encode = SharedEncoder(model, processor, depths=concepts is not None)
        self._learned = gallery
        self.drawn = are_drawn(gallery.records)

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path | None = None,
        *,
        revision: str | None = None,
        device: str | None = None,
        cache_dir: str | Path | None = None,
        token: str | bool | None = None,
    ) -> DermSim:
        """Load a checkpoint folder.

        Args:
            name_or_path: A local folder, or the id of a model on the Hub; by default the released
                checkpoint: in a checkout its own folder, else the one on the Hub.
            revision: Branch, tag or commit on the Hub.
            device: Where the encoder runs, such as ``"cuda"``; by default an accelerator if any.
            cache_dir: Where downloads are kept, as for `local_folder`.
            token: Token for the Hub, as for `local_folder`.

        Raises:
            OSError: If there is no such folder or model, it lacks a part, the Hub cannot be asked
                or refuses; see `local_folder` for its kinds.
            ValueError: If a part is damaged or was made by another encoder or a later dermsim.

        Examples:
            >>> from dermsim import DermSim
            >>> on_cpu = DermSim.from_pretrained(device="cpu")
            >>> on_cpu.known
            ('akiec', 'bcc', 'bkl', 'df', 'mel', 'nv', 'vasc')
        """
        name = default_model() if name_or_path is None else name_or_path
        folder = local_folder(name, revision=revision, cache_dir=cache_dir, token=token)
        engine = cls(**load_parts(folder))
        where: Any = device or ("cuda" if torch.cuda.is_available() else "cpu")
        engine.model.to(where)
        return engine

    @classmethod
    def fit(
        cls,
        model: Encoder,
        processor: Processor,
        *,
        train: Dataset,
        validation: Dataset,
        calibration_logits: npt.NDArray[np.float32] | None = None,
        fit_bias: bool = False,
    ) -> DermSim:
        """Build everything around a trained encoder.

        The gallery, prototypes, detector and atlas come from the training split; temperature,
        thresholds and operating points from validation. Neither may share lesions with a test set.
        An encoder that takes facts is calibrated twice: for images alone, and for those whose
        patient is known, as completely as in validation.

        Args:
            model: The trained encoder. Its weights are rounded to half precision, as they are kept.
            processor: How its input is made.
            train: Rows of the `load_ham10000` schema; they become the gallery.
            validation: Rows of other lesions.
            calibration_logits: ``(N_validation, 7)``, to calibrate with in place of the model's own
                when validation shaped the model, as it does an ensemble's meta-learner: what it was
                fitted to it answers too well. Each row must come from a fit without its lesion.
            fit_bias: Set the bias of the classifier right on validation first (`fit_class_bias`);
                the calibration then sees logits whose bias was fitted without the lesion.

        Raises:
            ValueError: If there are not as many `calibration_logits` as validation rows, or they
                are given and `fit_bias` is set.

        Examples:
            >>> from dermsim import DermSim, grouped_splits
            >>> from dermsim.data.synthetic import synthetic_ham10000
            >>> splits = grouped_splits(synthetic_ham10000(140))
            >>> parts = {name: splits[name] for name in ("train", "validation")}
            >>> len(DermSim.fit(engine.model, engine.processor, **parts).gallery)
            208
        """
        parts = fit_parts(model, processor, train, validation, calibration_logits, fit_bias)
        return cls(**parts)

    def save_pretrained(
        self,
        folder: str | Path,
        *,
        training: Mapping[str, Any] | None = None,
        extra: Mapping[str, bytes] | None = None,
    ) -> None:
        """Write the checkpoint folder, whole or not at all; an older one is replaced.

        Args:
            folder: Where to.
            training: The facts of the training run, kept as ``training.json``.
            extra: Files to write beside the parts, by name, such as those that
                `dermsim.evaluation.card.measured_files` makes.

        Raises:
            ValueError: If an extra file has the name of a part, or a name that leads elsewhere.

        Examples:
            >>> from dermsim import DermSim
            >>> engine.save_pretrained("copy", training={"note": "nothing was trained"})
            >>> DermSim.from_pretrained("copy").fingerprint == engine.fingerprint
            True
        """
        with atomic_path(folder) as fresh:
            facts = self.calibration_facts
            save_encoder(
                self.model,
                self.processor,
                fresh,
                temperature=self.calibration.temperature,
                temperature_facts=None if facts is None else facts.temperature,
            )
            self.calibration.save(fresh / "calibration.json")
            parts = (
                self.calibration_facts,
                self.concept_part,
                self.quality,
                self.worth,
                self.words,
            )
            save_optional(fresh, *parts)
            self.classes.save(fresh / "classes.safetensors")
            self.detector.save(fresh / "detector.safetensors")
            self.gallery.save(fresh / "gallery")
            self.atlas.save(fresh / "atlas.parquet")
            if training is not None:
                save_json(fresh / "training.json", training)
            save_extra(fresh, extra or {})

    def analyze(
        self,
        image: ImageSource,
        *,
        k: int = 5,
        explain: str | None = DEFAULT,
        target: str | None = None,
        bank: ClassBank | None = None,
        facts: Facts | None = None,
        operating_point: str | float = POINTS[0],
        exclude_lesion_ids: Sequence[str] = (),
    ) -> Analysis:
        """Ask everything about one image: diagnosis, heatmap, similar cases, place on the map.

        Args:
            image: A PIL image, a path, the bytes of a file, or an array or tensor of pixels.
            k: How many similar cases.
            explain: As `method` of `explain`, or None for no heatmap.
            target: Diagnosis code to explain; by default the predicted one.
            bank: Old and newly enrolled classes to compare with, or None.
            facts: What is known of the patient. The prediction depends on it, and so does the
                diagnosis that is explained; the embedding depends on the picture alone.
            operating_point: As for `predict`.
            exclude_lesion_ids: Lesions to leave out of the similar cases. If the image is itself a
                photograph of a past case, the lesion of that case is always left out.

        Raises:
            ValueError: If the image cannot be read, an option is unknown, or there are facts and
                the encoder takes none.

        Examples:
            >>> analysis = engine.analyze(picture, k=3)
            >>> analysis.prediction.verdict
            'malignant'
            >>> analysis.heatmap.values.shape, len(analysis.neighbors)
            ((150, 200), 3)
        """
        photograph = read_image(image, at_least=None if explain else self.pixels_needed)
        known = None if facts is None else [facts]
        encoding = self._encode([photograph], facts=known, looks=True)
        prediction = self._predictions(encoding, known, operating_point)[0]
        left_out = left_out_of([prediction.recognised], [exclude_lesion_ids])
        goal = target or prediction.label_name
        heatmap = self.explain(photograph, method=explain, target=goal) if explain else None
        (cases,) = self._with_percentiles(self.gallery.search(encoding.embeddings, k, **left_out))
        x, y = self.atlas.transform(encoding.embeddings)[0].tolist()
        return Analysis(
            prediction=prediction,
            heatmap=heatmap,
            neighbors=tuple(cases),
            position=(x, y),
            enrolled=bank.predict(getattr(encoding, bank.space.name))[0] if bank else None,
            vote=self.gallery.vote(encoding.embeddings, **left_out)[0],
            concepts=self._readings(part, encoding)[0] if (part := self.concept_part) else None,
        )
