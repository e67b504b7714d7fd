"""Refuses files that a commit should never carry: large ones, and private keys.

Usage: python .ci/guard.py FILE...
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

LIMIT = 1_000_000
"""Bytes a file may have; the released checkpoint under ``hub/`` is what it is."""

PRIVATE_KEY = re.compile(rb"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----")


def complaint(path: Path) -> str | None:
    """Return what is wrong with a file, or None."""
    size = path.stat().st_size
    if size > LIMIT and "hub" not in path.parts[:1]:
        return f"{path} has {size:,} bytes, more than {LIMIT:,}: keep it out of the repository"
    if PRIVATE_KEY.search(path.read_bytes()):
        return f"{path} holds a private key: remove it, and replace the key"
    return None


def main(names: list[str]) -> int:
    """Print a sentence about each refused file; 1 when there is one."""
    paths = [Path(name) for name in names]
    # a file deleted but not yet committed is still listed by git
    complaints = [text for path in paths if path.is_file() and (text := complaint(path))]
    print("\n".join(complaints), end="\n" if complaints else "", file=sys.stderr)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
