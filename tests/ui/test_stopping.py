"""How a server ends: signals, what is under way, and the programs that are left at once."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from refusals import refuses

from dermsim.ui import ending
from dermsim.ui.stopping import ENDINGS, Work, ended_by_signals, ended_quietly


def scope(method="POST", path="/gradio_api/call/classify"):
    return {"type": "http", "method": method, "path": path}


@pytest.fixture
def handlers():
    """Handlers of signals that hurt nobody, put back afterwards."""
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, *ENDINGS)}
    for each in before:
        signal.signal(each, signal.default_int_handler)
    yield
    for each, handler in before.items():
        signal.signal(each, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, *ENDINGS])
def test_a_signal_asks_the_server_to_end_and_a_second_one_changes_nothing(handlers, number):
    with ended_by_signals() as asked:
        assert not asked.is_set()
        signal.raise_signal(number)
        assert asked.wait(5)
        if number != signal.SIGINT:
            signal.raise_signal(number)
    assert signal.getsignal(number) is signal.default_int_handler


def test_a_second_ctrl_c_breaks_off(handlers):
    with pytest.raises(KeyboardInterrupt), ended_by_signals() as asked:
        signal.raise_signal(signal.SIGINT)
        assert asked.wait(5)
        signal.raise_signal(signal.SIGINT)


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")
def test_what_nohup_ignores_stays_ignored(handlers):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with ended_by_signals() as asked:
        signal.raise_signal(signal.SIGHUP)
        assert not asked.is_set()
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_a_thread_leaves_signals_alone(handlers):
    def look():
        with ended_by_signals() as asked:
            found.append((asked.is_set(), signal.getsignal(signal.SIGTERM)))

    found = []
    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found == [(False, signal.default_int_handler)]


def test_answers_are_waited_for_and_no_longer_than_told():
    async def finish(pending, grace):
        work = Work(grace=grace)
        with work.answering(scope("GET", "/gradio_api/heartbeat/x")):  # which has no end
            return await work.finish(lambda: pending.pop() if pending else 0), work.stopping

    assert asyncio.run(finish([0, 0, 1, 1], 60)) == (True, True)
    assert asyncio.run(finish([1] * 9999, 0.2)) == (False, True)


def test_a_request_under_way_is_waited_for():
    async def finish():
        work, order = Work(), []

        async def ask():
            with work.answering(scope()):
                await asyncio.sleep(0.2)
                order.append("answered")

        asked = asyncio.create_task(ask())
        await asyncio.sleep(0)
        assert await work.finish(lambda: 0)
        order.append("ended")
        await asked
        return order

    assert asyncio.run(finish()) == ["answered", "ended"]


def test_new_work_is_refused_while_results_are_fetched():
    work = Work()
    assert not work.is_refused(scope())
    work.stopping = True
    assert work.is_refused(scope())
    assert not work.is_refused(scope("GET", "/gradio_api/queue/data"))


@pytest.mark.parametrize("grace", [-1, 3600, float("nan")])
def test_a_server_must_end_some_time(grace):
    with refuses("stopping.grace"):
        Work(grace=grace)


def test_what_loading_raises_is_raised(monkeypatch):
    monkeypatch.setattr(ending, "leave_at_once", lambda: pytest.fail("it was over"))
    app = SimpleNamespace(is_running=False)
    with pytest.raises(OSError, match="no checkpoint"):
        ending.serve_until_stopped(
            app, Work(), Path("no checkpoint").read_bytes, asked=threading.Event()
        )


def test_a_server_that_is_still_loading_is_left_at_once(monkeypatch):
    left, asked, loading = [], threading.Event(), threading.Event()
    monkeypatch.setattr(ending, "leave_at_once", lambda: left.append(True))
    asked.set()
    app = SimpleNamespace(is_running=False)
    ending.serve_until_stopped(app, Work(), loading.wait, asked=asked)
    loading.set()
    assert left == [True]


LEFT = """
import sys, threading, time
from pathlib import Path
from dermsim.ui.ending import leave_at_once
from dermsim.ui.uploads import upload_folder

(upload_folder().path / "lesion.png").touch()
threading.Thread(target=time.sleep, args=(600,)).start()
print(upload_folder().path)
leave_at_once()
"""


def test_a_program_that_is_left_leaves_no_upload_behind(tmp_path):
    environment = {**os.environ, "GRADIO_TEMP_DIR": str(tmp_path)}
    command = [sys.executable, "-c", LEFT]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and done.stdout.startswith(str(tmp_path.resolve()))
    assert [*tmp_path.iterdir()] == []


QUIET = """
import asyncio, os, signal, sys, threading, time
import uvicorn
from dermsim.ui.stopping import ended_quietly

async def app(scope, receive, send):
    pass

def stop():
    time.sleep(1)
    os.kill(os.getpid(), getattr(signal, sys.argv[1]))

threading.Thread(target=stop).start()
with ended_quietly():
    uvicorn.run(app, port=int(sys.argv[2]), log_level="error", lifespan="off")
print("ended")
"""


@pytest.mark.parametrize("name", [each.name for each in ENDINGS])
def test_a_server_of_rest_alone_ends_with_status_0(name, free_port):
    command = [sys.executable, "-c", QUIET, name, str(free_port)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout) == (0, "ended\n"), done.stderr


def test_handlers_are_put_back(handlers):
    with ended_quietly():
        pass
    assert all(signal.getsignal(each) is signal.default_int_handler for each in ENDINGS)
