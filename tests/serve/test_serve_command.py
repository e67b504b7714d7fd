"""The command, and REST from several processes."""

import os
import runpy
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from refusals import refuses
from starlette.testclient import TestClient

from dermsim.cli.main import main
from dermsim.serve import workers
from dermsim.serve.page_server import TOKEN, check_port
from dermsim.serve.workers import MODEL, serve_rest, worker

SECRET = "s3cret-of-the-clinic"


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch):
    """Undo what serving tells its processes."""
    for name in (TOKEN, MODEL):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def test_the_command_serves_the_page_with_what_it_was_told(monkeypatch):
    served = {}
    monkeypatch.setattr(
        "dermsim.serve.page_server.serve_page",
        lambda model, **options: served.update(options, model=model),
    )
    argv = [
        "serve",
        "--model",
        "here",
        "--host",
        "0.0.0.0",
        "--port",
        "80",
        "--mcp",
        "--access-log",
        "--share",
    ]
    assert main([*argv, "--token", SECRET]) == 0
    assert served == {
        "model": "here",
        "dataset": None,
        "label_column": None,
        "mapping": {},
        "host": "0.0.0.0",
        "port": 80,
        "share": True,
        "token": SECRET,
        "tools": True,
        "access_log": True,
        "allow_host": (),
        "embed": (),
        "grace": 8.0,
    }


def test_the_script_is_the_command(monkeypatch):
    served = {}
    monkeypatch.setattr(
        "dermsim.serve.page_server.serve_page", lambda model, **options: served.update(options)
    )
    script = Path(__file__).parents[2] / "app.py"
    monkeypatch.setattr("sys.argv", [str(script), "--port", "81", "--token", SECRET])
    with pytest.raises(SystemExit) as left:
        runpy.run_path(str(script), run_name="__main__")
    assert left.value.code == 0
    assert (served["port"], served["token"]) == (81, SECRET)


def test_the_command_serves_rest_alone(monkeypatch):
    served = {}
    monkeypatch.setattr(
        "dermsim.serve.workers.serve_rest", lambda model, **options: served.update(options)
    )
    assert main(["serve", "--no-page", "--workers", "3"]) == 0
    assert served == {
        "host": "127.0.0.1",
        "port": 7860,
        "workers": 3,
        "token": None,
        "access_log": False,
        "allow_host": (),
        "grace": 8.0,
    }


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--workers", "2"], "sessions in one process: serve it with --workers 1"),
        (["--no-page", "--workers", "0"], "0 workers cannot answer"),
        (["--no-page", "--mcp"], "belong to the page"),
        (["--no-page", "--share"], "belong to the page"),
        (["--no-page", "--dataset", "x"], "belong to the page"),
        (["--token", ""], "the token is empty"),
        (["--no-page", "--token", "a b"], "printable ASCII"),
        (["--token", "a b"], "printable ASCII"),
        (["--token", "short"], "16 are the least"),
        (["--allow-host", "http://x"], "is no name of a host"),
        (["--no-page", "--allow-host", "http://x"], "is no name of a host"),
        (["--embed", "clinic.example"], "is no origin"),
        (["--no-page", "--embed", "https://x"], "belong to the page"),
        (["--grace", "-1"], "-1 seconds to finish answers in"),
        (["--no-page", "--grace", "-1"], "-1 seconds to finish answers in"),
        (["--port", "70000"], "there is no port 70000"),
        (["--no-page", "--port", "0"], "there is no port 0"),
        (["--model", "nowhere/at/all"], "nowhere"),
        (["--no-page", "--model", "nowhere/at/all"], "nowhere"),
    ],
)
def test_bad_options_are_refused_with_one_sentence(checkpoint, capsys, free_port, options, words):
    argv = ["serve", "--model", str(checkpoint), "--port", str(free_port)]
    assert main([*argv, *options]) == 2  # of what comes twice, the last counts
    told = capsys.readouterr().err.strip()
    assert words in told and told.startswith("dermsim: ") and "\n" not in told


