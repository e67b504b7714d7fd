"""What all tests share: no network, and one tiny checkpoint that was really trained and fitted."""

import inspect
import os

# Before any library is imported: they read these once.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import socket
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from filelock import FileLock


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
def made_once(tmp_path_factory) -> Callable[[str, Callable[[Path], object]], Path]:
    """Write a folder by its name, once in a run: its other processes wait and find it there."""
    runs = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        runs = runs.parent  # what lies beside the workers' own folders is the run's

    def make(name, write) -> Path:
        folder = runs / "made-once" / name
        folder.parent.mkdir(exist_ok=True)
        with FileLock(f"{folder}.lock"):
            if not folder.exists():
                half_done = Path(tempfile.mkdtemp(dir=folder.parent)) / name
                write(half_done)
                half_done.rename(folder)
        return folder

    return make


class QuickMap:
    """What the tests draw maps by in place of UMAP: principal components.

    UMAP compiles itself in every process that uses it, for ten seconds and more.
    """

    def __init__(self, **options):
        pass

    def fit_transform(self, rows):
        import numpy as np

        directions = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)[2]
        return rows @ directions[:2].T


@pytest.fixture(scope="session", autouse=True)
def _quick_maps():
    """Let nothing of this process draw a map by UMAP, unless it asks for `umap`."""
    with pytest.MonkeyPatch.context() as patch:
        quick = ModuleType("umap")
        quick.UMAP = QuickMap
        patch.setitem(sys.modules, "umap", quick)
        yield


@pytest.fixture
def umap(_quick_maps, monkeypatch):
    """UMAP itself, for a test of what it draws."""
    monkeypatch.delitem(sys.modules, "umap")


@pytest.fixture(scope="session", autouse=True)
def _drawn_once(made_once):
    """Draw each synthetic HAM10000 once in a run: it takes seconds, and many tests read one."""
    from dermsim.data import synthetic as drawings

    draw = drawings.synthetic_ham10000

    def drawn(*args, **options):
        import pyarrow.parquet as pq
        from datasets import Dataset

        from dermsim.data.tables import schema

        called = inspect.signature(draw).bind(*args, **options)
        called.apply_defaults()
        path = made_once(
            f"synthetic {'-'.join(map(str, called.arguments.values()))}.parquet",
            lambda path: pq.write_table(draw(*args, **options).data.table, path),
        )
        return Dataset.from_dict(pq.read_table(path).to_pydict(), features=schema())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drawings, "synthetic_ham10000", drawn)
        yield


@pytest.fixture(scope="session")
def synthetic(_drawn_once):
    """Splits of a small synthetic HAM10000."""
    from dermsim.data import synthetic as drawings
    from dermsim.data.splits import grouped_splits

    return grouped_splits(drawings.synthetic_ham10000(140, seed=0))


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


def _fit(model, processor, splits):
    from dermsim.engine import DermSim

    return DermSim.fit(model, processor, train=splits["train"], validation=splits["validation"])


@pytest.fixture(scope="session")
def checkpoint(synthetic, made_once) -> Path:
    """A tiny checkpoint folder; tests must not write to it."""
    from dermsim.evaluation.card import measured_files
    from dermsim.evaluation.checkpoint import evaluate_checkpoint

    def make(folder):
        fitted = _fit(*_untrained(), synthetic)
        report = evaluate_checkpoint(fitted, synthetic["test"], split="all")
        record = {"note": "random weights, for tests"}
        files = measured_files(report, training=record, calibration=fitted.calibration)
        fitted.save_pretrained(folder, training=record, extra=files)

    return made_once("tiny", make)


@pytest.fixture(scope="session")
def engine(checkpoint):
    """The tiny checkpoint, loaded as a user would."""
    from dermsim.engine import DermSim

    return DermSim.from_pretrained(checkpoint)


@pytest.fixture(scope="session")
def exported(checkpoint, engine, synthetic, made_once) -> Path:
    """The tiny checkpoint with its encoder exported; tests must not write to it."""
    import shutil

    from dermsim.export.onnx_folder import Measured, export_onnx
    from dermsim.export.photographs import Rows

    def make(folder):
        shutil.copytree(checkpoint, folder)
        held_out = Measured(Rows(synthetic["test"], engine.pixels_needed))
        export_onnx(engine, folder / "onnx", on=held_out, licence="apache-2.0")

    return made_once("exported", make)


