from pathlib import Path

import pytest

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
    with pytest.raises(ValueError, match="OptimConfig has no field 'epoch'"):
        from_dict(TrainConfig, {"optim": {"epoch": 2}})


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (EncoderConfig, {"embed_dim": 0}, "embed_dim is 0, but must be at least 1"),
        (EncoderConfig, {"image_size": 8}, "image_size is 8, but must be at least 16 pixels"),
        (EncoderConfig, {"drop_rate": 1.0}, r"drop_rate is 1.0, but must be in \[0, 1\)"),
        (LossConfig, {"temperature": 0}, "temperature is 0, but must be above 0"),
        (LossConfig, {"label_smoothing": 1}, r"label_smoothing is 1, but must be in \[0, 1\)"),
        (LossConfig, {"margin": -1}, "margin is -1, but must be at least 0"),
        (OptimConfig, {"epochs": 0}, "epochs is 0, but must be at least 1"),
        (OptimConfig, {"learning_rate": 0}, "learning_rate is 0, but must be above 0"),
        (OptimConfig, {"ema_decay": 1}, r"ema_decay is 1, but must be in \[0, 1\)"),
        (EncoderConfig, {"facts_drop": 2}, r"facts_drop is 2, but must be in \[0, 1\]"),
        (
            EncoderConfig,
            {"start": "there", "pretrained": True},
            "start is 'there', but must be empty when pretrained is on",
        ),
        (AugmentConfig, {"views": 3}, "views is 3, but must be 1 or 2"),
        (AugmentConfig, {"backgrounds": 2}, r"backgrounds is 2, but must be in \[0, 1\]"),
        (AugmentConfig, {"lesion_crops": -1}, r"lesion_crops is -1, but must be in \[0, 1\]"),
        (AugmentConfig, {"lesion_min": 0}, r"lesion_min is 0, but must be in \(0, 1\]"),
        (AugmentConfig, {"lesion_min": 0.95}, r"lesion_max is 0.9, but must be in \[lesion_min"),
        (AugmentConfig, {"mixup": -1}, "mixup is -1, but must be at least 0"),
        (LossConfig, {"focal": -1}, "focal is -1, but must be at least 0"),
        (LossConfig, {"distillation_temperature": 0}, "must be above 0"),
        (FreezeConfig, {"epochs": -1}, "epochs is -1, but must be at least 0"),
        (FreezeConfig, {"backbone_rate": 0}, "backbone_rate is 0, but must be above 0"),
        (OptimConfig, {"balance": 2}, r"balance is 2, but must be in \[0, 1\]"),
    ],
)
def test_impossible_values_are_refused_by_name(kind, values, message):
    with pytest.raises(ValueError, match=message):
        kind(**values)


def test_something_must_be_minimised():
    with pytest.raises(ValueError, match="contrastive_weight is 0, but must be above 0 when"):
        LossConfig(contrastive_weight=0, cross_entropy_weight=0)


BY_LESION = LossConfig(positives="lesion", cross_entropy_weight=0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        *(
            ({"augment": AugmentConfig(mixup=1), **values}, "A mixed image shows several diagnoses")
            for values in (
                {"loss": LossConfig(contrastive="triplet")},
                {"loss": LossConfig(positives="lesion")},
            )
        ),
        (
            {"augment": AugmentConfig(cutmix=1), "unlabelled": ("there",)},
            "only a teacher has something to say",
        ),
        (
            {"augment": AugmentConfig(views=1), "loss": LossConfig(contrastive="ntxent")},
            "NT-Xent contrasts two views",
        ),
        *(
            (
                {"unlabelled": ("there",), "loss": loss},
                "unlabelled pictures have no diagnosis to learn",
            )
            for loss in (LossConfig(contrastive_weight=0), LossConfig(contrastive="triplet"))
        ),
        ({"loss": LossConfig(malignancy_weight=1)}, "needs encoder.malignancy_head"),
        ({"augment": AugmentConfig(backgrounds=0.1)}, "need outlines"),
        ({"augment": AugmentConfig(lesion_crops=0.1)}, "need outlines"),
        ({"outlines": "there"}, "give both, or neither"),
        ({"also_map": ("scc=own",)}, "also names no source"),
        *(
            (
                {"also": ("there",), "also_map": ("scc = own",), **values},
                "learns by cross-entropy and is neither benign nor malignant",
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
    with pytest.raises(ValueError, match=message):
        TrainConfig(**values)


def test_a_cooled_view_is_not_mixed():
    soft = AugmentConfig(mixup=1, cutmix=1, brightness=0.2, backgrounds=1, lesion_crops=0.4).soft()
    assert (soft.mixup, soft.cutmix, soft.brightness) == (0, 0, 0.05)
    assert (soft.backgrounds, soft.lesion_crops) == (0.25, 0.1)
