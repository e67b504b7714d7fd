"""Many visitors at the same time: errors, answers mixed up, memory, and what sharing passes gains.

Starts the app on a free port of this machine. Each visitor has a picture of its own, asks one verb
after the other for as long as the run lasts, and holds every answer against its own reference,
which was computed here with the same checkpoint before. Before the crowd comes, one visitor alone
asks the same verbs one at a time: that is what throughput is compared with.

The page's endpoints are asked, and REST's where the app answers ``GET /api/health``.

With ``--large``, pictures of 1 to 49 megapixels are mixed in, as JPEG and as PNG with opacity. With
``--against``, another checkout is asked the same in turn, for the ratio of the two.

    python benchmarks/bench_load.py [--model FOLDER] [--clients 64] [--seconds 60] [--large]
        [--against CHECKOUT]
"""

from __future__ import annotations

import argparse
import itertools
import os
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is imported

import httpx
import numpy as np
import torch
from load_visitors import (
    CASES,
    COARSE,
    MEGAPIXELS,
    PATIENCE,
    TOLERANCE,
    Verb,
    Visitor,
    draw_picture,
    find_verbs,
)

from dermsim.engine import DermSim
from dermsim.ui.explain_callbacks import explained

ROOT = Path(__file__).resolve().parent.parent
MIX = {"predict": 4, "similar": 3, "compare": 2, "embed": 2, "explain": 1}
"""How often each verb is asked, as far as the app has it."""


class WrongAnswerError(Exception):
    """An answer that is not the visitor's own."""


# -- visitors -------------------------------------------------------------------------------------


def make_visitors(engine: DermSim, count: int, *, large: bool = False) -> list[Visitor]:
    """Draw a picture for each visitor and compute its answers.

    Args:
        engine: The checkpoint.
        count: How many visitors.
        large: Whether to mix in those of `MEGAPIXELS`.

    Raises:
        RuntimeError: If two visitors' embeddings, or the likenesses or probabilities computed from
            them of more than one pair in twenty, are too alike for a mix-up to be noticed.
    """
    visitors = []
    for number in range(count):
        megapixels = MEGAPIXELS[number % len(MEGAPIXELS)] if large else None
        lesion = draw_picture(number, megapixels)
        prediction = engine.predict(lesion)[0]
        bank = engine.class_bank()
        embedding = engine.embed(lesion)
        # by the picture and not by its embedding: one of the gallery's own leaves its lesion out
        cases = engine.search(lesion, CASES, one_per_lesion=True)[0]
        compared = bank.predict(engine.embed(lesion, space=bank.space.name))[0]
        reference = {
            "predict": np.array(list(prediction.probabilities.values())),
            "similar": np.array([case.similarity for case in cases]),
            "compare": np.array(list(compared.values())),
            "embed": embedding[0],
            "explain": np.array([explained(engine, lesion, target="mel").heatmaps[0].score]),
        }
        tolerance = TOLERANCE if megapixels is None else COARSE
        visitors.append(Visitor(f"visitor-{number}", lesion, reference, tolerance))
    pairs = np.triu_indices(count, 1)
    for verb, share in (("embed", 0.0), ("similar", 0.05), ("compare", 0.05)):
        rows = np.stack([visitor.reference[verb] for visitor in visitors])
        gaps = np.abs(rows[:, None] - rows[None]).max(axis=2)[pairs]
        if count > 1 and np.quantile(gaps, share) < 3 * TOLERANCE:
            raise RuntimeError(f"two visitors' answers to {verb} are too alike to tell them apart")
    return visitors


def check(visitor: Visitor, verb: str, answer: np.ndarray) -> None:
    """Hold an answer against the visitor's own reference.

    Raises:
        WrongAnswerError: If it is another's.
    """
    expected = visitor.reference[verb]
    if answer.shape != expected.shape or np.abs(answer - expected).max() > visitor.tolerance:
        raise WrongAnswerError(f"{visitor.name} got another's answer to {verb}")


# -- the run --------------------------------------------------------------------------------------


