import functools
import warnings
from pathlib import Path

import numpy as np
import pytest
from refusals import refuses

from dermsim.core.labels import CODES
from dermsim.core.refused import Phrase
from dermsim.data.ham10000 import load_ham10000
from dermsim.data.tables import COLUMNS, schema

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
LONG_NAMES = {
    "akiec": "actinic_keratoses",
    "bcc": "basal_cell_carcinoma",
    "bkl": "benign_keratosis-like_lesions",
    "df": "dermatofibroma",
    "mel": "melanoma",
    "nv": "melanocytic_Nevi",
    "vasc": "vascular_lesions",
}


def facts(dataset):
    return dataset.remove_columns("image").to_list()


def assert_same(dataset, lesions):
    assert dataset.features == schema()
    assert facts(dataset) == facts(lesions)
    first, expected = dataset[0]["image"], lesions[0]["image"]
    assert first.mode == "RGB" and np.array_equal(first, expected)


def with_row(rows, index, **changes):
    """Copy the rows, one of them changed."""
    return [{**row, **changes} if i == index else row for i, row in enumerate(rows)]


# ---------------------------------------------------------------- every source, one schema


def test_parquet_folder(layout, rows, lesions):
    assert_same(load_ham10000(layout.parquet(rows)), lesions)


def test_hub_copy_with_long_names_and_rows_repeated_over_its_splits(layout, rows, lesions):
    long = [{**row, "dx": LONG_NAMES[row["dx"]]} for row in rows]
    layout.parquet(long[:20], name="train-00000-of-00001")
    layout.parquet(long[10:], name="validation-00000-of-00001")
    folder = layout.parquet(long[5:9], name="test-00000-of-00001")
    with pytest.warns(UserWarning, match="14 of 42 rows repeat an image_id .* 28 images remain"):
        dataset = load_ham10000(str(folder))
    assert_same(dataset, lesions)


@pytest.mark.parametrize(
    ("table", "delimiter"), [("HAM10000_metadata.csv", ","), ("HAM10000_metadata", "\t")]
)
def test_raw_folder(layout, rows, lesions, table, delimiter):
    assert_same(load_ham10000(layout.raw(rows, table=table, delimiter=delimiter)), lesions)


def test_imagefolder(layout, rows, lesions):
    assert_same(load_ham10000(layout.imagefolder(rows)), lesions)


def test_own_parquet_with_class_labels(tmp_path, lesions):
    (tmp_path / "data").mkdir()
    lesions.to_parquet(tmp_path / "data" / "train-00000-of-00001.parquet")
    assert_same(load_ham10000(tmp_path), lesions)


def test_parquet_written_by_pandas(tmp_path, rows, lesions):
    import pandas as pd

    frame = pd.DataFrame([{**row, "image": {"bytes": row["image"], "path": None}} for row in rows])
    frame.to_parquet(tmp_path / "ham.parquet")
    assert_same(load_ham10000(tmp_path), lesions)


def test_synthetic(monkeypatch):
    from dermsim.data import synthetic

    fewer = functools.partial(synthetic.synthetic_ham10000, 14, size=(48, 36))
    monkeypatch.setattr(synthetic, "synthetic_ham10000", fewer)
    dataset = load_ham10000("synthetic")
    assert dataset.features == schema()
    assert set(dataset["dx"]) == set(range(7))


def test_row_order_does_not_matter(layout, rows, lesions):
    shuffled = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))]
    assert_same(load_ham10000(layout.raw(shuffled)), lesions)


def test_a_good_source_gives_no_notice(layout, rows):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        load_ham10000(layout.parquet(rows))


# ---------------------------------------------------------------- missing facts


def test_source_with_few_facts(layout, rows):
    few = [{c: row[c] for c in ("image", "image_id", "dx", "age", "sex")} for row in rows]
    with pytest.warns(UserWarning, match="no lesion_id, .* cannot keep photographs of one lesion"):
        dataset = load_ham10000(layout.parquet(few))
    assert dataset.features == schema()
    assert list(dataset["lesion_id"]) == list(dataset["image_id"])
    assert set(dataset["dx_type"]) == set(dataset["localization"]) == {None}


