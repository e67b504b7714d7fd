"""How long until the app's page and its first prediction, over importing torch and gradio alone.

The page is served while the checkpoint loads behind it, so both moments count. Memory as well.

Every timing is of a fresh process, and the two sides take turns.

    python benchmarks/bench_start.py [--model FOLDER] [--repetitions 5]
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from gradio_client import Client, handle_file

from dermsim.data.synthetic import draw_lesion

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE", "GRADIO_ANALYTICS_ENABLED": "False"}
AIM = 1.5
PATIENCE = 120
"""Seconds after which an app that does not answer is given up."""


def main() -> None:
    """Print the ratio and the memory as a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--model", help="checkpoint folder or Hub id, else the app's own")
    parser.add_argument("--repetitions", type=int, default=5, help="starts of each side")
    options = parser.parse_args()
    arguments = ["--model", options.model] if options.model else []
    time_imports()  # the first reads the libraries from the disk
    pairs = [(time_app(arguments), time_imports()) for _ in range(options.repetitions)]
    page = statistics.median(app.page / imports for app, imports in pairs)
    answer = statistics.median(app.answer / imports for app, imports in pairs)
    peak = max(app.memory for app, _ in pairs)
    print("| app | |")
    print("|---|---|")
    print(f"| page answers / `import torch, gradio`, median (aim at most {AIM}) | {page:.2f} |")
    print(f"| first prediction / `import torch, gradio`, median | {answer:.2f} |")
    print(f"| peak resident memory, one prediction included | {peak / 2**20:.0f} MiB |")


def time_imports() -> float:
    """Return the seconds of a process that only imports torch and gradio."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import torch, gradio"], check=True, env=ENVIRONMENT)
    return time.perf_counter() - started


@dataclass(frozen=True)
class Start:
    """One start of the app.

    Attributes:
        page: Seconds until the page answers.
        answer: Seconds until the first prediction, asked for at once.
        memory: The process's peak resident memory in bytes.
    """

    page: float
    answer: float
    memory: int


def time_app(arguments: list[str]) -> Start:
    """Start the app, ask it for one prediction once its page answers, and stop it.

    Raises:
        RuntimeError: If the app stops before it answers, or takes longer than `PATIENCE`.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "app.py", "--port", str(port), *arguments]
    url = f"http://127.0.0.1:{port}"
    started = time.perf_counter()
    app = subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.DEVNULL)
    try:
        while not answers(url):
            if app.poll() is not None or time.perf_counter() - started > PATIENCE:
                raise RuntimeError(f"{' '.join(command)} did not answer")
            time.sleep(0.02)
        page = time.perf_counter() - started
        ask(url)
        return Start(page, time.perf_counter() - started, peak_memory(app.pid))
    finally:
        app.terminate()
        app.wait(timeout=30)


def answers(url: str) -> bool:
    """Tell whether a page is served."""
    try:
        with urllib.request.urlopen(url, timeout=10):
            return True
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def ask(url: str) -> None:
    """Have the app classify a drawn lesion."""
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "lesion.png"
        draw_lesion("mel", seed=0, size=(600, 450)).save(picture)
        Client(url, verbose=False).predict(handle_file(str(picture)), api_name="/classify")


def peak_memory(process: int) -> int:
    """Return a running process's peak resident memory in bytes, as Linux counts it."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/{process}/status does not say VmHWM")


if __name__ == "__main__":
    main()
