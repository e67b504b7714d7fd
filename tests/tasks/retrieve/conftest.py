"""Small galleries of random embeddings."""

import numpy as np
import pytest

from dermsim.core.labels import CODES
from dermsim.tasks.retrieve import Gallery


def records_of(n: int, first: int = 0) -> list[dict[str, object]]:
    return [
        {
            "image_id": f"ISIC_{i:07}",
            "lesion_id": f"HAM_{i // 3}",
            "dx": CODES[i % 7],
            "dx_type": "histo" if i % 2 else "follow_up",
            "age": None if i % 10 == 0 else float(i % 90),
            "sex": ("male", "female", None)[i % 3],
            "localization": "back",
        }
        for i in range(first, first + n)
    ]


@pytest.fixture(scope="session")
def make_records():
    """Facts of n cases, three photographs to a lesion, ids counted from `first`."""
    return records_of


@pytest.fixture(scope="session")
def make_gallery():
    """A gallery of n random directions."""

    def build(n=300, dim=16, seed=0, first=0):
        embeddings = np.random.default_rng(seed).normal(size=(n, dim))
        return Gallery.build(embeddings, records_of(n, first), fingerprint="encoder-a")

    return build


@pytest.fixture(scope="session")
def gallery(make_gallery):
    return make_gallery()


@pytest.fixture
def queries():
    return np.random.default_rng(1).normal(size=(40, 16)).astype(np.float32)


@pytest.fixture(scope="session")
def clustered():
    """5,000 embeddings in 50 tight clusters, as diagnoses are: (embeddings, gallery)."""
    rng = np.random.default_rng(3)
    centers = rng.normal(size=(50, 32))
    embeddings = centers[np.arange(5000) % 50] + 0.4 * rng.normal(size=(5000, 32))
    return Gallery.build(embeddings, records_of(5000), fingerprint="encoder-a")


@pytest.fixture(scope="session")
def ids():
    """The image_ids that a search found, per query."""
    return lambda results: [[neighbor.image_id for neighbor in line] for line in results]
