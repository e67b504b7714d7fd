"""What a class may be called: not what another is called already, by any of its names."""

from __future__ import annotations

from collections.abc import Sequence

from dermsim.core.labels import parse_dx
from dermsim.core.refused import Refused

MAX_NAME_LENGTH = 80


def check_name(name: object, taken: Sequence[str]) -> None:
    """Refuse a name that is empty, too long or another class's already.

    Raises:
        ValueError: In one sentence.
    """
    if not isinstance(name, str) or not name.strip():
        raise Refused("bank.no_name")
    if len(name) > MAX_NAME_LENGTH or not name.isprintable():
        raise Refused("bank.long_name", most=MAX_NAME_LENGTH)
    same = taken_as(name, taken)
    if same == name:
        raise Refused("bank.class_exists", name=name)
    if same is not None:
        raise Refused("bank.class_exists_as", name=name, other=same)


def taken_as(name: str, taken: Sequence[str]) -> str | None:
    """Return the class, of those taken, that a name stands for already; None for none."""
    same = {other.casefold(): other for other in taken}.get(name.casefold())
    if same is None and (code := _diagnosis(name)) in taken:
        return code
    return same


def _diagnosis(name: str) -> str | None:
    """Return the diagnosis code that a name stands for: "Melanoma" is mel."""
    try:
        return parse_dx(name)
    except ValueError:
        return None
