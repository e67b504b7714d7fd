"""May the weights of a checkpoint be passed on? Those of others say so themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dermsim.core.refused import Refused
from dermsim.core.storage import LARGEST_CONFIG, read_json

SOURCE = "SOURCE.json"
"""Where converted weights keep where they are from."""

DUAL = "dermsim_dual"
"""The `model_type` of encoders that were converted."""

NO_DERIVATIVES = "nd"
"""The part of a Creative Commons licence that forbids to pass on what was changed."""

NON_COMMERCIAL = "nc"
"""The part that forbids commercial use."""


def read_source(folder: Path) -> dict[str, Any] | None:
    """Read where a checkpoint's weights are from; None for those trained here.

    Raises:
        ValueError: If the file is damaged.
    """
    if not (folder / SOURCE).is_file():
        return None
    values = read_json(folder / SOURCE, limit=LARGEST_CONFIG)
    if not isinstance(values, dict) or not {"name", "licence"} <= values.keys():
        raise Refused("licences.unreadable", name=SOURCE)
    return values


def check_licence(folder: Path) -> None:
    """Refuse weights that nobody may pass on converted.

    Raises:
        ValueError: If their licence forbids derivatives, or they state none; a text-image encoder
            is never trained here, so one that does not say where it is from states none.
    """
    source = read_source(folder)
    if source is None:
        config = read_json(folder / "config.json", limit=LARGEST_CONFIG)
        if isinstance(config, dict) and config.get("model_type") == DUAL:
            raise Refused("licences.not_stated", name=folder.name)
        return
    licence = source["licence"]
    if licence is None:
        raise Refused("licences.not_stated", name=source["name"])
    if NO_DERIVATIVES in _parts(licence):
        raise Refused("licences.no_derivatives", name=source["name"], licence=licence)


def licence_with(source: dict[str, Any] | None, own: str) -> str:
    """Return the licence of a checkpoint: that of its weights, unless that of its cases asks more.

    Args:
        source: What `read_source` returned.
        own: The licence that the data give it.
    """
    if source is None or not isinstance(source["licence"], str):
        return own
    stricter = NON_COMMERCIAL in _parts(source["licence"])
    return source["licence"] if stricter or NON_COMMERCIAL not in _parts(own) else own


def _parts(licence: object) -> list[str]:
    return str(licence).lower().replace("_", "-").split("-")
