"""What the attempts share: a tiny checkpoint, and a child process in which something is tried."""

from __future__ import annotations

import os
import resource
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

SECONDS, ROOM = 120, 2 * 2**30
"""What an attempt may take: seconds, and bytes of memory beside what is there already."""


def _untrained(seed):
    """A tiny network with random weights, and what makes its input."""
    import torch

    from dermsim.models import DermSimConfig, DermSimImageProcessor, DermSimModel

    with torch.random.fork_rng():
        torch.random.manual_seed(seed)
        model = DermSimModel(DermSimConfig(backbone="test_resnet", embed_dim=16, image_size=64))
    side = {"height": 64, "width": 64}
    return model, DermSimImageProcessor(size={"shortest_edge": 64}, crop_size=side)


@cache
def engines():
    """Two tiny engines of the same shape and other weights."""
    from dermsim.data.splits import grouped_splits
    from dermsim.data.synthetic import synthetic_ham10000
    from dermsim.engine import DermSim

    splits = grouped_splits(synthetic_ham10000(140, seed=0))
    train, validation = splits["train"], splits["validation"]
    return tuple(
        DermSim.fit(*_untrained(seed), train=train, validation=validation) for seed in (0, 1)
    )


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder of its own, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="dermsim-hostile-") as folder:
        yield Path(folder)


def fork(action: Callable[[], None]) -> int:
    """Do something in a copy of this process, and return its number.

    The copy ends with 0 if the action returns, with 1 and a traceback if it raises.
    """
    if pid := os.fork():
        return pid
    status = 1
    try:
        action()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def ended(pid: int) -> int:
    """Wait for a copy, and return how it ended: its status, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def within_limits(seconds: int = SECONDS, room: int = ROOM) -> None:
    """Limit this process: when it takes longer or more memory, it ends."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(seconds)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + room
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