@dataclass
class Run:
    """What a run found.

    Attributes:
        seconds: How long it took.
        latencies: Seconds of each answer, by verb.
        errors: How often each error came.
        mixed: How many answers were another's.
        memory: Resident bytes of the server, from time to time.
        idle: The same before the first question.
    """

    seconds: float = 0.0
    latencies: dict[str, list[float]] = field(default_factory=dict)
    errors: Counter[str] = field(default_factory=Counter)
    mixed: int = 0
    memory: list[int] = field(default_factory=list)
    idle: int = 0

    @property
    def answers(self) -> int:
        """How many answers came."""
        return sum(map(len, self.latencies.values()))

    @property
    def throughput(self) -> float:
        """Answers per second."""
        return self.answers / self.seconds

    def percentile(self, share: float) -> float:
        """Return the seconds within which a share in [0, 100] of the answers came."""
        return float(np.percentile([s for found in self.latencies.values() for s in found], share))

    def add(self, other: Run) -> None:
        """Go on with what was found later."""
        self.seconds += other.seconds
        for name, found in other.latencies.items():
            self.latencies.setdefault(name, []).extend(found)
        self.errors.update(other.errors)
        self.mixed += other.mixed
        self.memory += other.memory

    def drift(self) -> float:
        """Return how much the memory grew between the first quarter and the end, as a share."""
        samples = self.memory
        begin = len(samples) // 4
        width = max(1, len(samples) // 10)
        early, late = samples[begin : begin + width], samples[-width:]
        return statistics.mean(late) / statistics.mean(early) - 1


def load(
    address: str,
    visitors: Sequence[Visitor],
    *,
    seconds: float,
    process: int | None = None,
    verbs: dict[str, Verb] | None = None,
) -> Run:
    """Let all visitors ask at the same time.

    Args:
        address: Of the app.
        visitors: Who asks, each in a thread.
        seconds: After so long nobody asks again; everybody asks once.
        process: The server's, whose memory is watched; None for nobody's.
        verbs: What they ask; None for all that the app answers.
    """
    asked = find_verbs(address) if verbs is None else verbs
    run, lock = Run(latencies={name: [] for name in asked}), threading.Lock()
    weights = np.array([MIX[name.split()[0]] for name in asked], float)
    names, shares = list(asked), weights / weights.sum()
    started = time.perf_counter()
    end = started + seconds

    def visit(number: int, visitor: Visitor) -> None:
        random = np.random.default_rng(number)
        with httpx.Client(base_url=address, timeout=PATIENCE) as http:
            for asks in itertools.count():
                if asks and time.perf_counter() >= end:  # everybody asks once, however slow it is
                    return
                name = names[random.choice(len(names), p=shares)]
                began = time.perf_counter()
                try:
                    check(visitor, name.split()[0], asked[name](http, visitor))
                except WrongAnswerError:
                    with lock:
                        run.mixed += 1
                except Exception as error:  # whatever it is, the bar is that there is none
                    with lock:
                        run.errors[f"{name}: {type(error).__name__}: {str(error)[:120]}"] += 1
                else:
                    with lock:
                        run.latencies[name].append(time.perf_counter() - began)

    threads = [
        threading.Thread(target=visit, args=(number, visitor), daemon=True)
        for number, visitor in enumerate(visitors)
    ]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        if process is not None:
            run.memory.append(resident(process))
        time.sleep(0.2)
    run.seconds = time.perf_counter() - started
    return run


def resident(process: int) -> int:
    """Return a process's resident memory in bytes, as Linux counts it."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/{process}/status does not say VmRSS")


@contextmanager
def served(model: str | None, *, root: Path = ROOT) -> Iterator[tuple[str, int]]:
    """Start the app on a free port; give its address and process, and stop it afterwards.

    Args:
        model: Checkpoint folder or Hub id; None for the app's own.
        root: The checkout whose app it is.

    Raises:
        RuntimeError: If it stops, or does not answer within `PATIENCE`.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable,
        "app.py",
        "--port",
        str(port),
        *(["--model", model] if model else []),
    ]
    environment = {**os.environ, "GRADIO_ANALYTICS_ENABLED": "False", "PYTHONPATH": str(root)}
    address, deadline = f"http://127.0.0.1:{port}", time.monotonic() + PATIENCE
    app = subprocess.Popen(command, cwd=root, env=environment, stdout=subprocess.DEVNULL)
    try:
        while not answers(address):
            if app.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{' '.join(command)} did not answer")
            time.sleep(0.1)
        yield address, app.pid
    finally:
        app.terminate()
        app.wait(timeout=30)


def answers(address: str) -> bool:
    """Tell whether a page is served."""
    try:
        return httpx.get(address, timeout=10).status_code == 200
    except httpx.TransportError:
        return False


def forward_pass(engine: DermSim, repetitions: int = 30) -> float:
    """Return the median seconds of the encoder's bare forward pass of one image."""
    side = engine.processor.crop_size["height"]
    image = torch.zeros(1, 3, side, side, device=engine.model.device)
    times = []
    for _ in range(repetitions + 3):
        began = time.perf_counter()
        with torch.inference_mode():
            engine.model(image)
        times.append(time.perf_counter() - began)
    return statistics.median(times[3:])


