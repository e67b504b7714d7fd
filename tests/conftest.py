"""What all tests share: no network, and one tiny checkpoint that was really trained and fitted."""

import os

# Before any library is imported: they read these once.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import socket
from pathlib import Path

import pytest


@pytest.hookimpl(tryfirst=True)  # before pytest chooses by marker
def pytest_collection_modifyitems(items):
    """Mark what opens a browser, so that ``-m "not browser"`` leaves it out."""
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker("browser")


@pytest.fixture
def free_port() -> int:
    """A TCP port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def shared_data():
    """Where real data of a name lie beside the checkout; without them the test is skipped."""

    def find(name: str) -> Path:
        folder = Path(__file__).parents[2] / "shared" / "data" / name
        if not folder.is_dir():
            pytest.skip(f"needs the real data in ../shared/data/{name}")
        return folder

    return find


@pytest.fixture(scope="session")
def synthetic():
    """Splits of a small synthetic HAM10000."""
    from dermsim.data.splits import grouped_splits
    from dermsim.data.synthetic import synthetic_ham10000

    return grouped_splits(synthetic_ham10000(140, seed=0))


def _untrained(*, backbone="test_resnet", seed=0, **options):
    import torch

    from dermsim.models import DermSimConfig, DermSimImageProcessor, DermSimModel

    with torch.random.fork_rng():
        torch.random.manual_seed(seed)
        model = DermSimModel(
            DermSimConfig(backbone=backbone, embed_dim=16, image_size=64, **options)
        )
    side = {"height": 64, "width": 64}
    return model, DermSimImageProcessor(size={"shortest_edge": 64}, crop_size=side)


@pytest.fixture(scope="session")
def _engine(synthetic):
    from dermsim.engine import DermSim

    return DermSim.fit(*_untrained(), train=synthetic["train"], validation=synthetic["validation"])


@pytest.fixture(scope="session")
def checkpoint(_engine, synthetic, tmp_path_factory) -> Path:
    """A tiny checkpoint folder; tests must not write to it."""
    from dermsim.evaluation.card import measured_files
    from dermsim.evaluation.checkpoint import evaluate_checkpoint

    folder = tmp_path_factory.mktemp("checkpoints") / "tiny"
    report = evaluate_checkpoint(_engine, synthetic["test"], split="all")
    record = {"note": "random weights, for tests"}
    files = measured_files(report, training=record, calibration=_engine.calibration)
    _engine.save_pretrained(folder, training=record, extra=files)
    return folder


@pytest.fixture(scope="session")
def engine(checkpoint):
    """The tiny checkpoint, loaded as a user would."""
    from dermsim.engine import DermSim

    return DermSim.from_pretrained(checkpoint)


@pytest.fixture(scope="session")
def sibling_checkpoint(synthetic, tmp_path_factory) -> Path:
    """Like `checkpoint`, with other weights of the same layers; tests must not write to it."""
    from dermsim.engine import DermSim

    folder = tmp_path_factory.mktemp("checkpoints") / "sibling"
    encoder = _untrained(seed=1)
    fitted = DermSim.fit(*encoder, train=synthetic["train"], validation=synthetic["validation"])
    fitted.save_pretrained(folder, training={"command": "accelerate launch train.py --seed 1"})
    return folder


@pytest.fixture(scope="session")
def second_checkpoint(synthetic, tmp_path_factory) -> Path:
    """Like `checkpoint`, with another backbone; tests must not write to it."""
    from dermsim.engine import DermSim

    folder = tmp_path_factory.mktemp("checkpoints") / "second"
    fitted = DermSim.fit(
        *_untrained(backbone="test_efficientnet"),
        train=synthetic["train"],
        validation=synthetic["validation"],
    )
    record = {"command": "accelerate launch train.py", "minutes": 3, "hardware": "1 x cpu"}
    fitted.save_pretrained(folder, training=record)
    return folder


@pytest.fixture(scope="session")
def informed_checkpoint(synthetic, tmp_path_factory) -> Path:
    """The folder of an encoder that has learned to heed facts; tests must not write to it."""
    import torch

    from dermsim.data.facts import FACTS_DIM, encode_facts, facts_of
    from dermsim.engine import DermSim

    model, processor = _untrained(facts_dim=FACTS_DIM)
    train = synthetic["train"]
    facts, labels = torch.from_numpy(encode_facts(facts_of(train))), torch.tensor(train["dx"])
    optimizer = torch.optim.Adam(model.facts_head.parameters(), lr=0.02)
    for _ in range(60):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model.weigh_facts(facts), labels).backward()
        optimizer.step()
    folder = tmp_path_factory.mktemp("checkpoints") / "informed"
    fitted = DermSim.fit(model, processor, train=train, validation=synthetic["validation"])
    fitted.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def informed_engine(informed_checkpoint):
    """That encoder's checkpoint, loaded as a user would."""
    from dermsim.engine import DermSim

    return DermSim.from_pretrained(informed_checkpoint)


