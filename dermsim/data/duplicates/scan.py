"""Reads every picture of the sources once, and finds those that are the same photograph."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image
from tqdm import tqdm

from dermsim.core.refused import Refused
from dermsim.data.duplicates.listing import Listed, list_source
from dermsim.data.duplicates.looks import Look, look_at
from dermsim.data.duplicates.report import Duplicates
from dermsim.data.duplicates.search import NEIGHBORS, find_pairs
from dermsim.data.images import read_image
from dermsim.data.photographs import is_outline

Embed = Callable[[Iterable[Image.Image]], npt.NDArray[np.float32]]
"""Makes ``(N, D)`` of N photographs, each asked for once."""

_ENOUGH = (256, 256)


def find_duplicates(
    sources: Sequence[str],
    *,
    embed: Embed | None = None,
    neighbors: int = NEIGHBORS,
    at_most: int | None = None,
) -> Duplicates:
    """Find the pictures that are the same photograph, within and between sources.

    Args:
        sources: As for `list_source`, each once.
        embed: Embeds the photographs; None to go by perceptual hashes alone.
        neighbors: How many similar embeddings each picture is compared with.
        at_most: Pictures of each source, the first by name, for a quick look; None for all.

    Raises:
        ValueError: If no source is named, one is named twice, a source holds no pictures, or none
            of all pictures can be read.
    """
    if not sources:
        raise Refused("scan.no_source")
    if len(set(sources)) < len(sources):
        raise Refused("scan.source_twice")
    if at_most is not None and at_most < 1:
        raise Refused("scan.at_most", at_most=at_most)
    listed = [item for source in sources for item in list_source(source)[:at_most]]
    reading = _Reading(listed)
    if embed is None:
        for _ in reading:
            pass
        embeddings = None
    else:
        embeddings = embed(reading)
    if not reading.kept:
        if not reading.unread:
            raise Refused("scan.only_outlines")
        reasons = "; ".join(reason for _, reason in reading.unread[:3])
        raise Refused("scan.nothing_readable", reasons=reasons)
    pairs = find_pairs(reading.looks, embeddings, neighbors=neighbors)
    return Duplicates(reading.kept, pairs, reading.unread, reading.outlines)


class _Reading:
    """Goes through the pictures once, each decoded and looked at as it passes; none is kept."""

    def __init__(self, listed: Sequence[Listed]) -> None:
        self._listed = listed
        self.kept: list[Listed] = []
        self.looks: list[Look] = []
        self.unread: list[tuple[Listed, str]] = []
        self.outlines = 0

    def __iter__(self) -> Iterator[Image.Image]:
        for item in tqdm(self._listed, unit="picture", disable=None):
            try:
                image = read_image(item.encoded(), at_least=_ENOUGH)
            except (ValueError, OSError) as error:
                self.unread.append((item, str(error)))
                continue
            if is_outline(image):
                self.outlines += 1
                continue
            self.kept.append(item)
            self.looks.append(look_at(image))
            yield image
