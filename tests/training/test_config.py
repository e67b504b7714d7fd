from pathlib import Path

import pytest
from refusals import refuses

from dermsim.core.refused import Phrase
from dermsim.training.config import (
    AugmentConfig,
    EncoderConfig,
    FreezeConfig,
    LossConfig,
    OptimConfig,
    TrainConfig,
)
from dermsim.training.config_dict import from_dict


def test_left_out_fields_take_their_default():
    config = from_dict(TrainConfig, {"output": "elsewhere", "optim": {"epochs": 2}})
    assert config.output == Path("elsewhere")
    assert config.optim == OptimConfig(epochs=2)
    assert config.encoder == EncoderConfig()


def test_an_unknown_field_is_named():
    with refuses("config_dict.no_field", kind="OptimConfig", unknown="epoch"):
        from_dict(TrainConfig, {"optim": {"epoch": 2}})


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (
            EncoderConfig,
            {"embed_dim": 0},
            Phrase("config.choice", name="embed_dim", value=0, expected="config.at_least_1"),
        ),
        (
            EncoderConfig,
            {"image_size": 8},
            Phrase("config.choice", name="image_size", value=8, expected="config.at_least_16"),
        ),
        (
            EncoderConfig,
            {"drop_rate": 1.0},
            Phrase("config.choice", name="drop_rate", value=1.0, expected="config.share_below_1"),
        ),
        (
            LossConfig,
            {"temperature": 0},
            Phrase("config.choice", name="temperature", value=0, expected="config.above_0"),
        ),
        (
            LossConfig,
            {"label_smoothing": 1},
            Phrase(
                "config.choice", name="label_smoothing", value=1, expected="config.share_below_1"
            ),
        ),
        (
            LossConfig,
            {"margin": -1},
            Phrase("config.choice", name="margin", value=-1, expected="config.at_least_0"),
        ),
        (
            OptimConfig,
            {"epochs": 0},
            Phrase("config.choice", name="epochs", value=0, expected="config.at_least_1"),
        ),
        (
            OptimConfig,
            {"learning_rate": 0},
            Phrase("config.choice", name="learning_rate", value=0, expected="config.above_0"),
        ),
        (
            OptimConfig,
            {"ema_decay": 1},
            Phrase("config.choice", name="ema_decay", value=1, expected="config.share_below_1"),
        ),
        (
            EncoderConfig,
            {"facts_drop": 2},
            Phrase("config.choice", name="facts_drop", value=2, expected="config.share"),
        ),
        (
            EncoderConfig,
            {"start": "there", "pretrained": True},
            Phrase("config.choice", name="start", value="there", expected="config.empty_start"),
        ),
        (
            AugmentConfig,
            {"views": 3},
            Phrase("config.choice", name="views", value=3, expected="config.one_or_two"),
        ),
        (
            AugmentConfig,
            {"backgrounds": 2},
            Phrase("config.choice", name="backgrounds", value=2, expected="config.share"),
        ),
        (
            AugmentConfig,
            {"lesion_crops": -1},
            Phrase("config.choice", name="lesion_crops", value=-1, expected="config.share"),
        ),
        (
            AugmentConfig,
            {"lesion_min": 0},
            Phrase("config.choice", name="lesion_min", value=0, expected="config.share_above_0"),
        ),
        (
            AugmentConfig,
            {"lesion_min": 0.95},
            Phrase("config.choice", name="lesion_max", value=0.9, expected="config.lesion_max"),
        ),
        (
            AugmentConfig,
            {"mixup": -1},
            Phrase("config.choice", name="mixup", value=-1, expected="config.at_least_0"),
        ),
        (
            LossConfig,
            {"focal": -1},
            Phrase("config.choice", name="focal", value=-1, expected="config.at_least_0"),
        ),
        (
            LossConfig,
            {"distillation_temperature": 0},
            Phrase("config.choice", expected="config.above_0"),
        ),
        (
            FreezeConfig,
            {"epochs": -1},
            Phrase("config.choice", name="epochs", value=-1, expected="config.at_least_0"),
        ),
        (
            FreezeConfig,
            {"backbone_rate": 0},
            Phrase("config.choice", name="backbone_rate", value=0, expected="config.above_0"),
        ),
        (
            OptimConfig,
            {"balance": 2},
            Phrase("config.choice", name="balance", value=2, expected="config.share"),
        ),
    ],
)
def test_impossible_values_are_refused_by_name(kind, values, message):
    with refuses(message):
        kind(**values)


def test_something_must_be_minimised():
    with refuses(
        "config.choice", name="contrastive_weight", value=0, expected="config.above_0_alone"
    ):
        LossConfig(contrastive_weight=0, cross_entropy_weight=0)


BY_LESION = LossConfig(positives="lesion", cross_entropy_weight=0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        *(
            ({"augment": AugmentConfig(mixup=1), **values}, "config.mixed_contrast")
            for values in (
                {"loss": LossConfig(contrastive="triplet")},
                {"loss": LossConfig(positives="lesion")},
            )
        ),
        (
            {"augment": AugmentConfig(cutmix=1), "unlabelled": ("there",)},
            "config.mixed_unlabelled",
        ),
        (
            {"augment": AugmentConfig(views=1), "loss": LossConfig(contrastive="ntxent")},
            "config.two_views",
        ),
        *(
            (
                {"unlabelled": ("there",), "loss": loss},
                "config.unlabelled",
            )
            for loss in (LossConfig(contrastive_weight=0), LossConfig(contrastive="triplet"))
        ),
        ({"loss": LossConfig(malignancy_weight=1)}, "config.malignancy_head"),
        ({"augment": AugmentConfig(backgrounds=0.1)}, "config.outlines"),
        ({"augment": AugmentConfig(lesion_crops=0.1)}, "config.outlines"),
        ({"outlines": "there"}, "config.outlines"),
        ({"also_map": ("scc=own",)}, "config.also_map"),
        *(
            (
                {"also": ("there",), "also_map": ("scc = own",), **values},
                "config.own_output",
            )
            for values in (
                {"loss": LossConfig(cross_entropy_weight=0)},
                {
                    "loss": LossConfig(malignancy_weight=1),
                    "encoder": EncoderConfig(malignancy_head=True),
                },
            )
        ),
    ],
)
def test_choices_that_do_not_go_together_are_refused(values, message):
    with refuses(message):
        TrainConfig(**values)


def test_a_cooled_view_is_not_mixed():
    soft = AugmentConfig(mixup=1, cutmix=1, brightness=0.2, backgrounds=1, lesion_crops=0.4).soft()
    assert (soft.mixup, soft.cutmix, soft.brightness) == (0, 0, 0.05)
    assert (soft.backgrounds, soft.lesion_crops) == (0.25, 0.1)
