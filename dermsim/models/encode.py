"""Run an encoder over photographs: where PIL images become NumPy embeddings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from dermsim.core.refused import Refused
from dermsim.data.facts import Facts, encode_facts
from dermsim.data.images import ImageSource, read_image
from dermsim.models.encoding import Encoding, join, pixels_needed
from dermsim.models.looks import look_at
from dermsim.models.network_dermsim_dual import DermSimDualNetwork
from dermsim.models.stages import encode_depths, sum_up

if TYPE_CHECKING:
    from dermsim.models.encoder import Encoder, Processor


def encode(
    model: Encoder,
    processor: Processor,
    images: Iterable[ImageSource],
    *,
    batch_size: int = 32,
    facts: Sequence[Facts | None] | None = None,
    depths: bool = False,
    looks: bool = False,
) -> Encoding:
    """Run the encoder over images of any number, a batch at a time.

    Args:
        model: The encoder, in eval mode.
        processor: Makes its input.
        images: PIL images, paths or bytes.
        batch_size: Images per forward pass.
        facts: What is known of each image's patient, for a model that takes it; None when nothing
            is.
        depths: Whether to sum up what is seen at several depths, too.
        looks: Whether to say what the pictures look like, too.

    Raises:
        ValueError: If there are no images, or one cannot be read; if there are facts and the model
            takes none, or they are not as many as the images.
    """
    known = None if facts is None else weigh_facts(model, facts)
    batches = prepare(processor, images, batch_size=batch_size, facts=facts)
    parts = []
    for batch in batches:
        (found,) = forward(model, [batch], depths=depths)
        parts.append(replace(found, looks=look_at(batch, processor)) if looks else found)
    return join(parts, known)


def prepare(
    processor: Processor,
    images: Iterable[ImageSource],
    *,
    batch_size: int,
    facts: Sequence[Facts | None] | None = None,
) -> Iterator[torch.Tensor]:
    """Read images and make the encoder's input of them, a batch at a time.

    Args:
        processor: Makes the input.
        images: PIL images, paths or bytes; read no further ahead than a batch.
        batch_size: B.
        facts: Of the images, of which there must be as many; None for none.

    Yields:
        ``(B, 3, S, S)`` float32; of the last batch fewer.

    Raises:
        ValueError: If there are no images, or one cannot be read, or there are not as many facts.
    """
    done, source, enough = 0, iter(images), pixels_needed(processor)
    while batch := [read_image(image, at_least=enough) for image in islice(source, batch_size)]:
        done += len(batch)
        if facts is not None and done > len(facts):
            raise Refused("encode.few_facts", count=len(facts))
        yield processor(batch, return_tensors="pt").pixel_values
    if done == 0:
        raise Refused("engine_explain.no_image")
    if facts is not None and done != len(facts):
        raise Refused("encode.facts_count", count=len(facts), done=done)


def forward(
    model: Encoder, batches: Sequence[torch.Tensor], *, depths: bool = False
) -> list[Encoding]:
    """Run the encoder once over several batches.

    How many images go through an encoder together decides how its sums are ordered. So the last
    bits of an image's answer depend on how many others there are, and on nothing else of them.

    Args:
        model: The encoder, in eval mode.
        batches: Each ``(B, 3, S, S)``, as `prepare` makes them.
        depths: Whether to sum up what is seen at several depths, too.

    Returns:
        What the encoder says of each batch.
    """
    with torch.inference_mode():
        pixels = torch.cat(list(batches)).to(model.device)
        output, stages = encode_depths(model, pixels) if depths else (model(pixels), ())
        fields = [output.embeddings, output.logits, output.pooled_features]
        if depths:
            fields.append(sum_up(output.pooled_features, stages))
    arrays = [field.float().cpu().numpy() for field in fields]
    ends = np.cumsum([len(batch) for batch in batches])[:-1]
    parts = [np.split(array, ends) for array in arrays]
    return [
        Encoding(found[0], found[1], found[2], depths=found[3] if depths else None)
        for found in zip(*parts, strict=True)
    ]


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
        ``(N, 7)`` float32; zero where nothing is known.

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
        raise Refused("encode.stacked_bias")
    own = model.members[0].classifier.bias
    with torch.no_grad():
        before = own.clone()
        own.copy_((own + torch.from_numpy(bias).to(own)).half())
        return (own - before).float().cpu().numpy()


def _facts_tensor(model: Encoder, facts: Sequence[Facts | None]) -> torch.Tensor:
    columns = model.config.facts_columns
    if columns is None:
        raise Refused("encode.no_facts")
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
    if isinstance(model, DermSimDualNetwork):  # the same weights say other things in another shape
        shape = ("backbone_kwargs", "projection", "double_norm")
        processing |= {name: getattr(model.config, name) for name in shape}
    digest.update(json.dumps([model.config.backbone, processing], default=dict).encode())
    return digest.hexdigest()[:16]
