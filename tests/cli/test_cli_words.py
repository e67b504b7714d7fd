"""`dermsim convert`, `classify --prompts`, `similar --text` and `protocol prompts`."""

import json
import shutil

import pytest
from refusals import refuses
from tiny_duals import hf_clip

from dermsim import DermSim
from dermsim.cli.main import main
from dermsim.core.labels import CODES
from dermsim.data.synthetic import draw_lesion
from dermsim.evaluation.protocols.prompt_protocol import BALANCED, measure_prompts
from dermsim.tasks.prompt import Wording, own_wording


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    path = tmp_path_factory.mktemp("pictures") / "lesion.png"
    draw_lesion("mel", seed=5).save(path)
    return str(path)


@pytest.fixture
def ask(capsys, dual_checkpoint):
    """Run the command on the tiny text-image encoder; return status, stdout and stderr."""

    def run(*line, model=dual_checkpoint):
        status = main([*map(str, line), "--model", str(model)])
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


# --- classify --prompts --------------------------------------------------------------------------


def test_names_in_place_of_diagnoses(ask, picture, dual_engine):
    status, out, err = ask("classify", picture, "--prompts", "a mole", "melanoma", "--json")
    assert (status, err) == (0, "")
    (result,) = json.loads(out)["results"]
    expected = dual_engine.zero_shot(picture, own_wording(["a mole", "melanoma"])).rows(0)
    for found, row in zip(result["prompts"], expected, strict=True):
        assert found["name"] == row["name"]
        assert found["probability"] == pytest.approx(row["probability"], abs=1e-5)
        assert found["spread"] == pytest.approx(row["spread"], abs=1e-5)
    status, out, _ = ask("classify", picture, "--prompts", "a mole", "melanoma")
    assert status == 0 and "by template" in out and "a mole" in out


def test_names_from_a_file(ask, picture, tmp_path):
    path = tmp_path / "names.toml"
    path.write_text('templates = ["{} here"]\n[names]\nmole = ["a mole", "nevus"]\nskin = "skin"\n')
    status, out, _ = ask("classify", picture, "--prompts", path, "--json")
    (result,) = json.loads(out)["results"]
    assert status == 0 and {row["name"] for row in result["prompts"]} == {"mole", "skin"}


def test_one_name_and_a_negation(ask, picture):
    status, out, err = ask("classify", picture, "--prompts", "no melanoma", "--json")
    answer = json.loads(out)
    assert status == 0 and answer["results"][0]["prompts"][0]["probability"] is None
    assert len(answer["notes"]) == 1 and err == f"dermsim: {answer['notes'][0]}\n"
    assert ask("classify", picture, "--prompts", "no melanoma")[0] == 0


@pytest.mark.parametrize(
    ("options", "key"),
    [
        (["--age", "40"], "--age"),
        (["--operating-point", "0.3"], "--operating-point"),
        (["--output", "x.csv"], "--output"),
    ],
)
def test_names_and_what_is_about_diagnoses(ask, picture, options, key):
    status, out, err = ask("classify", picture, *options, "--prompts", "a mole")
    assert (status, out) == (2, "") and key in err and err.count("\n") == 1


