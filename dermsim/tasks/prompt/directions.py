"""One vector for each name: the mean of what the text encoder says of its sentences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dermsim.core.refused import Refused
from dermsim.core.storage import load_arrays, load_json, save_arrays, save_json
from dermsim.core.vectors import l2_normalize
from dermsim.tasks.prompt.wording import Wording

JSON, ARRAYS = "prompts.json", "prompts.safetensors"
"""The two files of the part; a checkpoint has both or neither."""

Vectors = npt.NDArray[np.float32]
Embed = Callable[[Sequence[str]], Vectors]
"""Makes unit rows ``(N, D)`` of texts."""


@dataclass(frozen=True, eq=False)
class Directions:
    """What C names are compared by.

    Attributes:
        names: C of them.
        prototypes: ``(C, D)`` unit rows: per synonym the mean over templates of unit vectors, of
            unit length again; the mean of those over synonyms, of unit length again.
        by_template: ``(T, C, D)`` the same with each template alone.
    """

    names: tuple[str, ...]
    prototypes: Vectors
    by_template: Vectors

    @property
    def center(self) -> Vectors:
        """``(D,)``, the mean of the prototypes: what all of them share."""
        return self.prototypes.mean(axis=0)


def make_directions(wording: Wording, embed: Embed) -> Directions:
    """Make the vectors of all names.

    Args:
        wording: What is asked.
        embed: The text encoder.
    """
    vectors = l2_normalize(embed(wording.texts()))
    templates = len(wording.templates)
    counts = [len(synonyms) for synonyms in wording.names.values()]
    sentences = vectors.reshape(sum(counts), templates, -1)
    ends = np.cumsum(counts)[:-1]
    per_synonym = l2_normalize(sentences.mean(axis=1))
    prototypes = [own.mean(axis=0) for own in np.split(per_synonym, ends)]
    by_template = [own.mean(axis=0) for own in np.split(sentences, ends)]
    return Directions(
        tuple(wording.names),
        l2_normalize(np.stack(prototypes)),
        np.stack([l2_normalize(own) for own in np.stack(by_template, axis=1)]),
    )


@dataclass(frozen=True, eq=False)
class Prompts:
    """What a checkpoint knows of the diagnoses' names: ``prompts.json`` and its arrays.

    Attributes:
        wording: What was asked about the seven diagnoses.
        directions: What the text encoder made of it.
        text: Fingerprint of that text encoder.
    """

    wording: Wording
    directions: Directions
    text: str

    def save(self, folder: Path) -> None:
        """Write both files."""
        save_json(folder / JSON, {**self.wording.to_dict(), "text": self.text})
        arrays = {
            "prototypes": self.directions.prototypes,
            "by_template": self.directions.by_template,
        }
        save_arrays(folder / ARRAYS, arrays, facts={"text": self.text})

    @classmethod
    def load(cls, folder: Path, *, dim: int) -> Prompts | None:
        """Read what `save` wrote, where a checkpoint has it.

        Args:
            folder: The checkpoint.
            dim: D of its embeddings.

        Raises:
            ValueError: If a file is damaged, the two do not belong together, or they are of another
                encoder.
        """
        if not (folder / JSON).is_file() and not (folder / ARRAYS).is_file():
            return None
        values = load_json(folder / JSON, keys={"templates", "names", "text"})
        found, facts = load_arrays(
            folder / ARRAYS, arrays={"prototypes", "by_template"}, facts={"text"}
        )
        text = values.pop("text")
        wording = Wording.of(values, name=JSON)
        count = len(wording.names)
        expected = {
            "prototypes": (count, dim),
            "by_template": (len(wording.templates), count, dim),
        }
        for name, shape in expected.items():
            array = found[name]
            if array.shape != shape or array.dtype != np.float32 or not np.isfinite(array).all():
                raise Refused("prompts.array", array=name, shape=list(array.shape), expected=shape)
        if not isinstance(text, str) or facts["text"] != text:
            raise Refused("prompts.parts", json=JSON, arrays=ARRAYS)
        prototypes, by_template = (np.asarray(found[name], np.float32) for name in expected)
        return cls(wording, Directions(tuple(wording.names), prototypes, by_template), text)
