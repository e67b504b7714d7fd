import pytest
from refusals import refuses

from dermsim.core.refused import Phrase
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
        (
            {"dx": "wart"},
            Phrase(
                "tables.row",
                row=3,
                image_id="SYN_0000007",
                reason=Phrase("labels.unknown_dx", text="wart"),
            ),
        ),
        ({"dx": None}, Phrase("tables.row", reason=Phrase("rows.missing", column="dx"))),
        ({"age": None, "image": None}, Phrase("tables.row", reason="streaming.no_picture")),
        ({"image": b"not a picture"}, "streaming.unreadable_picture"),
    ],
)
def test_a_bad_row_is_named(layout, rows, change, words):
    changed = [{**row, **change} if number == 3 else row for number, row in enumerate(rows)]
    source = layout.parquet(changed)
    with refuses(words):
        list(stream_ham10000(source))


def test_bad_sources_are_refused(layout, rows, tmp_path):
    with refuses("dataset.no_folder", FileNotFoundError):
        list(stream_ham10000(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    with refuses("streaming.no_parquet"):
        list(stream_ham10000(tmp_path / "empty"))
    with refuses("streaming.not_opened", ConnectionError):
        list(stream_ham10000("nobody/nothing"))
    bare = [{column: row[column] for column in ("image", "image_id")} for row in rows]
    with refuses("streaming.lacks_column", missing=["dx"]):
        list(stream_ham10000(layout.parquet(bare)))