@pytest.mark.parametrize(
    ("written", "read"), [("", None), ("unknown", None), ("NaN", None), ("0.0", 0.0), ("45", 45.0)]
)
def test_ages(layout, rows, written, read):
    dataset = load_ham10000(layout.raw(with_row(rows, 3, age=written)))
    ages = dict(zip(dataset["image_id"], dataset["age"], strict=True))
    assert ages[rows[3]["image_id"]] == read


def test_missing_age_in_parquet_is_none(layout, rows):
    changed = with_row(with_row(rows, 3, age=None), 4, age=float("nan"))
    dataset = load_ham10000(layout.parquet(changed))
    ages = dict(zip(dataset["image_id"], dataset["age"], strict=True))
    assert ages[rows[3]["image_id"]] is None and ages[rows[4]["image_id"]] is None


# ---------------------------------------------------------------- errors name the row


def named(rows, index, reason) -> Phrase:
    return Phrase("tables.row", row=index, image_id=rows[index]["image_id"], reason=reason)


NO_FILE = {
    "parquet": "new_classes.no_image_file",
    "raw": "dataset.no_image_file",
    "imagefolder": "dataset.no_image_file",
}


@pytest.mark.parametrize("write", NO_FILE)
def test_missing_image(layout, rows, write):
    changed = with_row(rows, 5, image=None)
    with refuses(named(rows, 5, NO_FILE[write])):
        load_ham10000(getattr(layout, write)(changed))


@pytest.mark.parametrize("write", ["parquet", "raw", "imagefolder"])
def test_truncated_image(layout, rows, write):
    changed = with_row(rows, 5, image=rows[5]["image"][:400])
    with refuses(named(rows, 5, "images.damaged")):
        load_ham10000(getattr(layout, write)(changed))


def test_text_instead_of_an_image(layout, rows):
    changed = with_row(rows, 2, image=b"no photograph")
    with refuses(
        "tables.row",
        row=2,
        image_id="SYN_0000005",
        reason=Phrase("images.not_an_image", name="SYN_0000005.jpg"),
    ):
        load_ham10000(layout.raw(changed))


def test_parquet_that_holds_only_paths(layout, rows, tmp_path):
    from datasets import Dataset

    (tmp_path / "data").mkdir()
    image = [{"bytes": None, "path": f"{row['image_id']}.jpg"} for row in rows]
    plain = {c: [row[c] for row in rows] for c in COLUMNS[1:]}
    Dataset.from_dict({"image": image, **plain}).to_parquet(tmp_path / "data" / "train.parquet")
    with refuses(
        "tables.row",
        row=14,
        image_id="SYN_0000000",
        reason=Phrase("images.no_file", path="SYN_0000000.jpg"),
    ):
        load_ham10000(tmp_path)


@pytest.mark.parametrize("dx", ["scc", "4"])
def test_unknown_dx(layout, rows, dx):
    with refuses(named(rows, 7, Phrase("label_mapping.unknown", label=dx))):
        load_ham10000(layout.parquet(with_row(rows, 7, dx=dx)))


@pytest.mark.parametrize("write", ["parquet", "raw"])
def test_missing_dx(layout, rows, write):
    with refuses("tables.row", row=4, image_id="SYN_0000009", reason="dataset.dx_missing"):
        load_ham10000(getattr(layout, write)(with_row(rows, 4, dx=None)))


@pytest.mark.parametrize("write", ["parquet", "raw"])
def test_a_lesion_that_is_not_known_is_one_of_its_own(layout, rows, write):
    source = getattr(layout, write)(with_row(rows, 4, lesion_id=None))
    with pytest.warns(UserWarning, match="does not know the lesion of 1 of 28 images, so each"):
        dataset = load_ham10000(source)
    lesions = dict(zip(dataset["image_id"], dataset["lesion_id"], strict=True))
    assert lesions[rows[4]["image_id"]] == rows[4]["image_id"]


def test_missing_image_id(layout, rows):
    with refuses(
        "tables.row", row=4, image_id=None, reason=Phrase("rows.missing", column="image_id")
    ):
        load_ham10000(layout.parquet(with_row(rows, 4, image_id=None)))


def test_age_that_is_no_number(layout, rows):
    with refuses("tables.row", row=1, image_id="SYN_0000003", reason="rows.age_not_number"):
        load_ham10000(layout.raw(with_row(rows, 1, age="fifty")))


