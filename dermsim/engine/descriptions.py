"""What a loaded checkpoint answers when it describes a picture: plain values that can be shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from dermsim.engine.results import Prediction
    from dermsim.models.encoding import Encoding
    from dermsim.tasks.caption import Evidence, Fact
    from dermsim.tasks.concepts import ConceptReading


@dataclass(frozen=True, eq=False)
class Sentence:
    """One sentence of a description, with what it rests on.

    Attributes:
        text: In the language asked for.
        fact: What it says.
        evidence: Why it may be said.
        region: ``(H, W)`` bool over the photograph, where the fact names a place; else None.
    """

    text: str
    fact: Fact
    evidence: Evidence
    region: npt.NDArray[np.bool_] | None = None

    def to_dict(self) -> dict[str, object]:
        """Return plain Python values; of the region the box around it, in shares of the sides."""
        fact, evidence = vars(self.fact), vars(self.evidence)
        names = list(self.fact.names)
        return {
            "text": self.text,
            "fact": {**fact, "names": names},
            "evidence": dict(evidence),
            "region": None if self.region is None else box_of(self.region),
        }


@dataclass(frozen=True, eq=False)
class Description:
    """A picture in words.

    Attributes:
        notice: That the picture is unfamiliar; then there are no sentences. None when it is not.
        sentences: Each verified.
        language: Of the sentences.
        reading: What the concept heads say; None of an unfamiliar picture.
        outline: ``(H, W)`` bool over the photograph, where the lesion is; None where none is found.
        withheld: Names of places that were not said, because blotting them out changed no more
            than blotting out other places did.
        prediction: The classifier's answer to the same picture; None where nobody asked it.
    """

    notice: str | None
    sentences: tuple[Sentence, ...]
    language: str
    reading: ConceptReading | None = None
    outline: npt.NDArray[np.bool_] | None = None
    withheld: tuple[str, ...] = ()
    prediction: Prediction | None = None

    @property
    def melanoma_direct(self) -> float | None:
        """What the classifier says of melanoma; None where its verdict is withheld."""
        if self.prediction is None or self.notice is not None:
            return None
        return self.prediction.probabilities["mel"]

    @property
    def text(self) -> str:
        """All sentences; empty for an unfamiliar picture."""
        return " ".join(sentence.text for sentence in self.sentences)

    @property
    def facts(self) -> tuple[Fact, ...]:
        """What the sentences say."""
        return tuple(sentence.fact for sentence in self.sentences)

    def to_dict(self) -> dict[str, object]:
        """Return plain Python values."""
        return {
            "notice": self.notice,
            "language": self.language,
            "text": self.text,
            "sentences": [sentence.to_dict() for sentence in self.sentences],
            "withheld_places": list(self.withheld),
            "outline": None if self.outline is None else box_of(self.outline),
            "melanoma_direct": self.melanoma_direct,
            **({} if self.reading is None else self.reading.to_dict()),
        }


@dataclass(frozen=True, eq=False)
class Look:
    """What the encoder and the dense heads give of one picture.

    Attributes:
        encoding: Of the one picture, with `Encoding.depths`.
        maps: ``(C, h, w)`` of each stage.
        last: ``(F, h, w)``, what was pooled; empty where there is no single map.
        lesion: ``(g, g)`` bool at the grid of the outline; empty where no lesion is found.
        lesion_log_odds: ``(g, g)``.
        structures: By data set ``(K, g, g)`` log-odds.
        pixels: ``(FINE, FINE, 3)`` sRGB in [0, 1], of the square that the encoder sees.
    """

    encoding: Encoding
    maps: tuple[npt.NDArray[np.float32], ...]
    last: npt.NDArray[np.float32]
    lesion: npt.NDArray[np.bool_]
    lesion_log_odds: npt.NDArray[np.float32]
    structures: dict[str, npt.NDArray[np.float32]] = field(default_factory=dict)
    pixels: npt.NDArray[np.float32] | None = None


def box_of(region: npt.NDArray[np.bool_]) -> dict[str, float] | None:
    """Return the box around a region ``(H, W)`` in shares of width and height; None without one."""
    rows, columns = (np.flatnonzero(region.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return None
    height, width = region.shape
    return {
        "left": float(columns[0] / width),
        "top": float(rows[0] / height),
        "right": float((columns[-1] + 1) / width),
        "bottom": float((rows[-1] + 1) / height),
    }
