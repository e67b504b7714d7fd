"""`dermsim push-dataset`: a raw HAM10000 goes to the Hub and comes back the same."""

import json
import re

import numpy as np
import pyarrow.parquet as pq
import pytest
from datasets import Image, load_dataset
from hub_client import command, run_card, write_raw
from huggingface_hub import DatasetCard
from loopback_hub.cards import check_card
from refusals import refuses

from dermsim.core.labels import CODES
from dermsim.data.ham10000 import load_ham10000
from dermsim.data.splits import grouped_splits
from dermsim.hub.parquet import write_parquet
from dermsim.hub.photographs import picture_bytes, picture_licence, write_photographs

NAME = "alice/ham"


def read_back(name):
    """Load a data set of the Hub; in the process `online`."""
    loaded = load_ham10000(name)
    plain = loaded.cast_column("image", Image(decode=False))
    splits = {s: list(rows["image_id"]) for s, rows in load_dataset(name).items()}
    return loaded.features.to_dict(), plain[:], splits, grouped_ids(loaded)


def grouped_ids(dataset):
    return {name: list(rows["image_id"]) for name, rows in grouped_splits(dataset).items()}


@pytest.fixture
def push(hub, hub_token, online, raw):
    """Run `dermsim push-dataset`; return status, stdout and stderr."""

    def run(*options, source=raw, token=hub_token):
        given = "push-dataset", source, "--to", NAME, *options
        environment = {"HF_TOKEN": token} if token else None
        return online.run(command, *given, environment=environment).unwrap()

    return run


def assert_refused(answer, *words):
    status, out, err = answer
    assert (status, out) == (2, ""), out
    assert err.startswith("dermsim: ") and err.count("\n") == 1
    for word in words:
        assert word in err


def test_it_comes_back_identically(hub, hub_token, online, push, raw):
    mine = {"HF_TOKEN": hub_token}
    status, out, err = push("--no-dry-run", "--include-images", "--private")
    assert (status, err) == (0, "")
    assert f"Sent dataset {NAME}: " in out
    features, rows, splits, regrouped = online.run(read_back, NAME, environment=mine).unwrap()
    here = load_ham10000(raw)
    assert features == here.features.to_dict()
    known = here.cast_column("image", Image(decode=False))[:]
    pictures, known_pictures = rows.pop("image"), known.pop("image")
    assert rows == known, "all facts, in the same order"
    assert len(pictures) == len(here)
    for there, picture in zip(pictures, known_pictures, strict=True):
        with open(picture["path"], "rb") as file:
            assert there["bytes"] == file.read(), "the very bytes of the file"
    # splits: as grouped_splits makes them, before and after, and no lesion in two of them
    assert {name: sorted(ids) for name, ids in splits.items()} == grouped_ids(here) == regrouped
    lesion_of = dict(zip(rows["image_id"], rows["lesion_id"], strict=True))
    lesions = [{lesion_of[i] for i in ids} for ids in splits.values()]
    assert sum(map(len, lesions)) == len(set.union(*lesions))
    printed = online.run(run_card, NAME, raw, kind="dataset", environment=mine).unwrap()
    assert printed == f"{ ({name: len(ids) for name, ids in regrouped.items()}) }\n"
    repository = hub.repository(NAME, kind="datasets")
    assert repository.settings["private"] is True
    assert len(repository.history(repository.head)) == 2


def test_a_dry_run_shows_the_files_and_sends_none(hub, push):
    status, out, err = push("--json", token=None)
    assert (status, err) == (0, "")
    answer = json.loads(out)
    assert (answer["dry_run"], answer["sent"], answer["images"]) == (True, [], 280)
    paths = [change["path"] for change in answer["repositories"][0]["changes"]]
    assert paths == [
        "README.md",
        "data/test-00000-of-00001.parquet",
        "data/train-00000-of-00001.parquet",
        "data/validation-00000-of-00001.parquet",
    ]
    assert not [n for n in hub.requests if n.method != "GET"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--no-dry-run"], "is sent only with --include-images"),
        (["--to", "ham"], "'ham' is no repository on the Hub"),
        (["--create-pr", "--revision", "v2"], "leave out either"),
    ],
)
def test_what_makes_no_sense_is_refused(hub, push, options, words):
    assert_refused(push(*options), words)
    assert hub.requests == []


