"""Refuses what a commit should never carry: large files, private keys, code too long to read.

Usage: python .ci/guard.py FILE...
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

LIMIT = 1_000_000
"""Bytes a file may have; the released checkpoint under ``hub/`` is what it is."""

MODULE, FUNCTION = 400, 60
"""Lines that a module of the package and a function of ours may have, docstrings among them."""

STORIES = {"train_accelerate.py:run"}
"""Functions of any length: the training story is one that is read from top to bottom."""

PRIVATE_KEY = re.compile(rb"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----")


def complaints(path: Path) -> Iterator[str]:
    """Yield what is wrong with a file."""
    size = path.stat().st_size
    if size > LIMIT and "hub" not in path.parts[:1]:
        yield f"{path} has {size:,} bytes, more than {LIMIT:,}: keep it out of the repository"
        return
    content = path.read_bytes()
    if PRIVATE_KEY.search(content):
        yield f"{path} holds a private key: remove it, and replace the key"
    if path.suffix == ".py":
        yield from too_long(path, content.decode("utf-8"))


def too_long(path: Path, source: str) -> Iterator[str]:
    """Yield what is too long in a Python file; a long file of tests is a long list."""
    lines = source.count("\n")
    if lines > MODULE and path.parts[0] == "dermsim":
        yield f"{path} has {lines} lines, more than {MODULE}: split it by subject"
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        length = (node.end_lineno or node.lineno) - node.lineno + 1
        if length > FUNCTION and f"{path}:{node.name}" not in STORIES:
            yield (
                f"{path}:{node.lineno}: {node.name} has {length} lines, more than {FUNCTION}: "
                "split it by subject"
            )


def main(names: list[str]) -> int:
    """Print a sentence about each refused file; 1 when there is one."""
    paths = [Path(name) for name in names]
    # a file deleted but not yet committed is still listed by git
    found = [text for path in paths if path.is_file() for text in complaints(path)]
    print("\n".join(found), end="\n" if found else "", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
