"""A model on the Hub is loaded in every way there is, over real HTTP."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hub_clients import audit, load_auto, load_dermsim, load_pipeline, push
from refusals import refuses

from dermsim import DermSim
from dermsim.core.checkpoint import PARTS
from dermsim.data.synthetic import draw_lesion
from dermsim.models.encode import encode

NAME = "alice/dermsim"


@pytest.fixture(scope="module")
def photograph(tmp_path_factory):
    path = tmp_path_factory.mktemp("photographs") / "lesion.png"
    draw_lesion("mel", seed=5).save(path)
    return path


@pytest.fixture(scope="module")
def seen_here(engine, photograph):
    """What the checkpoint says of the photograph when its folder is read here."""
    return {
        "fingerprint": engine.fingerprint,
        "embedding": engine.embed(photograph).tobytes(),
        "label": engine.predict(photograph)[0].label_name,
        "neighbors": [n.image_id for n in engine.search(photograph, 3)[0]],
    }


def downloads(hub):
    """Return the requests for files, in the order they came."""
    return [n for n in hub.requests if "/resolve/" in n.target or "/lfs/" in n.target]


# --- dermsim -------------------------------------------------------------------------------------


def test_push_load_predict_is_bit_equal(
    hub, hub_token, online, checkpoint, photograph, seen_here, tmp_path
):
    online.run(push, hub.url, hub_token, NAME, checkpoint).unwrap()
    seen = online.run(load_dermsim, NAME, photograph, cache_dir=tmp_path).unwrap()
    assert seen == seen_here
    assert len(np.frombuffer(seen["embedding"], np.float32)) == 16
    assert audit(tmp_path) == []


def test_a_revision_is_a_tag_a_branch_or_a_commit(
    hub, hub_token, online, checkpoint, second_checkpoint, photograph, seen_here, tmp_path
):
    first = hub.publish(NAME, checkpoint)
    repository = hub.repository(NAME)
    repository.write_refs({**repository.refs, "tags": {"v1": first}})
    hub.publish(NAME, second_checkpoint)

    def fingerprint(revision):
        options = {"revision": revision, "cache_dir": tmp_path}
        return online.run(load_dermsim, NAME, photograph, **options).unwrap()["fingerprint"]

    assert fingerprint("v1") == fingerprint(first) == seen_here["fingerprint"]
    assert fingerprint(None) == fingerprint("main") != seen_here["fingerprint"]


def test_an_unknown_revision_is_one_sentence(hub, online, checkpoint, photograph, tmp_path):
    hub.publish(NAME, checkpoint)
    outcome = online.run(load_dermsim, NAME, photograph, revision="v9", cache_dir=tmp_path)
    assert outcome.kinds[0] == "FileNotFoundError"
    assert outcome.sentence == f"The model {NAME} on the Hub has no revision 'v9'."


def test_what_is_in_the_cache_is_not_fetched_again(hub, online, checkpoint, photograph, tmp_path):
    hub.publish(NAME, checkpoint)
    load = load_dermsim, NAME, photograph
    first = online.run(*load, cache_dir=tmp_path).unwrap()
    assert len(downloads(hub)) > len(PARTS)
    hub.requests.clear()
    assert online.run(*load, cache_dir=tmp_path).unwrap() == first
    # how much there is, and which commit it is
    assert [n.target.partition("?")[0] for n in hub.requests] == [
        f"/api/models/{NAME}",
        f"/api/models/{NAME}/revision/main",
    ]


def test_only_the_parts_of_a_checkpoint_are_fetched(
    hub, online, checkpoint, photograph, seen_here, tmp_path
):
    folder = shutil.copytree(checkpoint, tmp_path / "more")
    strange = ("big.bin", "evil.py", "pytorch_model.bin", "deep/er/x.txt", "gallery/notes.txt")
    for name in strange:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    hub.publish(NAME, folder)
    cache = tmp_path / "cache"
    assert online.run(load_dermsim, NAME, photograph, cache_dir=cache).unwrap() == seen_here
    fetched = {path.name for path in cache.rglob("*")}
    assert "model.safetensors" in fetched and "records.parquet" in fetched
    assert fetched.isdisjoint({Path(name).name for name in strange} | {"modeling_dermsim.py"})
    asked = " ".join(request.target for request in downloads(hub))
    assert not [name for name in strange if name in asked]


def test_only_what_changed_is_fetched(hub, online, checkpoint, photograph, tmp_path):
    hub.publish(NAME, checkpoint)
    load = load_dermsim, NAME, photograph
    online.run(*load, cache_dir=tmp_path / "cache").unwrap()
    changed = shutil.copytree(checkpoint, tmp_path / "changed")
    (changed / "README.md").write_text("Another card.")
    hub.publish(NAME, changed)
    hub.requests.clear()
    online.run(*load, cache_dir=tmp_path / "cache").unwrap()
    assert not [n for n in hub.requests if n.host == "storage"]
    assert {n.target.rsplit("/", 1)[-1] for n in hub.seen("GET", "resolve")} == {"README.md"}


def test_offline_the_cache_is_enough(
    hub, online, checkpoint, engine, photograph, seen_here, tmp_path
):
    commit = hub.publish(NAME, checkpoint)
    online.run(load_dermsim, NAME, photograph, cache_dir=tmp_path).unwrap()
    hub.requests.clear()
    for revision in (None, "main", commit):  # here HF_HUB_OFFLINE is 1
        again = DermSim.from_pretrained(NAME, revision=revision, cache_dir=tmp_path)
        assert again.embed(photograph).tobytes() == seen_here["embedding"]
    with refuses("downloads.hub_not_asked", ConnectionError, name="alice/dermsim"):
        DermSim.from_pretrained(NAME, revision="v1", cache_dir=tmp_path)
    with refuses("downloads.hub_not_asked", ConnectionError, name="alice/dermsim"):
        DermSim.from_pretrained(NAME, cache_dir=tmp_path / "another")
    assert hub.requests == []


def test_offline_an_incomplete_cache_is_one_sentence(hub, online, checkpoint, photograph, tmp_path):
    hub.publish(NAME, checkpoint)
    online.run(load_dermsim, NAME, photograph, cache_dir=tmp_path).unwrap()
    (weights,) = tmp_path.glob("*/snapshots/*/model.safetensors")
    weights.unlink()
    with refuses("downloads.incomplete", ConnectionError) as caught:
        DermSim.from_pretrained(NAME, cache_dir=tmp_path)
    assert "\n" not in str(caught.value)


def test_a_file_that_rotted_in_the_cache_is_fetched_again(
    hub, online, checkpoint, photograph, seen_here, tmp_path
):
    hub.publish(NAME, checkpoint)
    load = load_dermsim, NAME, photograph
    online.run(*load, cache_dir=tmp_path).unwrap()
    for name in ("detector.safetensors", "calibration.json"):
        (path,) = tmp_path.glob(f"*/snapshots/*/{name}")
        data = bytearray(path.read_bytes())
        data[-2] ^= 1
        path.resolve().write_bytes(bytes(data))
    assert len(audit(tmp_path)) == 2
    assert online.run(*load, cache_dir=tmp_path).unwrap() == seen_here
    assert audit(tmp_path) == []


def test_offline_a_file_that_rotted_is_one_sentence(hub, online, checkpoint, photograph, tmp_path):
    hub.publish(NAME, checkpoint)
    online.run(load_dermsim, NAME, photograph, cache_dir=tmp_path).unwrap()
    (path,) = tmp_path.glob("*/snapshots/*/model.safetensors")
    path.resolve().write_bytes(path.read_bytes()[:-1] + b"\1")
    with refuses(
        "downloads.damaged_cache",
        ConnectionError,
        files=["model.safetensors"],
        name="alice/dermsim",
    ):
        DermSim.from_pretrained(NAME, cache_dir=tmp_path)
    assert audit(tmp_path) == []


# --- who may -------------------------------------------------------------------------------------


@pytest.fixture
def private(hub, checkpoint):
    hub.publish(NAME, checkpoint, private=True)


@pytest.mark.parametrize("way", ["token", "HF_TOKEN"])
def test_a_private_model_is_read_with_a_token(
    hub, hub_token, private, online, photograph, seen_here, tmp_path, way
):
    options = {"token": hub_token} if way == "token" else {"environment": {way: hub_token}}
    seen = online.run(load_dermsim, NAME, photograph, cache_dir=tmp_path, **options).unwrap()
    assert seen == seen_here
    assert {n.account for n in hub.requests if n.host == "storage"} == {None}


@pytest.mark.parametrize(
    ("who", "kind", "sentence"),
    [
        ("nobody", "FileNotFoundError", "no such model on the Hub that you may read"),
        ("token=False", "FileNotFoundError", "no such model on the Hub that you may read"),
        ("bob", "FileNotFoundError", "no such model on the Hub that you may read"),
        ("forged", "PermissionError", "The Hub does not accept the token that was sent for"),
        ("token=True", "PermissionError", "A token is to be sent for alice/dermsim, and none is"),
    ],
)
def test_whoever_may_not_read_it_is_told_so(
    hub, hub_token, private, online, photograph, tmp_path, who, kind, sentence
):
    options = {
        "nobody": {},
        "token=False": {"token": False, "environment": {"HF_TOKEN": hub_token}},
        "token=True": {"token": True},
        "bob": {"token": hub.add_account("bob")},
        "forged": {"token": "hf_forged"},
    }[who]
    outcome = online.run(load_dermsim, NAME, photograph, cache_dir=tmp_path, **options)
    assert outcome.kinds[0] == kind
    assert sentence in outcome.sentence
    assert "\n" not in outcome.sentence
    assert list(tmp_path.rglob("*.safetensors")) == []


def test_a_gated_model_tells_whom_to_ask(hub, online, checkpoint, photograph, tmp_path):
    hub.publish(NAME, checkpoint)
    hub.repository(NAME).update_settings(gated="manual")
    bob = hub.add_account("bob")
    for token in (bob, None):
        outcome = online.run(load_dermsim, NAME, photograph, cache_dir=tmp_path, token=token)
        assert outcome.kinds[0] == "PermissionError"
        assert "is open only to those its owners admit" in outcome.sentence


def test_a_name_that_nobody_has_is_one_sentence(hub, hub_token, online, photograph, tmp_path):
    for token in (hub_token, None):
        outcome = online.run(load_dermsim, NAME, photograph, cache_dir=tmp_path, token=token)
        assert outcome.kinds[0] == "FileNotFoundError"
        assert outcome.sentence.startswith(f"There is no folder {NAME}, and no such model")


# --- transformers, where dermsim is not installed ------------------------------------------------


def test_auto_classes_say_the_same(hub, stranger, checkpoint, photograph, seen_here, tmp_path):
    hub.publish(NAME, checkpoint)
    seen = stranger.run(load_auto, NAME, photograph, cache_dir=tmp_path).unwrap()
    assert seen.pop("class").startswith("transformers_modules.alice.dermsim.")
    assert seen == {key: seen_here[key] for key in ("embedding", "label")}
    assert audit(tmp_path) == []


def test_auto_classes_take_a_revision_and_a_token(
    hub, hub_token, private, stranger, second_checkpoint, photograph, seen_here, tmp_path
):
    first = hub.repository(NAME).head.oid
    hub.publish(NAME, second_checkpoint)
    options = {"cache_dir": tmp_path, "token": hub_token}
    old = stranger.run(load_auto, NAME, photograph, revision=first, **options).unwrap()
    new = stranger.run(load_auto, NAME, photograph, **options).unwrap()
    assert old["embedding"] == seen_here["embedding"] != new["embedding"]
    refused = stranger.run(load_auto, NAME, photograph, cache_dir=tmp_path / "another")
    assert "OSError" in refused.kinds
    assert NAME in refused.sentence


@pytest.fixture(scope="module")
def ensemble(tmp_path_factory):
    """The folder of an ensemble's encoder, with random weights, and what it says of a picture."""
    import torch

    from dermsim.models import (
        DermSimConfig,
        DermSimEnsembleModel,
        DermSimImageProcessor,
        DermSimModel,
    )
    from dermsim.models.encoder import round_to_half, save_encoder

    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(0)
        names = ("test_resnet", "test_efficientnet")
        members = [DermSimModel(DermSimConfig(backbone=name, image_size=64)) for name in names]
    joined = DermSimEnsembleModel.from_members(members)
    round_to_half(joined)
    side = {"height": 64, "width": 64}
    processor = DermSimImageProcessor(size={"shortest_edge": 64}, crop_size=side)
    folder = tmp_path_factory.mktemp("ensemble") / "folder"
    save_encoder(joined, processor, folder)
    return folder, joined, processor


