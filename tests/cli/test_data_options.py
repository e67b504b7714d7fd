"""One's own data at the command line: mapped, printed, and refused before anything is loaded."""

import subprocess
import sys

import pytest
from test_cli_enroll import StubEngine, paint

from dermsim import engine
from dermsim.cli.main import main
from dermsim.data.synthetic import draw_lesion
from dermsim.tasks.enroll import ClassBank

pytestmark = pytest.mark.filterwarnings("ignore:.*lesion of its own:UserWarning")

HEAVY = {"torch", "datasets", "transformers", "gradio", "pandas"}


@pytest.fixture
def own(tmp_path):
    for name, dx in (("melanoma", "mel"), ("moles", "nv"), ("scar", "df")):
        (tmp_path / "own" / name).mkdir(parents=True)
        for seed in range(3):
            draw_lesion(dx, seed=seed, size=(40, 30)).save(tmp_path / "own" / name / f"{seed}.png")
    return tmp_path / "own"


@pytest.fixture
def no_engine(monkeypatch):
    def from_pretrained(name, **_):
        raise AssertionError("the checkpoint was loaded before the data were checked")

    monkeypatch.setattr(engine.DermSim, "from_pretrained", from_pretrained)


def test_explore_prints_what_words_were_taken_for(own, capsys):
    status = main(["explore", str(own), "--map", "moles=nv", "--map", "scar=other", "--json"])
    printed = capsys.readouterr()
    assert status == 0
    assert "dermsim: moles     is read as nv  (3 pictures)" in printed.err
    assert "dermsim: scar      is read as other, and left out  (3 pictures)" in printed.err
    assert '"images": 6' in printed.out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "unknown dx 'moles' (and 'scar')"),
        (("--map", "moles=nv"), "unknown dx 'scar'"),
        (("--map", "moles=nv", "scar=cyst"), "takes 'scar' for 'cyst', which is none of akiec"),
        (("--map", "moles=nv", "scar=other", "warts=other"), "the mapping speaks of 'warts'"),
        (("--map", "moles"), "expects word=code"),
        (("--label-column", "diagnosis"), "holds no known layout"),
    ],
)
@pytest.mark.parametrize("command", [("explore",), ("evaluate", "some/model", "--data")])
def test_what_is_wrong_is_said_in_one_sentence_before_a_model_is_loaded(
    own, no_engine, capsys, command, options, words
):
    assert main([*command, str(own), *options]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and words in printed.err
    assert printed.err.splitlines()[-1].startswith("dermsim: ")


def test_another_origin_is_checked_at_once_too(own, no_engine, capsys):
    command = ["evaluate", "some/model", "--data", "synthetic", "--shift", str(own)]
    assert main(command) == 2
    assert "unknown dx 'moles'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "start",
    [
        "from dermsim.cli.main import main; main(['explore', *sys.argv[1:]])",
        "from dermsim.cli.main import main; main(['evaluate', 'm', '--data', *sys.argv[1:]])",
        "import app; app.main(['--dataset', *sys.argv[1:]])",
    ],
)
def test_a_refusal_imports_nothing_that_takes_long(own, start):
    code = f"import sys; {start}\nprint({HEAVY} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code, str(own)], capture_output=True, text=True)
    assert "unknown dx 'moles'" in done.stderr
    assert done.stdout == "set()\n"


class TestEnrollFrom:
    @pytest.fixture
    def stub(self, monkeypatch):
        built = StubEngine()
        monkeypatch.setattr(engine.DermSim, "from_pretrained", lambda name: built)

    @pytest.fixture
    def source(self, tmp_path):
        for name, colour in (("moss", (20, 200, 20)), ("sky", (20, 20, 220)), ("nevus", (9, 9, 9))):
            (tmp_path / "data" / name).mkdir(parents=True)
            for seed in range(4):
                paint(colour, seed).save(tmp_path / "data" / name / f"{seed}.png")
        return tmp_path / "data"

    def test_every_word_becomes_a_class(self, stub, source, tmp_path, capsys):
        bank = tmp_path / "bank.safetensors"
        assert main(["enroll", "--from", str(source), "--bank", str(bank)]) == 0
        assert set(ClassBank.load(bank).kinds) == {"moss", "sky"}
        assert f"{bank} now holds moss (mean), sky (mean)" in capsys.readouterr().out

    def test_names_are_given_and_chosen(self, stub, source, tmp_path):
        bank = tmp_path / "bank.safetensors"
        command = ["enroll", "--from", str(source), "--bank", str(bank)]
        assert main([*command, "--map", "moss=green", "sky=other"]) == 0
        assert main([*command, "--name", "sky"]) == 0
        assert set(ClassBank.load(bank).kinds) == {"green", "sky"}

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            (("--name", "wart"), "has no new class called wart: its words are 'moss'"),
            (("a.png",), "name pictures or --from, and not both"),
            (("--map", "wort=x"), "the mapping speaks of 'wort'"),
        ],
    )
    def test_refusals_come_before_the_model(
        self, no_engine, source, tmp_path, capsys, options, words
    ):
        command = ["enroll", "--from", str(source), "--bank", str(tmp_path / "b.safetensors")]
        assert main([*command, *options]) == 2
        assert words in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            (("--name", "x", "--map", "a=b"), "are about the data of --from"),
            ((), "the new class has no name: say --name, or --from for several"),
        ],
    )
    def test_without_a_source(self, no_engine, source, tmp_path, capsys, options, words):
        picture = str(source / "moss" / "0.png")
        command = ["enroll", picture, "--bank", str(tmp_path / "b.safetensors"), *options]
        assert main(command) == 2
        assert words in capsys.readouterr().err


def test_how_diagnoses_are_called_belongs_to_the_page(capsys):
    assert main(["serve", "--no-page", "--map", "a=nv"]) == 2
    assert "belong to the page: leave out --no-page" in capsys.readouterr().err
