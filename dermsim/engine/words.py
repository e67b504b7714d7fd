"""What a checkpoint of a text-image encoder has besides: prompts, the text encoder, its source.

The text encoder is loaded when a text of the visitor's own first asks for it, and never before.
"""

from __future__ import annotations

import shutil
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dermsim.core.checkpoint import PROMPTS, SOURCE, TEXT
from dermsim.core.refused import Phrase, Refused
from dermsim.core.storage import existing
from dermsim.tasks.prompt import Prompts, center_rows, negated
from dermsim.tasks.prompt.wording import check_text

if TYPE_CHECKING:
    from dermsim.models.text import TextTower

KEPT = 4096
"""Texts whose vectors are kept, the last ones asked for."""


@dataclass(eq=False)
class Words:
    """What is known in words.

    Attributes:
        prompts: What the text encoder was asked about the diagnoses, and answered.
        source: ``SOURCE.json`` as it is; None where there is none.
        folder: Where the text encoder lies; None where the checkpoint has none.
    """

    prompts: Prompts
    source: bytes | None = None
    folder: Path | None = None
    _tower: TextTower | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _queries: OrderedDict[str, tuple[npt.NDArray[np.float32], tuple[Phrase, ...]]] = field(
        default_factory=OrderedDict
    )
    _vectors: OrderedDict[str, npt.NDArray[np.float32]] = field(default_factory=OrderedDict)

    @classmethod
    def load(cls, folder: Path, *, dim: int) -> Words | None:
        """Read what a checkpoint has in words, without its text encoder.

        Args:
            folder: The checkpoint.
            dim: D of its embeddings.

        Returns:
            None where it has nothing.

        Raises:
            ValueError: If a file is damaged, or of another encoder.
        """
        prompts = Prompts.load(folder, dim=dim)
        if prompts is None:
            return None
        source = existing(folder / SOURCE).read_bytes() if (folder / SOURCE).is_file() else None
        text = folder / TEXT
        return cls(prompts, source, text if text.is_dir() else None)

    def save(self, folder: Path) -> None:
        """Write all of it into a checkpoint."""
        self.prompts.save(folder)
        if self.source is not None:
            (folder / SOURCE).write_bytes(self.source)
        if self.folder is not None:
            shutil.copytree(self.folder, folder / TEXT)

    @property
    def loaded(self) -> bool:
        """Whether the text encoder is in memory."""
        return self._tower is not None

    def tower(self) -> TextTower:
        """Return the text encoder, loading it at the first call.

        Raises:
            ValueError: If the checkpoint has none, or that of another one.
        """
        if self.folder is None:
            known = [words[0] for words in self.prompts.wording.names.values()]
            raise Refused("words_of.no_text", known=known)
        with self._lock:
            if self._tower is None:
                from dermsim.models.text import TextTower, text_fingerprint

                if text_fingerprint(self.folder) != self.prompts.text:
                    raise Refused("words_of.other_text", folder=self.folder.name)
                self._tower = TextTower.load(self.folder)
            return self._tower

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return ``(T, D)`` unit rows of texts; those asked for before are not asked again.

        Raises:
            ValueError: If a text is blank, too long by far, or of no known word; as for `tower`.
        """
        for text in texts:
            check_text(text)
        with self._lock:
            new = list(dict.fromkeys(text for text in texts if text not in self._vectors))
        if new:
            tower = self.tower()
            for text in new:
                tower.check(text)
            made = dict(zip(new, tower.embed(new), strict=True))
        else:
            made = {}
        with self._lock:
            rows = [made[text] if text in made else self._vectors[text] for text in texts]
            for text, row in zip(texts, rows, strict=True):
                self._vectors[text] = row
                self._vectors.move_to_end(text)
            while len(self._vectors) > KEPT:
                self._vectors.popitem(last=False)
        return np.stack(rows)

    def query(self, text: str) -> tuple[npt.NDArray[np.float32], tuple[Phrase, ...]]:
        """Return ``(1, D)`` what a text says beyond what all prompts share, and what to know of it.

        Raises:
            ValueError: As for `embed`, and if it says nothing beyond that.
        """
        found = self._queries.get(text)
        if found is None:
            row = center_rows(self.embed([text]), self.prompts.directions.center)
            if not row.any():
                raise Refused("words_of.says_nothing", text=text[:80])
            found = row, self.notes([text])
            with self._lock:
                self._queries[text] = found
                while len(self._queries) > KEPT:
                    self._queries.popitem(last=False)
        return found

    def notes(self, texts: Sequence[str]) -> tuple[Phrase, ...]:
        """Say what a reader must know of texts: what is not read, not known or not heeded.

        Raises:
            ValueError: As for `embed`.
        """
        said: list[Phrase] = []
        for text in texts:
            check_text(text)
            said += self.tower().notes(text)
            if negated(text):
                said.append(Phrase("words_of.negation", text=text[:80]))
        return tuple(said)


def load_words(folder: Path, *, dim: int) -> Words:
    """Read what the checkpoint of a text-image encoder has in words.

    Raises:
        ValueError: As for `Words.load`, and if it has nothing.
    """
    words = Words.load(folder, dim=dim)
    if words is None:
        raise Refused("words_of.no_prompts", names=PROMPTS)
    return words


def refuse_without_words(words: Words | None) -> Words:
    """Return what is known in words, or refuse a checkpoint of pictures alone.

    Raises:
        ValueError: If it is None.
    """
    if words is None:
        raise Refused("words_of.pictures_alone")
    return words