def test_a_picture_that_cannot_be_read(ask, picture, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no picture")
    status, out, _ = ask("classify", picture, tmp_path / "broken.png", "--prompts", "x", "--json")
    answer = json.loads(out)
    assert status == 2 and len(answer["results"]) == len(answer["errors"]) == 1


# --- similar --text ------------------------------------------------------------------------------


def test_cases_that_a_text_fits(ask, dual_engine):
    status, out, err = ask("similar", "--text", "a mole", "-k", "3", "--json")
    assert (status, err) == (0, "")
    (result,) = json.loads(out)["results"]
    expected = dual_engine.search_text("a mole", 3).neighbors
    found = [case["image_id"] for case in result["neighbors"]]
    assert found == [case.image_id for case in expected]
    status, out, _ = ask("similar", "--text", "a mole", "-k", "3")
    assert status == 0 and "percentile" in out and "cosine" not in out
    assert "similarity" not in out, "a percentile is shown, and no cosine"


def test_cases_that_a_text_fits_and_a_picture_is_like(ask, picture, dual_engine):
    status, out, _ = ask("similar", picture, "--text", "a mole", "-k", "3", "--json")
    (result,) = json.loads(out)["results"]
    expected = dual_engine.search_text("a mole", 3, like=picture).neighbors
    assert status == 0 and result["picture"].endswith("lesion.png")
    assert [c["image_id"] for c in result["neighbors"]] == [c.image_id for c in expected]
    assert "lesion.png" in ask("similar", picture, "--text", "a mole", "-k", "3")[1]


def test_no_case_has_all_facts(ask):
    status, out, _ = ask("similar", "--text", "a mole", "--where", "dx=mel", "--where", "age=1-1")
    assert status == 0 and "percentile" not in out


def test_searches_that_are_none(ask, picture, checkpoint):
    for line in (["similar"], ["similar", "--text", "a mole", "--exclude-lesion", "L1"]):
        status, out, err = ask(*line)
        assert (status, out) == (2, "") and err.count("\n") == 1
    status, _, err = ask("similar", "--text", "a mole", model=checkpoint)
    assert status == 2 and err.count("\n") == 1


# --- convert -------------------------------------------------------------------------------------


def test_an_encoder_alone(capsys, tmp_path):
    hf_clip(tmp_path / "source", licence="cc-by-nc-4.0")
    assert main(["convert", str(tmp_path / "source"), str(tmp_path / "out"), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["licence"] == "cc-by-nc-4.0" and answer["text"] == "clip"
    assert answer["parameters"]["pictures"] > 0 and answer["parameters"]["text"] > 0
    assert main(["convert", str(tmp_path / "source"), str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    line = ["convert", str(tmp_path / "source"), str(tmp_path / "more"), "--licence", "mit"]
    assert main(line) == 0
    assert "licence mit" in capsys.readouterr().out


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A checkpoint as the command makes one; tests must not write to it."""
    place = tmp_path_factory.mktemp("whole")
    hf_clip(place / "source")
    line = ["convert", str(place / "source"), str(place / "out"), "--data", "synthetic"]
    assert main([*line, "--json"]) == 0
    return place / "out"


@pytest.mark.slow
def test_a_whole_checkpoint(whole):
    engine = DermSim.from_pretrained(whole)
    report = json.loads((whole / "evaluation.json").read_text())
    assert report["fingerprint"] == engine.fingerprint and engine.words.folder is not None
    assert (whole / "SOURCE.json").is_file() and (whole / "README.md").is_file()


def test_words_of_one_s_own_for_the_diagnoses(capsys, tmp_path):
    hf_clip(tmp_path / "source")
    names = "\n".join(f'{code} = ["{code} one", "{code} two"]' for code in CODES)
    (tmp_path / "words.toml").write_text(f'templates = ["{{}}"]\n[names]\n{names}\n')
    line = ["convert", str(tmp_path / "source"), str(tmp_path / "out")]
    assert main([*line, "--prompts", str(tmp_path / "words.toml")]) == 0
    kept = json.loads((tmp_path / "out" / "prompts.json").read_text())
    assert kept["templates"] == ["{}"] and kept["names"]["mel"] == ["mel one", "mel two"]
    (tmp_path / "words.toml").write_text('[names]\nmel = "melanoma"\n')
    line[-1] = str(tmp_path / "again")
    assert main([*line, "--prompts", str(tmp_path / "words.toml")]) == 2
    assert not (tmp_path / "again").exists()


# --- protocol prompts ----------------------------------------------------------------------------


def test_the_protocol_is_a_slow_loop(dual_engine, synthetic):
    table = measure_prompts(dual_engine, synthetic["test"], split="all", resamples=20)
    directions = dual_engine.words.prompts.directions
    rows = {row.keys["diagnosis"]: row for row in table.rows}
    hits: dict[str, list[bool]] = {}
    each: dict[str, list[list[bool]]] = {}
    for row in synthetic["test"]:
        embedding = dual_engine.embed(row["image"])[0]
        code = CODES[row["dx"]]
        named = CODES[int((directions.prototypes @ embedding).argmax())]
        hits.setdefault(code, []).append(named == code)
        single = [CODES[int((own @ embedding).argmax())] == code for own in directions.by_template]
        each.setdefault(code, []).append(single)
    recalls = {code: sum(own) / len(own) for code, own in hits.items()}
    for code, recall in recalls.items():
        assert rows[code].figures["recall"].value == pytest.approx(recall)
        per_template = [sum(own) / len(own) for own in zip(*each[code], strict=True)]
        assert rows[code].notes["least"] == pytest.approx(min(per_template), abs=1e-4)
        assert rows[code].notes["greatest"] == pytest.approx(max(per_template), abs=1e-4)
    mean = sum(recalls.values()) / len(recalls)
    assert rows[BALANCED].figures["recall"].value == pytest.approx(mean)


def test_the_protocol_from_the_command_line(dual_checkpoint, tmp_path, capsys):
    out = tmp_path / "found.json"
    line = ["protocol", "prompts", str(dual_checkpoint), "--data", "synthetic"]
    assert main([*line, "--split", "test", "--output", str(out)]) == 0
    assert "greatest" in capsys.readouterr().out
    assert json.loads(out.read_text())["protocol"] == "prompts"
    # the checkpoint's own past cases are among all of these drawings
    assert main([*line, "--split", "all"]) == 2


def test_protocols_that_are_none(dual_engine, engine, synthetic):
    with refuses("words_of.pictures_alone"):
        measure_prompts(engine, synthetic["test"], split="all")
    with refuses("prompt_protocol.names"):
        measure_prompts(
            dual_engine, synthetic["test"], split="all", wording=Wording(("{}",), {"x": ("y",)})
        )


# --- what every checkpoint can -------------------------------------------------------------------


@pytest.mark.slow
def test_the_other_commands_work_as_with_any_checkpoint(capsys, whole, picture, tmp_path):
    folder = shutil.copytree(whole, tmp_path / "copy")
    data = ["--data", "synthetic"]
    for line in (
        ["calibrate", folder, *data],
        ["atlas", "draw", folder, *data],
        ["atlas", "info", "--model", folder],
        ["gallery", "build", "--model", folder, *data, "-o", tmp_path / "gallery"],
        ["similar", picture, "--model", folder, "--gallery", tmp_path / "gallery"],
        ["similar", "--text", "a mole", "--model", folder, "--gallery", tmp_path / "gallery"],
        ["enroll", picture, "--name", "ink", "--model", folder, "--bank", tmp_path / "bank.st"],
        ["explain", picture, "--model", folder, "-o", tmp_path / "map.png"],
        ["evaluate", folder, *data],
    ):
        status = main([str(word) for word in line])
        assert status == 0, (line, capsys.readouterr().err)
    capsys.readouterr()
    # what is written beside them leaves its words as they were
    assert DermSim.from_pretrained(folder).search_text("a mole", 1).neighbors
