"""Lists the pictures of any source without asking for diagnoses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from dermsim.data.sources import find_adapter
from dermsim.data.sources.folder import Folder
from dermsim.data.tables import Row, read_rows

_GROUPS = ("lesion_id", "patient_id")
_OUTLINES = ("_segmentation", "_superpixels", "_lesion")
_ATTRIBUTE = "_attribute_"


@dataclass(frozen=True)
class Listed:
    """One picture of a source, not yet read.

    Attributes:
        source: As the user named it.
        image_id: Its name there.
        image: Path or encoded bytes; None where the file is missing.
        lesion_id: Its lesion, None where not known.
        patient_id: Its patient, None where not known.
    """

    source: str
    image_id: str
    image: str | bytes | None
    lesion_id: str | None = None
    patient_id: str | None = None


def list_source(source: str) -> list[Listed]:
    """List the pictures of a source, sorted by name.

    Args:
        source: One of

            - the folder of a published data set, or its table, see `dermsim.data.sources`;
            - a folder of Parquet files with a column ``image``;
            - any other folder, whose pictures are searched for; a table in it with the columns
              ``image_id`` and ``lesion_id`` or ``patient_id`` says what belongs together;
            - ``"synthetic"`` or a Hub id, see `dermsim.data.ham10000.load_ham10000`.

    Raises:
        FileNotFoundError: If there is nothing at the path.
        ConnectionError: If a Hub id cannot be reached.
        ValueError: If the source holds no pictures, or several data sets.
    """
    path = Path(source)
    if path.exists():
        found = [*_published(source, path)] or [*_parquet(source, path)] or [*_loose(source, path)]
    else:
        found = [*_loaded(source)]
    if not found:
        raise ValueError(f"{source} holds no pictures: check the path")
    return sorted(found, key=lambda item: item.image_id)


def _published(source: str, path: Path) -> Iterator[Listed]:
    adapter = find_adapter(path)
    for row in adapter.read(path) if adapter else ():
        yield Listed(source, row.image_id, row.image, row.lesion_id, row.patient_id)


def _parquet(source: str, path: Path) -> Iterator[Listed]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    files = [path] if path.is_file() else Folder.at(path).files
    for file in files:
        if file.suffix.lower() != ".parquet":
            continue
        try:
            names = set(pq.read_schema(file).names)
            if "image" not in names:
                continue
            known = [name for name in ("image", "image_id", *_GROUPS) if name in names]
            rows = pq.read_table(file, columns=known).to_pylist()
        except (pa.ArrowException, OSError) as error:
            raise ValueError(f"{file.name} is damaged or not Parquet: {error}") from error
        for number, row in enumerate(rows):
            name = row.get("image_id") or f"{file.stem}:{number}"
            picture = row["image"]
            encoded = picture.get("bytes") if isinstance(picture, Mapping) else picture
            yield Listed(source, str(name), encoded, row.get("lesion_id"), row.get("patient_id"))


def _loose(source: str, path: Path) -> Iterator[Listed]:
    folder = Folder.at(path)
    if folder.given is not None:
        raise ValueError(
            f"{source} is a file, and no table of a data set that is known: pass a folder"
        )
    facts = _facts(folder)
    for picture in folder.pictures:
        if picture.stem.endswith(_OUTLINES) or _ATTRIBUTE in picture.stem:
            continue
        row = facts.get(picture.stem, {})
        name = folder.inside(picture).with_suffix("").as_posix()
        image_id = picture.stem if row else name
        yield Listed(source, image_id, str(picture), *(row.get(column) for column in _GROUPS))


def _facts(folder: Folder) -> dict[str | None, Row]:
    """Return what tables say of pictures, by image_id; tables that cannot be read say nothing."""
    known: dict[str | None, Row] = {}
    for column in _GROUPS:
        for table in folder.tables("image_id", column):
            for row in read_rows(table):
                known[row["image_id"]] = {**row, **known.get(row["image_id"], {})}
    return known


def _loaded(source: str) -> Iterator[Listed]:
    from datasets import Image

    from dermsim.data.ham10000 import load_ham10000

    rows = load_ham10000(source).cast_column("image", Image(decode=False))
    for row in rows:
        image = row["image"]["bytes"] or row["image"]["path"]
        yield Listed(source, row["image_id"], image, row["lesion_id"])
