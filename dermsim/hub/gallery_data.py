"""The gallery as a data set of its own: embeddings and facts as Parquet, pictures where allowed.

``load_dataset(id)`` reads it, and so does `load_gallery`, which compares the encoder first and
needs no 🤗 datasets, so that a page is up sooner.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from dermsim.core.bounded_parquet import check_rows, read_bounded
from dermsim.core.labels import CODES, LABEL2ID
from dermsim.core.refused import Refused, RefusedFileNotFoundError
from dermsim.core.storage import existing, load_json, save_json
from dermsim.core.vectors import check_embeddings
from dermsim.hub.data_card import data_card
from dermsim.hub.parquet import write_parquet
from dermsim.tasks.retrieve import COLUMNS, HEADER, CaseTable, Gallery
from dermsim.tasks.retrieve.case_table import HASH
from dermsim.tasks.retrieve.parts import Part

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq
    from datasets import Dataset

DATA = "data"
"""Folder of the Parquet files."""

FILES = (HEADER, f"{DATA}/*.parquet")
"""What a reader needs of the data set's repository."""

UNIT = 1e-3
"""How far from 1 the length of an embedding may be."""


def write_gallery(
    folder: Path,
    gallery: Gallery,
    *,
    licence: str,
    repo_id: str,
    model_id: str,
    pictures: Dataset | None = None,
) -> None:
    """Write a gallery as the folder of a data set, with its card.

    Args:
        folder: Where to; it is made.
        gallery: What to write.
        licence: As the Hub spells it.
        repo_id: The data set's name on the Hub.
        model_id: The model that made the embeddings.
        pictures: Rows of the `load_ham10000` schema, all cases among them, whose pictures go
            along; None for embeddings and facts alone.

    Raises:
        ValueError: If a case has no picture there.
    """
    from datasets import Dataset, Features, List, Value, concatenate_datasets

    from dermsim.data.tables import schema

    known = schema()
    facts = Features({column: known[column] for column in COLUMNS})
    values = {column: [record[column] for record in gallery.records] for column in COLUMNS}
    values["dx"] = [LABEL2ID[str(dx)] for dx in values["dx"]]
    hashes = gallery.records.plain.column(HASH).to_pylist()
    facts[HASH] = Value("string")
    values[HASH] = [None if packed is None else packed.hex() for packed in hashes]
    width = gallery.embeddings.shape[1]
    kept = Features({"embedding": List(Value("float32"), length=width)})
    parts = [
        Dataset.from_dict(values, features=facts),
        Dataset.from_dict({"embedding": list(gallery.embeddings)}, features=kept),
    ]
    if pictures is not None:
        parts.insert(0, _pictures_of(values["image_id"], pictures))
    table = concatenate_datasets(parts, axis=1)
    sizes = {"train": write_parquet(table, folder / DATA, split="train")}
    header = {"fingerprint": gallery.fingerprint, "rows": len(gallery), "dim": width}
    save_json(folder / HEADER, header)
    what = "embeddings, facts and pictures" if pictures is not None else "embeddings and facts"
    card = data_card(
        title="dermsim gallery",
        licence=licence,
        features=table.features,
        rows={"train": len(table)},
        sizes=sizes,
        body=_CARD.format(
            what=what, model=model_id, repo=repo_id, fingerprint=gallery.fingerprint, dim=width
        ),
    )
    (folder / "README.md").write_text(card, encoding="utf-8")


def load_gallery(folder: Path, *, fingerprint: str) -> Gallery:
    """Read what `write_gallery` wrote.

    Args:
        folder: The data set's files.
        fingerprint: The encoder in use.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a file is damaged, or the gallery was made by another encoder.
    """
    header = load_json(folder / HEADER, keys={"fingerprint", "rows", "dim"})
    if header["fingerprint"] != fingerprint:
        raise Refused(
            "gallery_data.other_encoder",
            name=folder.name,
            fingerprint=header["fingerprint"],
            model=fingerprint,
        )
    embeddings = []
    records: list[dict[str, Any]] = []
    hashes: list[str | None] = []
    for table in _tables(folder, header["rows"]):
        values = table.column("embedding").combine_chunks().flatten()
        embeddings.append(values.to_numpy(zero_copy_only=False).reshape(len(table), -1))
        records += table.select(COLUMNS).to_pylist()
        hashes += table.column(HASH).to_pylist()
    for record in records:
        if record["dx"] not in range(len(CODES)):
            raise Refused("gallery_data.dx", dx=record["dx"])
        record["dx"] = CODES[record["dx"]]
    stacked = np.concatenate(embeddings)
    if stacked.shape != (header["rows"], header["dim"]):
        raise Refused(
            "gallery_data.shape",
            shape=stacked.shape,
            header=HEADER,
            stated=(header["rows"], header["dim"]),
        )
    if np.abs(np.linalg.norm(check_embeddings(stacked), axis=1) - 1).max(initial=0) > UNIT:
        raise Refused("gallery_data.length")
    # the rows as they are: making them of length 1 again could change their last bits
    return Gallery((Part(stacked),), _with_hashes(records, hashes), fingerprint)


