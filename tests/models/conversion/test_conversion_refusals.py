"""Settings and files that would make another encoder, each refused with its reason."""

import json
import shutil

import pytest
import torch
from refusals import refuses
from safetensors.torch import load_file, save_file
from tiny_duals import (
    OPEN_CLIP_CFG,
    bert_cfg,
    bert_parts,
    bert_repository,
    bert_tokenizer,
    clip_tokenizer,
    hf_clip,
    hf_siglip,
    open_clip_folder,
    open_clip_names,
    siglip_tokenizer,
)

from dermsim.models.conversion import convert
from dermsim.models.conversion.tensors import Keys, read_tensors
from dermsim.models.text import TextTower


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clip") / "source"
    return folder, hf_clip(folder)


@pytest.fixture
def copy(clip, tmp_path):
    return shutil.copytree(clip[0], tmp_path / "source")


def edit(folder, name, change):
    path = folder / name
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


def refused(folder, key, **values):
    with refuses(key, **values):
        convert(str(folder), folder.parent / "out")
    assert not (folder.parent / "out").exists()


# --- transformers --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "key"),
    [
        ("hidden_act", "relu", "conversion.activation"),
        ("layer_norm_eps", 1e-3, "conversion.setting"),
        ("num_channels", 4, "conversion.setting"),
        ("patch_size", [8, 4], "conversion.square"),
        ("image_size", 0, "conversion.square"),
        ("num_hidden_layers", "many", "conversion.config"),
    ],
)
def test_settings_of_a_tower(copy, name, value, key):
    edit(copy, "config.json", lambda values: values["vision_config"].update({name: value}))
    refused(copy, key)


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"do_resize": False}, "conversion.setting"),
        ({"do_normalize": False}, "conversion.setting"),
        ({"do_center_crop": False}, "conversion.setting"),
        ({"crop_size": {"height": 30, "width": 30}}, "conversion.setting"),
        ({"image_mean": None}, "conversion.no_setting"),
    ],
)
def test_pictures_that_are_shown_in_another_way(copy, change, key):
    def apply(values):
        values.update(change)
        for name in [name for name, value in values.items() if value is None]:
            del values[name]

    edit(copy, "preprocessor_config.json", apply)
    refused(copy, key)


def test_nobody_knows_how_pictures_are_shown(copy):
    (copy / "preprocessor_config.json").unlink()
    refused(copy, "conversion.no_pictures", name="source")


def test_a_siglip_without_its_pool(tmp_path):
    hf_siglip(tmp_path / "source")
    edit(
        tmp_path / "source",
        "config.json",
        lambda values: values["vision_config"].update(vision_use_head=False),
    )
    refused(tmp_path / "source", "conversion.setting", name="vision_use_head")


# --- tokens --------------------------------------------------------------------------------------


def test_no_tokenizer(copy):
    (copy / "tokenizer.json").unlink()
    with refuses("conversion.no_tokenizer", FileNotFoundError, name="source"):
        convert(str(copy), copy.parent / "out")


def test_the_tokenizer_of_another_encoder(copy, tmp_path):
    bert_tokenizer().save(str(copy / "tokenizer.json"))
    refused(copy, "conversion.no_token", token="<|startoftext|>")


def test_more_tokens_than_the_encoder_knows(tmp_path):
    hf_siglip(tmp_path / "source")
    clip_tokenizer().save(str(tmp_path / "source" / "tokenizer.json"))
    refused(tmp_path / "source", "conversion.vocabulary", words=200)


def test_a_vocabulary_and_its_merges_are_a_tokenizer(clip, copy, tmp_path):
    whole = clip_tokenizer()
    model = json.loads(whole.to_str())["model"]
    (copy / "tokenizer.json").unlink()
    (copy / "vocab.json").write_text(json.dumps(model["vocab"]))
    lines = ["#version: 0.2", *(" ".join(pair) for pair in model["merges"])]
    (copy / "merges.txt").write_text("\n".join(lines))
    convert(str(copy), tmp_path / "out")
    tower = TextTower.load(tmp_path / "out" / "text")
    text = "dermoscopy of skin"
    assert list(tower.read(text).ids[1:-1]) == whole.encode(text).ids


