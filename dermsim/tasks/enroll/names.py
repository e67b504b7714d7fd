"""What a class may be called: not what another is called already, by any of its names."""

from __future__ import annotations

from collections.abc import Sequence

from dermsim.core.labels import parse_dx

MAX_NAME_LENGTH = 80


def check_name(name: object, taken: Sequence[str]) -> None:
    """Refuse a name that is empty, too long or another class's already.

    Raises:
        ValueError: In one sentence.
    """
    if not isinstance(name, str) or not name.strip():
        raise ValueError("a class needs a name, got an empty one.")
    if len(name) > MAX_NAME_LENGTH or not name.isprintable():
        raise ValueError(f"a class name must be one line of at most {MAX_NAME_LENGTH} characters.")
    same = taken_as(name, taken)
    if same is not None:
        known = f" (as {same!r})" if same != name else ""
        raise ValueError(
            f"there is already a class {name!r}{known}; choose another name or remove it."
        )


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
