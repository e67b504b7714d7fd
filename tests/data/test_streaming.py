import pytest

from dermsim.data.ham10000 import load_ham10000
from dermsim.data.streaming import stream_ham10000
from dermsim.data.tables import case_records


def test_a_stream_says_what_loading_says(layout, rows):
    source = layout.parquet(rows)
    streamed = sorted(stream_ham10000(source), key=lambda case: str(case[1]["image_id"]))
    loaded = load_ham10000(source)
    assert [facts for _, facts in streamed] == case_records(loaded)
    for (picture, _), row in zip(streamed, loaded, strict=True):
        assert picture.mode == "RGB"
        assert picture.tobytes() == row["image"].tobytes()


def test_class_labels_are_read_by_name(lesions, tmp_path):
    (tmp_path / "data").mkdir()
    lesions.to_parquet(tmp_path / "data" / "train.parquet")
    streamed = sorted(stream_ham10000(tmp_path), key=lambda case: str(case[1]["image_id"]))
    assert [facts for _, facts in streamed] == case_records(lesions.sort("image_id"))


@pytest.mark.parametrize("files", [1, 4])
def test_every_row_is_in_one_share(layout, rows, files):
    size = -(-len(rows) // files)
    for number in range(files):
        part = rows[number * size : (number + 1) * size]
        layout.parquet(part, name=f"train-{number:05}-of-{files:05}")
    shares = [
        [facts["image_id"] for _, facts in stream_ham10000(layout.folder, process=p, processes=2)]
        for p in range(2)
    ]
    assert all(shares)
    assert sorted(shares[0] + shares[1]) == sorted(row["image_id"] for row in rows)


def test_all_splits_are_read(layout, rows):
    layout.parquet(rows[:9], name="train-00000-of-00001")
    layout.parquet(rows[9:], name="test-00000-of-00001")
    assert len(list(stream_ham10000(layout.folder))) == len(rows)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"dx": "wart"}, r"row 3 \(image_id SYN_\d+\): unknown dx 'wart'"),
        ({"dx": None}, "dx is missing"),
        ({"age": None, "image": None}, "the picture is missing"),
        ({"image": b"not a picture"}, "a picture of .* cannot be read"),
    ],
)
def test_a_bad_row_is_named(layout, rows, change, words):
    changed = [{**row, **change} if number == 3 else row for number, row in enumerate(rows)]
    source = layout.parquet(changed)
    with pytest.raises(ValueError, match=words):
        list(stream_ham10000(source))


def test_bad_sources_are_refused(layout, rows, tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder at"):
        list(stream_ham10000(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no Parquet files"):
        list(stream_ham10000(tmp_path / "empty"))
    with pytest.raises(ConnectionError, match="could not be opened on the Hugging Face Hub"):
        list(stream_ham10000("nobody/nothing"))
    bare = [{column: row[column] for column in ("image", "image_id")} for row in rows]
    with pytest.raises(ValueError, match="lacks the column dx"):
        list(stream_ham10000(layout.parquet(bare)))
