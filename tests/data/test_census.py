"""Counting a data set: against plain loops, and on rows that know little."""

import json
from collections import Counter

import numpy as np
import pytest
from datasets import Dataset
from PIL import Image
from refusals import refuses

from dermsim.cli.main import main
from dermsim.core.labels import CODES
from dermsim.core.language import LANGUAGES
from dermsim.data.census import FACTS, explore, take_census
from dermsim.data.splits import grouped_splits
from dermsim.data.synthetic import synthetic_ham10000
from dermsim.data.tables import schema


def dataset(*rows) -> Dataset:
    """Rows of lesion, dx, age, sex, site and how confirmed."""
    image = Image.new("RGB", (16, 16))
    names = ("lesion_id", "dx", "age", "sex", "localization", "dx_type")
    columns = {name: [row[place] for row in rows] for place, name in enumerate(names)}
    columns["image_id"] = [f"I{number}" for number in range(len(rows))]
    columns["image"] = [image] * len(rows)
    return Dataset.from_dict(columns, features=schema())


@pytest.fixture(scope="module")
def few():
    return dataset(
        ("L1", "mel", 50.0, "male", "back", "histo"),
        ("L1", "mel", 50.0, "male", "back", "histo"),
        ("L2", "nv", 34.0, "female", "face", "follow_up"),
        ("L3", "nv", None, None, "unknown", None),
        ("L4", "nv", 61.0, "unknown", "face", "consensus"),
        ("L4", "bkl", 61.0, "unknown", "face", "consensus"),
        ("L4", "bkl", 61.0, "unknown", "face", "consensus"),
    )


def test_a_case_that_a_person_can_check(few):
    census = take_census(few)
    assert (census.images, census.lesions, census.malignant) == (7, 4, 2)
    assert census.dx_images == {**dict.fromkeys(CODES, 0), "mel": 2, "nv": 3, "bkl": 2}
    assert census.dx_lesions == {**dict.fromkeys(CODES, 0), "mel": 1, "nv": 3, "bkl": 1}
    assert census.missing == {"dx_type": 1, "age": 1, "sex": 4, "localization": 1}
    assert list(census.facts["localization"]) == ["face", "back", None]
    assert census.facts["sex"]["male"]["mel"] == 2
    assert list(census.facts["sex"])[-1] is None  # those not known come last, however many
    assert list(census.ages) == [30, 35, 40, 45, 50, 55, 60, None]
    assert sum(census.ages[60].values()) == 3 and sum(census.ages[35].values()) == 0
    assert census.contradictory == ("L4",)
    assert census.multiplicity["mel"] == {2: 1}
    assert census.multiplicity["nv"] == {1: 2, 3: 1}
    assert (census.age_summary["nv"].n, census.age_summary["nv"].median) == (2, 47.5)
    assert "df" not in census.age_summary


def test_counts_are_those_of_plain_loops():
    rows = synthetic_ham10000(60, seed=1, images_per_lesion=3)
    census = take_census(rows)
    plain = rows.remove_columns("image")
    assert census.images == len(plain) == 180
    for fact in ("sex", "dx_type", "localization"):
        counts = Counter((row[fact], CODES[row["dx"]]) for row in plain)
        for (value, code), count in counts.items():
            assert census.facts[fact][value][code] == count
        assert sum(sum(found.values()) for found in census.facts[fact].values()) == 180
    for code in CODES:
        ages = [r["age"] for r in plain if CODES[r["dx"]] == code and r["age"] is not None]
        summary = census.age_summary[code]
        assert summary.n == len(ages)
        assert summary.low == min(ages) and summary.high == max(ages)
        assert summary.median == pytest.approx(np.median(ages))
    known = sum(sum(counts.values()) for band, counts in census.ages.items() if band is not None)
    assert known + census.missing["age"] == 180
    assert census.photographs_per_lesion == {3: 60}