@pytest.fixture(scope="session")
def light(exported):
    """That checkpoint, asked without torch."""
    from dermsim.lite import LightDermSim

    return LightDermSim.from_pretrained(exported)


@pytest.fixture(scope="session")
def sibling_checkpoint(synthetic, made_once) -> Path:
    """Like `checkpoint`, with other weights of the same layers; tests must not write to it."""

    def make(folder):
        record = {"command": "accelerate launch train.py --seed 1"}
        _fit(*_untrained(seed=1), synthetic).save_pretrained(folder, training=record)

    return made_once("sibling", make)


@pytest.fixture(scope="session")
def second_checkpoint(synthetic, made_once) -> Path:
    """Like `checkpoint`, with another backbone; tests must not write to it."""

    def make(folder):
        fitted = _fit(*_untrained(backbone="test_efficientnet"), synthetic)
        record = {"command": "accelerate launch train.py", "minutes": 3, "hardware": "1 x cpu"}
        fitted.save_pretrained(folder, training=record)

    return made_once("second", make)


@pytest.fixture(scope="session")
def informed_checkpoint(synthetic, made_once) -> Path:
    """The folder of an encoder that has learned to heed facts; tests must not write to it."""
    import torch

    from dermsim.data.facts import FACTS_DIM, encode_facts, facts_of

    def make(folder):
        model, processor = _untrained(facts_dim=FACTS_DIM)
        train = synthetic["train"]
        facts, labels = torch.from_numpy(encode_facts(facts_of(train))), torch.tensor(train["dx"])
        optimizer = torch.optim.Adam(model.facts_head.parameters(), lr=0.02)
        for _ in range(60):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model.weigh_facts(facts), labels).backward()
            optimizer.step()
        _fit(model, processor, synthetic).save_pretrained(folder)

    return made_once("informed", make)


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
def concept_splits(_drawn_once):
    """Splits of a synthetic HAM10000 with enough lesions of each kind for concept heads."""
    from dermsim.data import synthetic as drawings
    from dermsim.data.splits import grouped_splits

    return grouped_splits(drawings.synthetic_ham10000(280, seed=0), validation=0.3, test=0.3)


@pytest.fixture(scope="session")
def concept_checkpoint(concept_splits, drawn_outlines, made_once) -> Path:
    """A tiny checkpoint with concepts; tests must not write to it."""

    def write(folder):
        from concept_fits import fit_all

        from dermsim.engine import DermSim

        parts = {name: concept_splits[name] for name in ("train", "validation")}
        fitted = DermSim.fit(*_untrained(), **parts)
        fitted.concept_part = fit_all(fitted, concept_splits, drawn_outlines)
        fitted.save_pretrained(folder, training={"note": "random weights, for tests"})

    return made_once("concepts", write)


@pytest.fixture(scope="session")
def concept_engine(concept_checkpoint):
    """That checkpoint, loaded as a user would."""
    from dermsim.engine import DermSim

    return DermSim.from_pretrained(concept_checkpoint)


@pytest.fixture(scope="session")
def dual_checkpoint(synthetic, made_once) -> Path:
    """A tiny CLIP, converted and fitted; tests must not write to it."""

    def write(folder):
        from tiny_duals import hf_clip

        from dermsim.evaluation.card import measured_files
        from dermsim.evaluation.checkpoint import evaluate_checkpoint
        from dermsim.models.conversion import convert
        from dermsim.training.converted import fit_converted

        hf_clip(folder.parent / "source", licence="mit")
        convert(str(folder.parent / "source"), folder.parent / "encoder")
        fitted = fit_converted(folder.parent / "encoder", synthetic)
        report = evaluate_checkpoint(fitted, synthetic["test"], split="all", name="synthetic")
        record = {"command": "dermsim convert", "note": "random weights, for tests"}
        files = measured_files(report, training=record, calibration=fitted.calibration)
        fitted.save_pretrained(folder, training=record, extra=files)

    return made_once("dual", write)


@pytest.fixture(scope="session")
def dual_engine(dual_checkpoint):
    """That checkpoint, loaded as a user would."""
    from dermsim.engine import DermSim

    return DermSim.from_pretrained(dual_checkpoint)


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
