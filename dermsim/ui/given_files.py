"""What a program gives an endpoint in a file's place, and what is not taken there.

Gradio fetches whatever public address it is given, whole and without a limit of size or time, and
says nothing of why it refuses other things. So only what was uploaded to this very server gets as
far as Gradio, and pictures that come complete, as data URIs.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dermsim.ui.inline import is_inline

ELSEWHERE, NOT_UPLOADED = "wiring.elsewhere", "wiring.not_uploaded"
"""Keys of the sentences about what is refused."""


def foreign_files(value: Any, *, folder: Path, is_file: bool, uris: bool = True) -> Iterator[str]:
    """Yield why each file in a value is refused, as the key of a sentence.

    Args:
        value: What a program, or the page, sent for one component.
        folder: Where uploads lie.
        is_file: Whether the component takes files, so that a mere text is meant to be one.
        uris: Whether it takes a picture as a data URI, too.
    """
    if isinstance(value, list):
        for item in value:
            yield from foreign_files(item, folder=folder, is_file=is_file, uris=uris)
    elif isinstance(value, dict):
        if is_inline(value):
            if not uris:
                yield NOT_UPLOADED
            return
        path, url = value.get("path"), value.get("url")
        if isinstance(path, str):
            yield from _named(path, folder)
        elif isinstance(url, str):  # without a path, it is all there is
            yield _why(url)
        for item in value.values():
            if isinstance(item, dict | list):
                yield from foreign_files(item, folder=folder, is_file=is_file, uris=uris)
    elif is_file and isinstance(value, str):
        yield from _named(value, folder)


def _named(path: str, folder: Path) -> Iterator[str]:
    try:
        inside = "://" not in path and Path(path).resolve().is_relative_to(folder)
    except (OSError, RuntimeError, ValueError):  # a loop of links, a zero byte
        inside = False
    if not inside:
        yield _why(path)


def _why(named: str) -> str:
    is_address = "://" in named or named.startswith(("//", "data:", "blob:"))
    return ELSEWHERE if is_address else NOT_UPLOADED
