"""How much memory a server keeps that many visitors ask at the same time.

glibc's allocator gives every thread heaps of its own, and keeps in them what was freed: blocks of
up to 32 MiB, once a block so large was freed. Each of the server's threads runs the encoder now and
then, so each heap comes to hold the encoder's activations, and one small block that is still in use
keeps all below it. `release_early` bounds both (mallopt(3)): half the memory after a minute of 64
visitors, for a tenth to a fifth of the answers per second; see `benchmarks/README.md`.
"""

from __future__ import annotations

import ctypes
import os
import sys

LARGE = 256 * 1024
"""Bytes from which a block has memory of its own, which goes back the moment it is freed."""

SETTINGS = (
    ("MALLOC_ARENA_MAX", -8, 4),
    ("MALLOC_MMAP_THRESHOLD_", -3, LARGE),
    ("MALLOC_TRIM_THRESHOLD_", -1, LARGE),
)
"""Environment variable of glibc, its number for mallopt, and the value for a server."""


def release_early() -> bool:
    """Have this process give memory back as soon as it is freed, and share heaps among threads.

    To be called before threads are started. What the environment sets is left as it is.

    Returns:
        Whether anything was set: False where the allocator is not glibc's.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    open_ = [(number, value) for name, number, value in SETTINGS if name not in os.environ]
    return any([mallopt(number, value) == 1 for number, value in open_])
