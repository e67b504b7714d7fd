"""`dermsim concepts`, `describe`, and the two protocols, on a tiny checkpoint."""

import csv
import json
import shutil

import pytest
from concept_fits import with_concepts
from opened import opens

from dermsim.cli.main import main
from dermsim.core.language import LANGUAGES
from dermsim.data.synthetic import draw_lesion


@pytest.fixture
def run(capsys):
    def command(*arguments):
        capsys.readouterr()  # what the drawing of data printed
        status = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return command


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for seed, dx in enumerate(("mel", "nv", "bkl")):
        draw_lesion(dx, seed=seed).save(folder / f"{dx}.png")
    return folder


def test_the_list_says_what_each_head_can_do(run, concept_checkpoint):
    status, out, err = run("concepts", "list", "--model", concept_checkpoint, "--json")
    assert (status, err) == (0, "")
    found = json.loads(out)
    assert {"usable", "may_point", "auc", "positives"} <= set(found["heads"][0])
    status, out, _ = run("concepts", "list", "--model", concept_checkpoint)
    assert status == 0
    assert "may point" in out and "random projections" in out


def test_the_list_of_all_concepts_needs_no_heads(run, checkpoint):
    status, out, _ = run("concepts", "list", "--every", "--language", "es", "--model", checkpoint)
    assert status == 0
    assert "velo azul blanquecino" in out
    status, _, err = run("concepts", "list", "--model", checkpoint)
    assert status == 2
    assert "has no concept heads" in err


def test_pictures_are_sorted_by_a_concept(run, concept_checkpoint, pictures, tmp_path):
    output = tmp_path / "sorted.csv"
    command = ("concepts", "sort", pictures, "--by", "pigment network")
    status, out, err = run(*command, "--model", concept_checkpoint, "--json", "-o", output)
    assert (status, err) == (0, "")
    rows = json.loads(out)["results"]
    order = [(bool(row["withheld"]), -row["probability"]) for row in rows]
    assert order == sorted(order) and len(rows) == 3
    with output.open() as stream:
        assert [row["picture"] for row in csv.DictReader(stream)] == [r["picture"] for r in rows]


@pytest.mark.parametrize(
    ("by", "message"),
    [("clover", "There is no concept 'clover'"), ("ruler", "No usable concept head is called")],
)
def test_what_cannot_be_sorted_by_is_refused(run, concept_checkpoint, pictures, by, message):
    status, _, err = run("concepts", "sort", pictures, "--by", by, "--model", concept_checkpoint)
    assert status == 2
    assert message in err


def test_artefacts_are_audited(run, checkpoint, pictures):
    status, out, err = run("concepts", "audit", pictures, "--model", checkpoint, "--json")
    assert (status, err) == (0, "")
    assert [row["artefact"] for row in json.loads(out)["rows"]] == [
        "hair",
        "ruler",
        "ink",
        "gel_bubbles",
        "dark_corner",
    ]


@pytest.mark.parametrize("language", LANGUAGES)
def test_pictures_are_described(run, concept_checkpoint, pictures, language):
    command = ("describe", pictures, "--language", language, "--model", concept_checkpoint)
    status, out, err = run(*command, "--json")
    assert (status, err) == (0, "")
    for found in json.loads(out)["results"]:
        assert found["language"] == language
        assert bool(found["notice"]) != bool(found["sentences"])
    status, out, _ = run(*command)
    assert status == 0 and "mel.png" in out


def test_what_is_no_picture_is_reported(run, concept_checkpoint, tmp_path):
    (tmp_path / "not.png").write_bytes(b"no picture")
    status, _, err = run("describe", tmp_path / "not.png", "--model", concept_checkpoint)
    assert status == 2
    assert "not.png" in err


def test_a_checkpoint_without_heads_describes_nothing(run, checkpoint, pictures):
    status, _, err = run("describe", pictures, "--model", checkpoint)
    assert status == 2
    assert "This checkpoint has no concept heads" in err


def test_similar_cases_with_a_concept(run, concept_checkpoint, concept_engine, pictures):
    part = concept_engine.concepts_part()
    head = next(head for head in part.usable.heads if head.present)
    condition = f"concept.{head.concept}=present"
    command = ("similar", pictures / "mel.png", "--where", condition, "-k", "3", "--json")
    status, out, err = run(*command, "--model", concept_checkpoint)
    assert (status, err) == (0, "")
    allowed = set(part.cases.matching(head, "present"))
    cases = json.loads(out)["results"][0]["neighbors"]
    assert cases and {case["image_id"] for case in cases} <= allowed


def test_heads_are_fitted_by_one_command(
    run, concept_checkpoint, concept_splits, tmp_path, monkeypatch
):
    folder = shutil.copytree(concept_checkpoint, tmp_path / "again")
    rows = with_concepts(concept_splits["validation"])
    monkeypatch.setattr("dermsim.data.dataset.open_source", opens(lambda source: rows))
    before = json.loads((folder / "concepts.json").read_text())
    status, out, err = run("concepts", "fit", folder, tmp_path, "--json")
    assert (status, err) == (0, "")
    after = json.loads((folder / "concepts.json").read_text())
    assert after["sources"]["isic2018_attributes"]["pictures"] == len(rows)
    assert before["sources"] != after["sources"]
    assert json.loads(out)["heads"]


def test_the_outline_is_fitted_by_one_command(
    run, checkpoint, concept_splits, tmp_path, monkeypatch
):
    from datasets import concatenate_datasets

    folder = shutil.copytree(checkpoint, tmp_path / "outlined")
    rows = concatenate_datasets(list(concept_splits.values())).select(range(120))
    monkeypatch.setattr("dermsim.data.dataset.open_source", opens(lambda source: rows))
    status, out, err = run(
        "concepts", "outline", folder, "--data", "synthetic", "--outlines", "synthetic", "--json"
    )
    assert (status, err) == (0, "")
    assert 0 <= json.loads(out)["dice"]["value"] <= 1
    assert json.loads((folder / "concepts.json").read_text())["outline"]["source"]


@pytest.mark.parametrize(
    "command", [("outline", "--data", "synthetic", "--outlines", "synthetic"), ("fit", "x")]
)
def test_what_is_no_checkpoint_is_refused(run, tmp_path, command):
    name, *rest = command
    status, _, err = run("concepts", name, tmp_path / "none", *rest)
    assert status == 2
    assert "no checkpoint folder" in err


@pytest.mark.parametrize("name", ["concepts", "captions"])
def test_protocols_print_tables(
    run, concept_checkpoint, concept_splits, tmp_path, monkeypatch, name
):
    rows = with_concepts(concept_splits["validation"])
    monkeypatch.setattr("dermsim.data.dataset.open_source", opens(lambda source: rows))
    output = tmp_path / "found.json"
    status, out, err = run("protocol", name, concept_checkpoint, "--data", "x", "--output", output)
    assert (status, err) == (0, "")
    kept = json.loads(output.read_text())
    tables = kept.get("tables", [kept])
    assert tables[0]["protocol"] == name
    assert out.count("| --") >= len(tables) or out.count("|--") >= len(tables)
