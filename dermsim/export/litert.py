"""An encoder as a LiteRT model, for Android and iOS: ``model.tflite``.

It takes one square at a time: phones compile for the shapes they are told.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from dermsim.core.optional import require
from dermsim.export.squares import Squares
from dermsim.lite.encoder import ExportedEncoder

if TYPE_CHECKING:
    from dermsim.engine.dermsim import DermSim
    from dermsim.models.preparation import ImagePreparation

FILE = "model.tflite"


def write_litert(engine: DermSim, preparation: ImagePreparation, path: Path) -> LiteRtEncoder:
    """Write an encoder that takes ``(1, S, S, 3)`` uint8 squares.

    Raises:
        ImportError: If litert-torch is not installed.
    """
    converter: Any = require("litert_torch", extra="litert")
    side, width = preparation.crop_size["height"], preparation.crop_size["width"]
    example = torch.zeros(1, side, width, 3, dtype=torch.uint8)
    converter.convert(Squares(engine, preparation).eval(), (example,)).export(str(path))
    return LiteRtEncoder(path, preparation)


class LiteRtEncoder(ExportedEncoder):
    """An encoder that LiteRT's interpreter runs."""

    def __init__(self, path: Path, preparation: ImagePreparation) -> None:
        """Load ``model.tflite``."""
        interpreter: Any = require("ai_edge_litert.interpreter", extra="litert")
        self.preparation = preparation
        loaded = interpreter.Interpreter(str(path))
        ((_, signature),) = loaded.get_signature_list().items()
        self._inputs, self._outputs = signature["inputs"], sorted(signature["outputs"])
        self._runner = loaded.get_signature_runner()

    def run(self, pixels: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.float32]]:
        """Run the encoder on ``(B, S, S, 3)`` squares, one after the other."""
        found = [
            self._runner(**{self._inputs[0]: np.ascontiguousarray(square[None])})
            for square in pixels
        ]
        return [np.concatenate([one[name] for one in found]) for name in self._outputs]
