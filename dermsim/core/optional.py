"""Packages that only some users need, imported through one function that says how to get them."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from dermsim.core.refused import RefusedImportError


def require(package: str, *, extra: str) -> ModuleType:
    """Import an optional package.

    Args:
        package: Its import name.
        extra: The extra of dermsim that brings it.

    Raises:
        ImportError: If it is not installed; the message says what to install.
    """
    try:
        return import_module(package)
    except ModuleNotFoundError as error:
        raise RefusedImportError("optional.not_installed", package=package, extra=extra) from error
