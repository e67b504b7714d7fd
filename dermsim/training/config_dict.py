"""Configurations of the trainer as plain values, as JSON keeps them, and back."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from dermsim.core.refused import Refused

ConfigT = TypeVar("ConfigT")


def to_dict(config: Any) -> dict[str, Any]:
    """Turn a configuration into plain values that JSON can hold.

    Args:
        config: Any dataclass of this module.

    Returns:
        Its fields by name; paths as strings, tuples as lists, nested configurations as dicts.
    """
    return {f.name: _plain(getattr(config, f.name)) for f in dataclasses.fields(config)}


def from_dict(kind: type[ConfigT], values: Mapping[str, Any]) -> ConfigT:
    """The way back from `to_dict`, strict.

    Args:
        kind: The dataclass to make.
        values: Its fields by name; left-out fields take their default.

    Returns:
        The configuration.

    Raises:
        ValueError: If a name is not a field, or a value is not one the field can have.
    """
    hints = get_type_hints(kind)
    if unknown := sorted(values.keys() - hints.keys()):
        raise Refused(
            "config_dict.no_field", kind=kind.__name__, unknown=unknown[0], hints=list(hints)
        )
    return kind(**{name: _typed(hints[name], value) for name, value in values.items()})


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return to_dict(value)
    if isinstance(value, tuple):
        return list(value)
    return str(value) if isinstance(value, Path) else value


def _typed(hint: Any, value: Any) -> Any:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return from_dict(hint, value)
    if hint is Path:
        return Path(value)
    return tuple(value) if isinstance(value, list) else value
