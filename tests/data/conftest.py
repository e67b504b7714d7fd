"""A small table of drawn lesions, laid out in every way in which HAM10000 is found in the wild."""

import csv
import io
from pathlib import Path

import pytest
from PIL import Image


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    """Keep 🤗 datasets from writing to the developer's cache."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def lesions():
    """14 lesions, two pictures each, in the loaded schema."""
    from dermsim.data.synthetic import synthetic_ham10000

    return synthetic_ham10000(14, seed=3, size=(48, 36))


@pytest.fixture(scope="session")
def rows(lesions):
    """The same as plain rows: codes for dx, encoded bytes for image, not in order."""
    from datasets import Image as ImageFeature

    from dermsim.core.labels import CODES

    encoded = lesions.cast_column("image", ImageFeature(decode=False))
    plain = [{**row, "dx": CODES[row["dx"]], "image": row["image"]["bytes"]} for row in encoded]
    return plain[1::2] + plain[::2]


class Layout:
    """Writes rows to a folder in one of the layouts; tests change the rows first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write_csv(self, path: Path, rows, columns=None, delimiter=",") -> None:
        columns = columns or [column for column in rows[0] if column != "image"]
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, columns, extrasaction="ignore", delimiter=delimiter)
            writer.writeheader()
            writer.writerows(rows)

    def write_images(self, folder: Path, rows) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for row in rows:
            if row["image"] is not None:
                (folder / f"{row['image_id']}.jpg").write_bytes(row["image"])

    def parquet(self, rows, *, name="train-00000-of-00001") -> Path:
        """As the Hub serves it."""
        from datasets import Dataset, Features, Value
        from datasets import Image as ImageFeature

        types = {"image": ImageFeature(), "age": Value("float64")}
        features = Features({c: types.get(c, Value("string")) for c in rows[0]})
        columns = {c: [row[c] for row in rows] for c in rows[0]}
        columns["image"] = [i and {"bytes": i, "path": None} for i in columns["image"]]
        (self.folder / "data").mkdir(exist_ok=True)
        path = self.folder / "data" / f"{name}.parquet"
        Dataset.from_dict(columns, features=features).to_parquet(path)
        return self.folder

    def raw(self, rows, *, table="HAM10000_metadata.csv", delimiter=",") -> Path:
        """As Dataverse and Kaggle serve it."""
        half = len(rows) // 2
        self.write_images(self.folder / "HAM10000_images_part_1", rows[:half])
        self.write_images(self.folder / "HAM10000_images_part_2", rows[half:])
        self.write_csv(self.folder / table, rows, delimiter=delimiter)
        return self.folder

    def imagefolder(self, rows) -> Path:
        """As 🤗 datasets' imagefolder builder wants it."""
        self.write_images(self.folder / "pictures", rows)
        named = [{"file_name": f"pictures/{row['image_id']}.jpg", **row} for row in rows]
        self.write_csv(self.folder / "metadata.csv", named)
        return self.folder


@pytest.fixture
def layout(tmp_path) -> Layout:
    folder = tmp_path / "source"
    folder.mkdir()
    return Layout(folder)


def jpeg(color="brown", size=(48, 36), **options) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", size, color).save(stream, format="JPEG", **options)
    return stream.getvalue()


@pytest.fixture
def make_jpeg():
    """Encode a picture of one colour."""
    return jpeg
