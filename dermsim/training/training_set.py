"""All photographs of a training run as tensors, and what is drawn at random beside the views."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from PIL import Image

from dermsim.core.bootstrap import number_lesions
from dermsim.core.labels import CODES, diagnosis
from dermsim.core.refused import Refused
from dermsim.data.exam import refuse_exam
from dermsim.data.facts import FACTS_DIM, FACTS_SLICES, encode_facts, facts_of
from dermsim.data.pixels import channel_statistics, decode_pixels, fit_image, map_images
from dermsim.models.framing_dermsim import whole_frame
from dermsim.training.lesions import Lesions

if TYPE_CHECKING:
    from datasets import Dataset

    from dermsim.data.outlines import Outlines

Fit = Callable[[Image.Image], np.ndarray]
"""Brings an RGB picture of any size to ``(3, H, W)`` uint8."""

_PLAIN = 2
"""Levels between the darkest and the brightest pixel that JPEG makes of a plain surface."""

_NAMED = 5

UNLABELLED = 255
"""The label of pictures whose diagnosis is not used, above that of any class."""


def check_diagnoses(train: Dataset, validation: Dataset, *, every: bool) -> None:
    """Refuse, before anything is learned, rows around which no checkpoint could be built.

    Args:
        train: Rows with ``dx``.
        validation: Rows with ``dx``.
        every: Whether every diagnosis must be in training, as `fit_classifier` needs it.

    Raises:
        ValueError: If a diagnosis is missing that must be there, or validation is all benign or all
            malignant.
    """
    learned, held_out = ({CODES[dx] for dx in rows["dx"]} for rows in (train, validation))
    if every and (missing := [code for code in CODES if code not in learned]):
        raise Refused("training_set.no_training", missing=missing[0])
    if missing := [code for code in CODES if code in learned - held_out]:
        raise Refused("training_set.no_validation", missing=missing[0])
    if len({diagnosis(code).malignant for code in held_out}) < 2:
        raise Refused("training_set.one_sided", held_out=sorted(held_out))


@dataclass(frozen=True)
class TrainingSet:
    """N photographs, decoded once.

    Attributes:
        pixels: ``(N, 3, H, W)`` uint8 on the device.
        labels: ``(N,)`` int64 on the device; `UNLABELLED` where the diagnosis is not used.
        lesions: ``(N,)`` int64 on the device; photographs of one lesion share a number.
        facts: ``(N, F)`` float32 on the device, as `encode_facts` makes them, or None.
        further: N times whether it comes from another source than the first.
        image_ids: N names.
        mean: Of the three channels over the labelled photographs, in [0, 1].
        std: Likewise.
        outlined: Where their lesions lie, or None.
        own_outputs: Names of the classes that follow the seven diagnoses in `labels`.
    """

    pixels: torch.Tensor
    labels: torch.Tensor
    lesions: torch.Tensor
    facts: torch.Tensor | None
    further: Sequence[bool]
    image_ids: Sequence[str]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    outlined: Lesions | None = None
    own_outputs: tuple[str, ...] = ()

    def __len__(self) -> int:
        """N."""
        return len(self.image_ids)

    @classmethod
    def load(
        cls,
        train: Dataset,
        *,
        also: Sequence[Dataset] = (),
        own: Mapping[str, Sequence[Dataset]] | None = None,
        unlabelled: Sequence[Dataset] = (),
        outlines: Outlines | None = None,
        facts: bool = False,
        whole: bool = False,
        prepare: Callable[[np.ndarray], np.ndarray] | None = None,
        image_size: int,
        device: torch.device,
    ) -> TrainingSet:
        """Decode photographs of the `load_ham10000` schema.

        Args:
            train: The training split.
            also: Further photographs with diagnoses, from other sources.
            own: Further photographs of other diagnoses, by the name of the class that each becomes.
            unlabelled: More photographs, of which only the pictures and lesions are used.
            outlines: Of lesions, by image_id; None when they are not needed.
            facts: Whether to keep what is known of the patients.
            whole: Whether the whole frame is kept, padded to a square (`whole_frame`).
            prepare: What the processor does to colours before it normalises them, on one
                ``(3, H, W)`` photograph of values up to 255; or None.
            image_size: Side in pixels of what will be cut from them; they are kept no smaller.
            device: Where the tensors go.

        Raises:
            ValueError: If a photograph belongs to the exam, cannot be read or is of one colour; if
                a fact that was asked for makes no sense, which names the image; if a channel is the
                same in all of them.
        """
        classes = own or {}
        owned = [rows for each in classes.values() for rows in each]
        sources = [train, *also, *owned, *unlabelled]
        for source in sources:
            refuse_exam(source["image_id"], source="the training data")
        # before the photographs are decoded, which takes long
        known = _facts(sources) if facts else None
        canvas = _canvas(train, image_size, whole=whole)
        outlined = None
        if outlines is not None:
            outlined = Lesions.load(sources, outlines, fit=canvas.fit, device=device)
        decoded = _decoded(sources, canvas, prepare)
        mean, std = _statistics(decoded[0])
        labels = _labels([train, *also], list(classes.values()), unlabelled)
        return cls(
            pixels=torch.from_numpy(np.concatenate(decoded)).to(device),
            labels=torch.tensor(labels, device=device),
            lesions=torch.tensor(_lesion_numbers(sources), device=device),
            facts=None if known is None else known.to(device),
            further=[False] * len(train) + [True] * (len(labels) - len(train)),
            image_ids=[name for source in sources for name in source["image_id"]],
            mean=mean,
            std=std,
            outlined=outlined,
            own_outputs=tuple(classes),
        )

    def photographs(self, rows: torch.Tensor, donors: torch.Tensor | None) -> torch.Tensor:
        """Take photographs, some of them with the surroundings of others.

        Args:
            rows: ``(B,)`` int64, which.
            donors: ``(B,)`` int64 on the CPU, as `Lesions.draw_donors` drew them; None for none.

        Returns:
            ``(B, 3, H, W)`` uint8.
        """
        if self.outlined is None or donors is None:
            return self.pixels[rows]
        return self.outlined.exchange(self.pixels, rows, donors)


def refuse_blank(photographs: np.ndarray, image_ids: Sequence[str]) -> None:
    """Refuse photographs that are of one colour, of which nothing can be learned but the colour.

    Args:
        photographs: ``(N, 3, H, W)`` uint8.
        image_ids: N names.

    Raises:
        ValueError: If there are any; the message counts them and names the first.
    """
    blank = [
        name
        for name, photograph in zip(image_ids, photographs, strict=True)
        if (np.ptp(photograph.reshape(3, -1), axis=1) <= _PLAIN).all()
    ]
    if blank:
        more = ", …" if len(blank) > _NAMED else ""
        raise Refused(
            "training_set.blank",
            blank_count=len(blank),
            photographs_count=len(photographs),
            blank=list(blank[:_NAMED]),
            more=more,
        )


def draw_shown_facts(n: int, share: float, *, generator: torch.Generator) -> torch.Tensor:
    """Draw which facts an encoder gets to see, so that it learns to do without them.

    Args:
        n: How many rows.
        share: Probability with which all facts of a row are withheld, and with which each single
            fact of the other rows is.
        generator: A CPU generator.

    Returns:
        ``(n, FACTS_DIM)`` float32, 1 for what is shown, 0 for what is withheld.
    """
    told = torch.rand(n, 1, generator=generator) >= share
    shown = torch.zeros(n, FACTS_DIM)
    for columns in FACTS_SLICES.values():
        shown[:, columns] = (told & (torch.rand(n, 1, generator=generator) >= share)).float()
    return shown


class _Canvas(NamedTuple):
    """What photographs are brought to before they are kept.

    Attributes:
        height: In pixels.
        width: In pixels.
        fit: Brings one of them there.
    """

    height: int
    width: int
    fit: Fit


def _canvas(train: Dataset, image_size: int, *, whole: bool) -> _Canvas:
    """Return a size a fifth larger than is cut from it.

    The aspect is that of the first photograph, 4 to 3 as HAM10000 is published, or its square; of
    whole frames it is a square.
    """
    height = max(150, round(1.2 * image_size))
    if whole:
        bicubic = Image.Resampling.BICUBIC

        def fit(image: Image.Image) -> np.ndarray:
            return whole_frame(np.asarray(image).transpose(2, 0, 1), height, bicubic)

        return _Canvas(height, height, fit)
    first = next(iter(map_images(train.select([0]), lambda image: image.size)))
    width = round(height * first[0] / first[1])
    return _Canvas(height, width, partial(fit_image, height=height, width=width))


def _decoded(
    sources: Sequence[Dataset],
    canvas: _Canvas,
    prepare: Callable[[np.ndarray], np.ndarray] | None,
) -> list[np.ndarray]:
    """Decode each source's photographs, ``(N, 3, H, W)`` uint8, with their colours prepared."""
    height, width, fit = canvas
    decoded = [decode_pixels(source, height=height, width=width, fit=fit) for source in sources]
    for source, photographs in zip(sources, decoded, strict=True):
        refuse_blank(photographs, source["image_id"])
    if prepare is not None:
        for photographs in decoded:
            for photograph in photographs:
                photograph[:] = prepare(photograph).round().clip(0, 255)
    return decoded


