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


def choice(name: str, value: object, expected: str) -> Phrase:
    return Phrase("config.choice", name=name, value=value, expected=expected)


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (
            EncoderConfig,
            {"embed_dim": 0},
            choice("embed_dim", 0, "config.at_least_1"),
        ),
        (
            EncoderConfig,
            {"image_size": 8},
            choice("image_size", 8, "config.at_least_16"),
        ),
        (
            EncoderConfig,
            {"drop_rate": 1.0},
            choice("drop_rate", 1.0, "config.share_below_1"),
        ),
        (
            LossConfig,
            {"temperature": 0},
            choice("temperature", 0, "config.above_0"),
        ),
        (
            LossConfig,
            {"label_smoothing": 1},
            choice("label_smoothing", 1, "config.share_below_1"),
        ),
        (
            LossConfig,
            {"margin": -1},
            choice("margin", -1, "config.at_least_0"),
        ),
        (
            OptimConfig,
            {"epochs": 0},
            choice("epochs", 0, "config.at_least_1"),
        ),
        (
            OptimConfig,
            {"learning_rate": 0},
            choice("learning_rate", 0, "config.above_0"),
        ),
        (
            OptimConfig,
            {"ema_decay": 1},
            choice("ema_decay", 1, "config.share_below_1"),
        ),
        (
            EncoderConfig,
            {"facts_drop": 2},
            choice("facts_drop", 2, "config.share"),
        ),
        (
            EncoderConfig,
            {"start": "there", "pretrained": True},
            choice("start", "there", "config.empty_start"),
        ),
        (
            AugmentConfig,
            {"views": 3},
            choice("views", 3, "config.one_or_two"),
        ),
        (
            AugmentConfig,
            {"backgrounds": 2},
            choice("backgrounds", 2, "config.share"),
        ),
        (
            AugmentConfig,
            {"lesion_crops": -1},
            choice("lesion_crops", -1, "config.share"),
        ),
        (
            AugmentConfig,
            {"lesion_min": 0},
            choice("lesion_min", 0, "config.share_above_0"),
        ),
        (
            AugmentConfig,
            {"lesion_min": 0.95},
            choice("lesion_max", 0.9, "config.lesion_max"),
        ),
        (
            AugmentConfig,
            {"mixup": -1},
            choice("mixup", -1, "config.at_least_0"),
        ),
        (
            LossConfig,
            {"focal": -1},
            choice("focal", -1, "config.at_least_0"),
        ),
        (
            LossConfig,
            {"distillation_temperature": 0},
            Phrase("config.choice", expected="config.above_0"),
        ),
        (
            FreezeConfig,
            {"epochs": -1},
            choice("epochs", -1, "config.at_least_0"),
        ),
        (
            FreezeConfig,
            {"backbone_rate": 0},
            choice("backbone_rate", 0, "config.above_0"),
        ),
        (
            OptimConfig,
            {"balance": 2},
            choice("balance", 2, "config.share"),
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
