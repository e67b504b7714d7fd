"""The `dermsim` command, run in this process: on a stub engine, then on a real tiny checkpoint."""

import csv
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from opened import opens
from PIL import Image

from dermsim import engine
from dermsim.cli.classify import parse_where
from dermsim.cli.command import QuickCommand
from dermsim.cli.main import main
from dermsim.cli.terminal import table
from dermsim.core.bootstrap import Interval
from dermsim.core.explain_worth import MethodWorth, Worth
from dermsim.core.labels import CODES, DISCLAIMER, DRAWN_DATA
from dermsim.data.facts import SITES, Facts
from dermsim.data.label_mapping import LabelMapping
from dermsim.engine.results import Prediction, SimilarCases
from dermsim.evaluation.explanations.settings import Sizes
from dermsim.evaluation.report import Report
from dermsim.tasks.classify import Calibration, OperatingPoint, Reached
from dermsim.tasks.enroll import ClassBank
from dermsim.tasks.explain import Heatmap
from dermsim.tasks.retrieve import Gallery

RELEASED = Path(__file__).parents[2] / "hub" / "dermsim-ham10000"


class StubEngine:
    """Answers from a picture's average colour: red is melanoma, blue unlike anything seen."""

    fingerprint = "stub"

    def __init__(self):
        directions = np.eye(len(CODES), 8, dtype=np.float32)
        self.gallery = Gallery.build(
            directions,
            [
                {"image_id": f"ISIC_{i}", "lesion_id": f"L{i}", "dx": code, "age": 40.0 + i}
                for i, code in enumerate(CODES)
            ],
            fingerprint="stub",
        )
        self.bank = ClassBank.from_classes(CODES, directions, [5] * 7, 0.1, "stub")
        self.peaks = {"mel": 2.0, "nv": 0.5, "df": 0.0, "malignancy": 1.0, "similarity": 0.1}
        self.peaks["bullseye"] = 0.2
        point = OperatingPoint(threshold=0.5, sensitivity=0.9, specificity=0.8)
        points = {"balanced": point, "sensitivity_95": replace(point, threshold=0.2)}
        self.calibration = Calibration(1.0, 0.1, dict.fromkeys(CODES, 0.9), points)
        self.drawn, self.reached = False, ()
        self.left_out = []  # the lesions that each call named
        self.calibration_facts = None
        self.pixels_needed = (30, 30)
        self.told = []  # the facts that came with each call

    def check_lesions(self, names):
        return tuple(names)

    def reached_at(self, threshold):
        return self.reached

    def predict_and_vote(
        self, images, *, facts=None, operating_point="balanced", exclude_lesion_ids=None
    ):
        self.told.append(facts)
        self.left_out.append(exclude_lesion_ids)
        votes = self.gallery.vote(self.embed(images))
        return [(self._predict(image), vote) for image, vote in zip(images, votes, strict=True)]

    def _predict(self, image):
        red, _, blue = np.asarray(image).mean(axis=(0, 1))
        name = "mel" if red > 128 else "nv"
        probabilities = {code: 0.7 if code == name else 0.05 for code in CODES}
        return Prediction(
            label=CODES.index(name),
            label_name=name,
            probabilities=probabilities,
            prediction_set=(name, "bkl"),
            malignancy=0.8 if name == "mel" else 0.15,
            is_malignant=name == "mel",
            ood_score=float(blue),
            is_outlier=bool(blue > 128),
            ood_limit=128.0,
            threshold=0.5,
        )

    def embed(self, images, *, space="embeddings"):
        assert space == "embeddings"  # that is what its bank is of
        embeddings = np.zeros((len(images), 8), dtype=np.float32)
        for row, image in zip(embeddings, images, strict=True):
            row[CODES.index(self._predict(image).label_name)] = 0.8
            row[7] = 0.6
        return embeddings

    def search(self, queries, k=5, **options):
        return self.gallery.search(queries, k, **options)

    def similar_cases(self, images, k=5, *, where, exclude_lesion_ids, one_per_lesion):
        self.left_out.append(exclude_lesion_ids)
        queries, asked = self.embed(images), {"exclude_lesion_ids": exclude_lesion_ids}
        found = self.gallery.search(queries, k, where=where, one_per_lesion=one_per_lesion, **asked)
        votes = self.gallery.vote(queries, where=where, **asked) if any(found) else [{}]
        return [SimilarCases(tuple(c), v) for c, v in zip(found, votes, strict=True)]

    def explain_many(self, images, *, target, method, **options):
        self.options = options
        return [self._heatmap(i, t or "mel", method) for i, t in zip(images, target, strict=True)]

    def explain_likeness(self, image, other, *, method, **options):
        self.options = options
        return tuple(self._heatmap(i, "similarity", method) for i in (image, other))

    def worth_of(self, heatmap, *, layer, smooth):
        if heatmap.target == "similarity":
            return Worth(why="likeness")
        share, gain = Interval(0.5, 0.4, 0.6, 40), Interval(-0.1, -0.2, -0.05, 40)
        figures = MethodWorth(heatmap.method, layer, share, gain, share, gain)
        return Worth(figures, "HAM10000", "validation", None)

    def _heatmap(self, image, target, method):
        values = np.zeros((image.height, image.width), dtype=np.float32)
        if self.peaks[target]:
            values[: image.height // 2] = 1
        return Heatmap(values, self.peaks[target], method, target, score=0.5)

    def class_bank(self):
        return self.bank


@pytest.fixture
def stub(monkeypatch):
    """Loads a stub whatever the model's name, and remembers the name."""
    built = StubEngine()

    def from_pretrained(name):
        built.name = name
        return built

    monkeypatch.setattr(engine.DermSim, "from_pretrained", from_pretrained)
    monkeypatch.setattr(QuickCommand, "quick_engine", lambda self, facts=False: self.engine())
    return built


@pytest.fixture
def folder(tmp_path):
    """A red and a blue picture, a text that calls itself a picture, and a note."""
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    Image.new("RGB", (40, 30), "red").save(pictures / "a.png")
    Image.new("RGB", (40, 30), "blue").save(pictures / "b.png")
    (pictures / "c.jpg").write_text("not a picture")
    (pictures / "notes.txt").write_text("not even called a picture")
    return pictures


@pytest.fixture
def run(capsys):
    """Run the command; return status, stdout and stderr."""

    def command(*arguments):
        status = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return command


def assert_refused(answer, *words):
    """Exit status 2, nothing on stdout, one sentence on stderr."""
    status, out, err = answer
    assert (status, out) == (2, "")
    assert err.startswith("dermsim: ") and err.count("\n") == 1
    for word in words:
        assert word in err


class TestStart:
    def test_nothing_heavy_is_imported_for_help(self):
        code = (
            "import sys, dermsim.cli.main\n"
            "print(*{'torch', 'transformers', 'gradio', 'datasets', 'sklearn', 'faiss', 'pandas'}"
            " & set(sys.modules))"
        )
        answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert (answer.returncode, answer.stdout.strip()) == (0, "")

    @pytest.mark.parametrize(
        "command",
        [
            *("classify", "similar", "explain", "enroll", "bank", "evaluate", "ensemble"),
            *("gallery", "atlas", "audit", "detector", "quality", "protocol", "push"),
            *("push-dataset",),
            *("report", "explore"),
        ],
    )
    def test_help_lists_every_command(self, command, capsys):
        with pytest.raises(SystemExit) as stop:
            main(["--help"])
        assert stop.value.code == 0
        assert command in capsys.readouterr().out

    def test_usage_errors_have_the_same_status(self):
        with pytest.raises(SystemExit) as stop:
            main(["clasify", "a.png"])
        assert stop.value.code == 2


class TestClassify:
    def test_table(self, run, stub, folder):
        status, out, err = run("classify", folder / "a.png", "--model", "some/model")
        assert (status, err, stub.name) == (0, "", "some/model")
        header, rule, row, blank, point, unmeasured, _, disclaimer = out.splitlines()
        assert point == "Malignancy threshold 0.500 (balanced)"
        assert "was not measured of this checkpoint" in unmeasured
        assert header.split()[:3] == ["picture", "warning", "diagnosis"]
        assert set(rule) == {"-", " "} and not blank
        assert row.split() == [
            str(folder / "a.png"), "mel", "0.700", "0.800", ">=", "0.500", "malignant", "mel", "bkl"
        ]  # fmt: skip
        assert disclaimer == DISCLAIMER

    def test_an_unfamiliar_picture_is_flagged_before_its_label(self, run, stub, folder):
        _, out, _ = run("classify", folder / "b.png")
        row = out.splitlines()[2]
        assert 0 < row.index("unlike anything in training") < row.index("(nv)")
        assert row.split()[-3:] == ["withheld", "nv", "bkl"]

    def test_what_the_threshold_reached_stands_under_the_table(self, run, stub, folder):
        share, other = Interval(0.853, 0.795, 0.911, 244), Interval(0.6, 0.55, 0.65, 1374)
        stub.reached = (
            Reached("held_out", "HAM10000", 0.5, share, other),
            Reached("elsewhere", "ISIC 2017", 0.5, other, share),
        )
        out = run("classify", folder / "a.png")[1]
        assert "held-out lesions of HAM10000: 85 % (80 to 91, n 244) of the malignant caught" in out
        assert "other clinics, ISIC 2017: 60 % (55 to 65, n 1,374) of the malignant caught" in out
        told = json.loads(run("classify", folder / "a.png", "--json")[1])["operating_point"]
        assert (told["name"], told["threshold"]) == ("balanced", 0.5)
        assert told["reached"][0]["sensitivity"]["n"] == 244

    def test_a_model_trained_on_drawings_says_so(self, run, stub, folder):
        stub.drawn = True
        for verb in ("classify", "similar"):
            assert DRAWN_DATA in run(verb, folder / "a.png")[1]
            answer = json.loads(run(verb, folder / "a.png", "--json")[1])
            assert answer["trained_on"] == "drawings"
        stub.drawn = False
        assert DRAWN_DATA not in run("classify", folder / "a.png")[1]

    def test_lesions_to_leave_out_go_with_every_picture(self, run, stub, folder):
        lesions = ("--exclude-lesion", "L1", "--exclude-lesion", "L2")
        assert run("classify", folder / "a.png", folder / "b.png", *lesions)[0] == 0
        assert stub.left_out == [[("L1", "L2")] * 2]
        out = run("similar", folder / "a.png", "-k", 7, *lesions)[1]
        assert " L0 " in out and " L1 " not in out and " L2 " not in out

    def test_json_is_one_document(self, run, stub, folder):
        status, out, err = run("classify", folder / "a.png", folder / "b.png", "--json")
        document = json.loads(out)
        assert (status, err, document["errors"]) == (0, "", [])
        assert [result["label_name"] for result in document["results"]] == ["mel", "nv"]
        assert [result["is_outlier"] for result in document["results"]] == [False, True]
        familiar, strange = document["results"]
        assert (familiar["notice"], strange["notice"]) == (None, "unlike anything in training")
        keys = list(strange)
        assert keys.index("notice") < keys.index("label_name")
        assert document["results"][0]["picture"] == str(folder / "a.png")
        assert document["disclaimer"] == DISCLAIMER

    def test_a_bad_picture_in_a_folder_does_not_stop_the_others(self, run, stub, folder):
        status, out, err = run("classify", folder)
        assert status == 2
        assert "a.png" in out and "b.png" in out and "c.jpg" not in out
        assert err.splitlines() == [line for line in err.splitlines() if "c.jpg" in line]
        assert len(err.splitlines()) == 1

    def test_json_names_the_bad_pictures_too(self, run, stub, folder):
        status, out, _ = run("classify", folder, "--json")
        (error,) = json.loads(out)["errors"]
        assert status == 2
        assert error["picture"] == str(folder / "c.jpg")
        assert "c.jpg is not an image" in error["error"]

    def test_facts_go_with_every_picture(self, run, stub, folder):
        pictures = (folder / "a.png", folder / "b.png")
        status, _, err = run("classify", *pictures, "--age", 55, "--sex", "male", "--site", "back")
        assert (status, err) == (0, "")
        assert stub.told == [[Facts(55, "male", "back")] * 2]

    @pytest.mark.parametrize("facts", [(), ("--sex", "unknown"), ("--site", "unknown")])
    def test_nothing_known_is_no_facts(self, run, stub, folder, facts):
        run("classify", folder / "a.png", *facts)
        assert stub.told == [None]

    @pytest.mark.parametrize(
        ("facts", "words"),
        [
            (("--age", 130), ("age is 130", "from 0 to 120")),
            (("--sex", "m"), ("sex is 'm'", "female, male")),
            (("--site", "elbow"), ("localization is 'elbow'", *SITES)),
        ],
    )
    def test_facts_that_cannot_be(self, run, stub, folder, facts, words):
        assert_refused(run("classify", folder / "a.png", *facts), *words)
        assert stub.told == []

    def test_help_names_every_site(self, capsys):
        with pytest.raises(SystemExit):
            main(["classify", "--help"])
        printed = " ".join(re.sub(r"[│\s]+", " ", capsys.readouterr().out).split())
        assert all(site in printed for site in SITES)

    def test_missing_file(self, run, stub, tmp_path):
        assert_refused(run("classify", tmp_path / "none.png"), "no file or folder at", "none.png")

    def test_no_picture(self, run, stub):
        assert_refused(run("classify"), "no picture was given")

    def test_folder_without_pictures(self, run, stub, tmp_path):
        assert_refused(run("classify", tmp_path), "no pictures in the folder")

    def test_missing_model(self, run, folder, tmp_path):
        assert_refused(run("classify", folder / "a.png", "--model", tmp_path / "no"), "no folder")

    def test_bank_of_another_encoder(self, run, stub, folder, tmp_path):
        path = tmp_path / "bank.safetensors"
        ClassBank(fingerprint="other").enroll("x", np.ones((1, 8))).save(path)
        assert_refused(run("classify", folder / "a.png", "--bank", path), "was made by encoder")

    def test_missing_bank(self, run, stub, folder, tmp_path):
        answer = run("classify", folder / "a.png", "--bank", tmp_path / "none.safetensors")
        assert_refused(answer, "none.safetensors")

    def test_an_archive_is_read_like_a_folder(self, run, stub, folder, tmp_path):
        archive = shutil.make_archive(str(tmp_path / "all"), "zip", folder)
        status, out, err = run("classify", archive, "--json")
        document = json.loads(out)
        assert status == 2 and "c.jpg is not an image" in err
        names = [result["picture"] for result in document["results"]]
        assert names == ["all.zip/a.png", "all.zip/b.png"]
        assert sum(document["results"][0]["vote"].values()) == pytest.approx(1)

    def test_output_is_a_row_for_every_file(self, run, stub, folder, tmp_path):
        output = tmp_path / "rows.csv"
        status, _, _ = run("classify", folder, "-o", output)
        with output.open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
        assert status == 2
        assert [row["label"] for row in rows] == ["mel", "nv", ""]
        assert [row["unfamiliar"] for row in rows] == ["no", "yes", ""]
        assert "c.jpg is not an image" in rows[2]["error"]

    def test_an_output_that_cannot_be_is_refused_before_any_work(self, run, stub, folder, tmp_path):
        assert_refused(run("classify", folder, "-o", tmp_path), "is a folder")
        assert stub.told == []

    def test_a_damaged_archive_is_a_sentence(self, run, stub, folder, tmp_path):
        (tmp_path / "a.zip").write_bytes(b"PK")
        status, out, err = run("classify", tmp_path / "a.zip", folder / "a.png")
        assert status == 2 and "a.png" in out
        assert err == "dermsim: a.zip is damaged or not a zip archive: pack the pictures again.\n"


class TestSimilar:
    def test_table(self, run, stub, folder):
        status, out, err = run("similar", folder / "a.png", "-k", 2)
        assert (status, err) == (0, "")
        rows = out.split("\n\n")[0].splitlines()[2:]
        assert len(rows) == 2
        assert rows[0].split()[1:] == ["0.800", "-", "mel", "ISIC_4", "L4", "44", "-", "-"]

    def test_json(self, run, stub, folder):
        _, out, _ = run("similar", folder / "a.png", "-k", 3, "--json")
        (result,) = json.loads(out)["results"]
        assert len(result["neighbors"]) == 3
        assert result["neighbors"][0]["facts"]["age"] == 44.0

    def test_where(self, run, stub, folder):
        _, out, _ = run("similar", folder / "a.png", "--where", "dx=Basal cell carcinoma", "--json")
        (result,) = json.loads(out)["results"]
        assert [neighbor["dx"] for neighbor in result["neighbors"]] == ["bcc"]

    def test_several_conditions_hold_together(self, run, stub, folder):
        arguments = ("--where", "age=41-43", "--where", "dx=df", "--json")
        _, out, _ = run("similar", folder / "a.png", *arguments)
        (result,) = json.loads(out)["results"]
        assert [neighbor["image_id"] for neighbor in result["neighbors"]] == ["ISIC_3"]

    def test_no_case_matches(self, run, stub, folder):
        status, out, _ = run("similar", folder / "a.png", "--where", "age=90-99")
        assert status == 0
        assert "No case has all these facts." in out

    @pytest.mark.parametrize(
        ("condition", "words"),
        [
            ("sex=female", "no case has sex 'female': of none is it known."),
            ("dx=mel", "no case has dx 'mel': there are akiec, bcc, bkl, df, nv, vasc."),
        ],
    )
    def test_a_value_that_no_case_has_is_refused_with_those_that_there_are(
        self, run, stub, folder, condition, words
    ):
        stub.gallery = stub.gallery.remove(image_ids=["ISIC_4"])
        assert_refused(run("similar", folder / "a.png", "--where", condition), words)

    @pytest.mark.parametrize(
        ("conditions", "message"),
        [
            (["mel"], "expects name=value"),
            (["=mel"], "expects name=value"),
            (["dx="], "expects name=value"),
            (["dx=wart"], "unknown dx 'wart'"),
            (["sex=male", "sex=female"], "names 'sex' twice"),
            (["age=old"], "age=45 or age=40-60, got 'old'"),
        ],
    )
    def test_bad_conditions(self, run, stub, folder, conditions, message):
        arguments = [text for condition in conditions for text in ("--where", condition)]
        assert_refused(run("similar", folder / "a.png", *arguments), message)

    def test_unknown_fact(self, run, stub, folder):
        answer = run("similar", folder / "a.png", "--where", "colour=red")
        assert_refused(answer, "there is no fact 'colour'")

    def test_k_below_one(self, run, stub, folder):
        assert_refused(run("similar", folder / "a.png", "-k", 0), "k must be at least 1")

    def test_parse_where(self):
        assert parse_where([]) == {}
        assert parse_where(["dx=Melanoma", "localization=lower extremity", "age=45"]) == {
            "dx": "mel",
            "localization": "lower extremity",
            "age": (45.0, 45.0),
        }


class TestExplain:
    def test_the_overlay_is_a_png_of_the_pictures_size(self, run, stub, folder, tmp_path):
        output = tmp_path / "new" / "out.png"
        status, out, err = run("explain", folder / "a.png", "--target", "mel", "-o", output)
        assert (status, err) == (0, "")
        assert str(output) in out
        with Image.open(output) as painted:
            assert (painted.format, painted.size) == ("PNG", (40, 30))
            assert painted.getpixel((5, 2)) != (255, 0, 0)
            assert painted.getpixel((5, 28)) == (255, 0, 0)

    def test_weak_evidence_is_painted_faintly(self, run, stub, folder, tmp_path):
        changes = []
        for target in ("mel", "nv"):
            output = tmp_path / f"{target}.png"
            run("explain", folder / "a.png", "--target", target, "-o", output)
            changes.append(np.abs(np.asarray(Image.open(output)) - [255.0, 0, 0]).sum())
        assert 0 < changes[1] < changes[0]

    def test_json(self, run, stub, folder, tmp_path):
        output = tmp_path / "out.png"
        arguments = ("--target", "nv", "--method", "layercam", "-o", output, "--json")
        _, out, _ = run("explain", folder / "a.png", *arguments)
        document = json.loads(out)
        assert document.pop("disclaimer") == DISCLAIMER
        worth = document.pop("worth")
        assert (worth["verdict"], worth["not_measured"]) == ("worse", None)
        assert (worth["dataset"], worth["split"]) == ("HAM10000", "validation")
        assert worth["road_gain"] == {"value": -0.1, "low": -0.2, "high": -0.05, "n": 40}
        assert document == {
            "trained_on": "photographs",
            "picture": str(folder / "a.png"),
            "target": "nv",
            "method": "layercam",
            "score": 0.5,
            "peak": 0.5,
            "strength": 0.25,
            "output": str(output),
        }

    def test_what_the_map_is_worth_is_printed_below_it(self, run, stub, folder, tmp_path):
        output = tmp_path / "out.png"
        _, out, _ = run("explain", folder / "a.png", "-o", output)
        assert "they are worse than a blob" in out and "40 pictures" in out
        assert "{" not in out
        _, out, _ = run("explain", folder / "a.png", "--like", folder / "a.png", "-o", output)
        assert "Maps of a likeness were not measured" in out and "40 pictures" not in out

    def test_no_evidence_is_said(self, run, stub, folder, tmp_path):
        output = tmp_path / "out.png"
        _, out, _ = run("explain", folder / "a.png", "--target", "df", "-o", output)
        assert "Nothing in the picture speaks for the target." in out
        assert np.array_equal(np.asarray(Image.open(output))[0, 0], [255, 0, 0])

    def test_malignancy_and_enrolled_classes_are_targets(self, run, stub, folder, tmp_path):
        picture, bank = folder / "a.png", tmp_path / "bank.safetensors"
        run("enroll", "--name", "bullseye", picture, "--bank", bank)
        for target, strength in {"malignancy": 0.5, "bullseye": 0.5, "Melanoma": 1.0}.items():
            arguments = ("--target", target, "--bank", bank, "-o", tmp_path / "out.png", "--json")
            status, out, err = run("explain", picture, *arguments)
            assert (status, err) == (0, "")
            document = json.loads(out)
            assert document["target"] == {"Melanoma": "mel"}.get(target, target)
            assert document["strength"] == strength
            assert stub.options["bank"].names[-1] == "bullseye"
        answer = run("explain", picture, "--target", "bullseye", "-o", tmp_path / "out.png")
        assert_refused(answer, "unknown dx 'bullseye'")

    def test_a_likeness_is_painted_on_both_pictures(self, run, stub, folder, tmp_path):
        output = tmp_path / "both.png"
        arguments = ("--like", folder / "b.png", "--method", "hirescam", "-o", output, "--json")
        status, out, err = run("explain", folder / "a.png", *arguments)
        assert (status, err) == (0, "")
        document = json.loads(out)
        assert document["like"] == str(folder / "b.png")
        assert (document["target"], document["method"]) == ("similarity", "hirescam")
        assert (document["score"], document["peak"], document["peak_like"]) == (0.5, 0.1, 0.1)
        assert document["strength"] == 1.0
        with Image.open(output) as painted:
            assert painted.size == (40 + 12 + 40, 30)
            assert painted.getpixel((5, 28)) == (255, 0, 0)
            assert painted.getpixel((60, 28)) == (0, 0, 255)
            assert painted.getpixel((60, 2)) != (0, 0, 255)

    @pytest.mark.parametrize(
        ("text", "layer"), [("-2", -2), ("3", 3), ("layer3.0.conv1", "layer3.0.conv1")]
    )
    def test_layer_and_smoothing_reach_the_engine(self, run, stub, folder, tmp_path, text, layer):
        arguments = (f"--layer={text}", "--smooth", "-o", tmp_path / "out.png")
        assert run("explain", folder / "a.png", *arguments)[0] == 0
        assert (stub.options["layer"], stub.options["smooth"]) == (layer, True)

    def test_the_outline_is_drawn_when_asked_for(self, run, stub, folder, tmp_path):
        output = tmp_path / "out.png"
        run("explain", folder / "a.png", "-o", output)
        plain = np.asarray(Image.open(output))
        run("explain", folder / "a.png", "--outline", "-o", output)
        changed = (np.asarray(Image.open(output)) != plain).any(axis=(1, 2))
        assert changed[13:17].any() and not changed[20:].any()

    def test_two_questions_at_once(self, run, stub, folder):
        arguments = ("--target", "mel", "--like", folder / "b.png")
        assert_refused(run("explain", folder / "a.png", *arguments), "ask one at a time")

    def test_a_picture_to_be_like_that_is_none(self, run, stub, folder, tmp_path):
        arguments = ("--like", folder / "c.jpg", "-o", tmp_path / "out.png")
        assert_refused(run("explain", folder / "a.png", *arguments), "c.jpg is not an image")
        assert not (tmp_path / "out.png").exists()

    def test_unknown_target(self, run, stub, folder):
        assert_refused(run("explain", folder / "a.png", "--target", "wart"), "unknown dx 'wart'")

    def test_output_that_is_no_png(self, run, stub, folder):
        assert_refused(run("explain", folder / "a.png", "-o", "out.jpg"), "must end in .png")

    def test_output_that_is_a_folder(self, run, stub, folder, tmp_path):
        output = tmp_path / "folder.png"
        output.mkdir()
        assert_refused(run("explain", folder / "a.png", "-o", output), "folder.png is a folder")
        assert output.is_dir()

    def test_bad_picture(self, run, stub, folder, tmp_path):
        answer = run("explain", folder / "c.jpg", "-o", tmp_path / "out.png")
        assert_refused(answer, "c.jpg is not an image")
        assert not (tmp_path / "out.png").exists()


class TestEnroll:
    def test_a_class_is_learned_extended_and_found_again(self, run, stub, folder, tmp_path):
        bank = tmp_path / "bank.safetensors"
        red, blue = folder / "a.png", folder / "b.png"
        status, out, err = run("enroll", "--name", "bullseye", red, "--bank", bank)
        assert (status, err) == (0, "")
        assert "bullseye" in out
        _, out, _ = run("enroll", "--name", "wart", red, blue, "--bank", bank, "--json")
        answer = json.loads(out)
        assert answer["classes"] == [*CODES, "bullseye", "wart"]
        assert answer["pictures"] == 2

        _, out, _ = run("classify", red, "--bank", bank, "--json")
        enrolled = json.loads(out)["results"][0]["enrolled"]
        assert list(enrolled) == [*CODES, "bullseye", "wart"]
        assert sum(enrolled.values()) == pytest.approx(1)
        assert max(enrolled, key=enrolled.get) == "bullseye"
        _, out, _ = run("classify", red, "--bank", bank)
        assert "old and new classes" in out and "bullseye 0." in out

    def test_one_bad_picture_refuses_all(self, run, stub, folder, tmp_path):
        bank = tmp_path / "bank.safetensors"
        run("enroll", "--name", "bullseye", folder / "a.png", "--bank", bank)
        before = bank.read_bytes()
        answer = run("enroll", "--name", "wart", folder, "--bank", bank)
        assert_refused(answer, "c.jpg is not an image")
        assert bank.read_bytes() == before
        assert sorted(tmp_path.iterdir()) == [bank, folder]

    def test_taken_name(self, run, stub, folder, tmp_path):
        answer = run("enroll", "--name", "Mel", folder / "a.png", "--bank", tmp_path / "b")
        assert_refused(answer, "already a class 'Mel'")

    def test_empty_name(self, run, stub, folder, tmp_path):
        answer = run("enroll", "--name", " ", folder / "a.png", "--bank", tmp_path / "b")
        assert_refused(answer, "needs a name")

    def test_no_picture(self, run, stub, tmp_path):
        answer = run("enroll", "--name", "x", "--bank", tmp_path / "b")
        assert_refused(answer, "no picture was given")

    def test_bank_that_is_a_folder(self, run, stub, folder):
        answer = run("enroll", "--name", "x", folder / "a.png", "--bank", folder)
        assert_refused(answer, "is a folder: name the file to write")

    def test_bank_that_is_something_else(self, run, stub, folder):
        answer = run("enroll", "--name", "x", folder / "a.png", "--bank", folder / "notes.txt")
        assert_refused(answer, "notes.txt")


class TestEvaluate:
    @pytest.fixture
    def evaluated(self, stub, monkeypatch):
        """Replaces the data and the evaluation; remembers what was asked."""
        asked = {}

        def evaluate_checkpoint(loaded, dataset, **options):
            asked.update(engine=loaded, dataset=dataset, **options)
            return SimpleNamespace(
                to_dict=lambda: {"balanced_accuracy": {"value": 0.75}},
                markdown=lambda: "| balanced accuracy | 0.75 |",
                save=lambda path: path.write_text("saved"),
            )

        monkeypatch.setattr(
            "dermsim.evaluation.checkpoint.evaluate_checkpoint", evaluate_checkpoint
        )
        monkeypatch.setattr("dermsim.data.dataset.open_source", opened)
        return asked

    def test_table_and_file(self, run, stub, evaluated, tmp_path):
        output = tmp_path / "figures.json"
        status, out, _ = run("evaluate", "some/model", "--data", "here", "--output", output)
        assert status == 0
        assert "| balanced accuracy | 0.75 |" in out
        assert output.read_text() == "saved"
        assert evaluated == {
            "engine": stub,
            "dataset": "<here>",
            "split": "test",
            "name": "HAM10000",
            "corruptions": False,
            "shift": None,
            "shift_name": "",
            "explanations": None,
        }
        assert stub.name == "some/model"

    @pytest.mark.parametrize(
        ("source", "name"),
        [
            ("data/isic2017", "ISIC 2017"),
            ("ISIC-2017_Test_v2_Part3_GroundTruth.csv", "ISIC 2017"),
            ("clinics/ours", "ours"),
        ],
    )
    def test_corruptions_and_another_origin(self, run, evaluated, source, name):
        further = ("--corruptions", "--shift", source)
        assert run("evaluate", "some/model", "--data", "here", *further)[0] == 0
        assert evaluated["corruptions"] is True
        assert (evaluated["shift"], evaluated["shift_name"]) == (f"<{source}>", name)

    def test_figures_of_another_encoder_are_not_added_to(self, run, evaluated, tmp_path):
        shutil.copy(RELEASED / "evaluation.json", tmp_path / "figures.json")
        command = ("evaluate", "some/model", "--data", "here", "--add-to")
        answer = run(*command, tmp_path / "figures.json")
        assert_refused(answer, "are not of the same: their fingerprint is")
        assert "engine" not in evaluated, "found out before an hour has gone by"
        assert_refused(run(*command, tmp_path / "none.json"), "none.json")

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"split": "validation"}, "their split is validation, and test is asked for"),
            ({"dataset": "elsewhere"}, "their dataset is elsewhere, and HAM10000 is asked for"),
        ],
    )
    def test_figures_of_other_photographs_are_not_added_to(
        self, run, stub, evaluated, tmp_path, change, words
    ):
        report = Report.load(RELEASED / "evaluation.json")
        replace(report, fingerprint=stub.fingerprint, **change).save(tmp_path / "figures.json")
        command = ("evaluate", "some/model", "--data", "here", "--add-to")
        assert_refused(run(*command, tmp_path / "figures.json"), words)
        assert "engine" not in evaluated

    @pytest.mark.parametrize("data", ["here", "synthetic"])
    def test_explanations(self, run, evaluated, monkeypatch, data):
        monkeypatch.setattr("dermsim.data.outlines.load_masks", lambda source: f"<{source}>")
        masks = ("--masks", "there") if data == "here" else ()
        arguments = ("--explanations", *masks, "--methods", "gradcam", "--methods", "hirescam")
        assert run("evaluate", "some/model", "--data", data, *arguments)[0] == 0
        asked = evaluated["explanations"]
        assert asked.outlines == ("<there>" if data == "here" else "<synthetic>")
        assert asked.methods == ("gradcam", "hirescam")
        assert asked.sizes == Sizes()

    def test_a_quick_look_at_explanations(self, run, evaluated):
        arguments = ("evaluate", "some/model", "--data", "synthetic", "--explanations")
        assert run(*arguments, "--photographs", "3")[0] == 0
        assert evaluated["explanations"].methods is None
        assert evaluated["explanations"].sizes == Sizes(3, 3, 3, 3, 3)
        answer = run(*arguments, "--photographs", "0")
        assert_refused(answer, "asked for 0 photographs of each diagnosis: 1 is the least")

    def test_explanations_need_outlines(self, run, stub, evaluated, tmp_path):
        arguments = ("evaluate", "some/model", "--data", "here")
        answer = run(*arguments, "--explanations")
        assert_refused(answer, "--explanations needs --masks: the folder with the dermatologists'")
        answer = run(*arguments, "--masks", tmp_path)
        assert_refused(answer, "--masks, --methods and --photographs are for --explanations")
        assert_refused(run(*arguments, "--photographs", "2"), "are for --explanations")
        answer = run(*arguments, "--explanations", "--masks", tmp_path / "nowhere")
        assert_refused(answer, "no folder of outlines at")
        assert not evaluated

    def test_json_and_split(self, run, evaluated):
        _, out, _ = run("evaluate", "some/model", "--data", "here", "--split", "all", "--json")
        assert json.loads(out)["balanced_accuracy"] == {"value": 0.75}
        assert (evaluated["split"], evaluated["name"]) == ("all", "here")

    def test_output_that_is_a_folder(self, run, evaluated, tmp_path):
        answer = run("evaluate", "some/model", "--data", "here", "--output", tmp_path)
        assert_refused(answer, "is a folder: name the file to write")
        assert not evaluated

    def test_missing_data(self, run, stub, tmp_path):
        with pytest.raises(SystemExit) as stop:
            run("evaluate", "some/model")
        assert stop.value.code == 2


