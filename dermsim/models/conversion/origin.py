"""Where a source is from: fetched from the Hub or read here, with its licence and its hashes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dermsim.core.downloads import download
from dermsim.core.lfs import refuse_lfs_pointer
from dermsim.core.refused import Refused, RefusedFileNotFoundError
from dermsim.core.storage import LARGEST_CONFIG, read_json, save_json
from dermsim.models.conversion.vocabulary import FILES as TOKENIZER_FILES

FILE = "SOURCE.json"
"""What a folder of converted weights keeps of where they are from."""

LARGEST = 16 * 2**30
"""Bytes of a source at most."""

SETTINGS = ("open_clip_config.json", "config.json", "preprocessor_config.json", "README.md")
"""What is fetched first: it says which weights there are to fetch."""

WEIGHTS: Mapping[str, tuple[str, ...]] = {
    "open_clip": (
        *("open_clip_model.safetensors", "open_clip_pytorch_model.bin", "model.safetensors"),
        *("pytorch_model.bin", "open_clip_pytorch_model.pt"),
    ),
    "transformers": ("model.safetensors", "pytorch_model.bin"),
}
"""Names of the weights of each layout, the first that is there."""


@dataclass(frozen=True)
class Origin:
    """Where something is from.

    Attributes:
        name: Its id on the Hub, or the name of a folder here.
        revision: The commit on the Hub; None for a folder.
        licence: As its card states it; None where it states none.
        sha256: Of each file that was read, by name.
    """

    name: str
    revision: str | None
    licence: str | None
    sha256: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Place:
    """A source that lies here.

    Attributes:
        folder: Its files.
        name: Its id on the Hub, or the folder's name.
        revision: The commit on the Hub; None for a folder.
    """

    folder: Path
    name: str
    revision: str | None = None

    def origin(self, names: Iterable[str], licence: str | None = None) -> Origin:
        """Say where files are from.

        Args:
            names: Of the files that were read.
            licence: As its user knows it; by default as its card states it.
        """
        hashes = {}
        for name in sorted(names):
            with (self.folder / name).open("rb") as file:
                hashes[name] = hashlib.file_digest(file, "sha256").hexdigest()
        return Origin(self.name, self.revision, licence or self.stated_licence(), hashes)

    def stated_licence(self) -> str | None:
        """Return the licence that its card states.

        Raises:
            ValueError: If the card's head cannot be read.
        """
        if not (self.folder / "README.md").is_file():
            return None
        from huggingface_hub.repocard import metadata_load

        try:
            values = metadata_load(self.folder / "README.md") or {}
        except Exception as error:  # YAML has errors of its own, of many lines
            raise Refused("conversion.card", name=self.name) from error
        other = values.get("license_name") if values.get("license") == "other" else None
        licence = other or values.get("license")
        return licence.lower() if isinstance(licence, str) else None


def find(name: str, *, revision: str | None = None) -> Place:
    """Find a source here, or fetch what it says of itself from the Hub.

    Raises:
        FileNotFoundError: As `download`, as are the others.
        PermissionError: Likewise.
        ConnectionError: Likewise.
    """
    if Path(name).is_dir():
        return Place(Path(name), Path(name).resolve().name)
    patterns = [*SETTINGS, *TOKENIZER_FILES]
    folder = download(name, revision=revision, largest=LARGEST, allow_patterns=patterns)
    return Place(folder, name, _commit(folder))


def find_weights(place: Place, layout: str) -> Path:
    """Find the one file of weights, fetching it first where the source is on the Hub.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is a pointer of Git LFS.
        OSError: As `find`.
    """
    for name in WEIGHTS[layout]:
        if place.revision is not None and not (place.folder / name).is_file():
            download(place.name, revision=place.revision, largest=LARGEST, allow_patterns=[name])
        if (place.folder / name).is_file():
            refuse_lfs_pointer(place.folder / name)
            return place.folder / name
    raise RefusedFileNotFoundError(
        "conversion.no_weights", name=place.name, known=list(WEIGHTS[layout])
    )


def settings(place: Place, name: str) -> dict[str, Any] | None:
    """Read a JSON file of a source, where it has it.

    Raises:
        ValueError: If it holds no object.
    """
    path = place.folder / name
    if not path.is_file():
        return None
    values = read_json(path, limit=LARGEST_CONFIG)
    if not isinstance(values, dict):
        raise Refused("storage.not_an_object", name=name, kind=type(values).__name__)
    return values


def write_origin(
    folder: Path,
    origin: Origin,
    *,
    words: Origin | None,
    layout: str,
    dropped: Iterable[str],
) -> None:
    """Write ``SOURCE.json``.

    Args:
        folder: Of the converted weights.
        origin: Of the weights.
        words: Of the tokenizer, where that is another repository's.
        layout: How the source was kept.
        dropped: Names of tensors that were left out on purpose.
    """
    values = {
        **asdict(origin),
        "layout": layout,
        "dropped": sorted(dropped),
        "tokenizer": None if words is None else asdict(words),
    }
    save_json(folder / FILE, values)


def _commit(folder: Path) -> str | None:
    return folder.name if re.fullmatch(r"[0-9a-f]{40}", folder.name) else None
