"""What `Gallery.search` adds to FAISS, and what an index saves in a gallery of a million cases.

    python benchmarks/bench_gallery.py [--cases 1000000] [--repetitions 300]

Small: a gallery of 10,000 random unit vectors, against the bare call of FAISS's flat index, with
the threads FAISS starts by default and held to the one that `Gallery.search` uses, and against
`exact_search`, the definition in NumPy. A turn times several calls of each in a row.

Large: random unit vectors on disk, among which each query has ten planted neighbours of cosine 0.8
to 0.95, since without any structure no ten cases would be nearer than thousands of others. The
index is built from the files, memory-mapped, its effort chosen by other queries of the same kind.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before FAISS starts its threads

import faiss
import numpy as np
import numpy.typing as npt

from dermsim.core.labels import CODES
from dermsim.tasks.retrieve import CaseTable, Gallery, exact_search
from dermsim.tasks.retrieve.folder import write_part
from dermsim.tasks.retrieve.parts import Part

Vectors = npt.NDArray[np.float32]

DIM = 128
NEIGHBORS = 10
PART = 65_536
SMALL = 10_000
SEARCH_AIM, RECALL_AIM, SPEED_AIM = 1.2, 0.95, 10
DEFAULT_THREADS = faiss.omp_get_max_threads()
ROWS = (
    f"`Gallery.search` / bare FAISS, {DEFAULT_THREADS} threads (aim at most {SEARCH_AIM})",
    f"`Gallery.search` / bare FAISS, one thread (aim at most {SEARCH_AIM})",
    "`exact_search` in NumPy / bare FAISS, one thread",
)


def main() -> None:
    """Print both tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--cases", type=int, default=1_000_000, help="of the large gallery")
    parser.add_argument("--repetitions", type=int, default=100, help="timings of each side")
    options = parser.parse_args()
    print(f"| {SMALL:,} cases, {DIM} dimensions, k = {NEIGHBORS} | one query | 100 queries |")
    print("|---|---|---|")
    few = max(options.repetitions // 30, 5)
    for name, one, many in zip(ROWS, small(1, options.repetitions), small(100, few), strict=True):
        print(f"| {name} | {one} | {many} |")
    print()
    with tempfile.TemporaryDirectory(prefix="dermsim-bench-") as folder:
        large(options.cases, Path(folder))


def small(queries: int, repetitions: int) -> list[str]:
    """Compare ways to search a small gallery.

    Args:
        queries: How many at once.
        repetitions: Turns in which each way is timed.

    Returns:
        For each of `ROWS` the median and quartiles of the ratios.
    """
    rng = np.random.default_rng(0)
    vectors = unit(rng, SMALL)
    gallery = Gallery.build(vectors, records(0, SMALL), fingerprint="random")
    index = faiss.IndexFlatIP(DIM)
    index.add(vectors)
    asked = unit(rng, queries)
    calls = 20 if queries == 1 else 1

    def bare() -> object:
        return index.search(asked, NEIGHBORS)

    def ours() -> object:
        return gallery.search(asked, NEIGHBORS)

    def slow() -> object:
        return exact_search(asked, vectors, NEIGHBORS)

    by_default = in_turns([bare, ours], repetitions, calls=calls)
    faiss.omp_set_num_threads(1)
    found = [
        by_default,
        in_turns([bare, ours], repetitions, calls=calls),
        in_turns([bare, slow], 3),
    ]
    faiss.omp_set_num_threads(DEFAULT_THREADS)
    return [spread(ratios) for ratios in found]


def large(cases: int, folder: Path) -> None:
    """Build an index over many cases, measure what it finds and how fast, and print both.

    Args:
        cases: Size of the gallery.
        folder: Where its files go; 600 bytes for each case.
    """
    rng = np.random.default_rng(1)
    planted = Planted.draw(rng, queries=200, cases=cases)
    gallery = write_gallery(rng, cases, planted, folder)
    before = memory()
    started = time.process_time()
    indexed = gallery.indexed("ivfpq", probes=planted.queries[:100])
    built = time.process_time() - started
    peak = memory()
    indexed.save(folder)
    indexed = Gallery.load(folder, mapped=True)
    asked, truth = planted.queries[100:], planted.rows[100:]
    found = [rows for _, rows in indexed.nearest(asked, NEIGHBORS)]
    recall = np.mean([len(set(a) & set(b)) for a, b in zip(found, truth, strict=True)]) / NEIGHBORS
    flat = Gallery.load(folder, mapped=True).indexed("flat")
    exact = [rows for _, rows in flat.nearest(asked[:20], NEIGHBORS)]
    assert all(set(a) == set(b) for a, b in zip(exact, truth, strict=False)), "planted wrongly"
    one = in_turns(
        [lambda: indexed.search(asked[:1], NEIGHBORS), lambda: flat.search(asked[:1], NEIGHBORS)], 9
    )
    many = in_turns(
        [lambda: indexed.search(asked, NEIGHBORS), lambda: flat.search(asked, NEIGHBORS)], 3
    )
    facts = indexed.index_facts
    print(f"| {cases:,} cases, {DIM} dimensions, memory-mapped | |")
    print("|---|---|")
    print(f"| recall@10 of 100 queries (aim at least {RECALL_AIM}) | {recall:.3f} |")
    print(f"| times faster than exact, one query (aim at least {SPEED_AIM}) | {spread(one)} |")
    print(f"| times faster than exact, 100 queries at once | {spread(many)} |")
    print(f"| cells searched | {facts.effort if facts else 0} |")
    print(f"| seconds of CPU to build | {built:.0f} |")
    print(f"| memory before building, anonymous and peak | {before} |")
    print(f"| memory after building, anonymous and peak | {peak} |")
    size = sum(path.stat().st_size for path in folder.glob("index*"))
    print(f"| megabytes of embeddings, of the index | {cases * DIM * 4 >> 20}, {size >> 20} |")


@dataclass(frozen=True, eq=False)
class Planted:
    """Queries and the neighbours hidden for them.

    Attributes:
        queries: ``(N, D)`` of length 1.
        rows: ``(N, 10)`` where their neighbours are.
        vectors: ``(N, 10, D)`` what they are.
    """

    queries: Vectors
    rows: npt.NDArray[np.int64]
    vectors: Vectors

    @classmethod
    def draw(cls, rng: np.random.Generator, *, queries: int, cases: int) -> Planted:
        """Draw queries and ten neighbours of each, at random places."""
        asked = unit(rng, queries)
        sideways = rng.standard_normal((queries, NEIGHBORS, DIM), dtype=np.float32)
        sideways -= np.einsum("nkd,nd->nk", sideways, asked)[..., None] * asked[:, None]
        sideways /= np.linalg.norm(sideways, axis=2, keepdims=True)
        cosine = rng.uniform(0.8, 0.95, (queries, NEIGHBORS, 1)).astype(np.float32)
        vectors = cosine * asked[:, None] + np.sqrt(1 - cosine**2) * sideways
        rows = rng.choice(cases, (queries, NEIGHBORS), replace=False)
        return cls(asked, rows, vectors)


def write_gallery(rng: np.random.Generator, cases: int, planted: Planted, folder: Path) -> Gallery:
    """Write a gallery part by part, so that it is never in memory as a whole."""
    places, hidden = planted.rows.ravel(), planted.vectors.reshape(-1, DIM)
    for number, first in enumerate(range(0, cases, PART), start=1):
        last = min(first + PART, cases)
        vectors = unit(rng, last - first)
        here = (places >= first) & (places < last)
        vectors[places[here] - first] = hidden[here]
        write_part(folder, f"-{number:05d}", vectors, CaseTable.build(records(first, last)))
    return load_parts(folder)


def load_parts(folder: Path) -> Gallery:
    """Open the parts in a folder, memory-mapped."""
    from dermsim.tasks.retrieve.folder import read_part

    names = sorted(path.stem.removeprefix("embeddings") for path in folder.glob("embeddings*"))
    parts, tables = zip(*(read_part(folder, name, mapped=True) for name in names), strict=True)
    return Gallery(tuple[Part, ...](parts), CaseTable.join(tables), "random")


def unit(rng: np.random.Generator, rows: int) -> Vectors:
    """Draw directions ``(rows, D)``."""
    drawn = rng.standard_normal((rows, DIM), dtype=np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def records(first: int, last: int) -> list[dict[str, object]]:
    """Make up the facts of some cases."""
    return [
        {
            "image_id": f"ISIC_{row:07}",
            "lesion_id": f"HAM_{row // 2:07}",
            "dx": CODES[row % 7],
            "dx_type": "histo",
            "age": float(row % 90),
            "sex": "female",
            "localization": "back",
        }
        for row in range(first, last)
    ]


def in_turns(ways: list[Callable[[], object]], repetitions: int, *, calls: int = 1) -> list[float]:
    """Time two ways in turns; return, for each turn, the second over the first."""
    for way in ways:
        way()
    return [seconds(ways[1], calls) / seconds(ways[0], calls) for _ in range(repetitions)]


def seconds(work: Callable[[], object], calls: int) -> float:
    """Return how long some calls take on the clock."""
    started = time.perf_counter()
    for _ in range(calls):
        work()
    return time.perf_counter() - started


def spread(ratios: list[float]) -> str:
    """Word the median and the quartiles."""
    low, middle, high = statistics.quantiles(ratios, n=4)
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def memory() -> str:
    """Say how much memory the process has of its own, and the most it and the files it maps took.

    Pages of mapped files are dropped when memory is short; they count in the peak all the same.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        return "only measured on Linux"
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
    own, peak = (int(lines[name].split()[0]) >> 10 for name in ("RssAnon", "VmHWM"))
    return f"{own:,} MB, {peak:,} MB"


if __name__ == "__main__":
    main()
