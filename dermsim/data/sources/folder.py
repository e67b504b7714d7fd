"""A data set's folder as adapters look at it: its tables by their columns, its pictures by name."""

from __future__ import annotations

import filecmp
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from dermsim.core.refused import Refused, RefusedFileNotFoundError
from dermsim.data.delimited import read_header
from dermsim.data.folders import walk_files
from dermsim.data.images import is_image_path
from dermsim.data.matching import PictureIndex
from dermsim.data.part_names import Part
from dermsim.data.tables import DELIMITED_SUFFIXES


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
            raise RefusedFileNotFoundError("sources_folder.no_folder", path=path)
        # Unpacked as downloaded, a table lies in a folder of its own beside the pictures' folder.
        nested = named.parent.name == named.stem
        return cls(named, named.parent.parent if nested else named.parent, named)

    @cached_property
    def files(self) -> tuple[Path, ...]:
        """Every file below that is not hidden, sorted; links are followed, circles are not."""
        return tuple(sorted(walk_files(self.root)))

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

    def picture(self, name: str, *, part: Part | None = None) -> str | None:
        """Find a picture by its name, whatever the case and the ending.

        Args:
            name: With or without ending; with its folder where the table has it, and then only the
                picture in a folder of this name is meant.
            part: Which part of the data set the table is about: pictures in folders that are called
                like another part are not meant.

        Returns:
            Its path, or None where it is missing.

        Raises:
            ValueError: If several photographs go by this name.
        """
        found = self._index.find(name, exact=True, part=part)
        return None if found is None else str(found)

    @cached_property
    def _index(self) -> PictureIndex:
        return PictureIndex(self.pictures, self.root)

    @cached_property
    def _headers(self) -> dict[Path, frozenset[str]]:
        return {
            path: frozenset(read_header(path))
            for path in self.files
            if path.suffix.lower() in DELIMITED_SUFFIXES
        }

    def _only(self, found: list[Path]) -> Path | None:
        """Return what was found, of several with the same content the first."""
        if len(found) > 1 and not all(
            filecmp.cmp(found[0], other, shallow=False) for other in found
        ):
            names = [self.inside(path) for path in found[:5]]
            raise Refused("sources_folder.ambiguous", path=self.path, names=names)
        return found[0] if found else None
