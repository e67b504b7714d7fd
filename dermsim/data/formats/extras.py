"""Formats that need a package which only some users have."""

from __future__ import annotations

from types import ModuleType

from dermsim.core.optional import require
from dermsim.data.formats.registry import UnreadableError


def require_for(name: str, kind: str, *, package: str, extra: str) -> ModuleType:
    """Import what decodes a format, or refuse the file with the command that installs it.

    Args:
        name: What messages call the file.
        kind: What its format is called.
        package: Import name of what decodes it.
        extra: The extra of dermsim that brings it.

    Raises:
        UnreadableError: If it is not installed.
    """
    try:
        return require(package, extra=extra)
    except ImportError as error:
        raise UnreadableError("extras.needs_extra", name=name, kind=kind, extra=extra) from error
