"""docs/duplicates.md says what the code does, and its benchmark runs."""

import importlib.util
import re
import shlex
import sys
from pathlib import Path

import pytest

from dermsim.cli.main import main
from dermsim.data.duplicates import registration, search
from dermsim.data.synthetic import draw_lesion

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "duplicates.md").read_text(encoding="utf-8")


@pytest.fixture
def bench(monkeypatch):
    path = ROOT / "benchmarks" / "bench_duplicates.py"
    spec = importlib.util.spec_from_file_location("bench_duplicates", path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "bench_duplicates", module)
    spec.loader.exec_module(module)
    return module


def test_the_constants_on_the_page_are_the_codes():
    assert f"differ in up to {search.HAMMING} of 63 bits" in PAGE
    assert f"the {search.NEIGHBORS} nearest embeddings" in PAGE
    assert f"From {registration.DETAIL} on" in PAGE
    assert f"a grey copy of {registration.SIDE} pixels" in PAGE


def test_its_command_writes_the_files_that_it_names(tmp_path, monkeypatch):
    for name, size in (("own", (160, 120)), ("other", (80, 60))):
        (tmp_path / name).mkdir()
        draw_lesion("nv", seed=1, size=(160, 120)).resize(size).save(
            tmp_path / name / f"{name}.png"
        )
    monkeypatch.chdir(tmp_path)
    command = next(line for line in PAGE.splitlines() if line.startswith("dermsim duplicates"))
    assert main([*shlex.split(command)[1:], "--hashes-only"]) == 0
    written = {path.name for path in (tmp_path / "found").iterdir()}
    assert written == {"duplicates.csv", "components.csv", "pairs-01.jpg"}
    assert all(f"`{name}`" in PAGE for name in written)


def test_every_change_of_the_benchmark_is_on_the_page(bench):
    rows = re.findall(r"^\| (.+?) \| [01]\.\d{4} \|", PAGE, re.M)
    assert rows == list(bench.CHANGES)


def test_the_benchmark_runs_without_data(bench, monkeypatch, capsys):
    monkeypatch.setattr(bench, "CHANGES", dict(list(bench.CHANGES.items())[:2]))
    monkeypatch.setattr(sys, "argv", ["bench_duplicates.py", "--planted", "3"])
    bench.main()
    table = capsys.readouterr().out.splitlines()
    assert table[2].startswith("| half the size | 6 | hash | 1.0000 (3 of 3) | 1.0000 (3 of 3) |")
    assert table[-1].startswith("Peak memory")


def test_halves_share_no_lesion(bench):
    from dermsim.data.duplicates import list_source

    listed = list_source("synthetic")
    chosen, reported = (
        {item.lesion_id for item in bench.half_of(listed, half)} for half in ("choose", "report")
    )
    assert chosen and reported and not chosen & reported
