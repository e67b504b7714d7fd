"""Outlines: every layout, and every way in which one can be wrong."""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from refusals import refuses

from dermsim.core.labels import CODES
from dermsim.data.outlines import load_masks
from dermsim.data.synthetic import (
    draw_lesion,
    draw_outline,
    synthetic_ham10000,
    synthetic_outlines,
)

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


def disc(size=(20, 15)):
    width, height = size
    y, x = np.mgrid[:height, :width]
    return np.hypot(x - width / 2, y - height / 2) < height / 3


def png(outline):
    stream = io.BytesIO()
    Image.fromarray(outline).save(stream, "PNG")
    return stream.getvalue()


def parquet(folder, rows, column="mask"):
    folder.mkdir(exist_ok=True)
    table = pa.Table.from_pylist([{column: mask, "image_id": name} for name, mask in rows])
    pq.write_table(table, folder / "train-00000-of-00001.parquet")
    return folder


def test_parquet_as_the_hub_keeps_it(tmp_path):
    rows = [
        ("ISIC_1", {"bytes": png(disc()), "path": "a.png"}),
        ("ISIC_2", {"bytes": png(~disc())}),
    ]
    outlines = load_masks(parquet(tmp_path / "masks", rows))
    assert list(outlines) == ["ISIC_1", "ISIC_2"] and len(outlines) == 2
    assert np.array_equal(outlines["ISIC_1"], disc()) and outlines["ISIC_1"].dtype == bool
    assert np.array_equal(outlines["ISIC_2"], ~disc())


@pytest.mark.parametrize("name", ["ISIC_1.png", "ISIC_1_segmentation.png", "deep/down/ISIC_1.png"])
def test_pictures_as_the_archive_keeps_them(tmp_path, name):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(disc().astype(np.uint8) * 255).save(path)  # 8 bits, all black or white
    assert np.array_equal(load_masks(tmp_path)["ISIC_1"], disc())


def test_an_outline_is_brought_to_the_size_of_its_photograph(tmp_path):
    (tmp_path / "a.png").write_bytes(png(disc((200, 150))))
    outlines = load_masks(str(tmp_path))
    assert outlines.of("a", (200, 150)).sum() == disc((200, 150)).sum()
    for size in ((400, 300), (100, 75), (101, 75)):
        found = outlines.of("a", size)
        assert found.shape == size[::-1]
        assert (found != disc(size)).mean() < 0.02
    with refuses("outlines.other_size", width=200, height=150, other_width=150, other_height=200):
        outlines.of("a", (150, 200))


class TestRefusals:
    def test_no_folder(self, tmp_path):
        with refuses("outlines.no_folder", FileNotFoundError, source=tmp_path / "nowhere"):
            load_masks(tmp_path / "nowhere")

    def test_an_empty_folder(self, tmp_path):
        with refuses("outlines.none", layouts="outlines.layouts"):
            load_masks(tmp_path)

    def test_other_columns(self, tmp_path):
        folder = parquet(tmp_path / "m", [("a", {"bytes": png(disc())})], column="image")
        with refuses("outlines.lacks_column", missing=["mask"]):
            load_masks(folder)

    def test_damaged_parquet(self, tmp_path):
        (tmp_path / "a.parquet").write_text("not a table")
        with refuses("outlines.damaged", name="a.parquet"):
            load_masks(tmp_path)

    def test_a_row_without_a_picture_or_a_name(self, tmp_path):
        good = {"bytes": png(disc())}
        for number, (name, mask) in enumerate([("b", {"bytes": None}), (None, good)]):
            folder = parquet(tmp_path / str(number), [("a", good), (name, mask)])
            with refuses("outlines.row", number=1, image_id=name):
                load_masks(folder)

    def test_two_of_one_image(self, tmp_path):
        rows = [(name, {"bytes": png(disc())}) for name in ("a", "b", "b")]
        with refuses("outlines.twice", twice="b"):
            load_masks(parquet(tmp_path / "m", rows))

    def test_of_one_outline(self, tmp_path):
        grey = np.arange(30 * 20).reshape(20, 30).astype(np.uint8)
        for name, content in {
            "grey": png(grey),
            "black": png(np.zeros((15, 20), dtype=bool)),
            "short": png(disc((100, 75)))[:60],
            "text": b"hello",
        }.items():
            (tmp_path / f"{name}.png").write_bytes(content)
        outlines = load_masks(tmp_path)
        assert len(outlines) == 4, "each is read when it is asked for"
        with refuses("outlines.greys", image_id="grey"):
            outlines["grey"]
        with refuses("outlines.all_black", image_id="black"):
            outlines["black"]
        for name in ("short", "text"):
            with refuses("outlines.unreadable", image_id=name):
                outlines[name]
        with pytest.raises(KeyError):
            outlines["unheard of"]


# --- of drawn lesions ----------------------------------------------------------------------------


@pytest.mark.parametrize("dx", CODES)
def test_a_drawn_lesion_differs_from_the_skin_where_its_outline_says(dx):
    gaps = []
    for seed in range(3):
        image = np.asarray(draw_lesion(dx, seed=seed), dtype=float)
        outline = np.asarray(draw_outline(dx, seed=seed))
        assert outline.shape == (150, 200) and outline.dtype == bool
        assert 0.02 < outline.mean() < 0.95
        # a ring of skin just outside, which has the same light as the lesion
        rows, columns = np.nonzero(outline)
        near = np.zeros_like(outline)
        near[
            max(rows.min() - 12, 0) : rows.max() + 12,
            max(columns.min() - 12, 0) : columns.max() + 12,
        ] = True
        skin = near & ~outline
        gaps.append(np.abs(image[outline].mean(axis=0) - image[skin].mean(axis=0)).max())
    assert np.mean(gaps) > 8, "the lesion looks like the skin around it"


def test_the_outlines_of_the_synthetic_data_are_those_of_its_pictures():
    dataset = synthetic_ham10000(7, seed=2)
    outlines = synthetic_outlines(7, seed=2)
    assert list(outlines) == dataset["image_id"]
    for row in (0, 5, 13):
        dx = CODES[dataset[row]["dx"]]
        lesion, view = divmod(row, 2)
        expected = draw_outline(dx, seed=2 * 1_000_003 + lesion, view=view)
        assert np.array_equal(np.asarray(outlines[dataset[row]["image_id"]]), np.asarray(expected))


@pytest.mark.slow
def test_synthetic_is_a_source():
    outlines = load_masks("synthetic")
    dataset = synthetic_ham10000()
    assert set(outlines) == set(dataset["image_id"])
    assert outlines["SYN_0000003"].shape == (150, 200)


# --- the real ones -------------------------------------------------------------------------------


@pytest.mark.skipif(
    not (SHARED / "ham10000_masks").is_dir(), reason="needs ../shared/data/ham10000_masks"
)
def test_all_of_ham10000_is_outlined():
    outlines = load_masks(SHARED / "ham10000_masks")
    assert len(outlines) == 10_015
    ids = pq.read_table(next((SHARED / "ham10000").rglob("*.parquet")), columns=["image_id"])
    known = set(ids["image_id"].to_pylist())
    assert known <= set(outlines)
    shares = [outlines.of(name, (200, 150)).mean() for name in list(outlines)[::100]]
    assert min(shares) > 0 and 0.2 < np.mean(shares) < 0.5