def test_a_folder_that_is_not_there_is_refused(hub, push, tmp_path):
    assert_refused(push("--include-images", source=tmp_path / "none"), "no folder at")
    assert hub.requests == []


def test_pictures_of_unknown_licence_are_not_passed_on(hub, push, photographs, tmp_path):
    ids = [f"MINE_{i:07d}" for i in range(len(photographs))]
    mine = photographs.remove_columns("image_id").add_column("image_id", ids)
    folder = write_raw(mine, tmp_path / "mine")
    answer = push("--no-dry-run", "--include-images", source=folder)
    assert_refused(answer, "MINE_0000000 is no photograph of HAM10000", "licence is not known")
    assert hub.requests == []


def test_the_licence_is_that_of_the_pictures(photographs):
    assert picture_licence(photographs) == "apache-2.0"

    def numbered(first):
        ids = [f"ISIC_{first + place:07d}" for place in range(len(photographs))]
        return photographs.remove_columns("image_id").add_column("image_id", ids)

    assert picture_licence(numbered(24_306)) == "cc-by-nc-4.0"
    assert picture_licence(numbered(34_321 - len(photographs))) == "cc-by-nc-4.0"
    for first, strange in ((24_305, "ISIC_0024305"), (34_321, "ISIC_0034321"), (0, "ISIC_0000000")):
        with refuses("hub_photographs.licence", strange=strange):
            picture_licence(numbered(first))


def test_the_card_tells_the_hub_what_it_is(photographs, tmp_path):
    parcel = write_photographs(tmp_path / "set", photographs, repo_id=NAME)
    text = (parcel.folder / "README.md").read_text()
    assert check_card(text, kind="dataset") == ([], [])
    data = DatasetCard(text).data.to_dict()
    assert data["license"] == parcel.licence == "apache-2.0"
    assert data["size_categories"] == "n<1K"
    assert data["configs"][0]["data_files"][0] == {
        "split": "train",
        "path": "data/train-*.parquet",
    }
    info = data["dataset_info"]
    assert sum(split["num_examples"] for split in info["splits"]) == 280
    [dx] = [feature for feature in info["features"] if feature["name"] == "dx"]
    assert list(dx["dtype"]["class_label"]["names"].values()) == list(CODES)
    assert f'load_ham10000("{NAME}")' in text
    assert re.search(r"^\| train \| \d+ \|$", text, flags=re.MULTILINE)


def test_large_splits_come_in_several_files(photographs, tmp_path):
    size = write_parquet(photographs, tmp_path, split="all", shard=1)
    files = sorted(tmp_path.iterdir())
    assert [path.name for path in files] == [f"all-{i:05d}-of-00003.parquet" for i in range(3)]
    assert size == sum(path.stat().st_size for path in files)
    rows = [pq.read_table(path) for path in files]
    assert [len(table) for table in rows] == [100, 100, 80]
    again = load_dataset("parquet", data_files=[str(path) for path in files], split="train")
    # whoever loads them may not have dermsim: pictures are datasets' own there
    assert again.features == photographs.features | {"image": Image(mode="RGB")}
    assert list(again["image_id"]) == list(photographs["image_id"])
    for row in (0, 150, 279):
        there, here = again[row]["image"], photographs[row]["image"]
        np.testing.assert_array_equal(np.asarray(there), np.asarray(here))


def test_the_room_is_that_of_the_pictures(photographs, raw):
    inside = photographs.cast_column("image", Image(decode=False))["image"]
    total = sum(len(picture["bytes"]) for picture in inside)
    assert picture_bytes(photographs) == total
    assert picture_bytes(load_ham10000(raw)) == total
