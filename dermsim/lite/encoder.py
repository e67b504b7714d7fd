"""An exported encoder, run by onnxruntime: photographs in, an `Encoding` out."""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dermsim.core.optional import require
from dermsim.core.refused import Refused, RefusedFileNotFoundError
from dermsim.data.facts import Facts
from dermsim.data.images import ImageSource, read_image
from dermsim.engine.predicting import BATCH
from dermsim.models.encoding import Encoding, join, pixels_needed
from dermsim.models.looks import Looks, looks_of
from dermsim.models.preparation import ImagePreparation

FOLDER = "onnx"
"""Folder of a checkpoint that holds its exported encoder."""

FILES = {"fp32": "model.onnx", "int8": "model_int8.onnx"}
"""By precision."""

REPORT = "parity.json"
"""File that says how far an export is from its checkpoint."""

METADATA = "dermsim"
"""Key of an ONNX file under which it says, as JSON, what it is."""

INPUT = "pixels"

OUTPUTS = ("embeddings", "logits", "probabilities", "pooled_features")
"""What an exported encoder says, in this order."""


class ExportedEncoder(ABC):
    """Encodes images as `dermsim.engine.shared_encoder.SharedEncoder` does, without torch.

    Threads may share it. A photograph is cut and resized by Pillow, as the checkpoint does it.

    Attributes:
        preparation: How its input is made.
    """

    preparation: ImagePreparation

    @abstractmethod
    def run(self, pixels: npt.NDArray[np.uint8]) -> Sequence[npt.NDArray[np.float32]]:
        """Run the encoder.

        Args:
            pixels: ``(B, S, S, 3)`` RGB squares.

        Returns:
            `OUTPUTS`, each ``(B, ...)``.
        """

    def __call__(
        self,
        images: Iterable[ImageSource],
        *,
        batch_size: int = BATCH,
        facts: Sequence[Facts | None] | None = None,
        looks: bool = False,
        statistics: bool = True,
    ) -> Encoding:
        """Encode images.

        Args:
            images: PIL images, paths or bytes, of any number.
            batch_size: Images per run.
            facts: An exported encoder takes none.
            looks: Whether to say what the pictures look like, too.
            statistics: As for `dermsim.models.looks.look_at`.

        Raises:
            ValueError: If there are no images, one cannot be read, or there are facts.
        """
        if facts is not None:
            raise Refused("lite.facts")
        parts, needed = [], pixels_needed(self.preparation)
        source = (read_image(image, at_least=needed) for image in images)
        # onnxruntime holds no lock of Python's: the pictures are looked at meanwhile
        with ThreadPoolExecutor(1) as beside:
            while batch := [
                read_image(image, at_least=needed) for image in islice(source, batch_size)
            ]:
                squares = np.stack([self.preparation.square(image) for image in batch])
                answer = beside.submit(self.run, np.moveaxis(squares, 1, -1))
                seen = self._looks(squares, statistics=statistics) if looks else None
                embeddings, logits, _, pooled = answer.result()
                parts.append(Encoding(embeddings, logits, pooled, looks=seen))
        if not parts:
            raise Refused("engine_explain.no_image")
        return join(parts)

    def _looks(self, squares: npt.NDArray[np.uint8], *, statistics: bool) -> Looks:
        levels = np.stack([self.preparation.levelled(square) for square in squares])
        return looks_of(levels, statistics=statistics)


class OnnxEncoder(ExportedEncoder):
    """An encoder that onnxruntime runs.

    A square goes through the graph, whose own resizing leaves it as it is.

    Attributes:
        metadata: What the file says of itself.
        preparation: How its input is made.
        fingerprint: Names the encoder that was exported.
    """

    def __init__(self, path: Path) -> None:
        """Load an exported encoder.

        Args:
            path: The ONNX file.

        Raises:
            FileNotFoundError: If it is not there.
            ImportError: If onnxruntime is not installed.
            ValueError: If it is damaged, or no exported encoder.
        """
        runtime: Any = require("onnxruntime", extra="lite")
        if not path.is_file():
            raise RefusedFileNotFoundError("lite.no_file", path=path)
        options = runtime.SessionOptions()
        # onnxruntime counts the machine's cores, and not those that this process may use
        options.intra_op_num_threads = _cores()
        options.log_severity_level = 3
        try:
            self._session = runtime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
            self.metadata: dict[str, Any] = json.loads(
                self._session.get_modelmeta().custom_metadata_map[METADATA]
            )
            self.preparation = ImagePreparation(**self.metadata["preparation"])
            self.fingerprint = str(self.metadata["fingerprint"])
        except Exception as error:  # the exceptions of onnxruntime have no base of their own
            raise Refused("lite.damaged", path=path) from error

    def run(self, pixels: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.float32]]:
        """Run the graph.

        Args:
            pixels: ``(B, H, W, 3)`` RGB of any size, as the graph takes them.

        Returns:
            `OUTPUTS`, each ``(B, ...)``.
        """
        return self._session.run(list(OUTPUTS), {INPUT: np.ascontiguousarray(pixels)})


def _cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