@pytest.fixture(scope="session")
def drawn_outlines():
    """Where the lesions of `concept_splits` are."""
    from dermsim.data.synthetic import synthetic_outlines

    return synthetic_outlines(280, seed=0)


@pytest.fixture(scope="session")
def concept_splits():
    """Splits of a synthetic HAM10000 with enough lesions of each kind for concept heads."""
    from dermsim.data.splits import grouped_splits
    from dermsim.data.synthetic import synthetic_ham10000

    return grouped_splits(synthetic_ham10000(280, seed=0), validation=0.3, test=0.3)


@pytest.fixture(scope="session")
def concept_checkpoint(concept_splits, drawn_outlines, tmp_path_factory) -> Path:
    """A tiny checkpoint with concepts; tests must not write to it."""
    from concept_fits import fit_all

    from dermsim.engine import DermSim

    fitted = DermSim.fit(
        *_untrained(), train=concept_splits["train"], validation=concept_splits["validation"]
    )
    part = fit_all(fitted, concept_splits, drawn_outlines)
    folder = tmp_path_factory.mktemp("checkpoints") / "concepts"
    fitted.concept_part = part
    fitted.save_pretrained(folder, training={"note": "random weights, for tests"})
    return folder


@pytest.fixture(scope="session")
def concept_engine(concept_checkpoint):
    """That checkpoint, loaded as a user would."""
    from dermsim.engine import DermSim

    return DermSim.from_pretrained(concept_checkpoint)


# --- a Hub on this machine; see tests/loopback_hub -----------------------------------------------


@pytest.fixture(scope="session")
def _hub(tmp_path_factory):
    from loopback_hub import LoopbackHub

    with LoopbackHub(tmp_path_factory.mktemp("hub")) as server:
        yield server


@pytest.fixture
def hub(_hub):
    """An empty Hub on 127.0.0.1; the test fails if it asks for what no endpoint answers."""
    _hub.reset()
    yield _hub
    assert not _hub.crashes, "\n".join(_hub.crashes)
    assert not _hub.unknown, "unknown endpoints: " + ", ".join(map(str, _hub.unknown))


@pytest.fixture
def hub_token(hub) -> str:
    """The token of alice, who may write what is hers."""
    return hub.add_account("alice")


@pytest.fixture(scope="session")
def online(_hub, tmp_path_factory):
    """Another process, in which the clients of the Hub ask `hub`."""
    from loopback_hub import ClientProcess

    process = ClientProcess(_hub.url, tmp_path_factory.mktemp("online"))
    yield process
    process.close()


@pytest.fixture(scope="session")
def stranger(_hub, tmp_path_factory):
    """The same where dermsim is not installed."""
    from loopback_hub import ClientProcess

    process = ClientProcess(_hub.url, tmp_path_factory.mktemp("stranger"), without=("dermsim",))
    yield process
    process.close()
