"""The page of what the protocols found is made of their files, and of the released encoder."""

import json
from pathlib import Path

import pytest
from measured import PAGE, SECTIONS, page

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "docs" / "measured"


def test_the_page_is_written_from_the_files():
    assert PAGE.read_text(encoding="utf-8") == page(FOLDER)
    assert {file.stem for file in FOLDER.iterdir()} == set(SECTIONS)


@pytest.mark.parametrize("name", ["retrieval", "ambiguity", "concepts", "captions"])
def test_the_figures_are_of_the_released_encoder(name):
    released = json.loads((ROOT / "hub/dermsim-ham10000/evaluation.json").read_text())
    found = json.loads((FOLDER / f"{name}.json").read_text())
    for table in found.get("tables", [found]):
        facts = table["facts"]
        measured = facts.get("fingerprint") or facts["fingerprints"][0]
        assert measured == released["fingerprint"]


def test_what_is_of_the_encoder_before_is_said_to_be():
    unfamiliar, compared = (
        json.loads((FOLDER / f"{name}.json").read_text())["facts"]["fingerprints"]
        for name in ("unfamiliar", "comparison-release")
    )
    assert compared["dermsim-ham10000"] == unfamiliar[0]
    released = json.loads((ROOT / "hub/dermsim-ham10000/evaluation.json").read_text())
    words = "encoder that was released before it"
    assert (unfamiliar[0] != released["fingerprint"]) == (words in page(FOLDER))
