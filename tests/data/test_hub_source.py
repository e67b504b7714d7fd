"""Data sets of the Hub: every file of theirs is read, or named."""

import warnings

import pytest
from refusals import refuses

from dermsim.data.dataset import load_dataset, open_source


def load(name, **options):
    """Load a data set and return its ids and what was warned of; in the process `online`."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        rows = load_dataset(name, **options)
    told = [str(w.message) for w in caught if "lesion" not in str(w.message)]
    return list(zip(rows["image_id"], rows["original_label"], strict=True)), told


@pytest.fixture
def publish(hub, synthetic, tmp_path):
    """Put rows of the synthetic data on the Hub, one in each of these files."""

    def put(name, *files, change=lambda rows: rows):
        folder = tmp_path / name
        folder.mkdir()
        for number, file in enumerate(files):
            change(synthetic["train"].select([number])).to_parquet(folder / f"{file}.parquet")
        hub.publish(f"alice/{name}", folder, kind="datasets")
        return f"alice/{name}"

    return put


def test_files_that_were_left_out_for_their_names_are_named(publish, online):
    name = publish("clinics", "clinic_a", "clinic_b", "patch-test_c")
    rows, told = online.run(load, name).unwrap()
    assert len(rows) == 1
    missing = "2 Parquet files of alice/clinics were not read (clinic_a.parquet, clinic_b.parquet)"
    assert [text for text in told if text.startswith(missing)], told


def test_where_all_were_read_nothing_is_said(publish, online):
    name = publish("splits", "train-0", "test-0")
    rows, told = online.run(load, name).unwrap()
    assert len(rows) == 2 and told == []


def test_pictures_and_labels_alone_are_a_data_set(publish, online):
    def change(rows):
        return rows.select_columns(["image", "dx"]).rename_column("dx", "label")

    name = publish("labelled", "train-0", "train-1", change=change)
    rows, _ = online.run(load, name, label_column="label").unwrap()
    assert len({image_id for image_id, _ in rows}) == 2
    assert {label for _, label in rows} <= {"akiec", "bcc", "bkl", "df", "mel", "nv", "vasc"}


def test_a_name_that_is_nowhere():
    with refuses("hub_source.not_loaded", ConnectionError):
        open_source("nobody/nothing-of-the-kind")
