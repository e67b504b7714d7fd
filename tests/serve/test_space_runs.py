"""A Space as it was sent, in a fresh environment of its own requirements, asked as visitors do."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from gradio_client import Client, handle_file

from dermsim.data.synthetic import draw_lesion

pytestmark = pytest.mark.slow

MODEL, GALLERY = "alice/derm", "alice/derm-gallery"
PATIENCE = 240
"""Seconds the page may take to answer."""


def publish(token, checkpoint, folder):
    """Send model, gallery and Space, then fetch the Space's files; in the process `online`."""
    from huggingface_hub import HfApi

    from dermsim.hub.difference import compare
    from dermsim.hub.release import Names, assemble
    from dermsim.hub.send import send

    api = HfApi(token=token)
    names = Names(MODEL, gallery=GALLERY, space=MODEL)
    parcels = assemble(checkpoint, folder, names=names)
    send(api, [compare(api, parcel) for parcel in parcels], message="Release")
    return api.snapshot_download(MODEL, repo_type="space", local_dir=folder / "fetched")


@pytest.fixture
def space(hub, hub_token, online, checkpoint, tmp_path) -> Path:
    """The folder of a Space as the Hub hands it out."""
    (tmp_path / "parcels").mkdir()
    return Path(online.run(publish, hub_token, checkpoint, tmp_path / "parcels").unwrap())


@pytest.fixture(scope="module")
def python(tmp_path_factory) -> Iterator[Path]:
    """The Python of a fresh environment in which pip has installed what the Space asks for."""
    from dermsim.hub.space_repository import requirements

    folder = tmp_path_factory.mktemp("environment")
    (folder / "requirements.txt").write_text("\n".join(requirements("cpu-basic")))
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    pip = [folder / "venv" / "bin" / "pip", "install", "--quiet", "--no-cache-dir"]
    subprocess.run([*pip, "-r", folder / "requirements.txt"], check=True)
    yield folder / "venv" / "bin" / "python"
    shutil.rmtree(folder)  # gigabytes, and pytest keeps what its last runs left


@pytest.fixture
def start(python, hub, tmp_path, free_port):
    """Start the Space as the Hub does; return what asks its page."""
    running = []

    def run(folder, **variables):
        kept = ("PATH", "LANG", "LD_LIBRARY_PATH", "TMPDIR")
        environment = {name: os.environ[name] for name in kept if name in os.environ}
        environment |= {
            "HOME": str(tmp_path),
            "HF_ENDPOINT": hub.url,
            "HF_HUB_DISABLE_XET": "1",
            "GRADIO_SERVER_PORT": str(free_port),
            **variables,
        }
        app = subprocess.Popen([python, "app.py"], cwd=folder, env=environment)
        running.append(app)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and app.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", free_port)) == 0:
                    return Client(f"http://127.0.0.1:{free_port}", verbose=False)
            time.sleep(0.1)
        raise AssertionError(f"the Space did not answer; its status is {app.poll()}")

    yield run
    for app in running:
        app.terminate()
        app.wait(timeout=30)


@pytest.fixture
def picture(tmp_path) -> Path:
    path = tmp_path / "lesion.png"
    draw_lesion("mel", seed=1).save(path)
    return path


def test_the_environment_is_fresh(python):
    code = "import sys, importlib.util as u; print(sys.prefix, u.find_spec('dermsim'))"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, cwd="/", env={})
    assert done.stdout.split() == [str(python.parents[1]), "None"]


def test_it_runs_on_the_model_and_the_gallery_of_the_hub(hub, space, start, picture, engine):
    asked = len(hub.requests)
    client = start(space, GRADIO_SERVER_NAME="127.0.0.1")
    answer = client.predict(handle_file(str(picture)), api_name="/classify")
    [expected] = engine.predict(str(picture))
    assert answer["label_name"] == expected.label_name
    assert answer["malignancy"] == pytest.approx(expected.malignancy, abs=1e-4)
    similar = client.predict(handle_file(str(picture)), 3, api_name="/similar")
    assert [case["image_id"] for case in similar] == [
        case.image_id
        for case in engine.gallery.search(engine.embed(str(picture)), 3, one_per_lesion=True)[0]
    ]
    assert client.predict(api_name="/note") == ""
    fetched = [note.target for note in hub.requests[asked:]]
    assert any(f"/{MODEL}/resolve/" in target for target in fetched)
    assert any(f"/datasets/{GALLERY}/resolve/" in target for target in fetched)


def test_without_the_hub_it_runs_on_what_came_along(space, start, picture, engine):
    client = start(space, HF_ENDPOINT="http://127.0.0.1:9")
    answer = client.predict(handle_file(str(picture)), api_name="/classify")
    assert answer["label_name"] == engine.predict(str(picture))[0].label_name
    note = client.predict(api_name="/note")
    assert "This page runs on the checkpoint that came with it" in note


def test_it_runs_where_the_encoder_is_in_a_forked_process(space, start, picture, engine, tmp_path):
    stand_in = Path(__file__).with_name("zero_gpu.py").read_text(encoding="utf-8")
    (tmp_path / "zero").mkdir()
    (tmp_path / "zero" / "spaces.py").write_text(stand_in, encoding="utf-8")
    client = start(space, SPACES_ZERO_GPU="true", PYTHONPATH=str(tmp_path / "zero"))
    answer = client.predict(handle_file(str(picture)), api_name="/classify")
    assert answer["label_name"] == engine.predict(str(picture))[0].label_name
    similar = client.predict(handle_file(str(picture)), 3, api_name="/similar")
    assert len(similar) == 3
    _, facts = client.predict(handle_file(str(picture)), "nv", 0.5, api_name="/explain")
    assert facts["target"] == "nv"
