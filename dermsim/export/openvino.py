"""An encoder as an OpenVINO model: ``model.xml`` with its weights beside it.

Weights are stored in float32: OpenVINO's own default is half precision. On processors with
bfloat16 it computes in that unless told not to, which costs a cosine of 0.998 to the checkpoint;
the model says so itself, and `dermsim.export.openvino.OpenVinoEncoder` asks for float32.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from dermsim.core.optional import require
from dermsim.export.squares import Squares
from dermsim.lite.encoder import INPUT, OUTPUTS, ExportedEncoder

if TYPE_CHECKING:
    from dermsim.engine.dermsim import DermSim
    from dermsim.models.preparation import ImagePreparation

FILE = "model.xml"

SETTINGS = {"INFERENCE_PRECISION_HINT": "f32"}
"""What a device is to be told."""


def write_openvino(engine: DermSim, preparation: ImagePreparation, path: Path) -> OpenVinoEncoder:
    """Write an encoder that takes ``(B, S, S, 3)`` uint8 squares, any number of them.

    Raises:
        ImportError: If openvino is not installed.
    """
    openvino: Any = require("openvino", extra="openvino")
    side, width = preparation.crop_size["height"], preparation.crop_size["width"]
    example = torch.zeros(2, side, width, 3, dtype=torch.uint8)
    with torch.no_grad():
        model = openvino.convert_model(
            Squares(engine, preparation).eval(),
            example_input=example,
            input=[(openvino.PartialShape([-1, side, width, 3]), openvino.Type.u8)],
        )
    model.inputs[0].get_tensor().set_names({INPUT})
    for output, name in zip(model.outputs, OUTPUTS, strict=True):
        output.get_tensor().set_names({name})
    openvino.save_model(model, str(path), compress_to_fp16=False)
    return OpenVinoEncoder(path, preparation)


class OpenVinoEncoder(ExportedEncoder):
    """An encoder that OpenVINO runs, in float32."""

    def __init__(self, path: Path, preparation: ImagePreparation) -> None:
        """Load ``model.xml`` and the weights beside it."""
        openvino: Any = require("openvino", extra="openvino")
        self.preparation = preparation
        self._model = openvino.compile_model(str(path), "CPU", SETTINGS)

    def run(self, pixels: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.float32]]:
        """Run the encoder on ``(B, S, S, 3)`` squares."""
        found = self._model(np.ascontiguousarray(pixels), share_outputs=False)
        return [found[name] for name in OUTPUTS]
