"""HAM10000 as a data set on the Hub: Parquet, class labels, splits that share no lesion."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from dermsim.core.refused import Refused
from dermsim.data.splits import grouped_splits
from dermsim.evaluation.card import LICENCES
from dermsim.hub.data_card import data_card
from dermsim.hub.parcel import Parcel, check_room
from dermsim.hub.parquet import write_parquet

if TYPE_CHECKING:
    from datasets import Dataset

HAM10000 = range(24_306, 34_320 + 1)
"""Numbers of its 10,015 photographs in the ISIC Archive, where no other has one of them (Tschandl,
Rosendahl and Kittler, 2018, https://doi.org/10.1038/sdata.2018.161)."""

SPARE = 64 * 2**20
"""Bytes allowed for facts and cards beside the pictures."""


def picture_licence(dataset: Dataset) -> str:
    """Return the licence under which the pictures may be passed on, as the Hub spells it.

    Raises:
        ValueError: If they are neither HAM10000 nor drawings: then nobody here knows it.
    """
    ids = dataset["image_id"]
    for fits, name in ((_is_drawing, "synthetic"), (_is_ham10000, "HAM10000")):
        if all(map(fits, ids)):
            return LICENCES[name]
    strange = next(image_id for image_id in ids if not _is_ham10000(image_id))
    raise Refused("hub_photographs.licence", strange=strange)


def _is_drawing(image_id: str) -> bool:
    return re.fullmatch(r"SYN_\d{7}", image_id) is not None


def _is_ham10000(image_id: str) -> bool:
    """Say whether an id is one of HAM10000's: the archive holds others before and after them."""
    found = re.fullmatch(r"ISIC_(\d{7})", image_id, re.ASCII)
    return found is not None and int(found[1]) in HAM10000


def write_photographs(folder: Path, dataset: Dataset, *, repo_id: str) -> Parcel:
    """Write a data set's photographs and facts as the folder of a data set on the Hub.

    Args:
        folder: Where to; it is made.
        dataset: Rows of the `load_ham10000` schema.
        repo_id: Its name on the Hub.

    Returns:
        What to send.

    Raises:
        OSError: If the disk has no room for it.
        ValueError: If the pictures may not be passed on, or there are too few lesions to split.
    """
    licence = picture_licence(dataset)
    splits = grouped_splits(dataset)
    folder.mkdir(parents=True)
    check_room(folder, picture_bytes(dataset) + SPARE)
    sizes = {
        name: write_parquet(rows, folder / "data", split=name) for name, rows in splits.items()
    }
    card = data_card(
        title="Drawn dermatoscopy" if licence == LICENCES["synthetic"] else "HAM10000",
        licence=licence,
        features=dataset.features,
        rows={name: len(rows) for name, rows in splits.items()},
        sizes=sizes,
        body=_CARD.format(repo=repo_id),
    )
    (folder / "README.md").write_text(card, encoding="utf-8")
    return Parcel("dataset", repo_id, folder, licence)


def picture_bytes(dataset: Dataset) -> int:
    """Return the bytes of all pictures, whether they lie in a table or beside it."""
    from datasets import Image

    total = 0
    plain = dataset.select_columns(["image"]).cast_column("image", Image(decode=False))
    for batch in plain.with_format("arrow").iter(batch_size=1000):
        for picture in batch.column("image").to_pylist():
            inside = picture["bytes"]
            total += len(inside) if inside else Path(picture["path"]).stat().st_size
    return total


_CARD = """\
Dermatoscopic photographs of pigmented skin lesions with one of seven diagnoses, as published, in
splits that never part the photographs of one lesion: about 3/4 of the images train, 1/8 validate,
1/8 test, near-stratified by diagnosis.

`dx` is a class label, `lesion_id` names the lesion, `dx_type` says how the diagnosis was confirmed
(never feed that to a model: it gives the diagnosis away), `age` is in years, `localization` where
on the body; what is not known is null.

```python
from dermsim import grouped_splits, load_ham10000

splits = grouped_splits(load_ham10000("{repo}"))
print({{name: len(rows) for name, rows in splits.items()}})
```
"""
