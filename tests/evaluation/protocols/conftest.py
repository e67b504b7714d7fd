"""A pretended checkpoint that was trained without three diagnoses, and rows it can look at.

The encoder is pretended: what it answers for a picture is drawn from a direction of the picture's
diagnosis, another of its lesion, and noise. Everything around it is real.
"""

from types import SimpleNamespace

import numpy as np
import pytest

from dermsim.core.labels import CODES
from dermsim.core.vectors import l2_normalize
from dermsim.data.splits import grouped_splits
from dermsim.data.synthetic import synthetic_ham10000
from dermsim.data.tables import case_records
from dermsim.evaluation.protocols import protocol_cases
from dermsim.models.encoding import Encoding
from dermsim.tasks.classify import Calibration
from dermsim.tasks.detect import OutlierDetector
from dermsim.tasks.enroll import ClassBank
from dermsim.tasks.retrieve import Gallery

LEFT_OUT = ("akiec", "df", "vasc")
DIM = 20


@pytest.fixture(scope="session")
def dataset():
    """420 tiny pictures of 210 lesions."""
    return synthetic_ham10000(210, size=(20, 16))


def answers(rows):
    """What the encoder says of rows, the same whenever it is asked."""
    fixed = np.random.default_rng(1)
    directions = 2.2 * fixed.normal(size=(7, DIM))
    features, labels = [], np.array(rows["dx"])
    for image_id, lesion_id, dx in zip(rows["image_id"], rows["lesion_id"], labels, strict=True):
        digits = [int("".join(filter(str.isdigit, name)) or 0) for name in (lesion_id, image_id)]
        lesion = np.random.default_rng((2, digits[0])).normal(size=DIM)
        noise = np.random.default_rng((3, digits[1])).normal(size=DIM)
        features.append(directions[dx] + 1.6 * lesion + 0.5 * noise)
    pooled = np.maximum(np.array(features, dtype=np.float32) + 2, 0)
    head = np.random.default_rng(4).normal(size=(DIM, 8))
    logits = (pooled @ directions.T / 12).astype(np.float32)
    return Encoding(l2_normalize(pooled @ head), logits, pooled)


class PretendedEngine:
    """Has the parts of a checkpoint trained on the four diagnoses left."""

    fingerprint = "pretended"
    model = processor = None

    def __init__(self, dataset, left_out):
        splits = grouped_splits(dataset)
        parts = {}
        for name in ("train", "validation"):
            kept = [i for i, dx in enumerate(splits[name]["dx"]) if CODES[dx] not in left_out]
            parts[name] = splits[name].select(kept)
        train, validation = (answers(rows) for rows in parts.values())
        labels, held_out = (np.array(rows["dx"]) for rows in parts.values())
        self.gallery = Gallery.build(
            train.embeddings, case_records(parts["train"]), fingerprint=self.fingerprint
        )
        self.detector = OutlierDetector.fit(train, labels, validation=validation)
        # what was never trained is never probable
        logits = np.where(np.isin(np.arange(7), labels), validation.logits, -9)
        self.calibration = Calibration.fit(logits, held_out)
        self.bank = ClassBank.fit(
            train.pooled_features,
            labels,
            names=CODES,
            validation=validation.pooled_features,
            validation_labels=held_out,
            fingerprint=self.fingerprint,
        )

    def class_bank(self):
        return self.bank

    @property
    def known(self):
        return tuple(code for code in CODES if code in self.bank.names)


@pytest.fixture(scope="module")  # and no longer, or tests elsewhere would be pretended, too
def encoding_is_pretended(dataset):
    """Answers for pictures by looking up which row they are of."""
    everything = answers(dataset)
    row_of = {image.tobytes(): row for row, image in enumerate(dataset["image"])}

    def encode(model, processor, images):
        rows = [row_of[image.tobytes()] for image in images]
        return Encoding(
            everything.embeddings[rows], everything.logits[rows], everything.pooled_features[rows]
        )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(protocol_cases, "encode", encode)
        yield SimpleNamespace(everything=everything)


@pytest.fixture(scope="session")
def _engines(dataset):
    return PretendedEngine(dataset, LEFT_OUT), PretendedEngine(dataset, ())


@pytest.fixture(scope="module")
def engine(_engines, encoding_is_pretended):
    """Trained without akiec, df and vasc."""
    return _engines[0]


@pytest.fixture(scope="module")
def whole_engine(_engines, encoding_is_pretended):
    """Trained with all seven."""
    return _engines[1]
