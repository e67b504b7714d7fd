"""Figures about texts: BLEU, ROUGE-L and CIDEr-D, how different texts are, and the facts in them.

The first three count words that a text shares with references. They say little of whether it is
true, and a constant text scores high where texts are alike, so that they always stand beside one.
Each is checked in the tests against the package that others use.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from dermsim.core.refused import Refused

NGRAMS = 4
"""Longest run of words that BLEU and CIDEr count."""

SIGMA = 6.0
"""Width of CIDEr-D's penalty on a difference in length, in words."""

Words = Sequence[str]


def words_of(text: str) -> list[str]:
    """Return the words, numbers and punctuation marks of a text, in lower case."""
    return re.findall(r"\w+|[^\w\s]", text.lower())


def bleu(candidates: Sequence[Words], references: Sequence[Sequence[Words]]) -> float:
    """Return the corpus BLEU (Papineni 2002, https://doi.org/10.3115/1073083.1073135).

    Counts are clipped and summed over the corpus; there is no smoothing, so that it is 0 where no
    run of four words is shared. The reference nearest in length sets the brevity penalty.

    Args:
        candidates: N texts in words.
        references: For each at least one.

    Returns:
        In [0, 1].

    Raises:
        ValueError: If there are not as many references as candidates, or none.
    """
    _check(candidates, references)
    hits, tries = np.zeros(NGRAMS), np.zeros(NGRAMS)
    own_length = reference_length = 0
    for candidate, known in zip(candidates, references, strict=True):
        own_length += len(candidate)
        reference_length += min(
            (abs(len(reference) - len(candidate)), len(reference)) for reference in known
        )[1]
        for n in range(1, NGRAMS + 1):
            own = _ngrams(candidate, n)
            most: Counter[tuple[str, ...]] = Counter()
            for reference in known:
                most |= _ngrams(reference, n)
            hits[n - 1] += sum((own & most).values())
            tries[n - 1] += sum(own.values())
    if own_length == 0 or (hits == 0).any():
        return 0.0
    brevity = min(1.0, math.exp(1 - reference_length / own_length))
    return float(brevity * np.exp(np.log(hits / tries).mean()))


def rouge_l(candidate: Words, reference: Words) -> float:
    """Return the F-measure of the longest common subsequence (Lin 2004, ROUGE-L).

    Args:
        candidate: A text in words.
        reference: The true one.

    Returns:
        In [0, 1]; 0 where one of them is empty.
    """
    if not candidate or not reference:
        return 0.0
    line = [0] * (len(reference) + 1)
    for word in candidate:
        before = 0
        for place, other in enumerate(reference, start=1):
            above = line[place]
            line[place] = before + 1 if word == other else max(above, line[place - 1])
            before = above
    common = line[-1]
    if common == 0:
        return 0.0
    precision, recall = common / len(candidate), common / len(reference)
    return 2 * precision * recall / (precision + recall)


def cider_d(candidates: Sequence[Words], references: Sequence[Sequence[Words]]) -> list[float]:
    """Return CIDEr-D (Vedantam 2015, https://arxiv.org/abs/1411.5726).

    Runs of words are weighed by how few pictures' references have them, so that it is of the whole
    corpus: a text that is common to all pictures weighs nothing.

    Args:
        candidates: N texts in words.
        references: For each at least one.

    Returns:
        For each candidate a number from 0 to 10.

    Raises:
        ValueError: As for `bleu`.
    """
    _check(candidates, references)
    frequency: Counter[tuple[str, ...]] = Counter()
    for known in references:
        frequency.update({gram for reference in known for gram in _all_ngrams(reference)})
    log_corpus = math.log(len(references))
    found = []
    for candidate, known in zip(candidates, references, strict=True):
        own = _weighed(candidate, frequency, log_corpus)
        likeness = np.zeros(NGRAMS)
        for reference in known:
            other = _weighed(reference, frequency, log_corpus)
            apart = len(candidate) - len(reference)
            likeness += _cosines(own, other) * math.exp(-(apart**2) / (2 * SIGMA**2))
        found.append(float(10 * likeness.mean() / len(known)))
    return found


def distinct(texts: Sequence[str]) -> float:
    """Return how many different texts there are for each text, in (0, 1]; 1 where all differ."""
    return len(set(texts)) / len(texts) if texts else float("nan")


@dataclass(frozen=True)
class FactScores:
    """How the facts that were said compare with those that are true.

    Attributes:
        said: Facts said.
        right: Of them, those that are true.
        true: Facts that could have been said.
    """

    said: int
    right: int
    true: int

    @property
    def precision(self) -> float:
        """Share of what was said that is true; NaN where nothing was said."""
        return self.right / self.said if self.said else float("nan")

    @property
    def hallucination(self) -> float:
        """Share of what was said that is false; NaN where nothing was said."""
        return 1 - self.precision

    @property
    def recall(self) -> float:
        """Share of what is true that was said; NaN where nothing is true."""
        return self.right / self.true if self.true else float("nan")

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 0 where both are, NaN where neither is known."""
        total = self.said + self.true
        return 2 * self.right / total if total else float("nan")

    def __add__(self, other: FactScores) -> FactScores:
        """Count both together."""
        return FactScores(self.said + other.said, self.right + other.right, self.true + other.true)


def compare_facts(said: Collection[object], true: Collection[object]) -> FactScores:
    """Compare what is said of one picture with what is true of it."""
    return FactScores(len(set(said)), len(set(said) & set(true)), len(set(true)))


def _check(candidates: Sequence[Words], references: Sequence[Sequence[Words]]) -> None:
    if len(candidates) != len(references) or not candidates or not all(references):
        raise Refused(
            "text_metrics.references",
            candidates_count=len(candidates),
            references_count=len(references),
        )


def _ngrams(words: Words, n: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))


def _all_ngrams(words: Words) -> Counter[tuple[str, ...]]:
    found: Counter[tuple[str, ...]] = Counter()
    for n in range(1, NGRAMS + 1):
        found += _ngrams(words, n)
    return found


def _weighed(
    words: Words, frequency: Counter[tuple[str, ...]], log_corpus: float
) -> list[dict[tuple[str, ...], float]]:
    """Return for each length the runs of words, each as often as it occurs times its rarity."""
    found: list[dict[tuple[str, ...], float]] = [{} for _ in range(NGRAMS)]
    for gram, count in _all_ngrams(words).items():
        rarity = log_corpus - math.log(max(1.0, frequency[gram]))
        found[len(gram) - 1][gram] = count * rarity
    return found


def _cosines(
    own: Sequence[dict[tuple[str, ...], float]], other: Sequence[dict[tuple[str, ...], float]]
) -> np.ndarray:
    """Return for each length the cosine; what a text repeats too often is cut to the reference."""
    found = np.zeros(len(own))
    for place, (mine, theirs) in enumerate(zip(own, other, strict=True)):
        shared = [(value, theirs[gram]) for gram, value in mine.items() if gram in theirs]
        product = sum(min(value, reference) * reference for value, reference in shared)
        lengths = math.sqrt(sum(v**2 for v in mine.values()) * sum(v**2 for v in theirs.values()))
        found[place] = product / lengths if lengths else 0.0
    return found
