"""Uploads by Xet, which clients use where nobody says otherwise."""

import os

import numpy as np
import pytest
from hub_clients import by_xet, load_dermsim, push
from loopback_hub import Fault, Mangle, Refuse

from dermsim.data.synthetic import draw_lesion

NAME = "alice/demo"
XORBS, SHARDS = "/v1/xorbs/", "/v1/shards"


@pytest.fixture
def folder(tmp_path):
    """Files that are packed in each of the ways there are."""
    source = tmp_path / "source"
    source.mkdir()
    rng = np.random.default_rng(0)
    smooth = np.cumsum(rng.normal(size=100_000)).astype(np.float32)
    (source / "random.safetensors").write_bytes(rng.bytes(300_001))
    (source / "text.bin").write_bytes(b"many words " * 30_000)
    (source / "floats.npz").write_bytes(smooth.tobytes() + b"end")
    (source / "tiny.bin").write_bytes(b"x")
    (source / "notes.txt").write_text("regular")
    return source


def held(hub):
    files = hub.repository(NAME).head.files
    return {name: hub.storage.content(entry) for name, entry in files.items() if name[0] != "."}


def test_what_is_sent_is_what_is_kept(hub, hub_token, online, folder):
    online.run(by_xet, push, hub.url, hub_token, NAME, folder).unwrap()
    assert held(hub) == {path.name: path.read_bytes() for path in folder.iterdir()}
    assert hub.seen("POST", XORBS) and hub.seen("POST", SHARDS)
    assert not hub.seen("POST", "lfs/objects") and not hub.seen("PUT", "/upload/")
    history = hub.repository(NAME).history(hub.repository(NAME).head)
    assert [commit.title for commit in history] == ["Push", "initial commit"]


def test_push_load_predict_is_bit_equal(hub, hub_token, online, checkpoint, engine, tmp_path):
    photograph = tmp_path / "lesion.png"
    draw_lesion("nv", seed=7).save(photograph)
    online.run(by_xet, push, hub.url, hub_token, "alice/dermsim", checkpoint).unwrap()
    seen = online.run(load_dermsim, "alice/dermsim", photograph, cache_dir=tmp_path).unwrap()
    assert seen["embedding"] == engine.embed(photograph).tobytes()
    assert seen["fingerprint"] == engine.fingerprint


def test_who_may_only_read_gets_no_token(hub, hub_token, online, folder):
    before = online.run(by_xet, push, hub.url, hub_token, NAME, folder).unwrap()
    (folder / "tiny.bin").write_bytes(b"y")
    reader = hub.add_account("alice", role="read")
    assert not online.run(by_xet, push, hub.url, reader, NAME, folder).ok
    assert hub.repository(NAME).head.oid == before


def send(token, folder):
    """Do what `dermsim push` does with a folder; in the process `online` only."""
    from huggingface_hub import HfApi

    from dermsim.hub.difference import compare
    from dermsim.hub.parcel import Parcel
    from dermsim.hub.send import send

    client = HfApi(token=token)
    parcel = Parcel("model", NAME, folder, "apache-2.0")
    return [one.oid for one in send(client, [compare(client, parcel)], message="Push")]


def test_dermsim_push_goes_by_xet_too(hub, hub_token, online, folder):
    [oid] = online.run(by_xet, send, hub_token, folder).unwrap()
    assert hub.repository(NAME).head.oid == oid
    assert held(hub) == {path.name: path.read_bytes() for path in folder.iterdir()}
    (folder / "random.safetensors").write_bytes(os.urandom(200_000))
    hub.inject(Fault("POST", XORBS, Refuse(403), times=None, host="storage"))
    outcome = online.run(by_xet, send, hub_token, folder)
    assert outcome.kinds[0] in ("ConnectionError", "PermissionError"), outcome.trace
    assert f"The Hub could not take the files of {NAME}: " in outcome.sentence
    assert "\n" not in outcome.sentence
    assert hub.repository(NAME).head.oid == oid


def flip(data):
    return data[:-1] + bytes([data[-1] ^ 1])


@pytest.mark.slow  # hf_xet waits between its attempts, and these waits are its own
@pytest.mark.parametrize(
    ("path", "effect", "times"),
    [
        (XORBS, Refuse(500), 1),
        (XORBS, Refuse(403), None),
        (XORBS, Mangle(flip), None),
        (XORBS, Mangle(lambda data: data[: len(data) // 2]), None),
        (SHARDS, Refuse(500), 1),
        (SHARDS, Refuse(400), None),
        (SHARDS, Mangle(lambda data: data[:100]), None),
        ("/commit/", Refuse(403), None),
    ],
)
def test_what_breaks_off_is_taken_up_again_or_leaves_main(
    hub, hub_token, online, folder, path, effect, times
):
    before = online.run(by_xet, push, hub.url, hub_token, NAME, folder).unwrap()
    (folder / "random.safetensors").write_bytes(os.urandom(200_000))  # what was sent is not resent
    host = "hub" if path == "/commit/" else "storage"
    fault = Fault("POST", path, effect, times=times, host=host)
    hub.inject(fault)
    outcome = online.run(by_xet, push, hub.url, hub_token, NAME, folder)
    assert fault.struck, "nothing went wrong"
    assert outcome.ok == (times == 1), outcome.trace
    if not outcome.ok:
        assert hub.repository(NAME).head.oid == before
    hub.clear_faults()
    online.run(by_xet, push, hub.url, hub_token, NAME, folder).unwrap()
    assert held(hub) == {file.name: file.read_bytes() for file in folder.iterdir()}
