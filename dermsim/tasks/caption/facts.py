"""What a sentence may say: a fact, and nothing that is not one.

A fact never speaks of age, sex, history or treatment, nor of how sure it is but in calibrated per
cent: there are no words for these.
"""

from __future__ import annotations

from dataclasses import dataclass

from dermsim.core.refused import Refused

COLOURS, ASYMMETRY, BORDER = "color_count", "asymmetry", "abrupt_border"
"""The concepts whose state is a number."""

DISAGREEMENT = "disagreement"
"""The fact that findings and label do not point the same way; its state is the label's code."""

COUNTS = {COLOURS: 6, ASYMMETRY: 2, BORDER: 8}
"""How far each of them counts."""


@dataclass(frozen=True)
class Fact:
    """One thing that is said of a picture.

    Attributes:
        concept: Name in the list of concepts, or `DISAGREEMENT`.
        state: ``"present"`` or ``"absent"``; of `COUNTS` a number as text; of `DISAGREEMENT` the
            code of the label.
        probability: Calibrated, in whole per cent; None for what is measured.
        threshold: From which, or below which, the state is said, in whole per cent; None with it.
        place: Where, a word of `dermsim.tasks.concepts.lesion.PLACE_NAMES`; None for no region.
        names: The colours that are counted, by their names in the list, in its order.
    """

    concept: str
    state: str
    probability: int | None = None
    threshold: int | None = None
    place: str | None = None
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what no sentence can say."""
        if self.concept == DISAGREEMENT:
            allowed = self.probability is None and self.place is None and not self.names
        elif self.concept in COUNTS:
            allowed = self.probability is None and self.place is None
            allowed &= self.state.isascii() and self.state.isdigit()
            allowed = allowed and int(self.state) <= COUNTS[self.concept]
            if self.concept == COLOURS:
                allowed = allowed and int(self.state) == len(self.names)
            else:
                allowed = allowed and not self.names
        else:
            numbers = (self.probability, self.threshold)
            allowed = self.state in ("present", "absent") and not self.names
            allowed &= all(n is not None and 0 <= n <= 100 for n in numbers)
            allowed &= self.place is None or self.state == "present"
        if not allowed:
            raise Refused("caption_facts.not_a_fact", fact=self)


@dataclass(frozen=True)
class Evidence:
    """What a fact rests on.

    Attributes:
        source: The data set whose word it is, or ``"outline"`` for what is measured within it.
        auc: Of the head on pictures left out; None for what is measured.
        n: Pictures that figure rests on; None with it.
        precision: How often the state was true where it was said, on pictures left out.
        fall: By how much the log-odds fell when the region was blotted out; None for no region.
        fall_elsewhere: The same for regions of the same size elsewhere in the lesion, on average.
    """

    source: str
    auc: float | None = None
    n: int | None = None
    precision: float | None = None
    fall: float | None = None
    fall_elsewhere: float | None = None
