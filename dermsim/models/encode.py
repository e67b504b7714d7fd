"""Run an encoder over photographs: where PIL images become NumPy embeddings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt
import torch

from dermsim.data.images import ImageSource, read_image
from dermsim.models.image_processing_dermsim import DermSimImageProcessor
from dermsim.models.modeling_dermsim import DermSimModel


@dataclass(frozen=True)
class Encoding:
    """What the encoder says of N images, as NumPy arrays.

    Attributes:
        embeddings: ``(N, D)`` float32, rows of unit length.
        logits: ``(N, 7)`` float32.
        pooled_features: ``(N, F)`` float32.
    """

    embeddings: npt.NDArray[np.float32]
    logits: npt.NDArray[np.float32]
    pooled_features: npt.NDArray[np.float32]


def encode(
    model: DermSimModel,
    processor: DermSimImageProcessor,
    images: Iterable[ImageSource],
    *,
    batch_size: int = 32,
) -> Encoding:
    """Run the encoder over images of any number, a batch at a time.

    Args:
        model: The encoder, in eval mode.
        processor: Makes its input.
        images: PIL images, paths or bytes.
        batch_size: Images per forward pass.

    Raises:
        ValueError: If there are no images, or one cannot be read.
    """
    batches = []
    source = iter(images)
    while batch := [read_image(image) for image in islice(source, batch_size)]:
        pixel_values = processor(batch, return_tensors="pt").pixel_values.to(model.device)
        with torch.inference_mode():
            output = model(pixel_values)
        fields = (output.embeddings, output.logits, output.pooled_features)
        batches.append([field.float().cpu().numpy() for field in fields])
    if not batches:
        raise ValueError("There is no image to look at.")
    embeddings, logits, pooled = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    return Encoding(embeddings, logits, pooled)


def fingerprint(model: DermSimModel, processor: DermSimImageProcessor) -> str:
    """Name an encoder by all that its embeddings depend on: weights, shape and input processing.

    Returns:
        16 hexadecimal digits of a SHA-256.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    settings = ("resample", "size", "crop_size", "image_mean", "image_std")
    processing = {name: getattr(processor, name) for name in settings}
    digest.update(json.dumps([model.config.backbone, processing], default=dict).encode())
    return digest.hexdigest()[:16]
