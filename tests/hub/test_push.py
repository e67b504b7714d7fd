"""`dermsim push` from the command line to the loopback Hub and back."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hub_client import (
    GALLERY,
    KINDS,
    MODEL,
    command,
    embed,
    read_gallery,
    run_card,
    validate_cards,
)
from loopback_hub import Fault, HangUp
from loopback_hub.cards import check_card

from dermsim.data.synthetic import draw_lesion


@pytest.fixture
def push(hub, hub_token, online, released, raw):
    """Run `dermsim push` on the released checkpoint; return status, stdout and stderr."""

    def run(*options, checkpoint=released, token=hub_token, data=raw):
        given = ["--data", data, "--sample", 20] if data else []
        line = ["push", checkpoint, "--to", MODEL, *given, *options]
        answer = online.run(command, *line, environment={"HF_TOKEN": token} if token else None)
        return answer.unwrap()

    return run


@pytest.fixture
def copy(released, tmp_path):
    """A checkpoint that a test may spoil."""
    return shutil.copytree(released, tmp_path / "checkpoint")


def written(hub):
    """Requests that change anything on the Hub."""
    answered = [n for n in hub.requests if n.method in ("POST", "PUT", "DELETE")]
    return [str(n) for n in answered if "validate-yaml" not in n.target]


def assert_refused(answer, *words):
    status, out, err = answer
    assert (status, out) == (2, ""), out
    assert err.startswith("dermsim: ") and err.count("\n") == 1
    for word in words:
        assert word in err


def text_of(hub, part, path):
    kind, name = KINDS[part]
    entry = hub.repository(name, kind=kind).head.files[path]
    return hub.storage.content(entry).decode()


def test_a_dry_run_shows_everything_and_sends_nothing(hub, push):
    status, out, err = push()
    assert (status, err) == (0, "")
    assert re.search(r"Reloaded: encoder [0-9a-f]{16}, accuracy 0\.\d{3} \(.*\) reported", out)
    assert "measured again on a sample of the test split" in out
    for kind, name in (("model", MODEL), ("dataset", GALLERY), ("space", MODEL)):
        assert f"{kind} {name} (not there yet), licence apache-2.0: " in out
    for path in ("model.safetensors", "gallery.json", "app.py", "dermsim/engine/dermsim.py"):
        assert re.search(rf"^new +\d+ +{path}$", out, flags=re.MULTILINE), path
    assert "Nothing was sent: this was a dry run" in out
    assert written(hub) == []


def test_a_dry_run_needs_neither_token_nor_photographs(hub, push):
    status, out, err = push("--dry-run", "--json", token=None, data=None)
    assert (status, err) == (0, "")
    answer = json.loads(out)
    assert answer["dry_run"] is True and answer["sent"] == []
    assert answer["proof"]["measured"] is None
    assert [r["kind"] for r in answer["repositories"]] == ["dataset", "model", "space"]
    assert written(hub) == []


def test_what_is_pushed_works_and_the_same_push_again_is_none(
    hub, hub_token, online, push, engine, tmp_path
):
    def ask(function, *args, **options):
        mine = {"HF_TOKEN": hub_token}
        return online.run(function, *args, environment=mine, **options).unwrap()

    status, out, err = push("--no-dry-run", "--private")
    assert (status, err) == (0, "")
    assert out.count("Sent ") == 3
    for kind, name in KINDS.values():
        repository = hub.repository(name, kind=kind)
        titles = [commit.title for commit in repository.history(repository.head)]
        assert titles == [f"Encoder {engine.fingerprint}", "initial commit"], "one commit each"
        assert repository.settings["private"] is True
    for part, (kind, _) in KINDS.items():
        assert check_card(text_of(hub, part, "README.md"), kind=kind[:-1]) == ([], [])
    assert "pipeline_tag" in ask(validate_cards, MODEL, GALLERY)
    assert "preload_from_hub" not in text_of(hub, "space", "README.md")

    # bit for bit the same embeddings
    pictures = [draw_lesion(code, seed=3) for code in ("mel", "nv", "bcc")]
    there = ask(embed, MODEL, pictures)
    np.testing.assert_array_equal(there, engine.embed(pictures))

    # the card's code runs as printed
    lines = ask(run_card, MODEL, tmp_path).splitlines()
    assert len(lines) == 1 + 5 + 3
    assert lines[-2:] == ["16", "torch.Size([1, 16])"]

    # the gallery stands on its own
    gallery, listed, names, columns = ask(read_gallery, GALLERY)
    assert list(gallery.records) == list(engine.gallery.records)
    np.testing.assert_array_equal(gallery.embeddings, engine.gallery.embeddings)
    np.testing.assert_array_equal(listed, engine.gallery.embeddings)
    assert names == ["akiec", "bcc", "bkl", "df", "mel", "nv", "vasc"]
    assert "image" not in columns
    printed = ask(run_card, GALLERY, tmp_path, kind="dataset")
    assert printed == f"{names} 16\n"

    before = written(hub)
    status, out, err = push("--no-dry-run", "--private")
    assert (status, err) == (0, "")
    assert "Nothing was sent: the Hub holds all of it already." in out
    assert written(hub) == before


@pytest.mark.slow
def test_the_model_refers_to_its_gallery_when_there_is_one(hub, push, copy):
    assert push("--no-dry-run", "--only", "model")[0] == 0
    assert GALLERY not in text_of(hub, "model", "README.md")
    assert not hub.seen("POST", f"datasets/{GALLERY}")
    # pictures go along only when they are asked for
    assert push("--no-dry-run", "--only", "gallery", "--include-images")[0] == 0
    assert "embeddings, facts and pictures" in text_of(hub, "gallery", "README.md")
    (copy / "training.json").write_text('{"command": "python other.py"}\n')
    status, out, err = push("--only", "model", checkpoint=copy, data=None)
    assert (status, err) == (0, "")
    assert f"+[{GALLERY}](https://huggingface.co/datasets/{GALLERY})." in out
    assert re.search(r"^changed +\d+ +training\.json$", out, flags=re.MULTILINE)
    assert '-  "command": "python train.py"' in out
    assert '+{"command": "python other.py"}' in out
    assert re.search(r"^Files that are the same: \d+\.$", out, flags=re.MULTILINE)


@pytest.mark.slow
def test_pictures_in_the_gallery_can_be_shown(hub, online, push, photographs, tmp_path):
    assert push("--no-dry-run", "--only", "gallery", "--include-images")[0] == 0
    rows = online.run(read_pictures, GALLERY, ["SYN_0000001", "SYN_0000002", "nobody"]).unwrap()
    ids = list(photographs["image_id"])
    known = {i: np.asarray(photographs[ids.index(i)]["image"]) for i in rows if i != "nobody"}
    shown = {i: picture for i, picture in rows.items() if picture is not None}
    assert shown, "none of the two is in training"
    for image_id, picture in shown.items():
        np.testing.assert_array_equal(picture, known[image_id])
    assert rows["nobody"] is None


def read_pictures(name, ids):
    """Return pictures of a gallery on the Hub as arrays."""
    from dermsim.core.downloads import download
    from dermsim.hub.gallery_data import GalleryPictures, has_pictures

    folder = download(name, repo_type="dataset")
    assert has_pictures(folder)
    pictures = GalleryPictures(folder)
    found = {image_id: pictures(image_id) for image_id in ids}
    return {i: None if p is None else np.asarray(p) for i, p in found.items()}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--no-dry-run"], "--data is missing"),
        (["--include-images"], "--data is missing"),
        (["--create-pr", "--revision", "v2"], "leave out either --create-pr or --revision v2"),
        (["--to", "no-owner"], "'no-owner' is no repository on the Hub: write owner/name"),
    ],
)
def test_options_that_make_no_sense_are_refused(hub, push, options, words):
    assert_refused(push(*options, data=None), words)
    assert hub.requests == []


def test_the_script_is_the_command():
    script = Path(__file__).parents[2] / "hub" / "push.py"
    done = subprocess.run([sys.executable, script, "--help"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for option in ("--dry-run", "--no-dry-run", "--private", "--revision", "--create-pr"):
        assert option in done.stdout
    assert "--include-images" in done.stdout


def test_a_folder_that_is_not_finished_is_refused(hub, push, copy):
    (copy / "evaluation.json").unlink()
    answer = push("--no-dry-run", checkpoint=copy)
    assert_refused(answer, "is not finished: it lacks evaluation.json")
    assert written(hub) == []


def test_a_folder_that_does_not_prove_itself_is_refused(hub, push, copy):
    evaluation = json.loads((copy / "evaluation.json").read_text())
    evaluation["metrics"]["accuracy"] = {"value": 0.99, "low": 0.98, "high": 1.0, "n": 35}
    (copy / "evaluation.json").write_text(json.dumps(evaluation))
    answer = push("--no-dry-run", checkpoint=copy)
    assert_refused(answer, "says accuracy 0.990", "evaluate the checkpoint again")
    assert written(hub) == []


@pytest.mark.slow
def test_a_push_that_breaks_off_leaves_every_main_as_it_was(hub, push):
    hub.inject(Fault("PUT", "/upload/", HangUp(0.5), times=None, host="storage"))
    assert_refused(push("--no-dry-run"), f"The Hub could not take the files of {GALLERY}")
    for kind, name in KINDS.values():
        assert set(hub.repository(name, kind=kind).head.files) == {".gitattributes"}
