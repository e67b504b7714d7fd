import ctypes
import os
import subprocess
import sys

import pytest

from dermsim.serve import memory, page_server, workers

LEFT = """
import ctypes, sys
from dermsim.serve.memory import release_early

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096

if sys.argv[1] == "yes":
    print(release_early(), end=" ")
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
libc.free(libc.malloc(16 << 20))  # from now on blocks of this size lie in the heap
before = resident()
blocks = [libc.malloc(1 << 20) for _ in range(64)]
for block in blocks:
    ctypes.memset(block, 1, 1 << 20)
small = libc.malloc(200_000)  # the last in the heap, and still in use
for block in blocks:
    libc.free(block)
print((resident() - before) >> 20)
"""

glibc = pytest.mark.skipif(
    not sys.platform.startswith("linux") or not hasattr(ctypes.CDLL(None), "mallopt"),
    reason="the allocator is not glibc's",
)


def left(release, **variables):
    """MiB that a process keeps of 64 freed, beside a small block still in use."""
    done = subprocess.run(
        [sys.executable, "-c", LEFT, release],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **variables},
    )
    return done.stdout.split()


@glibc
def test_what_is_freed_goes_back_to_the_system():
    assert int(left("no")[-1]) > 50
    said, kept = left("yes")
    assert said == "True"
    assert int(kept) < 5


@glibc
def test_what_the_environment_sets_stays():
    everything = {name: str(32 << 20) for name, _, _ in memory.SETTINGS[1:]}
    said, kept = left("yes", MALLOC_ARENA_MAX="8", **everything)
    assert said == "False"
    assert int(kept) > 50


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_elsewhere_nothing_is_set(monkeypatch, platform):
    monkeypatch.setattr(sys, "platform", platform)
    assert memory.release_early() is False


def test_another_allocator_is_left_alone(monkeypatch):
    monkeypatch.setattr(memory.sys, "platform", "linux")
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: object())
    assert memory.release_early() is False


def test_servers_do_it(monkeypatch, tmp_path):
    asked = []
    for server in (page_server, workers):
        monkeypatch.setattr(server, "release_early", lambda server=server: asked.append(server))
    page_server.prepare(str(tmp_path))
    monkeypatch.setenv(workers.MODEL, "checkpoint")
    monkeypatch.setattr(workers, "load_checkpoint", lambda folder: None)
    workers.worker()
    assert asked == [page_server, workers]