def _with_hashes(records: list[dict[str, Any]], hashes: list[str | None]) -> CaseTable:
    """Make the facts of cases, with what their photographs look like where that is known.

    Raises:
        ValueError: If they are no facts of a gallery, or no hashes.
    """
    import pyarrow as pa

    plain = CaseTable.build(records).plain
    place = plain.column_names.index(HASH)
    try:
        packed = [None if text is None else bytes.fromhex(text) for text in hashes]
        column = pa.array(packed, plain.schema.types[place])
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise Refused("gallery_data.hash", column=HASH, error=error) from error
    return CaseTable.check(plain.set_column(place, HASH, column))


class GalleryPictures:
    """The pictures of a gallery data set, read one at a time.

    Args:
        folder: The data set's files.

    Raises:
        FileNotFoundError: If there are no Parquet files.
        ValueError: If one is damaged, or has no pictures.
    """

    def __init__(self, folder: Path) -> None:
        self._places: dict[str, tuple[Path, int, int]] = {}
        for path in _files(folder):
            file = _opened(path)
            if "image" not in file.schema_arrow.names:
                raise Refused("archives.no_pictures", name=path.name)
            for group in range(file.num_row_groups):
                ids = file.read_row_group(group, columns=["image_id"]).column("image_id")
                for row, image_id in enumerate(ids.to_pylist()):
                    self._places[image_id] = (path, group, row)

    def __call__(self, image_id: str) -> Image.Image | None:
        """Return the picture of a case, or None for one that is not here."""
        if image_id not in self._places:
            return None
        path, group, row = self._places[image_id]
        table = _opened(path).read_row_group(group, columns=["image"])
        picture = table.column("image")[row].as_py()
        return Image.open(BytesIO(picture["bytes"])).convert("RGB")


def has_pictures(folder: Path) -> bool:
    """Say whether pictures lie beside the facts."""
    return all("image" in _opened(path).schema_arrow.names for path in _files(folder))


def _files(folder: Path) -> list[Path]:
    if not (found := sorted((folder / DATA).glob("*.parquet"))):
        raise RefusedFileNotFoundError("gallery_data.no_files", folder=folder / DATA)
    return found


def _tables(folder: Path, rows: object) -> Iterator[pa.Table]:
    """Read the facts and embeddings, after comparing how many there are with what is said.

    Raises:
        ValueError: If there are others, or a file is damaged or unpacks to too much.
    """
    files = _files(folder)
    if (found := sum(_opened(path).metadata.num_rows for path in files)) != rows:
        raise Refused("gallery_data.cases", found=found, header=HEADER, rows=rows)
    for path in files:
        yield read_bounded(path, needed=[*COLUMNS, HASH, "embedding"])


def _opened(path: Path) -> pq.ParquetFile:
    """Open a file whose footer says that it unpacks to no more than it may.

    Raises:
        ValueError: If it does not, or is damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(existing(path))
    except (pa.ArrowException, OSError) as error:
        raise Refused("gallery_data.damaged", name=path.name, error=error) from error
    check_rows(path, file.metadata)
    return file


_CARD = """\
The past cases that [{model}](https://huggingface.co/{model}) compares a photograph with: {what}, a
row for each photograph of its training split.

`embedding` has {dim} numbers and length 1, so that the likeness of two cases is their inner
product; it was made by the encoder `{fingerprint}` and fits no other. `dx` is the diagnosis,
`dx_type` how it was confirmed (never feed that to a model: it gives the diagnosis away), `age` is
in years, `localization` where on the body, `perceptual_hash` what the photograph looks like, in 256
bits, by which it is recognised when it is asked about; what is not known is null.

```python
from datasets import load_dataset

gallery = load_dataset("{repo}", split="train")
print(gallery.features["dx"].names, len(gallery[0]["embedding"]))
```
"""


def _pictures_of(image_ids: list[object], pictures: Dataset) -> Dataset:
    """Return the pictures of the cases, in their order."""
    rows = {image_id: row for row, image_id in enumerate(pictures["image_id"])}
    if missing := [name for name in image_ids if name not in rows]:
        raise Refused("gallery_data.no_picture", count=len(missing), missing=missing[0])
    return pictures.select_columns(["image"]).select([rows[name] for name in image_ids])
