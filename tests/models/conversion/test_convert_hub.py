"""What `dermsim convert` says of repositories on a Hub, over HTTP: a sentence, nothing left."""

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from hub_clients import converted, load_auto
from loopback_hub import Fault, truncated
from safetensors.torch import load_file, save_file
from tiny_duals import (
    OPEN_CLIP_CFG,
    bert_cfg,
    bert_parts,
    bert_repository,
    clip_tokenizer,
    hf_clip,
    open_clip_folder,
    open_clip_names,
)

NAME = "bob/clip"


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A CLIP of transformers; tests must not write to it."""
    folder = tmp_path_factory.mktemp("clip") / "source"
    hf_clip(folder)
    return folder


@pytest.fixture(scope="module")
def open_clip(tmp_path_factory):
    """The same as open_clip keeps it; tests must not write to it."""
    theirs = hf_clip(tmp_path_factory.mktemp("clip") / "hf")
    cfg = {**OPEN_CLIP_CFG, "quick_gelu": True}
    folder = tmp_path_factory.mktemp("clip") / "source"
    names = open_clip_names(theirs)
    return open_clip_folder(folder, cfg, names, tokenizer=clip_tokenizer(), pickled=True)


@pytest.fixture
def refused(hub, online, tmp_path):
    """Convert a repository in vain; return the sentence."""

    def run(folder=None, name=NAME):
        if folder is not None:
            hub.publish(name, folder)
        status, out, err = online.run(converted, name, tmp_path / "work" / "out").unwrap()
        assert (status, out) == (2, "")
        assert err.startswith("dermsim: ") and err.count("\n") == 1, err
        assert not (tmp_path / "work").exists() or os.listdir(tmp_path / "work") == []
        return err

    return run


def test_a_clip_from_the_hub(hub, online, clip, tmp_path):
    commit = hub.publish(NAME, clip)
    status, out, err = online.run(converted, NAME, tmp_path / "out", "--json").unwrap()
    assert (status, err) == (0, "")
    answer = json.loads(out)
    kept = json.loads((tmp_path / "out" / "SOURCE.json").read_text())
    assert (kept["name"], kept["revision"], kept["licence"]) == (NAME, commit, "mit")
    weights = hashlib.sha256((clip / "model.safetensors").read_bytes()).hexdigest()
    assert kept["sha256"]["model.safetensors"] == weights == answer["sha256"]["model.safetensors"]
    assert set(kept["sha256"]) == {
        *("config.json", "preprocessor_config.json", "model.safetensors", "tokenizer.json")
    }


def test_a_bert_whose_words_are_another_repository_s(hub, online, tmp_path):
    hub.publish("lab/words", bert_repository(tmp_path / "second"))
    *_, state = bert_parts()
    open_clip_folder(tmp_path / "source", bert_cfg("lab/words"), state, pickled=True, size=160)
    hub.publish(NAME, tmp_path / "source")
    assert online.run(converted, NAME, tmp_path / "out").unwrap()[0] == 0
    kept = json.loads((tmp_path / "out" / "SOURCE.json").read_text())
    assert kept["tokenizer"]["name"] == "lab/words" and kept["tokenizer"]["revision"]


def test_its_words_are_not_there(refused, tmp_path):
    *_, state = bert_parts()
    source = open_clip_folder(tmp_path / "source", bert_cfg("lab/gone"), state, size=160)
    assert "lab/gone" in refused(source)


def test_transformers_alone_opens_what_was_converted(hub, online, stranger, clip, tmp_path):
    from dermsim.data.synthetic import draw_lesion

    hub.publish(NAME, clip)
    assert online.run(converted, NAME, tmp_path / "out").unwrap()[0] == 0
    hub.publish("alice/tower", tmp_path / "out")
    draw_lesion("mel", seed=5).save(tmp_path / "lesion.png")
    seen = stranger.run(load_auto, "alice/tower", tmp_path / "lesion.png").unwrap()
    assert "modeling_dermsim_dual" in seen["class"]


def test_gated(hub, refused, clip):
    hub.publish("bob/gated", clip)
    hub.repository("bob/gated").update_settings(gated="manual")
    assert "ask for access" in refused(name="bob/gated")


def test_truncated(hub, refused, clip):
    hub.publish("bob/cut", clip)  # what is in the cache would not be fetched again
    hub.inject(
        Fault("GET", r"/lfs/.*filename=model\.safetensors", truncated(), times=99, host="storage")
    )
    assert "bob/cut" in refused(name="bob/cut")


def test_a_file_that_is_cut_off_in_the_repository(refused, clip, tmp_path):
    folder = shutil.copytree(clip, tmp_path / "source")
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[: len(data) // 2])
    assert "model.safetensors" in refused(folder)


@pytest.mark.parametrize("name", ["logit_scale", "vision_model.pre_layrnorm.bias"])
def test_a_missing_key(refused, clip, tmp_path, name):
    folder = shutil.copytree(clip, tmp_path / "source")
    tensors = load_file(folder / "model.safetensors")
    del tensors[name]
    save_file(tensors, folder / "model.safetensors")
    assert name in refused(folder)


@pytest.mark.parametrize("name", ["adapter.weight", "vision_model.encoder.layers.3.mlp.fc1.bias"])
def test_an_extra_key(refused, open_clip, clip, tmp_path, name):
    folder = shutil.copytree(clip, tmp_path / "source")
    tensors = load_file(folder / "model.safetensors")
    save_file({**tensors, name: torch.zeros(3)}, folder / "model.safetensors")
    assert name in refused(folder)


def test_another_shape(refused, clip, tmp_path):
    folder = shutil.copytree(clip, tmp_path / "source")
    tensors = load_file(folder / "model.safetensors")
    tensors["visual_projection.weight"] = torch.zeros(25, 48)
    save_file(tensors, folder / "model.safetensors")
    assert "projection.weight" in refused(folder)


def test_quick_gelu_that_two_files_contradict(refused, clip, tmp_path):
    folder = shutil.copytree(clip, tmp_path / "source")
    cfg = {"model_cfg": {**OPEN_CLIP_CFG, "quick_gelu": False}, "preprocess_cfg": {}}
    (folder / "open_clip_config.json").write_text(json.dumps(cfg))
    assert "quick_gelu" in refused(folder)


class Runs:
    """What a hostile pickle holds: a call, made when it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def test_a_pickle_that_runs_code(refused, open_clip, tmp_path):
    folder = shutil.copytree(open_clip, tmp_path / "source")
    torch.save({"logit_scale": Runs(tmp_path / "ran")}, folder / "open_clip_pytorch_model.bin")
    assert "open_clip_pytorch_model.bin" in refused(folder)
    assert not (tmp_path / "ran").exists()
    torch.load(folder / "open_clip_pytorch_model.bin", weights_only=False)
    assert (tmp_path / "ran").exists(), "the test's own pickle does run where it is let"


def test_code_of_the_repository_is_never_run(refused, clip, tmp_path):
    folder = shutil.copytree(clip, tmp_path / "source")
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "conceptclip", "auto_map": {"AutoModel": "evil.Model"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    assert "conceptclip" in refused(folder)
    assert not (tmp_path / "ran").exists()


def test_a_card_that_is_no_card(refused, clip, tmp_path):
    folder = shutil.copytree(clip, tmp_path / "source")
    (folder / "README.md").write_text("---\nlicense: [mit\n---\n")
    assert f"README.md in {NAME}" in refused(folder)


def test_no_repository(refused):
    assert "bob/nobody" in refused(name="bob/nobody")