class TestGallery:
    def test_info(self, run, stub):
        status, out, _ = run("gallery", "info")
        assert status == 0
        assert "7 cases of 7 lesions, encoder stub" in out
        assert "Melanoma" in out

    def test_info_as_json(self, run, stub):
        document = json.loads(run("gallery", "info", "--json")[1])
        assert document["cases"] == 7
        assert document["dx"] == dict.fromkeys(CODES, 1)


class TestEnsemble:
    @pytest.fixture
    def data(self, synthetic, monkeypatch):
        """All rows of the splits that the members were trained with."""
        from datasets import concatenate_datasets

        rows = concatenate_datasets(list(synthetic.values()))
        monkeypatch.setattr("dermsim.data.dataset.open_source", opens(lambda source: rows))

    def test_a_folder_with_its_card_is_written(
        self, run, data, checkpoint, second_checkpoint, tmp_path
    ):
        output = tmp_path / "new" / "pair"
        members = (checkpoint, second_checkpoint)
        arguments = ("--data", "synthetic", "--output", output, "--json")
        status, out, err = run("ensemble", *members, *arguments)
        assert (status, err) == (0, "")
        answer = json.loads(out)
        assert answer["output"] == str(output)
        assert answer["members"] == [str(member) for member in members]
        kept = json.loads((output / "evaluation.json").read_text())
        assert {name: answer[name] for name in kept} == kept
        assert kept["dataset"] == "synthetic" and kept["split"] == "test"
        loaded = engine.DermSim.from_pretrained(output)
        assert loaded.model.config.backbone == "test_resnet + test_efficientnet"
        assert loaded.fingerprint == kept["fingerprint"]
        record = json.loads((output / "training.json").read_text())
        card = (output / "README.md").read_text()
        for text in (record["command"], record["member 1"], record["member 2"]):
            assert text in card

        again = run("ensemble", *members, "--data", "synthetic", "--output", output)
        assert_refused(again, f"{output} exists: name a new folder to write to")

    def test_weights_are_averaged(self, run, data, checkpoint, sibling_checkpoint, tmp_path):
        members, output = (checkpoint, sibling_checkpoint), tmp_path / "mean"
        arguments = ("--average", "--test-image-size", "72", "--data", "synthetic", "-o", output)
        status, out, err = run("ensemble", *members, *arguments)
        assert (status, err) == (0, "")
        assert f"{output} holds the mean of 2 members" in out
        loaded = engine.DermSim.from_pretrained(output)
        assert loaded.model.config.backbone == "test_resnet"
        assert loaded.processor.crop_size == {"height": 72, "width": 72}
        record = json.loads((output / "training.json").read_text())
        options = "--average --test-image-size 72"
        assert record["command"].startswith(f"dermsim ensemble {options} <member 1> <member 2>")

    def test_a_size_without_average(self, run, data, checkpoint, second_checkpoint, tmp_path):
        members, output = (checkpoint, second_checkpoint), tmp_path / "out"
        arguments = ("--test-image-size", "72", "--data", "synthetic", "--output", output)
        assert_refused(run("ensemble", *members, *arguments), "--test-image-size is for --average")
        assert not output.exists()

    def test_one_member(self, run, data, checkpoint, tmp_path):
        arguments = ("--data", "synthetic", "--output", tmp_path / "out")
        assert_refused(run("ensemble", checkpoint, *arguments), "at least 2 checkpoints to join")
        assert not (tmp_path / "out").exists()

    def test_a_member_that_does_not_exist(self, run, data, checkpoint, tmp_path):
        arguments = ("--data", "synthetic", "--output", tmp_path / "out")
        assert_refused(run("ensemble", checkpoint, tmp_path / "a b", *arguments), "no folder")


