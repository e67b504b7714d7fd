"""What all tests share: no network, and one tiny checkpoint that was really trained and fitted."""

import os

# Before any library is imported: they read these once.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import socket
from pathlib import Path

import pytest


@pytest.fixture
def free_port() -> int:
    """A TCP port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def synthetic():
    """Splits of a small synthetic HAM10000."""
    from dermsim.data.splits import grouped_splits
    from dermsim.data.synthetic import synthetic_ham10000

    return grouped_splits(synthetic_ham10000(140, seed=0))


@pytest.fixture(scope="session")
def _engine(synthetic):
    import torch

    from dermsim.engine import DermSim
    from dermsim.models import DermSimConfig, DermSimImageProcessor, DermSimModel

    with torch.random.fork_rng():
        torch.random.manual_seed(0)
        model = DermSimModel(DermSimConfig(backbone="test_resnet", embed_dim=16, image_size=64))
    side = {"height": 64, "width": 64}
    processor = DermSimImageProcessor(size={"shortest_edge": 64}, crop_size=side)
    return DermSim.fit(
        model, processor, train=synthetic["train"], validation=synthetic["validation"]
    )


@pytest.fixture(scope="session")
def checkpoint(_engine, synthetic, tmp_path_factory) -> Path:
    """A tiny checkpoint folder; tests must not write to it."""
    from dermsim.engine import evaluate_checkpoint

    folder = tmp_path_factory.mktemp("checkpoints") / "tiny"
    report = evaluate_checkpoint(_engine, synthetic["test"], split="all")
    _engine.save_pretrained(folder, report=report, training={"note": "random weights, for tests"})
    return folder


@pytest.fixture(scope="session")
def engine(checkpoint):
    """The tiny checkpoint, loaded as a user would."""
    from dermsim.engine import DermSim

    return DermSim.from_pretrained(checkpoint)
