"""`dermsim enroll` and `dermsim bank`, on an engine that sees nothing but colours."""

import json

import numpy as np
import pytest
from opened import opens
from PIL import Image

from dermsim import engine
from dermsim.cli.main import main
from dermsim.core.labels import CODES
from dermsim.data.synthetic import synthetic_ham10000
from dermsim.tasks.enroll import ClassBank
from dermsim.tasks.retrieve import Gallery

COLOURS = {"mel": (60, 30, 30), "nv": (180, 120, 90), "bkl": (90, 90, 40)}


def paint(colour, seed):
    rng = np.random.default_rng(seed)
    pixels = np.clip(np.array(colour) + rng.normal(0, 25, (30, 40, 3)), 0, 255)
    tint = rng.normal(0, 12, 3)  # the whole picture is of a slightly other colour
    return Image.fromarray(np.clip(pixels + tint, 0, 255).astype(np.uint8))


def look(image):
    return np.asarray(image.resize((2, 2), Image.Resampling.BOX), np.float32).ravel() + 1


class StubEngine:
    fingerprint = "stub"

    def __init__(self):
        def sample(count, offset):
            rows = [
                look(paint(colour, offset + seed))
                for colour in COLOURS.values()
                for seed in range(count)
            ]
            return np.stack(rows), np.repeat(range(3), count)

        train, labels = sample(40, 0)
        held_out, asked = sample(20, 1000)
        self.bank = ClassBank.fit(
            train,
            labels,
            names=list(COLOURS),
            validation=held_out,
            validation_labels=asked,
            fingerprint="stub",
        )
        case = {"image_id": "learned", "dx": "mel"}
        self.gallery = Gallery.build(np.ones((1, 2)), [case], fingerprint="stub")

    def class_bank(self):
        return self.bank

    def embed(self, images, *, space):
        assert space == "pooled_features"
        return np.stack([look(image) for image in images])


@pytest.fixture
def stub(monkeypatch):
    built = StubEngine()
    monkeypatch.setattr(engine.DermSim, "from_pretrained", lambda name: built)
    return built


@pytest.fixture
def folder(tmp_path):
    """Five green pictures, which are of no old class."""
    pictures = tmp_path / "green"
    pictures.mkdir()
    for seed in range(5):
        paint((20, 200, 20), seed).save(pictures / f"{seed}.png")
    return pictures


@pytest.fixture
def bank(tmp_path):
    return tmp_path / "bank.safetensors"


@pytest.fixture
def run(capsys):
    def command(*arguments):
        status = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return command


def assert_refused(answer, *words):
    status, out, err = answer
    assert (status, out) == (2, "")
    assert err.startswith("dermsim: ") and err.count("\n") == 1
    for word in words:
        assert word in err


class TestEnroll:
    def test_says_what_became_of_the_old_classes(self, run, stub, folder, bank):
        status, out, err = run("enroll", folder, "--name", "moss", "--bank", bank)
        assert (status, err) == (0, "")
        assert f"{bank} now holds moss (mean)" in out
        assert (
            "Balanced accuracy over the old classes, on the images kept in the bank (n = 60)" in out
        )
        lines = [line.split() for line in out.splitlines()]
        assert [line[:2] for line in lines if line[:1] in (["mel"], ["nv"], ["bkl"])] == [
            ["mel", "20"],
            ["nv", "20"],
            ["bkl", "20"],
        ]
        assert ["moss", "5", "mean", "1"] in lines

    def test_json_holds_the_report(self, run, stub, folder, bank):
        run("enroll", folder, "--name", "moss", "--bank", bank)
        arguments = ("--name", "fern", "--head", "neighbors", "--bank", bank, "--json")
        _, out, _ = run("enroll", folder / "0.png", *arguments)
        answer = json.loads(out)
        assert answer["classes"] == ["mel", "nv", "bkl", "moss", "fern"]
        assert answer["heads"] == {"moss": "mean", "fern": "neighbors"}
        assert [c["name"] for c in answer["report"]["old"]] == ["mel", "nv", "bkl"]
        assert answer["report"]["new"][1]["recognised"] is None
        assert answer["report"]["before"]["n"] == 60

    def test_a_bank_without_images_has_no_report(self, run, stub, folder, bank):
        prototypes = np.eye(3, 12)
        stub.bank = ClassBank.from_classes(list(COLOURS), prototypes, [1] * 3, 0.1, "stub")
        stub.embed = lambda images, *, space: np.stack([look(image) for image in images])
        _, out, _ = run("enroll", folder, "--name", "moss", "--bank", bank, "--json")
        assert json.loads(out)["report"] is None

    @pytest.mark.parametrize("name", ["melanoma", "MEL", "nevus"])
    def test_a_name_of_an_old_class_leaves_the_file_alone(self, run, stub, folder, bank, name):
        run("enroll", folder, "--name", "moss", "--bank", bank)
        before = bank.read_bytes()
        answer = run("enroll", folder, "--name", name, "--bank", bank)
        assert_refused(answer, f"already a class '{name}'")
        assert bank.read_bytes() == before

    def test_an_empty_folder_enrols_nothing(self, run, stub, tmp_path, bank):
        assert_refused(
            run("enroll", tmp_path, "--name", "moss", "--bank", bank), "no pictures in the folder"
        )
        assert not bank.exists()

    def test_a_truncated_file_is_left_alone(self, run, stub, folder, bank):
        run("enroll", folder, "--name", "moss", "--bank", bank)
        bank.write_bytes(bank.read_bytes()[:-50])
        before = bank.read_bytes()
        answer = run("enroll", folder, "--name", "fern", "--bank", bank)
        assert_refused(answer, "bank.safetensors is damaged")
        assert bank.read_bytes() == before


