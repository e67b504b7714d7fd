"""Old and new classes drawn around random directions, and a bank of the old ones."""

import numpy as np
import pytest

from dermsim.tasks.enroll import ClassBank

OLD = ("akiec", "bcc", "mel", "nv")


class World:
    """Six classes in 24 dimensions, of which the first four are old; the fifth resembles mel."""

    def __init__(self):
        rng = np.random.default_rng(0)
        self.centers = rng.normal(size=(6, 24))
        self.centers[4] = 0.75 * self.centers[2] + 0.25 * self.centers[4]
        self.shift, self.scale = 5 * rng.normal(size=24), rng.uniform(0.1, 10, size=24)

    def draw(self, c, n, *, seed=0, noise=1.0):
        rng = np.random.default_rng((seed, c))
        rows = self.centers[c] + noise * rng.normal(size=(n, 24))
        return (self.shift + self.scale * rows).astype(np.float32)

    def sample(self, classes, n, *, seed=0, noise=1.0):
        rows = np.concatenate([self.draw(c, n, seed=seed, noise=noise) for c in classes])
        return rows, np.repeat(classes, n)


@pytest.fixture(scope="session")
def world():
    return World()


@pytest.fixture(scope="session")
def bank(world):
    train, labels = world.sample(range(4), 300)
    held_out, held_out_labels = world.sample(range(4), 80, seed=1)
    return ClassBank.fit(
        train,
        labels,
        names=(*OLD, "vasc", "df"),
        validation=held_out,
        validation_labels=held_out_labels,
        fingerprint="f",
    )