SLICES = 10
"""Into how many turns two checkouts' time is cut, so that what else the machine does meets both."""


def ask_all(
    visitors: Sequence[Visitor], *, model: str | None, seconds: float, roots: Sequence[Path]
) -> list[tuple[Run, Run]]:
    """Serve the apps of checkouts, and let one visitor ask alone, and then all.

    Several checkouts are asked in turn, all of them running; each for `seconds` in all.

    Args:
        visitors: Who asks.
        model: Checkpoint folder or Hub id; None for that of each checkout.
        seconds: How long all of them ask.
        roots: The checkouts.

    Returns:
        For each checkout the two runs.
    """
    with ExitStack() as apps:
        found = []
        for root in roots:
            address, process = apps.enter_context(served(model, root=root))
            load(address, visitors[:1], seconds=0.1)  # until the checkpoint is loaded
            found.append((address, process, Run(), Run(idle=resident(process))))
        for address, _, _, _ in found:
            load(address, visitors, seconds=seconds / 6)
        for address, _, alone, _ in found:
            alone.add(load(address, visitors[:1], seconds=seconds / 6))
        turns = SLICES if len(roots) > 1 else 1
        for _ in range(turns):
            for address, process, _, crowd in found:
                crowd.add(load(address, visitors, seconds=seconds / turns, process=process))
    return [(alone, crowd) for _, _, alone, crowd in found]


def main() -> None:
    """Print what the run found as a Markdown table; fail if an answer was wrong or missing."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--model", help="checkpoint folder or Hub id, else the app's own")
    parser.add_argument("--clients", type=int, default=64, help="visitors at the same time")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long they ask")
    parser.add_argument(
        "--large", action="store_true", help="mix in pictures of 1 to 49 megapixels"
    )
    parser.add_argument("--against", type=Path, help="another checkout to be compared with")
    options = parser.parse_args()
    engine = DermSim.from_pretrained(options.model or str(ROOT / "hub" / "dermsim-ham10000"))
    visitors = make_visitors(engine, options.clients, large=options.large)
    bare = forward_pass(engine)
    roots = [ROOT, *([options.against.resolve()] if options.against else [])]
    found = ask_all(visitors, model=options.model, seconds=options.seconds, roots=roots)
    alone, crowd = found[0]
    other = found[1][1] if options.against else None
    report(alone, crowd, bare=bare, clients=options.clients)
    if other is not None:
        print(f"| throughput / the other's | {crowd.throughput / other.throughput:.2f} |")
        print(f"| memory at the end / the other's | {crowd.memory[-1] / other.memory[-1]:.2f} |")
        print(f"| most memory / the other's | {max(crowd.memory) / max(other.memory):.2f} |")
        print(f"| most memory / the other's idle | {max(crowd.memory) / other.idle:.2f} |")
    sys.exit(1 if crowd.errors or crowd.mixed or alone.errors or alone.mixed else 0)


def report(alone: Run, crowd: Run, *, bare: float, clients: int) -> None:
    """Print the table."""
    queue = bare * clients
    print(f"| {clients} visitors for {crowd.seconds:.0f} s | |")
    print("|---|---|")
    print(f"| answers | {crowd.answers:,} |")
    print(f"| errors | {crowd.errors.total()} |")
    print(f"| answers mixed up | {crowd.mixed} |")
    print(f"| throughput / one at a time | {crowd.throughput / alone.throughput:.2f} |")
    print(f"| p50 / (bare forward pass x visitors) | {crowd.percentile(50) / queue:.2f} |")
    print(f"| p95 / (bare forward pass x visitors) | {crowd.percentile(95) / queue:.2f} |")
    print(f"| memory at the end / after a quarter | {1 + crowd.drift():.3f} |")
    print(f"| resident memory idle | {crowd.idle / 2**20:.0f} MiB |")
    print(f"| resident memory at most | {max(crowd.memory) / 2**20:.0f} MiB |")
    print(f"| resident memory at the end | {crowd.memory[-1] / 2**20:.0f} MiB |")
    print(f"| answers per second | {crowd.throughput:.2f} |")
    for name, found in crowd.latencies.items():
        print(f"| answers to {name} | {len(found):,} |")
    for error, count in crowd.errors.most_common(5):
        print(f"{count} x {error}", file=sys.stderr)


if __name__ == "__main__":
    main()
