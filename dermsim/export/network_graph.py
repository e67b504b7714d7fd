"""The encoder's network with its heads as an ONNX graph, joined to the preparation of its input."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from dermsim.core.optional import require
from dermsim.export.preparation_graph import IR, OPSET, OUTPUT, preparation_graph
from dermsim.lite.encoder import METADATA, OUTPUTS

if TYPE_CHECKING:
    import onnx

    from dermsim.models.encoder import Encoder
    from dermsim.models.preparation import ImagePreparation

SMALLEST = 64
"""Numbers in a tensor that is worth storing in half precision."""


class Heads(torch.nn.Module):
    """An encoder whose answer is a tuple, with probabilities at the temperature of validation."""

    def __init__(self, model: Encoder, temperature: float) -> None:
        super().__init__()
        self.model: Any = model
        self.temperature = temperature

    def forward(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Encode ``(B, 3, H, W)``: embeddings, logits, probabilities, pooled features."""
        found = self.model.decode(self.model.encode(pixel_values))
        probabilities = (found.logits / self.temperature).softmax(dim=-1)
        return found.embeddings, found.logits, probabilities, found.pooled_features


def encoder_graph(
    model: Encoder,
    preparation: ImagePreparation,
    *,
    temperature: float,
    metadata: Mapping[str, Any],
) -> onnx.ModelProto:
    """Write an encoder down, from a photograph's pixels to embeddings and probabilities.

    Args:
        model: In eval mode, on the CPU.
        preparation: How its input is made.
        temperature: What its logits are divided by.
        metadata: What the file says of itself.

    Raises:
        ImportError: If onnx or onnxscript is not installed.
        ValueError: As for `preparation_graph`.
    """
    compose = require("onnx.compose", extra="onnx")
    first = preparation_graph(preparation)
    sides = preparation.crop_size["height"], preparation.crop_size["width"]
    second = network_graph(model, temperature=temperature, sides=sides)
    # names of the network's own layers may be the same as those of the preparation
    second = compose.add_prefix(second, "network.", rename_outputs=False)
    joined = compose.merge_models(
        first, second, io_map=[(OUTPUT, f"network.{OUTPUT}")], name="dermsim"
    )
    del joined.opset_import[1:]  # the same version, named by both
    joined.producer_name = "dermsim"
    entry = joined.metadata_props.add()
    entry.key, entry.value = METADATA, json.dumps(metadata)
    return joined


def network_graph(model: Encoder, *, temperature: float, sides: tuple[int, int]) -> onnx.ModelProto:
    """Write the network down, as `Heads` answers, for any number of pictures at once.

    Batch normalisation stays a layer of its own: so its numbers, and those of the convolutions, are
    the checkpoint's, which half precision holds. Runtimes join the two when they load it.

    Args:
        model: In eval mode, on the CPU.
        temperature: As for `encoder_graph`.
        sides: Height and width of its input, in pixels.
    """
    require("onnxscript", extra="onnx")
    import onnx_ir
    import onnx_ir.passes.common as passes
    from onnxscript import optimizer

    exporter = logging.getLogger("torch.onnx")
    level = exporter.level
    exporter.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                Heads(model, temperature).eval(),
                (torch.zeros(2, 3, *sides),),
                input_names=[OUTPUT],
                output_names=list(OUTPUTS),
                dynamic_shapes=({0: torch.export.Dim("B")},),
                opset_version=OPSET,
                dynamo=True,
                external_data=False,
                optimize=False,
                verbose=False,
            )
    finally:
        exporter.setLevel(level)
    assert program is not None  # it is None where the exporter writes a file itself
    graph = program.model
    passes.InlinePass()(graph)
    optimizer.fold_constants(graph, onnx_shape_inference=True)
    optimizer.remove_unused_nodes(graph)
    passes.LiftConstantsToInitializersPass(lift_all_constants=False)(graph)
    passes.CommonSubexpressionEliminationPass()(graph)
    passes.RemoveUnusedNodesPass()(graph)
    found = onnx_ir.to_proto(graph)
    found.ir_version = IR
    del found.metadata_props[:]
    for node in found.graph.node:  # stack traces and paths of the machine that exported it
        node.doc_string = ""
        del node.metadata_props[:]
    for value in (*found.graph.value_info, *found.graph.input, *found.graph.output):
        del value.metadata_props[:]
    return found


def halved(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Store in half precision what loses nothing by it, in place; it is computed with in float32.

    A checkpoint's weights are rounded to half precision before anything is fitted to them.
    """
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for tensor in graph.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < SMALLEST:
            continue
        half = values.astype(np.float16)
        if not np.array_equal(half.astype(np.float32), values):
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(half, f"{name}.half"))
        casts.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.graph.node]
    del graph.graph.node[:]
    graph.graph.node.extend(nodes)
    return graph
