"""Photographs as tensors: what is kept of them, and what is withheld."""

import numpy as np
import pytest
import torch
from refusals import refuses

from dermsim.core.labels import MALIGNANT
from dermsim.core.refused import Phrase
from dermsim.data.facts import FACTS_DIM, FACTS_SLICES, encode_facts, facts_of
from dermsim.data.pixels import channel_statistics, decode_pixels
from dermsim.data.splits import without
from dermsim.data.synthetic import synthetic_ham10000
from dermsim.training.training_set import UNLABELLED, TrainingSet, check_diagnoses, draw_shown_facts

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def rows():
    return synthetic_ham10000(28, seed=0)


@pytest.fixture(scope="module")
def more():
    return synthetic_ham10000(14, seed=1)


def test_diagnoses_are_checked_before_anything_is_learned(rows):
    check_diagnoses(rows, rows, every=True)
    some = without(rows, ["df"])
    check_diagnoses(some, rows, every=False)
    with refuses("training_set.no_validation", missing="df"):
        check_diagnoses(rows, some, every=False)
    with refuses("training_set.no_training", missing="df"):
        check_diagnoses(some, some, every=True)
    benign = without(rows, MALIGNANT)
    with refuses("training_set.one_sided", held_out=["bkl", "df", "nv", "vasc"]):
        check_diagnoses(benign, benign, every=False)


def test_labelled_photographs_come_as_they_are(rows):
    train = TrainingSet.load(rows, image_size=64, device=CPU)
    decoded = decode_pixels(rows)
    assert len(train) == len(rows)
    assert np.array_equal(train.pixels.numpy(), decoded)
    assert train.labels.tolist() == rows["dx"]
    assert train.image_ids == list(rows["image_id"])
    assert (train.mean, train.std) == channel_statistics(decoded)
    assert train.facts is None
    same = np.array(rows["lesion_id"])[:, None] == np.array(rows["lesion_id"])[None, :]
    numbers = train.lesions.numpy()
    assert np.array_equal(numbers[:, None] == numbers[None, :], same)


def test_facts_are_kept_when_asked_for(rows, more):
    train = TrainingSet.load(rows, unlabelled=[more], facts=True, image_size=64, device=CPU)
    expected = [encode_facts(facts_of(source)) for source in (rows, more)]
    assert np.array_equal(train.facts.numpy(), np.concatenate(expected))
    assert train.facts.any()


def test_of_unlabelled_photographs_only_the_picture_is_used(rows, more):
    train = TrainingSet.load(rows, unlabelled=[more], image_size=64, device=CPU)
    assert len(train) == len(rows) + len(more)
    assert train.labels[len(rows) :].tolist() == [UNLABELLED] * len(more)
    # Two sources may use one name for different lesions.
    assert not set(train.lesions[: len(rows)].tolist()) & set(train.lesions[len(rows) :].tolist())
    assert train.mean == TrainingSet.load(rows, image_size=64, device=CPU).mean


def test_photographs_of_unknown_lesions_stand_alone(rows):
    from datasets import Value

    features = rows.features.copy()
    features["lesion_id"] = Value("string")
    unknown = rows.map(lambda row: {"lesion_id": None}, features=features)
    train = TrainingSet.load(unknown, image_size=64, device=CPU)
    assert len(set(train.lesions.tolist())) == len(rows)


def test_they_are_kept_a_fifth_larger_than_what_is_cut_from_them(rows):
    train = TrainingSet.load(rows.select(range(3)), image_size=200, device=CPU)
    assert train.pixels.shape == (3, 3, 240, 320)


def test_facts_are_withheld_whole_rows_and_one_by_one():
    generator = torch.Generator().manual_seed(0)
    shown = draw_shown_facts(4000, 0.3, generator=generator)
    assert shown.shape == (4000, FACTS_DIM)
    rows = torch.stack([shown[:, columns].amax(dim=1) for columns in FACTS_SLICES.values()], dim=1)
    for number, columns in enumerate(FACTS_SLICES.values()):  # a fact is shown or not, never half
        assert torch.equal(shown[:, columns].amin(dim=1), rows[:, number])
    assert rows.mean().item() == pytest.approx(0.7 * 0.7, abs=0.02)
    nothing = (rows.sum(dim=1) == 0).float().mean().item()
    assert nothing == pytest.approx(0.3 + 0.7 * 0.3**3, abs=0.02)


