"""Version, citation, templates and workflows agree with one another."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

import dermsim

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TEMPLATES = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))


def load(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def test_one_version():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    unreleased, version = re.findall(r"^## \[(.+?)\]", text, re.MULTILINE)[:2]
    assert (unreleased, version) == ("Unreleased", dermsim.__version__)
    assert load(ROOT / "CITATION.cff")["version"] == dermsim.__version__


def test_citation_has_what_its_format_demands():
    """`make citation` asks the format's own validator; it runs in CI."""
    cited = load(ROOT / "CITATION.cff")
    assert cited["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= set(cited)
    assert all("name" in one or "family-names" in one for one in cited["authors"])
    (paper,) = cited["references"]
    assert re.fullmatch(r"10\.\d{4,}/\S+", paper["doi"])
    assert {"type", "title", "authors"} <= set(paper)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert cited["license"] == project["license"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_may_read_alone_and_runs_weekly(path):
    workflow = load(path)
    assert workflow["permissions"] == {"contents": "read"}
    (schedule,) = workflow[True]["schedule"]  # YAML reads `on` as true
    assert re.fullmatch(r"\d+ \d+ \* \* \d", schedule["cron"])
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 90


def test_workflows_call_targets_that_there_are():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):.*##", makefile, re.MULTILINE))
    for path in WORKFLOWS:
        for line in re.findall(r"\bmake ([a-z -]+)$", path.read_text(encoding="utf-8"), re.M):
            assert set(line.split()) <= targets, path.name


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_help_lists_all_targets_and_what_only_ci_runs():
    command = ["make", "--no-print-directory", "help"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    here, only_ci = told.split("\n\n")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^\.PHONY: ([a-z-]+)$", makefile, re.MULTILINE))
    assert {line.split()[0] for line in here.splitlines()} == targets
    checked = set(re.search(r"^check: ([a-z ]+?) *##", makefile, re.MULTILINE)[1].split())
    for path in WORKFLOWS:
        for line in re.findall(r"\bmake ([a-z -]+)$", path.read_text(encoding="utf-8"), re.M):
            for target in set(line.split()) - checked:
                assert re.search(rf"\b{target}\b", only_ci), target
    assert "lowest" in only_ci and "newest" in only_ci and "pytest -m slow" in only_ci


def test_ci_runs_lowest_and_newest_versions():
    jobs = load(ROOT / ".github" / "workflows" / "tests.yml")["jobs"]
    assert "-c .ci/lowest.txt" in str(jobs["lowest"])
    assert "--upgrade-strategy eager" in str(jobs["newest"])
    for step in ("docs", "citation"):
        assert step in str(jobs["newest"])
        assert step in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_a_template_asks_what_it_must(path):
    template = load(path)
    if path.stem != "config":
        assert {"name", "description", "body"} <= set(template)
        assert any(part.get("validations", {}).get("required") for part in template["body"])


def test_every_finding_is_listed():
    listed = (ROOT / "findings" / "README.md").read_text(encoding="utf-8")
    scripts = [path for path in (ROOT / "findings").iterdir() if path.name != "README.md"]
    assert scripts
    for script in scripts:
        assert f"]({script.name})" in listed


def test_ten_pairs_of_plain_english():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = text.split("| before | after |")[1].split("\n\n")[0]
    assert len(table.splitlines()) == 2 + 10
