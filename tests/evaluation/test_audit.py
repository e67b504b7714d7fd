"""The audit of a data set whose flaws are planted, seen by an encoder that is pretended."""

import csv
import json
from types import SimpleNamespace

import numpy as np
import pytest
from datasets import concatenate_datasets
from PIL import Image
from refusals import refuses

from dermsim.core.labels import CODES
from dermsim.data.synthetic import draw_lesion, synthetic_ham10000
from dermsim.data.tables import case_records
from dermsim.evaluation import audit
from dermsim.evaluation.audit import (
    DUPLICATE_COLUMNS,
    LABEL_COLUMNS,
    audit_dataset,
    out_of_fold,
    thumbnail,
)
from dermsim.evaluation.label_errors import LabelError
from dermsim.models.encoding import Encoding
from dermsim.tasks.classify import Calibration
from dermsim.tasks.detect import OutlierDetector
from dermsim.tasks.retrieve import Gallery

N = 140
WRONG = 20  # a row of the class that comes second, labelled as if it were of the next
COPY = 3  # a row whose picture comes again, turned, as another lesion


@pytest.fixture(scope="module")
def dataset():
    """140 pictures of 70 lesions, one of them wrongly labelled, and one picture more."""
    rows = synthetic_ham10000(70, size=(64, 48))
    again = rows.select([COPY]).map(
        lambda row: {
            "image": row["image"].rotate(180),
            "image_id": "SYN_9999999",
            "lesion_id": "SYNL_other",
        }
    )
    labels = list(rows["dx"])
    labels[WRONG] = (labels[WRONG] + 1) % 7
    wrong = rows.remove_columns("dx").add_column("dx", labels, feature=rows.features["dx"])
    return concatenate_datasets([wrong.select_columns(list(rows.column_names)), again])


@pytest.fixture
def engine(dataset, monkeypatch):
    """Knows the true class of every picture, and its features tell lesions apart."""
    rng = np.random.default_rng(0)
    true = np.array([*dataset["dx"]])
    true[WRONG] = (true[WRONG] - 1) % 7
    features = 4 * np.eye(7, 12)[true] + rng.normal(size=(N + 1, 12))
    features[N] = features[COPY]
    logits = 3 * np.eye(7)[true] + 0.5 * rng.normal(size=(N + 1, 7))
    everything = Encoding(
        features[:, :10].astype(np.float32), logits.astype(np.float32), features.astype(np.float32)
    )
    place = {image_id: row for row, image_id in enumerate(dataset["image_id"])}

    def encode(model, processor, images):
        taken = len(list(images))
        assert taken == len(asked)
        rows = [place[image_id] for image_id in asked]
        return Encoding(
            everything.embeddings[rows], everything.logits[rows], everything.pooled_features[rows]
        )

    asked = list(dataset["image_id"])
    monkeypatch.setattr(audit, "encode", encode)
    learned = dataset.select(range(70))
    return SimpleNamespace(
        model=None,
        processor=None,
        asked=asked,
        calibration=Calibration.fit(logits, true),
        detector=OutlierDetector.fit(everything, true, validation=everything),
        gallery=Gallery.build(everything.embeddings[:70], case_records(learned), fingerprint="f"),
        known=CODES,
    )


def test_the_planted_flaws_come_first(engine, dataset):
    found = audit_dataset(engine, dataset)
    assert (found.images, found.unknown) == (N + 1, 0)
    first = found.disagreements[0]
    assert tuple(first) == LABEL_COLUMNS
    assert (first["rank"], first["image_id"]) == (1, dataset["image_id"][WRONG])
    true = (dataset["dx"][WRONG] - 1) % 7
    assert (first["dx"], first["suggested"]) == (CODES[dataset["dx"][WRONG]], CODES[true])
    assert first["p_suggested"] > first["p_dx"]
    assert first["disagreement"] > 0.5
    assert first["learned"] is True
    pair = found.duplicates[0]
    assert tuple(pair) == DUPLICATE_COLUMNS
    assert (pair["image_id"], pair["other_image_id"]) == (dataset["image_id"][COPY], "SYN_9999999")
    assert pair["lesion_id"] != pair["other_lesion_id"] == "SYNL_other"
    assert pair["correlation"] > 0.95
    assert (pair["learned"], pair["other_learned"]) == (True, False)


def test_disagreements_without_histopathology_come_first(engine, dataset, monkeypatch):
    """Of all rows that the encoder has not learned, each taken for a suspect."""

    def suspects(labels, probabilities):
        return [
            LabelError(row, (label + 1) % 7, quality=row / 1000)
            for row, label in enumerate(labels.tolist())
        ]

    monkeypatch.setattr(audit, "find_label_errors", suspects)
    found = audit_dataset(engine, dataset).disagreements
    confirmed = [row["dx_type"] == "histo" for row in found]
    assert confirmed == sorted(confirmed)
    assert {True, False} == set(confirmed)
    for kind in (False, True):
        own = [row["quality"] for row in found if (row["dx_type"] == "histo") == kind]
        assert own == sorted(own)
    assert [row["rank"] for row in found] == list(range(1, len(found) + 1))


def test_what_was_learned_is_judged_without_its_own_label(engine, dataset, monkeypatch):
    """Rows of the gallery by the head that never saw their lesion, the others by the classifier."""
    judged = {}

    def spy(features, labels, lesion_ids):
        judged["lesions"] = set(lesion_ids)
        return out_of_fold(features, labels, lesion_ids)

    monkeypatch.setattr(audit, "out_of_fold", spy)
    found = audit_dataset(engine, dataset)
    known = {record["lesion_id"] for record in engine.gallery.records}
    assert judged["lesions"] == known
    calibrated = engine.calibration
    for row in found.disagreements:
        assert row["learned"] == (row["lesion_id"] in known)
    assert isinstance(calibrated, Calibration)


