"""Run an encoder over photographs: where PIL images become NumPy embeddings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from dermsim.data.facts import Facts, encode_facts
from dermsim.data.images import ImageSource, read_image

if TYPE_CHECKING:
    from dermsim.models.encoder import Encoder, Processor


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


@dataclass(frozen=True, eq=False)
class Prepared:
    """A batch of B images ready for the encoder.

    Attributes:
        pixel_values: ``(B, 3, S, S)`` float32, as the processor makes them.
        facts: ``(B, facts_dim)`` of their patients, or None where nothing is known of any.
        is_first: Whether none of the same call went before.
    """

    pixel_values: torch.Tensor
    facts: torch.Tensor | None = None
    is_first: bool = True


DETAIL = 6
"""How many times the pixels of its input's side an encoder is shown of a photograph at least, where
a JPEG is decoded at a fraction of its size: what is left of it then differs by a level of 255 at
most from what is left of the whole (two in white noise; `benchmarks/bench_read.py`)."""


def pixels_needed(processor: Processor) -> tuple[int, int]:
    """Return what `read_image` is to be told as ``at_least`` of pictures that only an encoder sees.

    Args:
        processor: Makes the encoder's input.
    """
    side = DETAIL * processor.size["shortest_edge"]
    return side, side


def encode(
    model: Encoder,
    processor: Processor,
    images: Iterable[ImageSource],
    *,
    batch_size: int = 32,
    facts: Sequence[Facts | None] | None = None,
    run: Callable[[Prepared], Encoding] | None = None,
) -> Encoding:
    """Run the encoder over images of any number, a batch at a time.

    Args:
        model: The encoder, in eval mode.
        processor: Makes its input.
        images: PIL images, paths or bytes.
        batch_size: Images per forward pass.
        facts: What is known of each image's patient, for a model that takes it; None when nothing
            is. Only the logits depend on it.
        run: Runs the encoder over a batch in another way, as one that is shared with other threads
            does; None for a forward pass of its own.

    Raises:
        ValueError: If there are no images, or one cannot be read; if there are facts and the model
            takes none, or they are not as many as the images.
    """
    forward = run or (lambda batch: run_together(model, [batch])[0])
    known = None if facts is None else _facts_tensor(model, facts)
    batches: list[Encoding] = []
    done = 0
    enough = pixels_needed(processor)
    source = iter(images)
    while batch := [read_image(image, at_least=enough) for image in islice(source, batch_size)]:
        rows = slice(done, done + len(batch))
        done = rows.stop
        if known is not None and done > len(known):
            raise ValueError(f"{len(known)} facts came with more images; need one for each.")
        pixel_values = processor(batch, return_tensors="pt").pixel_values
        told = None if known is None else known[rows]
        batches.append(forward(Prepared(pixel_values, told, is_first=not batches)))
    if not batches:
        raise ValueError("There is no image to look at.")
    if known is not None and done != len(known):
        raise ValueError(f"{len(known)} facts came with {done} images; need one for each.")
    if len(batches) == 1:
        return batches[0]
    return Encoding(
        np.concatenate([part.embeddings for part in batches]),
        np.concatenate([part.logits for part in batches]),
        np.concatenate([part.pooled_features for part in batches]),
    )


def run_together(model: Encoder, batches: Sequence[Prepared]) -> list[Encoding]:
    """Run the encoder once over several batches.

    How many images go through an encoder together decides how its sums are ordered. So the last
    bits of an image's answer depend on how many others there are, and on nothing else of them.

    Args:
        model: The encoder, in eval mode.
        batches: All with facts, or all without.

    Returns:
        What the encoder says of each batch.
    """
    pixel_values = torch.cat([batch.pixel_values for batch in batches])
    told = [batch.facts for batch in batches if batch.facts is not None]
    with torch.inference_mode():
        output = model(
            pixel_values.to(model.device),
            facts=torch.cat(told) if told else None,
        )
    fields = (output.embeddings, output.logits, output.pooled_features)
    arrays = [field.float().cpu().numpy() for field in fields]
    ends = np.cumsum([len(batch.pixel_values) for batch in batches])[:-1]
    parts = [np.split(array, ends) for array in arrays]
    return [Encoding(*found) for found in zip(*parts, strict=True)]


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
    (single,) = model.members  # an ensemble has no columns for facts
    with torch.inference_mode():
        return single.weigh_facts(known).float().cpu().numpy()


def add_to_bias(model: Encoder, bias: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Add to the bias of a classifier, in place.

    Args:
        model: An encoder with one classifier, no ensemble.
        bias: ``(7,)``.

    Returns:
        ``(7,)`` float32, what was added: the sum is rounded to half precision, in which weights are
        kept.

    Raises:
        ValueError: If the encoder is an ensemble.
    """
    if len(model.members) > 1:
        raise ValueError("The stacked classifier of an ensemble has its bias; it takes no other.")
    own = model.members[0].classifier.bias
    with torch.no_grad():
        before = own.clone()
        own.copy_((own + torch.from_numpy(bias).to(own)).half())
        return (own - before).float().cpu().numpy()


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