def test_auto_classes_load_an_ensemble(hub, stranger, ensemble, photograph, tmp_path):
    folder, joined, processor = ensemble
    assert len(list(folder.glob("*_dermsim*.py"))) > 8  # each refers to others
    hub.publish("alice/ensemble", folder)
    seen = stranger.run(load_auto, "alice/ensemble", photograph, cache_dir=tmp_path).unwrap()
    (here,) = encode(joined, processor, [photograph]).embeddings
    assert seen["embedding"] == here.tobytes()


def test_a_pipeline_needs_only_the_name(hub, stranger, checkpoint, engine, photograph):
    hub.publish(NAME, checkpoint)
    found = stranger.run(load_pipeline, NAME, photograph).unwrap()
    assert found == pytest.approx(engine.predict(photograph)[0].probabilities, abs=1e-5)


def test_code_is_not_run_unasked(hub, stranger, checkpoint, photograph, tmp_path):
    hub.publish(NAME, checkpoint)
    options = {"cache_dir": tmp_path, "trust_remote_code": False}
    outcome = stranger.run(load_auto, NAME, photograph, **options)
    assert "ValueError" in outcome.kinds
    assert "trust_remote_code" in outcome.sentence


# --- repositories that are not right -------------------------------------------------------------


def _without_gallery(folder):
    shutil.rmtree(folder / "gallery")


def _of_the_future(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "checkpoint_format": 2}))


def _another_model(folder):
    for path in folder.glob("*.safetensors"):
        path.unlink()
    (folder / "config.json").write_text('{"model_type": "resnet"}')


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (_without_gallery, "alice/dermsim is not a dermsim checkpoint: it lacks gallery."),
        (_of_the_future, "alice/dermsim has checkpoint_format 2, and this dermsim reads formats"),
        (_another_model, "it lacks model.safetensors, classes.safetensors, detector.safetensors"),
    ],
)
def test_a_repository_that_is_no_checkpoint_is_one_sentence(
    hub, online, checkpoint, photograph, tmp_path, spoil, sentence
):
    folder = shutil.copytree(checkpoint, tmp_path / "spoilt")
    spoil(folder)
    hub.publish(NAME, folder)
    outcome = online.run(load_dermsim, NAME, photograph, cache_dir=tmp_path / "cache")
    assert sentence in outcome.sentence
    assert "\n" not in outcome.sentence