def test_rows_of_diagnoses_the_encoder_does_not_know_are_counted(engine, dataset):
    engine.known = ("mel", "nv")
    kept = [row for row, dx in enumerate(dataset["dx"]) if CODES[dx] in ("mel", "nv")]
    engine.asked[:] = [dataset["image_id"][row] for row in kept]
    found = audit_dataset(engine, dataset)
    assert (found.images, found.unknown) == (len(kept), N + 1 - len(kept))
    assert {row["dx"] for row in found.disagreements} <= {"mel", "nv"}
    engine.known = ()
    with refuses("audit.no_known_diagnosis"):
        audit_dataset(engine, dataset)


def test_learned_rows_of_a_single_lesion_are_left_out_and_counted(engine, dataset):
    """Of the learned vascular lesions all but one are gone."""
    labels, lesions = np.array(dataset["dx"]), np.array(dataset["lesion_id"])
    vascular = CODES.index("vasc")
    learned = np.arange(N + 1) < 70
    own = np.unique(lesions[learned & (labels == vascular)])[:1]
    kept = np.flatnonzero(~learned | (labels != vascular) | (lesions == own))
    engine.asked[:] = [dataset["image_id"][row] for row in kept]
    found = audit_dataset(engine, dataset.select(kept))
    assert found.unjudged == (lesions[learned] == own).sum() > 0
    assert found.images == len(kept)
    assert found.disagreements[0]["image_id"] == dataset["image_id"][WRONG]
    assert own[0] not in {row["lesion_id"] for row in found.disagreements}


def test_an_unknown_split_is_refused(engine, dataset):
    with refuses("audit.split", split="half"):
        audit_dataset(engine, dataset, split="half")


def test_both_lists_are_written_as_csv(engine, dataset, tmp_path):
    found = audit_dataset(engine, dataset)
    found.save(tmp_path / "audit")
    found.save(tmp_path / "audit")  # and over itself
    with (tmp_path / "audit" / "disagreements.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == len(found.disagreements) > 0
    assert lines[0]["image_id"] == dataset["image_id"][WRONG]
    with (tmp_path / "audit" / "near_duplicates.csv").open(newline="") as file:
        assert next(csv.DictReader(file))["other_image_id"] == "SYN_9999999"
    assert json.loads(json.dumps(found.to_dict()))["images"] == N + 1


def test_a_folder_that_holds_other_things_is_left_alone(engine, dataset, tmp_path):
    found = audit_dataset(engine, dataset)
    (tmp_path / "thesis.tex").write_text("years of work")
    with refuses("audit.other_things", FileExistsError):
        found.save(tmp_path)
    with refuses("audit.other_things", FileExistsError):
        found.save(tmp_path / "thesis.tex")
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


class TestOutOfFold:
    def test_no_row_is_judged_by_a_head_that_saw_its_lesion(self):
        """Labels are noise, features name the lesion: who saw the lesion would know the label."""
        rng = np.random.default_rng(0)
        lesions = np.repeat(np.arange(60), 4)
        labels = rng.integers(0, 2, 60)[lesions]
        features = np.eye(60)[lesions]
        found = out_of_fold(features, labels, [f"L{i}" for i in lesions])
        right = found.argmax(axis=1) == labels
        assert right.mean() < 0.65
        leaked = out_of_fold(features, labels, [None] * len(lesions))
        assert (leaked.argmax(axis=1) == labels).mean() > 0.95

    def test_rows_sum_to_one_over_the_classes_there_are(self):
        rng = np.random.default_rng(0)
        labels = np.arange(60) % 3 + 2
        features = 3 * np.eye(7)[labels] + rng.normal(size=(60, 7))
        found = out_of_fold(features, labels, [None] * 60)
        np.testing.assert_allclose(found.sum(axis=1), 1)
        assert (found[:, [0, 1, 5, 6]] == 0).all()
        assert (found.argmax(axis=1) == labels).mean() > 0.8

    @pytest.mark.parametrize(
        ("labels", "lesions"), [([0, 0, 0, 0], "abcd"), ([0, 0, 1, 1], "abcc"), ([0, 1], "ab")]
    )
    def test_too_few_lesions_are_refused(self, labels, lesions):
        with refuses("audit.too_few"):
            out_of_fold(np.eye(len(labels)), labels, list(lesions))


class TestThumbnail:
    def test_turning_the_picture_turns_it(self):
        picture = draw_lesion("mel", seed=1, size=(150, 150))
        np.testing.assert_allclose(
            thumbnail(picture.rotate(90)), np.rot90(thumbnail(picture)), atol=2
        )

    def test_light_that_changes_slowly_is_left_out(self):
        slope = np.linspace(50, 200, 64, dtype=np.uint8)
        picture = Image.fromarray(np.tile(slope, (64, 1))).convert("RGB")
        middle = thumbnail(picture)[:, 8:-8]
        assert np.abs(middle).max() < 2

    def test_views_of_different_lesions_are_less_alike_than_a_copy(self):
        def flat(picture):
            values = thumbnail(picture).ravel()
            return (values - values.mean()) / np.linalg.norm(values - values.mean())

        one, two = (flat(draw_lesion("nv", seed=seed)) for seed in (1, 2))
        copy = flat(draw_lesion("nv", seed=1).resize((160, 120)))
        assert one @ copy > 0.98 > 0.9 > one @ two
