import os
import stat
import subprocess
import sys
import time

import pytest

from dermsim.ui.uploads import AGE, PERIOD, UploadFolder, sweep_dead


@pytest.fixture
def folder(tmp_path):
    return UploadFolder(tmp_path / "parent", room=100)


def write(folder, name, content=b"12345"):
    path = folder.path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path


def test_nobody_else_may_look_into_it(folder, tmp_path):
    assert folder.path.parent == (tmp_path / "parent").resolve()
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700


def test_old_files_go_with_their_folders_and_what_was_kept_stays(folder):
    example = write(folder, "abc/example.png")
    folder.keep_all()
    used, loose = write(folder, "def/lesion.png"), write(folder, "tmp123")
    assert folder.sweep(age=60) == 10
    assert used.exists() and loose.exists()
    assert folder.sweep(age=-1) == 0
    assert not used.parent.exists() and not loose.exists()
    assert example.read_bytes() == b"12345"


def test_a_link_is_deleted_and_not_what_it_points_to(folder, tmp_path):
    mine = tmp_path / "mine.txt"
    mine.write_text("mine")
    (folder.path / "link").symlink_to(mine)
    folder.sweep(age=-1)
    assert not (folder.path / "link").is_symlink()
    assert mine.read_text() == "mine"


def test_what_is_coming_stays_until_the_last_part_has_come(folder):
    before = write(folder, "tmp0")
    time.sleep(0.02)
    with folder.receiving():
        part, done = write(folder, "tmp1"), write(folder, "abc/lesion.png")
        folder.sweep(age=-1)
        assert part.exists()
        assert not before.exists() and not done.exists()
    folder.sweep(age=-1)
    assert not part.exists()


def test_what_waits_for_its_turn_stays_until_it_has_come(folder, tmp_path):
    waiting, other = write(folder, "abc/lesion.png"), write(folder, "def/lesion.png")
    outside = tmp_path / "mine.png"
    outside.touch()
    for path in (waiting, other, outside):
        os.utime(path, (1, 1))
    folder.spare([waiting, folder.path / "gone.png", outside, folder.path / "../../mine.png"])
    folder.sweep(age=0.01)
    assert waiting.stat().st_mtime > time.time() - 10  # young again, for Gradio too
    assert other.stat().st_mtime == outside.stat().st_mtime == 1
    time.sleep(0.02)
    folder.sweep(age=0.01)
    assert waiting.exists() and not other.exists()
    folder.spare_no_more([waiting, folder.path / "never.png"])
    time.sleep(0.02)
    folder.sweep(age=0.01)
    assert not waiting.exists()


def test_nothing_waits_forever(folder):
    waiting = write(folder, "abc/lesion.png")
    folder.spare([waiting], seconds=-1)
    time.sleep(0.02)
    folder.sweep(age=0.01)
    assert not waiting.exists()


def test_it_is_full_until_it_is_swept(folder):
    assert folder.admit(60)
    assert not folder.admit(41)
    assert folder.admit(40)
    assert not folder.admit(1)
    write(folder, "a", b"x" * 30)
    folder.sweep(age=60)
    assert folder.admit(70)
    assert not folder.admit(1)


def test_a_file_is_gone_within_a_minute():
    assert AGE + 2 * PERIOD < 60


# In a process of its own: of this one's threads, one may hold a lock that its fork waits for.
FORKED = """
import gc, os, sys
from pathlib import Path
from dermsim.ui.uploads import UploadFolder

folder = UploadFolder(Path(sys.argv[1]))
path = folder.path
child = os.fork()
if child == 0:
    del folder
    gc.collect()
    os._exit(0)
os.waitpid(child, 0)
print(path.is_dir())
del folder
gc.collect()
print(path.exists())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_it_goes_with_its_owner_but_not_with_a_forked_process(tmp_path):
    command = [sys.executable, "-c", FORKED, tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.stdout.split() == ["True", "False"], done.stderr


# The clock, and servers that were killed.


def test_the_time_of_day_may_be_set_without_a_file_living_longer_or_shorter(tmp_path, monkeypatch):
    now = [1000.0]
    folder = UploadFolder(tmp_path, clock=lambda: now[0])
    path, real = write(folder, "abc/lesion.png"), time.time
    for shift in (-3600, 3600, 0, -86400):
        monkeypatch.setattr(time, "time", lambda shift=shift: real() + shift)
        folder.sweep()
        now[0] += 10
    assert path.exists()
    now[0] += AGE - 40 + 0.1
    folder.sweep()
    assert not path.exists()


KILLED = """
import os, signal, sys
from pathlib import Path
from dermsim.ui.uploads import UploadFolder

folder = UploadFolder(Path(sys.argv[1]))
(folder.path / "lesion.png").write_bytes(b"12345")
os.kill(os.getpid(), getattr(signal, sys.argv[2]))
"""


def test_what_a_killed_server_left_is_deleted_by_the_next_one(tmp_path):
    subprocess.run([sys.executable, "-c", KILLED, tmp_path, "SIGKILL"], timeout=300)
    (left,) = tmp_path.iterdir()
    assert (left / "lesion.png").exists()
    folder = UploadFolder(tmp_path)
    assert [*tmp_path.iterdir()] == [folder.path]


def test_the_folder_of_a_running_server_is_left_alone(tmp_path):
    first = UploadFolder(tmp_path)
    path = write(first, "abc/lesion.png")
    other = UploadFolder(tmp_path)
    assert path.exists()
    other.remove()
    assert [*tmp_path.iterdir()] == [first.path]
    assert sweep_dead(tmp_path) == 0


def test_a_folder_without_a_lock_may_be_just_being_made(tmp_path):
    young, old = tmp_path / "dermsim-uploads-young", tmp_path / "dermsim-uploads-old"
    strange = tmp_path / "dermsim-uploads-link"
    for path in (young, old, tmp_path / "mine"):
        path.mkdir()
    strange.symlink_to(tmp_path / "mine")
    os.utime(old, (1, 1))
    assert sweep_dead(tmp_path) == 1
    assert young.is_dir() and not old.exists() and strange.is_symlink()
