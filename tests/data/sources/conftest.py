"""Folders in the layouts of published data sets, with drawn pictures."""

import csv
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"


class Drawn:
    """A folder to lay a data set out in."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def picture(self, *places: str, dx: str = "nv") -> None:
        """Draw pictures of lesions, each at its place in the folder."""
        from dermsim.data.synthetic import draw_lesion

        for seed, place in enumerate(places):
            path = self.path / place
            path.parent.mkdir(parents=True, exist_ok=True)
            draw_lesion(dx, seed=seed, size=(32, 24)).save(path)

    def table(self, place: str, rows: list[dict[str, object]]) -> Path:
        """Write a table; columns are those of the first row."""
        path = self.path / place
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        return path

    def copy(self, place: str, original: Path, lines: int | None = None) -> Path:
        """Copy the first lines of a published table."""
        path = self.path / place
        path.parent.mkdir(parents=True, exist_ok=True)
        text = original.read_text(encoding="utf-8").splitlines(keepends=True)
        path.write_text("".join(text[:lines]), encoding="utf-8")
        return path

    def book(self, place: str, lines: list[list[object]]) -> Path:
        """Write an Excel workbook."""
        import openpyxl

        path = self.path / place
        path.parent.mkdir(parents=True, exist_ok=True)
        book = openpyxl.Workbook()
        for line in lines:
            book.active.append(line)
        book.save(path)
        return path


@pytest.fixture
def drawn(tmp_path) -> Drawn:
    folder = tmp_path / "set"
    folder.mkdir()
    return Drawn(folder)


@pytest.fixture
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip("needs ../shared/data")
    return SHARED


@pytest.fixture
def read(drawn):
    """Find the adapter of the drawn folder, which must be the one that is named, and read it."""
    from dermsim.data.sources import find_adapter

    def find_and_read(name, path=None, **options):
        adapter = find_adapter(path or drawn.path)
        assert adapter is not None and adapter.name == name
        rows = adapter.read(path or drawn.path, **options)
        for row in rows:
            assert row.source == name
            assert row.licence and row.image_id
        return rows

    return find_and_read