def _statistics(photographs: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return means and standard deviations of the channels, none of which may be zero."""
    mean, std = channel_statistics(photographs)
    if min(std) == 0:
        raise Refused("training_set.flat_channel", std=list(std))
    return mean, std


def _facts(sources: Sequence[Dataset]) -> torch.Tensor:
    """Return what is known of the patients, ``(N, F)`` float32."""
    return torch.from_numpy(np.concatenate([encode_facts(facts_of(rows)) for rows in sources]))


def _labels(
    labelled: Sequence[Dataset],
    classes: Sequence[Sequence[Dataset]],
    unlabelled: Sequence[Dataset],
) -> list[int]:
    """Return the diagnoses, the numbers of the classes that follow them, and `UNLABELLED`."""
    labels = [dx for source in labelled for dx in source["dx"]]
    for place, each in enumerate(classes, start=len(CODES)):
        labels += [place for rows in each for _ in rows["image_id"]]
    return labels + [UNLABELLED for source in unlabelled for _ in source["image_id"]]


def _lesion_numbers(sources: Sequence[Dataset]) -> list[int]:
    """Number the lesions of all sources; a photograph of an unknown lesion is one of its own."""
    keys = [
        None if lesion is None else f"{source} {lesion}"
        for source, rows in enumerate(sources)
        for lesion in rows["lesion_id"]
    ]
    return number_lesions(keys).tolist()
