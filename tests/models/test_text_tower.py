"""The text half by itself: tokens, what is not read, files that are damaged."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
from refusals import refuses
from safetensors.torch import load_file, save_file
from tiny_duals import hf_clip, hf_siglip

from dermsim.models.conversion import convert
from dermsim.models.text import TextTower, canonical, read_tokenizer, text_fingerprint


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The text encoder of a CLIP; tests must not write to it."""
    place = tmp_path_factory.mktemp("text")
    hf_clip(place / "source")
    convert(str(place / "source"), place / "out")
    return place / "out" / "text"


@pytest.fixture
def folder(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "text")


@pytest.fixture(scope="module")
def tower(saved):
    return TextTower.load(saved)


def edit(folder, **values):
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_a_batch_is_its_texts_one_by_one(tower):
    texts = [f"a mole {'seen ' * n}" for n in range(6)]
    alone = np.concatenate([tower.embed([text]) for text in texts])
    np.testing.assert_allclose(tower.embed(texts, batch_size=4), alone, atol=1e-6)


def test_a_text_of_just_enough_tokens_loses_nothing(tower):
    room = tower.settings.context - 2
    whole = tower.read(" ".join(["a"] * room))
    assert len(whole.ids) == tower.settings.context and whole.lost == ""
    more = tower.read(" ".join(["a"] * room + ["mole"]))
    assert len(more.ids) == tower.settings.context and more.lost == "mole"
    assert more.ids == whole.ids and more.ids[-1] == tower.settings.end


def test_canonical_is_as_siglip_was_trained():
    assert canonical("  A Mole,\twith: a BLUE-white  veil. ") == "a mole with a bluewhite veil"


def test_siglip_is_filled_up_and_clip_is_not(tower, tmp_path):
    hf_siglip(tmp_path / "source")
    convert(str(tmp_path / "source"), tmp_path / "out")
    other = TextTower.load(tmp_path / "out" / "text")
    assert other.settings.fill and other.settings.clean == "canonical"
    assert not tower.settings.fill and tower.settings.clean == "none"


def test_another_file_is_another_fingerprint(folder):
    before = text_fingerprint(folder)
    edit(folder, context=47)
    assert text_fingerprint(folder) != before
    (folder / "tokenizer.json").unlink()
    with refuses("storage.no_file", FileNotFoundError):
        text_fingerprint(folder)


def test_a_change_of_large_weights_is_seen(folder, monkeypatch):
    monkeypatch.setattr("dermsim.models.text.SAMPLED", 4096)
    monkeypatch.setattr("dermsim.models.text.BLOCK", 256)
    before = text_fingerprint(folder)
    path = folder / "model.safetensors"
    tensors = load_file(path)
    assert path.stat().st_size > 4 * 4096
    save_file({name: value * 1.01 for name, value in tensors.items()}, path)
    assert text_fingerprint(folder) != before


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"kind": "t5"}, "text_tower.choice"),
        ({"pooling": "max"}, "text_tower.choice"),
        ({"projection": "three"}, "text_tower.choice"),
        ({"clean": "all"}, "text_tower.choice"),
        ({"context": 2}, "text_tower.choice"),
        ({"context": 100_000}, "text_tower.choice"),
        ({"dim": -1}, "text_tower.choice"),
        ({"pad": "x"}, "text_tower.choice"),
        ({"transformer": []}, "text_tower.choice"),
        ({"transformer": {"num_hidden_layers": 10**9}}, "text_tower.choice"),
        ({"transformer": {"auto_map": "evil.Model"}}, "text_tower.choice"),
        ({"transformer": {"hidden_size": "wide"}}, "text_tower.choice"),
        ({"dim": 25}, "text_tower.width"),
        ({"transformer": {"hidden_size": 30, "num_attention_heads": 4}}, "text_tower.not_made"),
        ({"more": 1}, "storage.keys"),
    ],
)
def test_settings_that_are_none(folder, values, key):
    edit(folder, **values)
    with refuses(key):
        TextTower.load(folder)


def test_weights_that_do_not_fit(folder):
    path = folder / "model.safetensors"
    tensors = load_file(path)
    tensors.pop("body.text_projection.weight")
    save_file(tensors, path)
    with refuses("text_tower.unreadable", folder="text"):
        TextTower.load(folder)


def test_a_tokenizer_that_is_none(folder):
    (folder / "tokenizer.json").write_text("{}")
    with refuses("text_tower.no_tokenizer", name="tokenizer.json"):
        read_tokenizer(folder / "tokenizer.json")


def test_settings_are_frozen(tower):
    with pytest.raises(dataclasses.FrozenInstanceError):
        tower.settings.context = 3
