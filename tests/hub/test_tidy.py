"""Only what a finished run left is pushed, and nothing beside it."""

import os
import shutil
import subprocess

import pytest
from refusals import refuses

from dermsim.hub import parcel
from dermsim.hub.parcel import check_room, size_of
from dermsim.hub.tidy import check_tidy


@pytest.fixture
def copy(released, tmp_path):
    """A checkpoint that a test may spoil."""
    return shutil.copytree(released, tmp_path / "checkpoint")


def test_a_finished_folder_is_tidy(released):
    check_tidy(released)


def test_one_that_takes_facts_has_a_part_more(copy):
    shutil.copy(copy / "calibration.json", copy / "calibration_facts.json")
    check_tidy(copy)


@pytest.mark.parametrize(
    "name",
    ["evaluation.json", "training.json", "README.md", "model.safetensors", "gallery/gallery.json"],
)
def test_what_is_missing_is_named(copy, name):
    (copy / name).unlink()
    with refuses("tidy.unfinished", FileNotFoundError, missing=[name]):
        check_tidy(copy)


def test_no_folder_is_no_checkpoint(tmp_path):
    with refuses("tidy.no_folder", FileNotFoundError, folder=tmp_path / "nowhere"):
        check_tidy(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "name",
    [
        "notes.txt",
        ".README.md.x1/README.md",
        "gallery/ISIC_0000001.jpg",
        "optimizer.pt",
        "gallery/embeddings.safetensors.part",
        "modeling_other.py",
        "image_processing_dermsim_ensemble.py",
    ],
)
def test_what_does_not_belong_is_named(copy, name):
    (copy / name).parent.mkdir(exist_ok=True)
    (copy / name).write_text("left over")
    with refuses("tidy.foreign"):
        check_tidy(copy)


def test_empty_files_and_links_are_refused(copy, tmp_path):
    (copy / "atlas.parquet").write_bytes(b"")
    with refuses("tidy.empty", name="atlas.parquet", folder=tmp_path / "checkpoint"):
        check_tidy(copy)
    (copy / "atlas.parquet").unlink()
    (copy / "atlas.parquet").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").write_text("x")
    with refuses("tidy.link", name="atlas.parquet", folder=tmp_path / "checkpoint"):
        check_tidy(copy)


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_changes_that_are_not_committed_are_refused(copy, tmp_path):
    def git(*words):
        who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        command = ["git", "-C", str(tmp_path), *who, *words]
        subprocess.run(command, check=True, capture_output=True)

    git("init")
    check_tidy(copy)  # not under version control yet
    git("add", ".")
    git("commit", "-m", "all")
    check_tidy(copy)
    (copy / "training.json").write_text('{"minutes": 1}')
    with refuses("tidy.uncommitted", name="checkpoint/training.json"):
        check_tidy(copy)
    git("commit", "-am", "more")
    check_tidy(copy)


def test_a_full_disk_is_noticed_before_anything_is_written(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(bytes(3000))
    assert size_of(tmp_path) == 3000
    check_room(tmp_path, 3000)
    monkeypatch.setattr(parcel.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9, 9, 5))
    with refuses("parcel.disk", OSError, needed=3.0):
        check_room(tmp_path, 3 * 2**20)


def test_assembling_asks_for_room_first(released, tmp_path, monkeypatch):
    from dermsim.hub.release import Names, assemble

    monkeypatch.setattr(parcel.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9, 9, 5))
    with refuses("parcel.disk", OSError):
        assemble(released, tmp_path, names=Names("alice/derm"))
    assert list(tmp_path.iterdir()) == []


def test_only_this_dermsim_s_own_code_is_sent(copy):
    (copy / "modeling_dermsim.py").write_text("print('other')")
    with refuses("tidy.other_code", name="modeling_dermsim.py"):
        check_tidy(copy)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_pipe_is_no_part(copy):
    (copy / "training.json").unlink()
    os.mkfifo(copy / "training.json")
    with refuses("tidy.malformed", name="training.json"):
        check_tidy(copy)
