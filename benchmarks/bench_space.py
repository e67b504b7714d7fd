"""How long a Space takes from a cold start to its first prediction, over what it cannot do without.

That is ``import torch, gradio`` and the download of the model; the Hub is one on this machine, and
every start begins with an empty cache. Every timing is of a fresh process, and the two sides take
turns.

    python benchmarks/bench_space.py [--checkpoint FOLDER] [--repetitions 5]
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
from pathlib import Path

# Before huggingface_hub is imported: it reads them once, and the Hub here has no Xet.
os.environ |= {
    "HF_HUB_OFFLINE": "0",
    "HF_HUB_DISABLE_XET": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
}

from gradio_client import Client, handle_file

from dermsim.core.released import default_model
from dermsim.data.synthetic import draw_lesion
from dermsim.hub.space_repository import build_space

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from loopback_hub import LoopbackHub  # noqa: E402 it lies with the tests

AIM = 1.5
PATIENCE = 180
"""Seconds after which a Space that does not answer is given up."""

MODEL, GALLERY = "alice/derm", "alice/derm-gallery"
BARE = (
    "import torch, gradio; from huggingface_hub import snapshot_download; "
    f"snapshot_download({MODEL!r})"
)


def main() -> None:
    """Print the ratios as a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--checkpoint", default=default_model(), help="what to publish and run")
    parser.add_argument("--repetitions", type=int, default=5, help="starts of each side")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, LoopbackHub(Path(scratch) / "hub") as hub:
        folder = Path(scratch)
        publish(hub, Path(options.checkpoint))
        space = folder / "space"
        build_space(space, checkpoint=options.checkpoint, model_id=MODEL, gallery_id=GALLERY)
        picture = folder / "lesion.png"
        draw_lesion("mel", seed=0, size=(600, 450)).save(picture)
        time_bare(hub, folder / "warm")  # the first reads the libraries from the disk
        ratios = []
        for number in range(options.repetitions):
            page, answer = time_space(hub, space, picture, folder / f"space-{number}")
            bare = time_bare(hub, folder / f"bare-{number}")
            ratios.append((page / bare, answer / bare))
    pages, answers = zip(*ratios, strict=True)
    print("| Space, cold, over `import torch, gradio` and the model's download | |")
    print("|---|---|")
    print(f"| page answers, median of {len(ratios)} | {statistics.median(pages):.2f} |")
    print(f"| first prediction, median (aim at most {AIM}) | {statistics.median(answers):.2f} |")


def publish(hub: LoopbackHub, checkpoint: Path) -> None:
    """Put the model and its gallery on the Hub."""
    from huggingface_hub import HfApi

    from dermsim.hub.difference import compare
    from dermsim.hub.release import Names, assemble
    from dermsim.hub.send import send

    api = HfApi(endpoint=hub.url, token=hub.add_account("alice"))
    with tempfile.TemporaryDirectory() as scratch:
        parcels = assemble(checkpoint, Path(scratch), names=Names(MODEL, gallery=GALLERY))
        send(api, [compare(api, parcel) for parcel in parcels], message="Benchmark")


def environment(hub: LoopbackHub, home: Path) -> dict[str, str]:
    """Return the variables of a container that has never fetched anything."""
    kept = {k: v for k, v in os.environ.items() if k not in ("HF_HUB_OFFLINE", "PYTHONPATH")}
    return {
        **kept,
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_XET": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
        "GRADIO_ANALYTICS_ENABLED": "False",
    }


def time_bare(hub: LoopbackHub, home: Path) -> float:
    """Return the seconds of a process that only imports and downloads."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", BARE], check=True, env=environment(hub, home))
    return time.perf_counter() - started


def time_space(hub: LoopbackHub, space: Path, picture: Path, home: Path) -> tuple[float, float]:
    """Start the Space, ask it for one prediction, and stop it.

    Returns:
        Seconds until its page answers, and until the prediction is there.

    Raises:
        RuntimeError: If it stops before it answers, or takes longer than `PATIENCE`.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    variables = {**environment(hub, home), "GRADIO_SERVER_PORT": str(port)}
    started = time.perf_counter()
    app = subprocess.Popen(
        [sys.executable, "app.py"], cwd=space, env=variables, stdout=subprocess.DEVNULL
    )
    try:
        while not listens(port):
            if app.poll() is not None or time.perf_counter() - started > PATIENCE:
                raise RuntimeError("the Space did not answer")
            time.sleep(0.02)
        page = time.perf_counter() - started
        client = Client(f"http://127.0.0.1:{port}", verbose=False)
        client.predict(handle_file(str(picture)), api_name="/classify")
        answer = time.perf_counter() - started
        if told := client.predict(api_name="/note"):
            raise RuntimeError(f"the Space runs on something else: {told}")
        return page, answer
    finally:
        app.terminate()
        app.wait(timeout=30)


def listens(port: int) -> bool:
    """Tell whether somebody listens on a port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


if __name__ == "__main__":
    main()