@pytest.mark.parametrize("name", ["vocab.json", "merges.txt"])
def test_half_of_a_tokenizer(copy, name):
    (copy / "tokenizer.json").unlink()
    (copy / name).write_text("{}")
    with pytest.raises((OSError, ValueError)):
        convert(str(copy), copy.parent / "out")
    assert not (copy.parent / "out").exists()


def test_another_tokenizer_by_name(copy, tmp_path):
    (copy / "tokenizer.json").unlink()
    (tmp_path / "words").mkdir()
    clip_tokenizer().save(str(tmp_path / "words" / "tokenizer.json"))
    converted = convert(str(copy), tmp_path / "out", tokenizer=str(tmp_path / "words"))
    assert converted.words.name == "words"


# --- open_clip -----------------------------------------------------------------------------------


def changed(base, half, **values):
    return {**base, half: {**base[half], **values}}


@pytest.mark.parametrize(
    ("cfg", "key"),
    [
        (changed(OPEN_CLIP_CFG, "vision_cfg", attentional_pool=True), "conversion.setting"),
        (changed(OPEN_CLIP_CFG, "vision_cfg", pool_type="avg"), "conversion.setting"),
        (changed(OPEN_CLIP_CFG, "vision_cfg", layers=[3, 4, 6, 3]), "conversion.setting"),
        (changed(OPEN_CLIP_CFG, "vision_cfg", block_type="custom"), "conversion.setting"),
        (changed(OPEN_CLIP_CFG, "vision_cfg", timm_model_name="no_such"), "conversion.tower"),
        (
            changed(OPEN_CLIP_CFG, "vision_cfg", timm_model_name="test_vit", timm_pool="abs_attn"),
            "conversion.timm_head",
        ),
        (changed(OPEN_CLIP_CFG, "text_cfg", embed_cls=True), "conversion.setting"),
        (changed(OPEN_CLIP_CFG, "text_cfg", pool_type="first"), "conversion.setting"),
        (changed(OPEN_CLIP_CFG, "text_cfg", no_causal_mask=True), "conversion.setting"),
        (changed(OPEN_CLIP_CFG, "text_cfg", act_kwargs={"x": 1}), "conversion.setting"),
        (changed(OPEN_CLIP_CFG, "text_cfg", proj_bias=True), "conversion.setting"),
        ({**OPEN_CLIP_CFG, "embed_dim": None}, "conversion.square"),
        ({"embed_dim": 24}, "conversion.no_setting"),
        ({**OPEN_CLIP_CFG, "embed_dim": 25}, "conversion.misfit"),
    ],
)
def test_settings_of_open_clip(clip, tmp_path, cfg, key):
    names = open_clip_names(clip[1])
    open_clip_folder(tmp_path / "source", cfg, names, tokenizer=clip_tokenizer())
    refused(tmp_path / "source", key)


@pytest.mark.parametrize(
    "values", [{"resize_mode": "longest"}, {"interpolation": "random"}, {"size": 64}]
)
def test_pictures_of_open_clip(clip, tmp_path, values):
    names = open_clip_names(clip[1])
    open_clip_folder(tmp_path / "source", OPEN_CLIP_CFG, names, tokenizer=clip_tokenizer())
    edit(
        tmp_path / "source",
        "open_clip_config.json",
        lambda config: config["preprocess_cfg"].update(values),
    )
    refused(tmp_path / "source", "conversion.setting")


def test_more_text_than_there_are_places_for(tmp_path):
    second = bert_repository(tmp_path / "second")
    *_, state = bert_parts()
    cfg = bert_cfg(second)
    cfg["text_cfg"]["context_length"] = 65
    open_clip_folder(tmp_path / "source", cfg, state, size=160)
    refused(tmp_path / "source", "conversion.context", context=65, limit=64)