def test_splits_are_counted_apart_and_add_up(few):
    rows = synthetic_ham10000(70, seed=0)
    parts = grouped_splits(rows)
    found = explore(rows, name="drawn", splits=parts)
    assert found.shared_lesions == 0
    assert sum(part.images for part in found.splits.values()) == found.whole.images
    assert sum(part.lesions for part in found.splits.values()) == found.whole.lesions


def test_a_lesion_in_two_splits_is_noticed(few):
    parts = {"train": few.select([0, 2]), "test": few.select([1, 3])}
    assert explore(few, name="x", splits=parts).shared_lesions == 1


def test_the_document_is_json(few):
    found = explore(few, name="x", splits={"all": few}, notes=("a note",)).to_dict()
    back = json.loads(json.dumps(found, allow_nan=False))
    assert back == found
    assert back["whole"]["facts"]["sex"]["not known"]["nv"] == 2
    assert back["whole"]["ages"]["50"]["mel"] == 2
    assert back["notes"] == ["a note"]
    assert "splits" not in explore(few, name="x").to_dict()


def test_what_nobody_knows_can_be_counted():
    rows = dataset(*[(f"L{n}", "nv", None, None, None, None) for n in range(3)])
    census = take_census(rows)
    assert census.missing == dict.fromkeys(FACTS, 3)
    assert census.ages == {None: {**dict.fromkeys(CODES, 0), "nv": 3}}
    assert census.age_summary == {}


def test_no_row_is_refused(few):
    with refuses("census.nothing"):
        take_census(few.select([]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A raw folder of pictures with a table that lacks facts and repeats a row."""
    root = tmp_path_factory.mktemp("raw")
    lines = ["lesion_id,image_id,dx,dx_type,age,sex,localization"]
    for number, code in enumerate(CODES * 2):
        Image.new("RGB", (20, 20), "red").save(root / f"ISIC_{number}.jpg")
        lines.append(f"L{number % 7},ISIC_{number},{code},histo,,unknown,back")
    (root / "HAM10000_metadata.csv").write_text("\n".join([*lines, lines[-1]]))
    return root


class TestCommand:
    @pytest.fixture
    def run(self, capsys):
        def command(*arguments):
            status = main(["explore", *map(str, arguments)])
            captured = capsys.readouterr()
            return status, captured.out, captured.err

        return command

    def test_table(self, run):
        status, out, err = run("synthetic", "--splits")
        assert (status, err) == (0, "")
        assert "synthetic: 480 photographs of 240 lesions" in out
        assert "Lesions in more than one split: 0." in out
        assert "photographs of a lesion" in out

    def test_json(self, run, folder):
        status, out, err = run(folder, "--json")
        found = json.loads(out)
        assert status == 0
        assert found["whole"]["images"] == 14 and found["whole"]["lesions"] == 7
        assert found["whole"]["missing"]["age"] == found["whole"]["missing"]["sex"] == 14
        assert "1 of 15 rows repeat" in err and found["notes"] == [err.split(": ", 1)[1].strip()]
        assert str(folder) not in out  # where it lies is nobody's business

    @pytest.mark.parametrize("language", LANGUAGES)
    def test_charts(self, run, folder, tmp_path, language):
        output = tmp_path / "new" / "charts.html"
        status, _, _ = run(folder, "-o", output, "--language", language)
        html = output.read_text(encoding="utf-8")
        assert status == 0
        assert f'<html lang="{language}">' in html
        assert "1 of 15 rows repeat" in html and str(folder.parent) not in html

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (("nowhere/at/all",), "no folder at nowhere/at/all"),
            (("synthetic", "-o", "charts.pdf"), "must end in .html"),
        ],
    )
    def test_refusals(self, run, arguments, words):
        status, out, err = run(*arguments)
        assert (status, out) == (2, "")
        assert words in err and err.count("\n") == 1

    def test_a_folder_is_not_written_over(self, run, tmp_path):
        status, out, err = run("synthetic", "-o", tmp_path)
        assert (status, out) == (2, "") and "is a folder" in err
