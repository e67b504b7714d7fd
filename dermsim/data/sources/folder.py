"""A data set's folder as adapters look at it: its tables by their columns, its pictures by name."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from dermsim.data.images import IMAGE_SUFFIXES, is_image_path

_TABLES = frozenset({".csv", ".tsv", ".tab"})
_HEADER_BYTES = 65_536
_SEPARATORS = ",;\t|"


@dataclass(frozen=True)
class Folder:
    """A folder, listed once when it is first asked.

    Attributes:
        path: What the user named.
        root: The folder that is searched.
        given: The table, where the user named a table instead of a folder.
    """

    path: Path
    root: Path
    given: Path | None = None

    @classmethod
    def at(cls, path: str | Path | Folder) -> Folder:
        """Look at a folder, or at a table whose pictures lie beside it.

        Raises:
            FileNotFoundError: If there is nothing at the path.
        """
        if isinstance(path, Folder):
            return path
        named = Path(path).absolute()
        if named.is_dir():
            return cls(named, named)
        if not named.is_file():
            raise FileNotFoundError(f"no folder at {path}: check the path")
        # Unpacked as downloaded, a table lies in a folder of its own beside the pictures' folder.
        nested = named.parent.name == named.stem
        return cls(named, named.parent.parent if nested else named.parent, named)

    @cached_property
    def files(self) -> tuple[Path, ...]:
        """Every file below that is not hidden, sorted; links are followed, circles are not."""
        found, seen = [], set()
        for root, folders, names in os.walk(self.root, followlinks=True):
            real = os.path.realpath(root)
            if real in seen:
                folders.clear()
                continue
            seen.add(real)
            folders[:] = [name for name in folders if not name.startswith(".")]
            found += [Path(root, name) for name in names if not name.startswith(".")]
        return tuple(sorted(found))

    @cached_property
    def pictures(self) -> tuple[Path, ...]:
        """Every file that ends like a picture."""
        return tuple(path for path in self.files if is_image_path(path))

    def inside(self, path: Path) -> PurePosixPath:
        """Return where a file lies in the folder."""
        return PurePosixPath(path.relative_to(self.root).as_posix())

    def named(self, *names: str) -> Path | None:
        """Find the one file with one of these names, whatever the case.

        Raises:
            ValueError: If there are several.
        """
        wanted = {name.casefold() for name in names}
        if self.given is not None and self.given.name.casefold() in wanted:
            return self.given
        return self._only([path for path in self.files if path.name.casefold() in wanted])

    def tables(self, *columns: str) -> list[Path]:
        """List the text tables that have all of these columns; no more than the header is read."""
        return [path for path, header in self._headers.items() if header.issuperset(columns)]

    def columns(self, table: Path) -> frozenset[str]:
        """Return the columns of a table."""
        return self._headers[table]

    def table(self, *columns: str) -> Path | None:
        """Find the table that makes the folder this data set; one that the user named comes first.

        Raises:
            ValueError: If there are several, so that it is not clear which one is meant.
        """
        found = self.tables(*columns)
        if self.given is not None:
            return self.given if self.given in found else None
        return self._only(found)

    def companion(self, *columns: str) -> Path | None:
        """Find a table that says more of the same pictures.

        Raises:
            ValueError: If there are several.
        """
        return self._only(self.tables(*columns))

    def picture(self, name: str) -> str | None:
        """Find a picture by its name, whatever the case and the ending.

        Args:
            name: With or without ending; with its folder where two have the same name.

        Returns:
            Its path, or None where it is missing.

        Raises:
            ValueError: If several pictures go by this name.
        """
        wanted = _key(PurePosixPath(name.replace("\\", "/")))
        found = self._by_stem.get(wanted.rpartition("/")[2], [])
        if len(found) > 1:
            found = [path for path in found if f"/{_key(self.inside(path))}".endswith(f"/{wanted}")]
        only = self._only(found)
        return None if only is None else str(only)

    @cached_property
    def _headers(self) -> dict[Path, frozenset[str]]:
        return {path: _header(path) for path in self.files if path.suffix.lower() in _TABLES}

    @cached_property
    def _by_stem(self) -> dict[str, list[Path]]:
        found: dict[str, list[Path]] = defaultdict(list)
        for path in self.pictures:
            found[path.stem.casefold()].append(path)
        return found

    def _only(self, found: list[Path]) -> Path | None:
        if len(found) > 1:
            names = " and ".join(str(self.inside(path)) for path in found[:5])
            raise ValueError(
                f"{self.path} holds {names}: it is not clear which one is meant, keep one or pass "
                "its path"
            )
        return found[0] if found else None


def _key(path: PurePosixPath) -> str:
    """Drop case and the ending of a picture, in which tables and folders differ."""
    text = path.as_posix().casefold()
    return text.removesuffix(path.suffix.lower()) if path.suffix.lower() in IMAGE_SUFFIXES else text


def _header(path: Path) -> frozenset[str]:
    """Read the names of a table's columns, roughly; no column means that it is no table."""
    with path.open("rb") as stream:
        line = stream.readline(_HEADER_BYTES)
    text = line.decode("utf-8-sig", errors="replace").strip()
    separator = max(_SEPARATORS, key=text.count)
    return frozenset(cell.strip().strip('"').strip() for cell in text.split(separator))
