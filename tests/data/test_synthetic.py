import time
from collections import Counter

import numpy as np
import pytest
from refusals import refuses

from dermsim.core.labels import CODES
from dermsim.data.splits import grouped_splits
from dermsim.data.synthetic import draw_lesion, synthetic_ham10000
from dermsim.data.tables import schema


@pytest.mark.parametrize("dx", CODES)
def test_same_arguments_same_picture(dx):
    first, second = (np.asarray(draw_lesion(dx, seed=1, size=(64, 48))) for _ in range(2))
    assert first.shape == (48, 64, 3) and np.array_equal(first, second)


def test_views_of_a_lesion_are_more_alike_than_lesions():
    """Mean colour differs less between two views of a lesion than between two lesions."""

    def color(seed: int, view: int) -> np.ndarray:
        picture = draw_lesion("nv", seed=seed, view=view, size=(64, 48))
        return np.asarray(picture, dtype=float).mean(axis=(0, 1))

    views = np.array([[color(seed, view) for view in range(2)] for seed in range(12)])
    assert not np.array_equal(views[:, 0], views[:, 1])
    within = np.linalg.norm(views[:, 0] - views[:, 1], axis=1).mean()
    between = np.linalg.norm(views[:-1, 0] - views[1:, 0], axis=1).mean()
    assert within < between


def test_diagnoses_can_be_told_apart_but_overlap():
    """Nearest centroid on a 6 x 6 thumbnail beats chance (1/7) by far without being perfect."""

    def thumbnails(seeds: range) -> np.ndarray:
        return np.array(
            [
                [
                    np.asarray(draw_lesion(dx, seed=s, size=(64, 48)).resize((6, 6)), float).ravel()
                    for s in seeds
                ]
                for dx in CODES
            ]
        )

    train, test = thumbnails(range(0, 25)), thumbnails(range(25, 40))
    # the middle against the rim: skin colour says nothing of the diagnosis
    train, test = (x - x.mean(axis=2, keepdims=True) for x in (train, test))
    distance = np.linalg.norm(test[:, :, None] - train.mean(axis=1), axis=-1)
    accuracy = np.mean(distance.argmin(axis=-1) == np.arange(7)[:, None])
    assert 0.3 < accuracy < 0.95


def test_size_changes_the_resolution_not_the_picture():
    small, large = (draw_lesion("vasc", seed=2, size=size) for size in ((64, 48), (128, 96)))
    assert large.size == (128, 96)
    difference = np.asarray(large.resize((64, 48)), float) - np.asarray(small, float)
    assert np.abs(difference).mean() < 25


def test_data_set():
    dataset = synthetic_ham10000(21, seed=5, size=(48, 36), images_per_lesion=3)
    assert dataset.features == schema()
    assert len(set(dataset["image_id"])) == len(dataset) == 63
    assert list(dataset["image_id"]) == sorted(dataset["image_id"])
    assert set(Counter(dataset["lesion_id"]).values()) == {3}
    assert Counter(dataset["dx"]) == {label: 9 for label in range(7)}
    assert dataset[0]["image"].size == (48, 36)
    for row in dataset.remove_columns("image"):
        assert row["age"] is None or (row["age"] % 5 == 0 and 5 <= row["age"] <= 85)
        assert row["sex"] in ("female", "male") and row["localization"]
        assert row["dx_type"] == "histo" or CODES[row["dx"]] not in ("akiec", "bcc", "mel")


def test_facts_belong_to_the_lesion():
    dataset = synthetic_ham10000(7, size=(48, 36)).remove_columns(["image", "image_id"])
    assert len({tuple(row.values()) for row in dataset}) == 7


def test_seeds():
    first, again, other = (synthetic_ham10000(7, seed=s, size=(48, 36)) for s in (0, 0, 1))
    assert first.to_list() == again.to_list()
    assert first.to_list() != other.to_list()


def test_pictures_are_those_of_draw_lesion():
    from datasets import Image as ImageFeature

    dataset = synthetic_ham10000(3, seed=0, size=(48, 36)).cast_column("image", ImageFeature())
    drawn = np.asarray(draw_lesion("bkl", seed=2, view=1, size=(48, 36)), float)
    stored = np.asarray(dataset[5]["image"], float)
    assert np.abs(drawn - stored).mean() < 6  # JPEG


def test_splits(lesions):
    assert set(grouped_splits(lesions)) == {"train", "validation", "test"}


def test_fast_enough():
    draw_lesion("mel", seed=0)
    start = time.process_time()
    for dx in CODES:
        draw_lesion(dx, seed=0)
    assert (time.process_time() - start) / 7 < 0.1  # about 0.01 s on an idle core


def test_unknown_diagnosis():
    with refuses("labels.unknown_code", code="melanoma"):
        draw_lesion("melanoma", seed=0)


@pytest.mark.parametrize("counts", [{"n_lesions": 0}, {"images_per_lesion": 0}])
def test_counts_must_be_positive(counts):
    with refuses("synthetic.counts"):
        synthetic_ham10000(**counts)
