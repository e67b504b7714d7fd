"""Folders that are called like a part of a data set: train, validation or test."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

from dermsim.core.labels import fold

Part = Literal["train", "validation", "test"]
"""A part of a data set as whoever made it cut it."""

_WORDS: dict[Part, tuple[str, ...]] = {
    "train": (
        *("train", "training", "entrenamiento", "entraînement", "apprentissage"),
        *("addestramento", "treino", "treinamento"),
    ),
    "validation": (
        *("val", "valid", "validation", "dev", "validación", "Validierung", "validazione"),
        *("validação",),
    ),
    "test": ("test", "testing", "holdout", "prueba", "pruebas", "teste", "tests"),
}
_PART_OF: dict[str, Part] = {fold(word): part for part, words in _WORDS.items() for word in words}
_BESIDE = re.compile(r"(sets?|data|datasets?|splits?|images?|photos?|folder)$")


def part_called(name: str) -> Part | None:
    """Say which part a folder is that is called so and nothing else: ``train``, ``Test set``."""
    folded = fold(name)
    return _PART_OF.get(folded) or _PART_OF.get(_BESIDE.sub("", folded))


def parts_named(folders: Iterable[str]) -> set[Part]:
    """Return the parts that names of folders speak of: ``ISIC_2019_Test_Input`` of the test."""
    words = (word for name in folders for word in re.findall(r"[^\W\d_]+", name))
    return {part for word in words if (part := _PART_OF.get(fold(word)))}