def test_a_text_encoder_that_is_no_bert(tmp_path):
    second = bert_repository(tmp_path / "second")
    edit(second, "config.json", lambda values: values.update(model_type="roberta"))
    *_, state = bert_parts()
    open_clip_folder(tmp_path / "source", bert_cfg(second), state, size=160)
    refused(tmp_path / "source", "conversion.setting", name="model_type", value="roberta")


def test_a_bert_that_transformers_cannot_make(tmp_path):
    second = bert_repository(tmp_path / "second")
    edit(second, "config.json", lambda values: values.update(hidden_size=41))
    *_, state = bert_parts()
    open_clip_folder(tmp_path / "source", bert_cfg(second), state, size=160)
    refused(tmp_path / "source", "conversion.config")
    edit(second, "config.json", lambda values: values.update(num_hidden_layers=10**9))
    refused(tmp_path / "source", "text_tower.choice", name="num_hidden_layers")


def test_a_clip_of_more_layers_than_there_are(copy):
    many = {"num_hidden_layers": 10**9}
    edit(copy, "config.json", lambda values: values["text_config"].update(many))
    refused(copy, "text_tower.choice", name="num_hidden_layers")


# --- files ---------------------------------------------------------------------------------------


def test_a_training_run_s_checkpoint_holds_the_weights_inside(tmp_path):
    tensors = {"module.logit_scale": torch.ones((), dtype=torch.float16)}
    torch.save({"epoch": 3, "state_dict": tensors}, tmp_path / "run.pt")
    found = read_tensors(tmp_path / "run.pt")
    assert list(found) == ["logit_scale"] and found["logit_scale"].dtype == torch.float32


@pytest.mark.parametrize("what", [[1, 2], {"epoch": 3}, {"x": [torch.ones(1)]}])
def test_a_file_without_tensors(tmp_path, what):
    torch.save(what, tmp_path / "run.pt")
    with refuses("conversion.not_tensors", name="run.pt"):
        read_tensors(tmp_path / "run.pt")


def test_numbers_that_are_none(tmp_path):
    save_file({"x": torch.tensor([1.0, float("nan")])}, tmp_path / "x.safetensors")
    with refuses("conversion.not_finite", name="x.safetensors", key="x"):
        read_tensors(tmp_path / "x.safetensors")


def test_an_empty_file(tmp_path):
    for name in ("x.safetensors", "x.bin"):
        (tmp_path / name).write_bytes(b"")
        with refuses("conversion.unreadable", name=name):
            read_tensors(tmp_path / name)


def test_every_tensor_is_used_once_dropped_or_refused():
    keys = Keys({"a": torch.ones(1), "b": torch.ones(1), "c": torch.ones(1)})
    keys.take("a")
    with refuses("conversion.lacks", name="a"):
        keys.take("a")
    keys.drop("b", "none")
    assert keys.dropped == ["b"]
    with refuses("conversion.left", name="c", count=1):
        keys.finish()


def test_a_pointer_of_git_lfs(copy):
    (copy / "model.safetensors").write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n"
    )
    with pytest.raises(ValueError, match=r"(?i)lfs"):
        convert(str(copy), copy.parent / "out")


def test_a_config_that_is_a_list(copy):
    (copy / "config.json").write_text("[]")
    refused(copy, "storage.not_an_object", name="config.json")


def test_siglip_s_pieces_are_not_clip_s(copy):
    siglip_tokenizer().save(str(copy / "tokenizer.json"))
    refused(copy, "conversion.no_token")


def test_load_file_is_not_changed(copy):
    before = load_file(copy / "model.safetensors")
    convert(str(copy), copy.parent / "out")
    after = load_file(copy / "model.safetensors")
    assert all(torch.equal(before[name], after[name]) for name in before)