@pytest.mark.usefixtures("without_mcp")
def test_tools_without_their_package_are_refused(checkpoint, capsys, free_port):
    assert main(["serve", "--model", str(checkpoint), "--mcp", "--port", str(free_port)]) == 2
    assert 'pip install "dermsim[mcp]"' in capsys.readouterr().err


def test_a_port_that_is_taken_is_refused_before_anything_is_loaded():
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        with refuses("page_server.cannot_listen", OSError, host="127.0.0.1", port=port):
            check_port("127.0.0.1", port)
    check_port("127.0.0.1", port)
    with refuses("page_server.cannot_listen", OSError, host="192.0.2.1"):
        check_port("192.0.2.1", port)


def test_a_damaged_checkpoint_is_told_before_any_worker_is_born(
    checkpoint, tmp_path, monkeypatch, free_port
):
    import shutil

    monkeypatch.setattr(workers.uvicorn, "run", lambda *v, **o: pytest.fail("it was served"))
    monkeypatch.setattr(workers, "supervise", lambda *v: pytest.fail("it was served"))
    damaged = shutil.copytree(checkpoint, tmp_path / "damaged")
    (damaged / "model.safetensors").write_bytes(b"nonsense")
    with refuses("encoder.unreadable"):
        serve_rest(str(damaged), host="127.0.0.1", port=free_port, workers=2)


def test_a_bad_token_of_the_environment_is_told_before_any_worker_is_born(
    checkpoint, monkeypatch, free_port
):
    monkeypatch.setattr(workers.uvicorn, "run", lambda *v, **o: pytest.fail("it was served"))
    monkeypatch.setattr(workers, "supervise", lambda *v: pytest.fail("it was served"))
    monkeypatch.setenv("DERMSIM_TOKEN", "two words")
    with refuses("logins.characters"):
        serve_rest(str(checkpoint), host="127.0.0.1", port=free_port, workers=2)


def test_one_process_serves_what_it_has_loaded(checkpoint, monkeypatch, free_port):
    served = []
    monkeypatch.setattr(workers.uvicorn, "run", lambda app, **options: served.append(app))
    serve_rest(str(checkpoint), host="127.0.0.1", port=free_port, token=SECRET)
    client = TestClient(served[0], "http://127.0.0.1")
    assert client.get("/api/health").json()["status"] == "ok"
    assert client.get("/api/model_info").status_code == 401
    assert client.get("/").status_code == 404


def test_several_processes_are_told_model_and_token(checkpoint, monkeypatch, free_port, lesion):
    served = []
    monkeypatch.setattr(workers, "supervise", served.append)
    serve_rest(str(checkpoint), host="127.0.0.1", port=free_port, workers=2, token=SECRET)
    (config,) = served
    assert config.app == "dermsim.serve.workers:worker"
    assert (config.factory, config.workers) == (True, 2)
    client = TestClient(worker(), "http://127.0.0.1", headers={"Authorization": f"Bearer {SECRET}"})
    deadline = time.monotonic() + 120
    while (answer := client.get("/api/health")).status_code == 503:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert answer.status_code == 200
    assert client.post("/api/v1/embed", files={"images": lesion}).status_code == 200


@pytest.mark.slow
def test_two_real_processes_answer_and_stop(checkpoint, free_port, lesion):
    argv = ["serve", "--no-page", "--workers", "2", "--port", str(free_port)]
    command = [sys.executable, "-m", "dermsim", *argv, "--model", str(checkpoint)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ))
    try:
        assert "2 workers" in process.stdout.readline()
        address, answered = f"http://127.0.0.1:{free_port}/api", set()
        deadline = time.monotonic() + 300
        while len(answered) < 2 and time.monotonic() < deadline:
            try:  # a new connection each time, which either may take
                answer = httpx.post(f"{address}/v1/embed", files={"images": lesion}, timeout=60)
            except httpx.TransportError:
                time.sleep(0.2)
                continue
            assert answer.status_code in (200, 503)
            answered.add(answer.status_code)
            if answer.status_code == 200:
                break
            time.sleep(0.2)
        assert 200 in answered
    finally:
        process.terminate()
        assert process.wait(60) in (0, -15)
