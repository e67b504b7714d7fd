"""Refuses what a commit should never carry.

Large files, private keys, code too long to read, refusals without a key.

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

REFUSALS = re.compile(
    r"(Value|OS|FileNotFound|FileExists|IsADirectory|NotADirectory|Permission|Connection|Timeout|Type"
    r"|Runtime|Import|Index|Key|Lookup)Error"
)
"""What the package raises with a key of `dermsim.core.refused` and never with a sentence."""

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
        # what ships beside the weights stands alone, and has its sentences in itself
        if path.parts[0] == "dermsim" and "_dermsim" not in path.stem:
            yield from sentences(path, content.decode("utf-8"))


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


def sentences(path: Path, source: str) -> Iterator[str]:
    """Yield where a refusal is written as a sentence in the source, which nobody can translate."""
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)):
            continue
        raised = node.exc.func
        name = raised.id if isinstance(raised, ast.Name) else ""
        parts = [part for argument in node.exc.args for part in ast.walk(argument)]
        said = any(isinstance(part, ast.Constant) and isinstance(part.value, str) for part in parts)
        if REFUSALS.fullmatch(name) and said:
            yield (
                f"{path}:{node.lineno}: {name} is raised with a sentence: raise Refused(key), or "
                "one of its kind, and put the sentence into dermsim/core/languages/"
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