class TestBank:
    @pytest.fixture
    def taught(self, run, stub, folder, bank):
        run("enroll", folder, "--name", "moss", "--bank", bank)
        run("enroll", folder / "1.png", "--name", "fern", "--bank", bank)
        return bank

    def test_info_needs_no_model(self, run, taught, monkeypatch):
        monkeypatch.setattr(engine.DermSim, "from_pretrained", None)
        status, out, _ = run("bank", "info", taught)
        lines = [line.split() for line in out.splitlines()]
        assert status == 0
        assert ["mel", "40", "(old", "class)"] in lines
        assert ["moss", "5", "mean"] in lines and ["fern", "1", "mean"] in lines
        answer = json.loads(run("bank", "info", taught, "--json")[1])
        assert (answer["fingerprint"], answer["space"]) == ("stub", "pooled_features")
        assert answer["classes"][3] == {
            "name": "moss",
            "pictures": 5,
            "enrolled": True,
            "head": "mean",
        }

    def test_remove(self, run, taught):
        status, out, _ = run("bank", "remove", taught, "--name", "moss", "--json")
        assert (status, json.loads(out)["classes"]) == (0, ["mel", "nv", "bkl", "fern"])
        assert ClassBank.load(taught).names == ("mel", "nv", "bkl", "fern")
        before = taught.read_bytes()
        assert_refused(run("bank", "remove", taught, "--name", "moss"), "there is no class 'moss'")
        assert taught.read_bytes() == before

    def test_report_measures_on_old_classes_alone(self, run, taught, monkeypatch):
        rows = synthetic_ham10000(14, size=(40, 30))
        monkeypatch.setattr("dermsim.data.dataset.open_source", opens(lambda source: rows))
        arguments = ("--data", "here", "--split", "all", "--json")
        status, out, _ = run("bank", "report", taught, *arguments)
        report = json.loads(out)
        assert status == 0
        assert report["source"] == "here, all"
        assert {c["name"]: c["images"] for c in report["old"]} == {"mel": 4, "nv": 4, "bkl": 4}
        assert report["before"]["n"] == 12
        _, out, _ = run("bank", "report", taught, "--data", "here", "--split", "all")
        assert "on here, all (n = 12)" in out

    def test_report_on_what_was_learned_is_refused(self, run, stub, taught, monkeypatch):
        rows = synthetic_ham10000(14, size=(40, 30))
        melanoma = rows["image_id"][rows["dx"].index(CODES.index("mel"))]
        case = {"image_id": melanoma, "dx": "mel"}
        stub.gallery = Gallery.build(np.ones((1, 2)), [case], fingerprint="stub")
        monkeypatch.setattr("dermsim.data.dataset.open_source", opens(lambda source: rows))
        answer = run("bank", "report", taught, "--data", "here", "--split", "all")
        assert_refused(answer, f"such as {melanoma}, are in the checkpoint's gallery")

    def test_report_without_an_old_class_is_refused(self, run, taught, monkeypatch):
        rows = synthetic_ham10000(14, size=(40, 30))
        few = rows.select([row for row, dx in enumerate(rows["dx"]) if CODES[dx] == "vasc"])
        monkeypatch.setattr("dermsim.data.dataset.open_source", opens(lambda source: few))
        answer = run("bank", "report", taught, "--data", "here", "--split", "all")
        assert_refused(answer, "here has no image of an old class")

    def test_a_bank_of_another_encoder_is_refused(self, run, stub, taught):
        stub.fingerprint = "other"
        answer = run("bank", "report", taught, "--data", "synthetic")
        assert_refused(answer, "was made by encoder 'stub', this one is 'other'")

    @pytest.mark.parametrize("command", [("info",), ("remove", "--name", "x")])
    def test_a_file_that_is_not_there(self, run, tmp_path, command):
        answer = run("bank", command[0], tmp_path / "none.safetensors", *command[1:])
        assert_refused(answer, "there is no file", "none.safetensors")
