import json
from pathlib import Path

import pytest

from dermsim.config import (
    PRESETS,
    EncoderConfig,
    LossConfig,
    OptimConfig,
    TrainConfig,
    from_dict,
    to_dict,
)


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS.keys())
def test_every_preset_survives_json(preset):
    assert from_dict(TrainConfig, json.loads(json.dumps(to_dict(preset)))) == preset


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
        (OptimConfig, {"balance": 2}, r"balance is 2, but must be in \[0, 1\]"),
    ],
)
def test_impossible_values_are_refused_by_name(kind, values, message):
    with pytest.raises(ValueError, match=message):
        kind(**values)


def test_something_must_be_minimised():
    with pytest.raises(ValueError, match="contrastive_weight is 0, but must be above 0 when"):
        LossConfig(contrastive_weight=0, cross_entropy_weight=0)
