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