@pytest.mark.parametrize(("share", "value"), [(0.0, 1.0), (1.0, 0.0)])
def test_all_or_nothing(share, value):
    shown = draw_shown_facts(50, share, generator=torch.Generator().manual_seed(0))
    assert (shown == value).all()


def test_photographs_are_prepared_as_the_processor_does_it(rows, more):
    def darker(photograph: np.ndarray) -> np.ndarray:
        return photograph * 0.5 - 1

    train = TrainingSet.load(rows, unlabelled=[more], prepare=darker, image_size=64, device=CPU)
    expected = np.concatenate([decode_pixels(source) for source in (rows, more)]) * 0.5 - 1
    assert np.array_equal(train.pixels.numpy(), expected.round().clip(0))
    assert train.mean == channel_statistics(train.pixels.numpy()[: len(rows)])[0]


def test_square_photographs_stay_whole(rows):
    """As 4 to 3 they would lose their upper and lower edge, which the processor shows."""
    squares = rows.map(lambda row: {"image": row["image"].resize((180, 180))}).cast(rows.features)
    train = TrainingSet.load(squares, image_size=150, device=CPU)
    assert train.pixels.shape[-2:] == (180, 180)


def test_other_sources_are_labelled_and_marked(rows, more):
    train = TrainingSet.load(rows, also=[more], unlabelled=[more], image_size=64, device=CPU)
    assert train.labels.tolist() == [*rows["dx"], *more["dx"], *[UNLABELLED] * len(more)]
    assert train.further == [False] * len(rows) + [True] * 2 * len(more)


def painted(*colours, extra=()):
    """Rows of blank pictures, and of others."""
    from datasets import Dataset
    from PIL import Image

    from dermsim.data.tables import schema

    images = [Image.new("RGB", (48, 36), colour) for colour in colours] + list(extra)
    names = [f"I{number}" for number in range(len(images))]
    columns = {"image": images, "image_id": names, "lesion_id": names, "dx": [0] * len(images)}
    rest = {name: [None] * len(images) for name in ("dx_type", "age", "sex", "localization")}
    return Dataset.from_dict({**columns, **rest}, features=schema())


@pytest.mark.parametrize("colours", [["white"] * 7, ["brown", "#804020"], ["black"]])
def test_pictures_of_one_colour_are_refused(rows, colours):
    count = len(colours)
    blank = [f"I{number}" for number in range(min(count, 5))]
    with refuses("training_set.blank", blank_count=count, photographs_count=count + 1, blank=blank):
        TrainingSet.load(painted(*colours, extra=[rows[0]["image"]]), image_size=64, device=CPU)
    with refuses("training_set.blank"):
        TrainingSet.load(rows, unlabelled=[painted(*colours)], image_size=64, device=CPU)


def test_a_channel_that_is_the_same_everywhere_is_refused(rows):
    from PIL import Image

    red, green, _ = rows[0]["image"].split()
    image = Image.merge("RGB", (red, green, Image.new("L", red.size, 0)))
    with refuses("training_set.flat_channel", std=[0.052, 0.079, 0.0]):
        TrainingSet.load(painted(extra=[image]), image_size=64, device=CPU)


def test_facts_are_checked_before_pictures_are_decoded(rows, monkeypatch):
    wrong = rows.remove_columns("sex").add_column("sex", ["diverse"] * len(rows))
    monkeypatch.setattr("dermsim.training.training_set.decode_pixels", None)
    with refuses("tables.row", reason=Phrase("data_facts.choice", name="sex", value="diverse")):
        TrainingSet.load(wrong, facts=True, image_size=64, device=CPU)
