"""Tests of what is refused: by key and by what it speaks of, never by wording."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dermsim.core.refused import Keyed, Phrase


@contextmanager
def refuses(
    expected: str | Phrase | tuple[str, ...], kind: type[Exception] = ValueError, /, **values: Any
) -> Iterator[pytest.ExceptionInfo[Exception]]:
    """Expect a refusal, as `pytest.raises` expects an error.

    Args:
        expected: Its key, or one with some of its values; several keys where chance, such as where
            a file was cut, decides which of them it is.
        kind: The built-in type that it is.
        values: Some of its values. A value that is a refusal or phrase itself is named by its key,
            or by a `Phrase` with some of its own.
    """
    with pytest.raises(kind) as caught:
        yield caught
    if isinstance(expected, tuple):
        assert isinstance(caught.value, Keyed), f"{caught.value!r} has no key"
        assert caught.value.key in expected, f"{caught.value.key} was refused: {caught.value}"
        expected = caught.value.key
    if isinstance(expected, Phrase):
        expected, values = expected.key, {**expected.values, **values}
    check(caught.value, Phrase(expected, **values))


def check(said: object, expected: Phrase) -> None:
    """Compare a refusal with the key and the values that are expected of it."""
    assert isinstance(said, Keyed), f"{said!r} has no key, expected {expected.key}"
    assert said.key == expected.key, f"{said.key} was refused: {said}"
    for name, value in expected.values.items():
        found = said.values[name]
        assert same(found, value), f"{name} is {found!r}, expected {value!r}: {said}"


def same(found: object, expected: object) -> bool:
    """Say whether a value is what it should be; a path, a type or a phrase may be named by text."""
    if isinstance(found, Keyed) and isinstance(expected, Phrase):
        own = found.values
        known = all(name in own and same(own[name], v) for name, v in expected.values.items())
        return found.key == expected.key and known
    if isinstance(found, Keyed):
        return expected in (found.key, str(found))
    if isinstance(found, list | tuple) and isinstance(expected, list | tuple):
        pairs = zip(found, expected, strict=False)
        return len(found) == len(expected) and all(same(one, other) for one, other in pairs)
    text = str(expected) if isinstance(expected, str | Path) else None
    return bool(found == expected) or str(found) == text
