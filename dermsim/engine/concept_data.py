"""What concepts are fitted to: a frozen encoder's view of pictures, with labels and outlines."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from tqdm import tqdm

from dermsim.core.refused import Refused
from dermsim.data.duplicates.looks import Look, look_at
from dermsim.data.duplicates.search import components, find_pairs
from dermsim.data.grouping import group_ids
from dermsim.data.images import read_image
from dermsim.engine.framing import Frame, cut_region
from dermsim.models.encoding import pixels_needed
from dermsim.models.stages import encode_depths, sum_up

if TYPE_CHECKING:
    from datasets import Dataset

    from dermsim.engine import DermSim

GRID = 40
"""Cells along each side of what dense heads give: a quarter of the pixels of the released encoder's
input, and the cells of its finest map that is used."""

BATCH = 32

Outlines = Callable[[str], npt.NDArray[np.bool_] | None]
"""Returns the outline ``(H, W)`` of an image_id, over the picture in any pixels; None for none."""


@dataclass(frozen=True, eq=False)
class Seen:
    """What an encoder gives of N pictures.

    Attributes:
        image_ids: N names.
        depths: ``(N, G)`` float32, what concept heads read.
        logits: ``(N, 7)`` float32.
        embeddings: ``(N, D)`` float32.
        maps: For each stage ``(N, C, h, w)`` float16; empty where maps were not asked for.
        last: ``(N, F, h, w)`` float16, what was pooled, likewise.
        darkness: ``(N, GRID, GRID)`` float32, how dark each cell is, likewise.
        looks: What near-duplicates are found by.
    """

    image_ids: tuple[str, ...]
    depths: npt.NDArray[np.float32]
    logits: npt.NDArray[np.float32]
    embeddings: npt.NDArray[np.float32]
    maps: tuple[npt.NDArray[np.float16], ...]
    last: npt.NDArray[np.float16]
    darkness: npt.NDArray[np.float32]
    looks: tuple[Look, ...] = ()

    def __len__(self) -> int:
        """N."""
        return len(self.image_ids)


def look_through(
    engine: DermSim, rows: Dataset, *, maps: bool, looks: bool = False, purpose: str = ""
) -> Seen:
    """Run the frozen encoder over rows once.

    Args:
        engine: The checkpoint.
        rows: With ``image`` and ``image_id``.
        maps: Whether to keep maps: 150 kB a picture for the released encoder.
        looks: Whether to keep what near-duplicates are found by.
        purpose: Shown beside the progress bar.

    Raises:
        ValueError: If an image cannot be read, or timm cannot tell the encoder's stages.
    """
    parts: dict[str, list[npt.NDArray[np.generic]]] = {}
    stages: list[list[npt.NDArray[np.float16]]] = []
    seen: list[Look] = []
    bar = tqdm(total=len(rows), desc=purpose, unit="picture", disable=None)
    for pictures in _batches(engine, rows):
        if looks:
            seen += [look_at(picture) for picture in pictures]
        values = engine.processor(pictures, return_tensors="pt").pixel_values
        with torch.inference_mode():
            output, own = encode_depths(engine.model, values.to(engine.model.device))
            found = {
                "depths": sum_up(output.pooled_features, own),
                "logits": output.logits,
                "embeddings": output.embeddings,
            }
        for name, tensor in found.items():
            parts.setdefault(name, []).append(tensor.float().cpu().numpy())
        if maps:
            last = output.features
            if isinstance(last, tuple):  # of an ensemble the last member's
                last = last[-1]
            parts.setdefault("last", []).append(last.half().cpu().numpy())
            parts.setdefault("darkness", []).append(_darkness(values))
            stages = stages or [[] for _ in own]
            for kept, stage in zip(stages, own, strict=True):
                kept.append(stage.half().cpu().numpy())
        bar.update(len(pictures))
    bar.close()
    whole = {name: np.concatenate(own) for name, own in parts.items()}
    nothing = np.zeros((0, 0, 0, 0), np.float16)
    return Seen(
        tuple(map(str, rows["image_id"])),
        whole["depths"].astype(np.float32),
        whole["logits"].astype(np.float32),
        whole["embeddings"].astype(np.float32),
        tuple(np.concatenate(kept) for kept in stages),
        whole.get("last", nothing).astype(np.float16),
        whole.get("darkness", np.zeros((0, 0, 0))).astype(np.float32),
        tuple(seen),
    )


def group_rows(rows: Dataset, seen: Seen) -> list[str]:
    """Name what no fold may cut: patient, lesion, and the same photograph under several names.

    Args:
        rows: With ``image_id``, and ``lesion_id`` and ``patient_id`` where they are known.
        seen: Of these rows, with `Seen.looks`.
    """
    pairs = find_pairs(seen.looks, seen.embeddings)
    same = components(len(seen), pairs)
    named = [[seen.image_ids[row] for row in members] for members in same]
    return group_ids(rows, near_duplicates=named)


def regions_on_grid(
    engine: DermSim, rows: Dataset, outline: Outlines, *, grid: int = GRID
) -> npt.NDArray[np.float32]:
    """Cut outlines to what the encoder sees, and average them over the cells of a grid.

    Args:
        engine: The checkpoint, for its framing.
        rows: With ``image_id``.
        outline: Looks one up.
        grid: Cells along each side.

    Returns:
        ``(N, grid, grid)`` float32 in [0, 1]; nothing where there is no outline.
    """
    frame = Frame.of(engine.processor)
    found = np.zeros((len(rows), grid, grid), dtype=np.float32)
    for row, image_id in enumerate(rows["image_id"]):
        own = outline(str(image_id))
        if own is not None:
            height, width = own.shape
            found[row] = cut_region(own, (width, height), side=grid, frame=frame)
    return found


def dermoscopic(rows: Dataset) -> Dataset:
    """Leave clinical photographs out: concepts are of what a dermatoscope shows.

    Raises:
        ValueError: If nothing is left.
    """
    if "modality" not in rows.column_names:
        return rows
    kept = [row for row, kind in enumerate(rows["modality"]) if kind != "clinical"]
    if not kept:
        raise Refused("concept_data.clinical")
    return rows if len(kept) == len(rows) else rows.select(kept)


def not_among(image_ids: Sequence[str], learned: Collection[str]) -> npt.NDArray[np.bool_]:
    """Return ``(N,)`` bool: which pictures are none of those that the encoder was trained on."""
    return np.array([image_id not in learned for image_id in image_ids], dtype=bool)


def _batches(engine: DermSim, rows: Dataset) -> Iterator[list[Image.Image]]:
    enough = pixels_needed(engine.processor)
    source = iter(rows["image"])
    while batch := [read_image(image, at_least=enough) for image in islice(source, BATCH)]:
        yield batch


def _darkness(values: torch.Tensor) -> npt.NDArray[np.float32]:
    """Return how dark each cell of a grid is, ``(B, GRID, GRID)``, in the encoder's own scale."""
    light = torch.nn.functional.adaptive_avg_pool2d(values.mean(dim=1, keepdim=True), GRID)
    return (-light[:, 0]).numpy()
