"""What docs/pictures.md promises: its formats, extras and commands."""

import re
import shlex
import tomllib
from pathlib import Path

import numpy as np
import pytest
from dicom_files import as_file, elements
from PIL import Image

from dermsim.cli.main import main
from dermsim.core.labels import CODES
from dermsim.data.formats import FORMATS
from dermsim.data.formats.dicom_decoders import _PLUGINS
from dermsim.data.synthetic import draw_lesion

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "pictures.md").read_text(encoding="utf-8")
COMMANDS = [c for block in re.findall(r"```bash\n(.*?)```", PAGE, re.S) for c in block.splitlines()]


def test_every_format_is_on_the_page():
    table = PAGE.split("| format |")[1].split("\n\n")[0]
    assert all(known.name in table for known in FORMATS)


def test_every_extra_of_the_page_is_there_and_tested():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    named = set(re.findall(r"dermsim\[(\w+)\]", PAGE))
    assert named == {"dicom", "heic", "jxl", "tiff"}
    for name in named:
        assert set(extras[name]) <= set(extras["dev"]), name
    names = {re.split(r"[>=\[]", line)[0] for line in extras["dicom"]}
    table = PAGE.split("| compression |")[1].split("\n\n")[0]
    assert {name for name in names if name in table} == names
    assert "pylibjpeg-libjpeg" not in names and set(_PLUGINS.values()) == {
        "pillow",
        "pyjpegls",
        "pylibjpeg",
    }


def test_the_commands(checkpoint, informed_checkpoint, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    picture = draw_lesion("mel", seed=1, size=(64, 48))
    second = Image.fromarray(255 - np.asarray(picture))
    picture.save("scan.tif", save_all=True, append_images=[second])
    Path("clinic.dcm").write_bytes(as_file(elements(np.asarray(picture), PatientAge="045Y")))
    Path("informed").symlink_to(informed_checkpoint)
    frame, facts = (shlex.split(command)[1:] for command in COMMANDS)
    with pytest.warns(UserWarning, match="number 1 is read"):
        assert main([*frame, "--model", str(checkpoint)]) == 0
    assert main([*facts, "--json"]) == 0
    assert '"age": 45.0' in capsys.readouterr().out
    assert main([part for part in facts if part != "--facts-from-dicom"] + ["--json"]) == 0
    assert "45.0" not in capsys.readouterr().out


def test_the_python_runs(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    exec(compile(code, "docs/pictures.md", "exec"), {})
    assert capsys.readouterr().out.strip() in CODES
