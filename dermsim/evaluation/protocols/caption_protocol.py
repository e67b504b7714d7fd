"""Measures descriptions beside a constant one, the nearest neighbour's and the true one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dermsim.core.bootstrap import Bootstrap, Interval
from dermsim.core.labels import CODES
from dermsim.core.language import LANGUAGES
from dermsim.core.refused import Refused
from dermsim.core.text_metrics import (
    FactScores,
    bleu,
    cider_d,
    compare_facts,
    distinct,
    rouge_l,
    words_of,
)
from dermsim.data.concepts import load_schema
from dermsim.evaluation.protocols.concept_rows import ConceptRows
from dermsim.evaluation.protocols.protocol_tables import Table, TableRow
from dermsim.tasks.caption import DISAGREEMENT, Fact, Grammar, disagrees, with_disagreement
from dermsim.tasks.concepts.heads import sigmoid

if TYPE_CHECKING:
    from dermsim.engine import DermSim

IntArray = npt.NDArray[np.int64]

NUMBERS = re.compile(r" \([^)]*\)")
"""What stands in brackets: probability and threshold, which no reference can have."""

UNSURE = 50
"""The probability and threshold of facts that are not of heads, in per cent."""


def measure_captions(engine: DermSim, asked: ConceptRows) -> Table:
    """Write a description of each picture, and compare it with the true attributes.

    Only concepts that the data set labels are spoken of: nobody knows the truth of others.

    Args:
        engine: The checkpoint.
        asked: The pictures; those that the encoder was trained on do not count.

    Raises:
        ValueError: If a sentence does not parse back, which would be a fault of the grammar.
    """
    rows = np.flatnonzero(asked.counted & (asked.labels >= 0).all(axis=1))
    if len(rows) < 2:
        raise Refused("caption_protocol.unknown_concepts")
    labels = engine.calibration.probabilities(asked.seen.logits[rows]).argmax(axis=1)
    truth, said = asked.labels[rows], asked.said[rows]
    shares = np.rint(100 * sigmoid(asked.log_odds[rows])).astype(np.int64)
    common = Counter(map(tuple, truth.tolist())).most_common(1)[0][0]
    nearest = _nearest_other(asked, rows)
    writers = {
        "description": said,
        "constant": np.tile(np.array(common, dtype=np.int8), (len(rows), 1)),
        "nearest neighbour": truth[nearest],
        "true attributes": truth,
    }
    bootstrap = Bootstrap([asked.groups[row] for row in rows.tolist()])
    table = [
        _row(name, states, truth, shares, labels, asked, bootstrap)
        for name, states in writers.items()
    ]
    summary = (
        f"Descriptions of {len(rows):,} pictures of {asked.source}, of the concepts "
        f"{', '.join(head.concept for head in asked.heads.heads)}. References are the true "
        "attributes in the same grammar, without numbers in brackets; BLEU of up to four words, "
        "ROUGE-L and CIDEr-D in English. Contradictions: descriptions whose findings and label do "
        "not point the same way without a sentence that says so."
    )
    return Table("captions", summary, tuple(table), {"fingerprint": engine.fingerprint})


def _nearest_other(asked: ConceptRows, rows: IntArray) -> IntArray:
    """Return for each row the place of the most similar one of another group."""
    vectors = asked.seen.embeddings[rows]
    likeness = vectors @ vectors.T
    names = np.array([asked.groups[row] for row in rows.tolist()], dtype=object)
    likeness[names[:, None] == names[None, :]] = -np.inf
    return likeness.argmax(axis=1)


def _facts(states: npt.NDArray[np.int8], shares: IntArray, asked: ConceptRows) -> list[Fact]:
    """Return the facts of one picture's states."""
    found = []
    for place, head in enumerate(asked.heads.heads):
        if states[place] >= 0:
            limit = head.present if states[place] == 1 else head.absent
            threshold = UNSURE if limit is None else round(100 * limit.probability)
            state = "present" if states[place] == 1 else "absent"
            found.append(Fact(head.concept, state, int(shares[place]), threshold))
    return found


def _row(
    name: str,
    states: npt.NDArray[np.int8],
    truth: npt.NDArray[np.int8],
    shares: IntArray,
    labels: IntArray,
    asked: ConceptRows,
    bootstrap: Bootstrap,
) -> TableRow:
    schema = load_schema()
    grammars = [Grammar.of(schema, language) for language in LANGUAGES]
    texts, references, scores, contradicted = [], [], [], []
    for row, label in enumerate(labels.tolist()):
        facts = _facts(states[row], shares[row], asked)
        whole = with_disagreement(facts, CODES[label], schema)
        for grammar in grammars:
            if grammar.parse_all(grammar.write_all(whole)) != whole:
                raise Refused("caption_protocol.not_parsed", whole=whole)
        text = grammars[0].write_all(whole)
        parsed = grammars[0].parse_all(text)
        admitted = any(fact.concept == DISAGREEMENT for fact in parsed)
        contradicted.append(disagrees(parsed, CODES[label], schema) and not admitted)
        texts.append(NUMBERS.sub("", grammars[0].write_all(facts)))
        true = _facts(truth[row], shares[row], asked)
        references.append(NUMBERS.sub("", grammars[0].write_all(true)))
        scores.append(
            compare_facts(
                {(f.concept, f.state) for f in facts}, {(f.concept, f.state) for f in true}
            )
        )
    figures = _figures(texts, references, scores, contradicted, bootstrap)
    return TableRow({"writer": name}, figures, {"different texts": distinct(texts)})


def _figures(
    texts: Sequence[str],
    references: Sequence[str],
    scores: Sequence[FactScores],
    contradicted: Sequence[bool],
    bootstrap: Bootstrap,
) -> dict[str, Interval]:
    own, known = [words_of(text) for text in texts], [[words_of(text)] for text in references]
    rouge = np.array([rouge_l(a, b[0]) for a, b in zip(own, known, strict=True)])
    cider = np.array(cider_d(own, known))
    counts = np.array([(score.said, score.right, score.true) for score in scores])

    def total(rows: IntArray) -> FactScores:
        said, right, true = counts[rows].sum(axis=0).tolist()
        return FactScores(said, right, true)

    figures = {
        "fact precision": bootstrap.interval(lambda rows: total(rows).precision),
        "fact recall": bootstrap.interval(lambda rows: total(rows).recall),
        "fact F1": bootstrap.interval(lambda rows: total(rows).f1),
        "false facts a text": bootstrap.interval(
            lambda rows: float((counts[rows, 0] - counts[rows, 1]).mean())
        ),
        "contradictions a text": bootstrap.interval(
            lambda rows: float(np.array(contradicted)[rows].mean())
        ),
        "ROUGE-L": bootstrap.interval(lambda rows: float(rouge[rows].mean())),
        "CIDEr-D": bootstrap.interval(lambda rows: float(cider[rows].mean())),
    }
    return {"BLEU": _bleu_interval(own, known, bootstrap), **figures}


def _bleu_interval(
    own: Sequence[Sequence[str]], known: Sequence[Sequence[Sequence[str]]], bootstrap: Bootstrap
) -> Interval:
    """Return BLEU with an interval from fewer resamples: it is counted anew for each."""
    fewer = Bootstrap(bootstrap.lesion_ids, resamples=100, seed=bootstrap.seed)
    return fewer.interval(
        lambda rows: bleu([own[row] for row in rows], [known[row] for row in rows])
    )
