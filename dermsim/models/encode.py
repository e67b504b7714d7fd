"""Run an encoder over photographs: where PIL images become NumPy embeddings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt
import torch

from dermsim.data.facts import Facts, encode_facts
from dermsim.data.images import ImageSource, read_image
from dermsim.models import DermSimNetwork, Encoder, Processor


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
    model: Encoder,
    processor: Processor,
    images: Iterable[ImageSource],
    *,
    batch_size: int = 32,
    facts: Sequence[Facts | None] | None = None,
) -> Encoding:
    """Run the encoder over images of any number, a batch at a time.

    Args:
        model: The encoder, in eval mode.
        processor: Makes its input.
        images: PIL images, paths or bytes.
        batch_size: Images per forward pass.
        facts: What is known of each image's patient, for a model that takes it; None when nothing
            is. Only the logits depend on it.

    Raises:
        ValueError: If there are no images, or one cannot be read; if there are facts and the model
            takes none, or they are not as many as the images.
    """
    known = None if facts is None else _facts_tensor(model, facts)
    batches, done = [], 0
    source = iter(images)
    while batch := [read_image(image) for image in islice(source, batch_size)]:
        rows = slice(done, done + len(batch))
        done = rows.stop
        if known is not None and done > len(known):
            raise ValueError(f"{len(known)} facts came with more images; need one for each.")
        pixel_values = processor(batch, return_tensors="pt").pixel_values.to(model.device)
        with torch.inference_mode():
            output = model(pixel_values, facts=None if known is None else known[rows])
        fields = (output.embeddings, output.logits, output.pooled_features)
        batches.append([field.float().cpu().numpy() for field in fields])
    if not batches:
        raise ValueError("There is no image to look at.")
    if known is not None and done != len(known):
        raise ValueError(f"{len(known)} facts came with {done} images; need one for each.")
    embeddings, logits, pooled = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    return Encoding(embeddings, logits, pooled)


def encode_pixels(
    model: Encoder, pixel_values: npt.NDArray[np.float32], *, batch_size: int = 64
) -> npt.NDArray[np.float32]:
    """Run the encoder over images that are pixels already, as those made to test it are.

    Args:
        model: The encoder, in eval mode.
        pixel_values: ``(N, 3, S, S)`` as the processor makes them.
        batch_size: Images per forward pass.

    Returns:
        ``(N, 7)`` float32 logits.
    """
    parts = []
    for start in range(0, len(pixel_values), batch_size):
        batch = torch.from_numpy(np.ascontiguousarray(pixel_values[start : start + batch_size]))
        with torch.inference_mode():
            parts.append(model(batch.to(model.device)).logits.float().cpu().numpy())
    return np.concatenate(parts)


def weigh_facts(model: Encoder, facts: Sequence[Facts | None]) -> npt.NDArray[np.float32]:
    """Say what facts add to the logits, without looking at the images again.

    Args:
        model: An encoder that takes facts.
        facts: One per image; None where nothing is known.

    Returns:
        ``(N, 7)`` float32: added to the logits that `encode` gives without facts, these are those
        it gives with them.

    Raises:
        ValueError: If the model takes no facts.
    """
    known = _facts_tensor(model, facts)
    assert isinstance(model, DermSimNetwork)  # no other has columns for facts
    with torch.inference_mode():
        return model.weigh_facts(known).float().cpu().numpy()


def _facts_tensor(model: Encoder, facts: Sequence[Facts | None]) -> torch.Tensor:
    columns = model.config.facts_columns
    if columns is None:
        raise ValueError("Facts were given, but this model takes none: leave them out.")
    return torch.from_numpy(encode_facts(facts, columns=columns)).to(model.device)


def fingerprint(model: Encoder, processor: Processor) -> str:
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
    if processor.do_color_constancy:  # left out where it is off, as before there was such a choice
        processing["do_color_constancy"] = True
    digest.update(json.dumps([model.config.backbone, processing], default=dict).encode())
    return digest.hexdigest()[:16]
