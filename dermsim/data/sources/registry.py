"""All data sets that are known, and how to find out which of them a folder holds."""

from __future__ import annotations

from pathlib import Path

from dermsim.core.refused import Refused
from dermsim.data.sources import (
    bcn20000,
    ddi,
    derm1m,
    derm7pt,
    dermnet,
    fitzpatrick17k,
    isic2018_attributes,
    isic2019,
    isic2020,
    milk10k,
    mra_midas,
    pad_ufes_20,
    ph2,
    sd198,
    skincap,
    skincon,
)
from dermsim.data.sources.adapter import Adapter
from dermsim.data.sources.folder import Folder

ADAPTERS: tuple[Adapter, ...] = (
    isic2018_attributes.ADAPTER,
    isic2019.ADAPTER,
    isic2020.ADAPTER,
    bcn20000.ADAPTER,
    milk10k.ADAPTER,
    pad_ufes_20.ADAPTER,
    derm7pt.ADAPTER,
    sd198.ADAPTER,
    mra_midas.ADAPTER,
    ph2.ADAPTER,
    ddi.ADAPTER,
    fitzpatrick17k.ADAPTER,
    skincon.ADAPTER,
    skincap.ADAPTER,
    derm1m.ADAPTER,
    dermnet.ADAPTER,
)
"""Beside these, `dermsim.data.ham10000` reads HAM10000, `dermsim.data.isic` ISIC 2017 and 2018."""


def find_adapter(path: str | Path) -> Adapter | None:
    """Find out which data set a folder holds.

    Args:
        path: A folder, or a table whose pictures lie beside it.

    Returns:
        Its adapter, or None where the folder is none of `ADAPTERS`.

    Raises:
        FileNotFoundError: If there is nothing at the path.
        ValueError: If the folder holds several data sets, or several tables of one.
    """
    folder = Folder.at(path)
    found = [adapter for adapter in ADAPTERS if adapter.recognises(folder)]
    if len(found) > 1:
        titles = [adapter.title for adapter in found]
        raise Refused("sources_registry.several", path=path, titles=titles)
    return found[0] if found else None
