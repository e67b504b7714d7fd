"""What no commit may carry is refused by name; the rest passes without a word."""

import subprocess
import sys
from pathlib import Path

import pytest

GUARD = Path(__file__).resolve().parent.parent / ".ci" / "guard.py"


@pytest.fixture
def guard(tmp_path):
    """Run the guard on files given by name and content."""

    def check(files):
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        command = [sys.executable, str(GUARD), *files, "deleted.py"]
        answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        return answer.returncode, answer.stderr

    return check


def test_ordinary_files_pass(guard):
    assert guard({"a.py": b"x = 1\n", "hub/model.safetensors": bytes(1_000_001)}) == (0, "")


def test_a_large_file_is_refused(guard):
    status, err = guard({"docs/hub.bin": bytes(1_000_001)})
    assert status == 1
    assert "docs/hub.bin has 1,000,001 bytes, more than 1,000,000" in err


@pytest.mark.parametrize("kind", ["", "RSA ", "OPENSSH ", "EC "])
def test_a_private_key_is_refused(guard, kind):
    status, err = guard({"notes.txt": f"hello\n-----BEGIN {kind}PRIVATE KEY-----\n".encode()})
    assert status == 1
    assert "notes.txt holds a private key" in err


def function(lines):
    return ("def long():\n" + "    pass\n" * (lines - 1)).encode()


def test_a_long_function_is_refused(guard):
    assert guard({"a.py": function(60)}) == (0, "")
    status, err = guard({"tests/a.py": b"x = 1\n" + function(61)})
    assert status == 1
    assert err == ("tests/a.py:2: long has 61 lines, more than 60: split it by subject\n")


def test_a_long_method_is_refused(guard):
    method = "class A:\n    async def long(self):\n" + "        pass\n" * 60
    status, err = guard({"a.py": method.encode()})
    assert status == 1
    assert "a.py:2: long has 61 lines" in err


def test_the_training_story_may_be_as_long_as_it_is(guard):
    story = function(200).replace(b"long", b"run")
    assert guard({"train_accelerate.py": story}) == (0, "")
    assert guard({"a.py": story})[0] == 1


def test_a_long_module_of_the_package_is_refused(guard):
    assert guard({"dermsim/a.py": b"x = 1\n" * 400, "tests/a.py": b"x = 1\n" * 401}) == (0, "")
    status, err = guard({"dermsim/a.py": b"x = 1\n" * 401})
    assert status == 1
    assert err == "dermsim/a.py has 401 lines, more than 400: split it by subject\n"


@pytest.mark.parametrize(
    "raised",
    [
        "ValueError('too small')",
        "OSError(f'{a} is full')",
        "FileNotFoundError('no ' + a)",
        "TypeError(a or 'of another type')",
    ],
)
def test_a_refusal_without_a_key_is_refused(guard, raised):
    source = f"a = 1\nraise {raised}\n".encode()
    status, err = guard({"dermsim/data/images.py": source})
    assert status == 1
    assert err.startswith("dermsim/data/images.py:2: ")
    assert "is raised with a sentence: raise Refused(key)" in err
    # tests may raise anything, and what ships with the weights stands alone
    assert guard({"tests/a.py": source, "dermsim/data/srgb_dermsim.py": source}) == (0, "")


def test_a_refusal_with_a_key_passes(guard):
    source = b"raise Refused('images.empty', name='a.png')\nraise AttributeError('b')\nraise\n"
    assert guard({"dermsim/data/images.py": source}) == (0, "")
