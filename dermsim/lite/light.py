"""A checkpoint asked without torch: classify, find similar cases, and enrol new classes."""

from __future__ import annotations

from pathlib import Path

from dermsim.core.atomic import read_steadily
from dermsim.core.checkpoint import QUALITY, local_folder
from dermsim.core.refused import Refused
from dermsim.core.released import default_model
from dermsim.engine.load import FIGURES, read_quality, read_reached
from dermsim.engine.predicting import Predicting
from dermsim.engine.searching import are_drawn
from dermsim.lite.encoder import FILES, FOLDER, OnnxEncoder
from dermsim.models.encoding import pixels_needed
from dermsim.tasks.classify import Calibration
from dermsim.tasks.concepts import Concepts
from dermsim.tasks.detect import OutlierDetector
from dermsim.tasks.enroll import ClassBank
from dermsim.tasks.retrieve import Gallery


class LightDermSim(Predicting):
    """`dermsim.DermSim` without torch, for a checkpoint whose encoder was exported.

    It classifies, judges pictures, searches, votes, embeds and lends its classes to be enrolled
    beside, with the same code. It draws no heatmaps, describes nothing, takes no facts about
    patients, and learns nothing. Threads may share it.

    Attributes:
        encoder: Runs the exported encoder.
        processor: How the encoder's input is made.
        fingerprint: Names the encoder: embeddings of another cannot be compared.
        pixels_needed: Width and height that it needs of a picture, as ``at_least`` of `read_image`.
    """

    def __init__(self, folder: Path, *, precision: str = "fp32") -> None:
        """Load a checkpoint folder; see `from_pretrained`."""
        if precision not in FILES:
            raise Refused("lite.precision", precision=precision, known=list(FILES))
        self.encoder = OnnxEncoder(folder / FOLDER / FILES[precision])
        self.processor = self.encoder.preparation
        self.fingerprint = mark = self.encoder.fingerprint
        try:
            self.calibration = Calibration.load(folder / "calibration.json")
            self.detector = OutlierDetector.load(folder / "detector.safetensors", fingerprint=mark)
            self.gallery = Gallery.load(folder / "gallery", fingerprint=mark)
            self.classes = ClassBank.load(folder / "classes.safetensors", fingerprint=mark)
            side = self.processor.crop_size["height"]
            self.quality = read_quality(folder / QUALITY, side)
            self.reached = read_reached(folder / FIGURES, mark)
            self.concept_part = Concepts.load(folder, fingerprint=mark)
        except ValueError as error:
            raise Refused("load.unusable", folder=folder, error=error) from error
        self.calibration_facts = None
        self.pixels_needed = pixels_needed(self.processor)
        self.drawn = are_drawn(self.gallery.records)
        self._learned = self.gallery
        self._encode = self.encoder

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path | None = None,
        *,
        precision: str = "fp32",
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        token: str | bool | None = None,
    ) -> LightDermSim:
        """Load a checkpoint folder that holds an exported encoder.

        Args:
            name_or_path: As for `dermsim.DermSim.from_pretrained`, as are the others.
            precision: ``"fp32"`` or ``"int8"``.
            revision: Branch, tag or commit on the Hub.
            cache_dir: Where downloads are kept.
            token: Token for the Hub.

        Raises:
            ImportError: If onnxruntime is not installed.
            OSError: If there is no such folder or model, or its encoder was not exported.
            ValueError: If a part is damaged or was made by another encoder.
        """
        name = default_model() if name_or_path is None else name_or_path
        folder = local_folder(name, revision=revision, cache_dir=cache_dir, token=token)
        return read_steadily(folder, lambda: cls(folder, precision=precision))