def opened(source, *, rows=None, **options):
    """A source that was opened: its rows are its name in brackets, or what is given."""
    return SimpleNamespace(
        name="synthetic" if source == "synthetic" else "HAM10000",
        mapping=LabelMapping(()),
        load=lambda: f"<{source}>" if rows is None else rows,
    )


class TestRealCheckpoint:
    """The same commands on a checkpoint folder as training writes it."""

    def test_what_was_measured_before_is_added_to(
        self, run, checkpoint, synthetic, monkeypatch, tmp_path
    ):
        from datasets import concatenate_datasets

        rows = concatenate_datasets(list(synthetic.values()))
        monkeypatch.setattr("dermsim.data.dataset.open_source", partial(opened, rows=rows))
        before, after = tmp_path / "before.json", tmp_path / "after.json"
        command = ("evaluate", checkpoint, "--data", "synthetic")
        assert run(*command, "--corruptions", "--output", before)[0] == 0
        assert run(*command, "--add-to", before, "--output", after)[0] == 0
        assert after.read_text() == before.read_text()
        assert "corruption_drop" in after.read_text()
        # what was measured is not lost where it turns out that nothing can be added to
        alone = tmp_path / "alone.json"
        assert run(*command, "--output", alone)[0] == 0
        kept = json.loads(before.read_text())
        kept["metrics"]["accuracy"]["value"] = 0.1234
        before.write_text(json.dumps(kept))
        answer = run(*command, "--add-to", before, "--output", after)
        assert_refused(answer, "disagree on accuracy")
        assert after.read_text() == alone.read_text()

    @pytest.fixture
    def picture(self, tmp_path):
        from dermsim.data.synthetic import draw_lesion

        path = tmp_path / "lesion.png"
        draw_lesion("mel", seed=3).save(path)
        return path

    def test_classify_equals_the_engine(self, run, checkpoint, picture):
        status, out, err = run("classify", picture, "--model", checkpoint, "--json")
        assert (status, err) == (0, "")
        (result,) = json.loads(out)["results"]
        expected = engine.DermSim.from_pretrained(checkpoint).predict(picture)[0]
        assert result["label_name"] == expected.label_name
        assert result["probabilities"] == expected.probabilities

    def test_malignant_begins_where_it_is_asked_to(self, run, checkpoint, picture):
        arguments = ("classify", picture, "--model", checkpoint, "--json", "--operating-point")
        said = {}
        for point in ("0", "1", "sensitivity_95"):
            status, out, _ = run(*arguments, point)
            said[point] = json.loads(out)["results"][0]["is_malignant"]
            assert status == 0
        loaded = engine.DermSim.from_pretrained(checkpoint)
        (expected,) = loaded.predict(picture, operating_point="sensitivity_95")
        assert said == {"0": True, "1": False, "sensitivity_95": expected.is_malignant}
        status, _, err = run(*arguments, "strict")
        assert status == 2
        assert "unknown operating point 'strict'" in err

    def test_facts_reach_an_encoder_that_takes_them(self, run, informed_checkpoint, picture):
        arguments = ("classify", picture, "--model", informed_checkpoint, "--json")
        status, out, _ = run(*arguments, "--age", 75, "--site", "face")
        (result,) = json.loads(out)["results"]
        loaded = engine.DermSim.from_pretrained(informed_checkpoint)
        (expected,) = loaded.predict(picture, facts=Facts(age=75, localization="face"))
        assert (status, result["probabilities"]) == (0, expected.probabilities)
        assert result["probabilities"] != loaded.predict(picture)[0].probabilities

    def test_facts_for_one_that_takes_none(self, run, checkpoint, picture):
        answer = run("classify", picture, "--model", checkpoint, "--sex", "female")
        assert_refused(answer, "Facts were given, but this model takes none: leave them out")

    def test_similar_explain_and_enroll(self, run, checkpoint, picture, tmp_path):
        model = ("--model", checkpoint, "--json")
        (result,) = json.loads(run("similar", picture, "-k", 2, *model)[1])["results"]
        assert len(result["neighbors"]) == 2
        output, bank = tmp_path / "out.png", tmp_path / "bank.safetensors"
        assert run("explain", picture, "--target", "nv", "-o", output, *model)[0] == 0
        with Image.open(output) as painted, Image.open(picture) as original:
            assert painted.size == original.size
        assert run("enroll", "--name", "odd", picture, "--bank", bank, *model)[0] == 0
        (result,) = json.loads(run("classify", picture, "--bank", bank, *model)[1])["results"]
        assert list(result["enrolled"]) == [*CODES, "odd"]
        loaded = engine.DermSim.from_pretrained(checkpoint)
        expected = ClassBank.load(bank, fingerprint=loaded.fingerprint).predict(
            loaded.embed([picture], space="pooled_features")
        )[0]
        assert result["enrolled"] == pytest.approx(expected, rel=1e-4)

    def test_a_gallery_is_built_and_read_back(self, run, checkpoint, tmp_path):
        folder = tmp_path / "gallery"
        arguments = ("--data", "synthetic", "-o", folder, "--model", checkpoint, "--json")
        status, out, _ = run("gallery", "build", *arguments)
        assert status == 0
        mark = engine.DermSim.from_pretrained(checkpoint).fingerprint
        assert len(Gallery.load(folder, fingerprint=mark)) == json.loads(out)["cases"] > 0

    def test_evaluate(self, run, checkpoint, tmp_path):
        output = tmp_path / "figures.json"
        arguments = ("--data", "synthetic", "--output", output, "--json")
        status, out, _ = run("evaluate", checkpoint, *arguments)
        assert status == 0
        printed = json.loads(out)
        del printed["disclaimer"]
        assert printed == json.loads(output.read_text())


def test_table_aligns_and_trims():
    assert table(["a", "long"], [["wide", 1.0], [None, 0.5]]).splitlines() == [
        "a     long",
        "----  -----",
        "wide  1",
        "-     0.500",
    ]