@pytest.mark.parametrize(
    ("column", "value"), [("dx", "another"), ("lesion_id", "L9"), ("sex", "unknown")]
)
def test_contradicting_rows(layout, rows, column, value):
    if value == "another":
        value = next(code for code in CODES if code != rows[6]["dx"])
    doubled = [*rows, {**rows[6], column: value}]
    reason = Phrase("rows.contradicts", differing=[column], other=6)
    with refuses(named(doubled, len(rows), reason)):
        load_ham10000(layout.parquet(doubled))


# ---------------------------------------------------------------- errors name the source


@pytest.mark.parametrize("source", ["/nowhere/ham", "./nowhere", "a/b/c", Path("nowhere")])
def test_folder_that_does_not_exist(source):
    with refuses("dataset.no_folder", FileNotFoundError):
        load_ham10000(source)


def test_hub_out_of_reach():
    reason = Phrase(
        "hub_source.not_loaded",
        reason="Couldn't reach 'nobody/nothing-of-the-kind' on the Hub (OfflineModeIsEnabled)",
    )
    with refuses(reason, ConnectionError):
        load_ham10000("nobody/nothing-of-the-kind")


def test_unknown_layout(tmp_path, make_jpeg):
    (tmp_path / "a.jpg").write_bytes(make_jpeg())
    with refuses("layouts.unknown", layouts="layouts.known"):
        load_ham10000(tmp_path)
    with refuses("layouts.file", layouts="layouts.known"):
        load_ham10000(tmp_path / "a.jpg")


def test_missing_column(layout, rows):
    bare = [{"image": row["image"], "image_id": row["image_id"]} for row in rows]
    with refuses("columns.lacks_diagnoses", missing=["dx"], columns=["image", "image_id"]):
        load_ham10000(layout.parquet(bare))


def test_empty_table(layout, rows):
    folder = layout.raw(rows)
    layout.write_csv(folder / "HAM10000_metadata.csv", [], columns=["image_id", "lesion_id", "dx"])
    with refuses("dataset.no_rows", layouts="layouts.known"):
        load_ham10000(folder)


def test_table_with_a_broken_line(layout, rows):
    folder = layout.raw(rows)
    with (folder / "HAM10000_metadata.csv").open("a") as table:
        table.write("a,b,c\n")
    with refuses("delimited.cells", row=28, name="HAM10000_metadata.csv", count=3, width=7):
        load_ham10000(folder)


def test_table_that_is_no_text(layout, rows):
    folder = layout.raw(rows)
    (folder / "HAM10000_metadata.csv").write_bytes(b"\x01\x02\x81\x03" * 100)
    with refuses("delimited.encoding", name="HAM10000_metadata.csv"):
        load_ham10000(folder)


def test_broken_parquet(tmp_path):
    (tmp_path / "train.parquet").write_bytes(b"PAR1 and then nothing of use")
    with refuses("parquet_folder.unreadable"):
        load_ham10000(tmp_path)


# ---------------------------------------------------------------- the real thing


@pytest.mark.skipif(not (SHARED / "ham10000").is_dir(), reason="needs ../shared/data/ham10000")
def test_the_real_data():
    dataset = load_ham10000(SHARED / "ham10000")
    assert dataset.features == schema()
    assert len(set(dataset["image_id"])) == len(dataset) == 10_015
    assert len(set(dataset["lesion_id"])) == 7_470
    counts = np.bincount(dataset["dx"])
    assert dict(zip(CODES, counts.tolist(), strict=True)) == {
        "akiec": 327,
        "bcc": 514,
        "bkl": 1_099,
        "df": 115,
        "mel": 1_113,
        "nv": 6_705,
        "vasc": 142,
    }
    assert list(dataset["age"]).count(None) == 57


@pytest.mark.skipif(not (SHARED / "isic2017").is_dir(), reason="needs ../shared/data/isic2017")
def test_the_real_isic2017():
    with pytest.warns(UserWarning, match="no lesion_id"):
        dataset = load_ham10000(SHARED / "isic2017")
    assert len(dataset) == 2_000
    assert set(dataset["dx_type"]) == {None}
