"""No fit sees the pictures of the exam, whatever data set carries them."""

import pytest
import torch
from refusals import refuses

from dermsim.engine import DermSim
from dermsim.training.recalibration import recalibrate
from dermsim.training.training_set import TrainingSet


def with_exam(rows, name):
    """The same rows, the first of them under an exam's number."""
    names = [name, *list(rows["image_id"])[1:]]
    features = rows.features
    return (
        rows.remove_columns("image_id")
        .add_column("image_id", names)
        .cast(features.copy() if hasattr(features, "copy") else features)
    )


@pytest.mark.parametrize("name", ["ISIC_0034321", "isic_0036064.jpg", "ISIC_0035000_downsampled"])
@pytest.mark.parametrize("place", ["train", "also", "unlabelled"])
def test_training_refuses_them(synthetic, name, place):
    rows = synthetic["train"].select(range(6))
    sources = {"train": rows, "also": [], "unlabelled": []}
    sources[place] = with_exam(rows, name) if place == "train" else [with_exam(rows, name)]
    with refuses("exam.exam_pictures", count=1, source="the training data"):
        TrainingSet.load(
            sources["train"],
            also=sources["also"],
            unlabelled=sources["unlabelled"],
            image_size=64,
            device=torch.device("cpu"),
        )


@pytest.mark.parametrize("part", ["train", "validation"])
def test_what_surrounds_an_encoder_refuses_them(synthetic, engine, part):
    parts = {name: synthetic[name] for name in ("train", "validation")}
    parts[part] = with_exam(parts[part], "ISIC_0034321")
    with refuses("exam.exam_pictures", exams=["the ISIC 2018 Task 3 test"]):
        DermSim.fit(engine.model, engine.processor, **parts)


def test_a_calibration_refuses_them(synthetic, engine):
    with refuses("exam.exam_pictures", exams=["the ISIC 2018 Task 3 test"]):
        recalibrate(engine, with_exam(synthetic["validation"], "ISIC_0034321"))
