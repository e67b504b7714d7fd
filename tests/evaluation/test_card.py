"""The model's card: what it says, that the Hub library takes it, and that its code runs."""

import ast
import re
import subprocess
import sys

import pytest
import yaml
from huggingface_hub import ModelCard
from huggingface_hub.repocard import metadata_load
from huggingface_hub.repocard_data import model_index_to_eval_results

from dermsim import DermSim
from dermsim.core.bootstrap import Interval
from dermsim.core.labels import CODES, DISCLAIMER
from dermsim.evaluation.card import HERE, licence, model_card
from dermsim.evaluation.report import Report, Shift, Subgroup
from dermsim.tasks.classify import Calibration, CrossFit, OperatingPoint

CALIBRATION = Calibration(
    temperature=0.85,
    alpha=0.1,
    set_thresholds={code: 0.9 + i / 100 for i, code in enumerate(CODES)},
    operating_points={
        "balanced": OperatingPoint(0.41, 0.845, 0.824),
        "sensitivity_95": OperatingPoint(0.18, 0.951, 0.659),
    },
    cross_fit=CrossFit(5, 0, {code: 26 + i for i, code in enumerate(CODES)}),
)
METRICS = {
    "balanced_accuracy": Interval(0.8, 0.7, 0.9, 150),
    "recall_mel": Interval(0.7, 0.6, 0.8, 40),
    "corrupted_blur_1": Interval(0.5, 0.4, 0.6, 150),
    "shift_melanoma_auc": Interval(0.81, 0.79, 0.83, 2000),
}


def make_report(**changes) -> Report:
    fields = {
        "dataset": "HAM10000",
        "split": "test",
        "n_images": 150,
        "n_lesions": 90,
        "class_counts": dict.fromkeys(CODES, 10),
        "decision_rule": "argmax",
        "coverage_target": 0.9,
        "metrics": METRICS,
        "resamples": 1000,
        "seed": 0,
        "fingerprint": "a",
        "versions": {},
        "shift": Shift("ISIC 2017", dict.fromkeys(CODES, 3)),
        "subgroups": (
            Subgroup(
                fact="sex",
                name="female",
                n_images=60,
                n_lesions=41,
                class_counts=dict.fromkeys(CODES, 5),
                diagnoses=("mel", "nv"),
                metrics={"sensitivity": Interval(0.6, 0.5, 0.7, 15)},
            ),
        ),
    }
    return Report(**{**fields, **changes})


def write_card(report, *, training=None, **options) -> str:
    return model_card(report, training=training or {}, calibration=CALIBRATION, **options)


@pytest.fixture(scope="module")
def text() -> str:
    return write_card(
        make_report(), training={"command": "accelerate launch train_accelerate.py", "minutes": 9}
    )


def test_the_index_holds_data_split_metric_value_and_interval(text):
    [index] = yaml.safe_load(text.split("---\n")[1])["model-index"]
    found = {
        metric["type"]: (result["dataset"], metric)
        for result in index["results"]
        for metric in result["metrics"]
    }
    assert set(found) == {"balanced_accuracy", "recall_mel", "shift_melanoma_auc"}
    dataset, metric = found["balanced_accuracy"]
    assert dataset == {"name": "HAM10000", "type": "ham10000", "split": "test"}
    assert metric["value"] == 0.8
    assert metric["name"] == "Balanced accuracy (argmax)"
    bootstrap = {"interval": "95 % bootstrap over lesions"}
    assert metric["args"] == {"low": 0.7, "high": 0.9, "n": 150, **bootstrap}
    dataset, _ = found["shift_melanoma_auc"]
    assert dataset == {"name": "ISIC 2017", "type": "isic2017", "split": "all"}


def test_the_hub_library_reads_back_what_it_wrote(text, tmp_path):
    path = tmp_path / "README.md"
    path.write_text(text, encoding="utf-8")
    card = ModelCard.load(path)
    assert str(card) == text
    assert card.data.license == "cc-by-nc-4.0"
    assert card.data.library_name == "transformers"
    assert card.data.pipeline_tag == "image-classification"
    assert {result.metric_type for result in card.data.eval_results} == {
        "balanced_accuracy",
        "recall_mel",
        "shift_melanoma_auc",
    }
    name, results = model_index_to_eval_results(metadata_load(path)["model-index"])
    assert name == "dermsim"
    assert results == card.data.eval_results


@pytest.mark.parametrize(
    "words",
    [
        DISCLAIMER,
        # use
        "## Intended use",
        "**Not for** patients",
        # training
        "- minutes: 9",
        "```bash\naccelerate launch train_accelerate.py\n```",
        "licensed CC BY-NC 4.0",
        # decisions
        "divided by the temperature 0.8500",
        "the most probable diagnosis (argmax), and nothing is added",
        "the summed probability of `akiec`, `bcc`, `mel`",
        "| `balanced` | 0.4100 | 0.845 | 0.824 |",
        "| `sensitivity_95` | 0.1800 | 0.951 | 0.659 |",
        "at least 90% of each",
        "had left out (5 folds)",
        "| `akiec` | 0.1000 | 26 |",
        "| `vasc` | 0.0400 | 32 |",
        # figures
        "| Recall, mel (argmax) | 0.700 | 0.600 to 0.800 | 40 |",
        "| female | 60 | 41 | 15 | – | 0.600 (0.500 to 0.700) | – | – |",
        # limits
        "**Skin tone.**",
        "**Device.**",
        "**Framing.**",
        "**Age.**",
        # citation
        "@software{dermsim,",
        "@article{tschandl2018ham10000,",
    ],
)
def test_the_card_says(text, words):
    assert words in text


def test_the_figures_are_the_report_s(text):
    assert make_report().markdown() in text
    assert text.count("{") == text.count("}")


def test_a_card_on_the_hub_names_itself_and_its_gallery():
    text = write_card(make_report(), model_id="alice/dermsim", gallery_id="alice/gallery")
    assert ModelCard(text).data.datasets == ["alice/gallery"]
    assert "[alice/gallery](https://huggingface.co/datasets/alice/gallery)" in text
    assert text.count('"alice/dermsim"') == 2
    assert HERE not in text
    assert ModelCard(write_card(make_report())).data.datasets is None


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("isic2019_84", "BCN20000 (Combalia et al. 2019, arXiv 1908.02288) and MSK"),
        ("our-clinic", "`our-clinic`, whose own licence holds beside that"),
    ],
)
def test_what_was_learned_from_beside_it_is_credited(source, words):
    text = write_card(make_report(), training={"also learned from": source})
    assert words in text
    assert "The photographs are HAM10000" in text


def test_drawings_carry_no_one_s_licence():
    text = write_card(make_report(dataset="synthetic"))
    assert ModelCard(text).data.license == licence("synthetic") == "apache-2.0"
    assert "drawings made by a program" in text
    assert "tschandl2018" not in text
    assert licence("HAM10000") == licence("isic2018") == "cc-by-nc-4.0"


def test_the_code_runs_as_printed(checkpoint, tmp_path):
    report = Report.load(checkpoint / "evaluation.json")
    text = write_card(report, model_id=str(checkpoint))
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    assert len(blocks) == 2
    command = [sys.executable, "-c", "\n".join(blocks)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split()[0] in CODES
    assert len(lines) == 1 + 5 + 3
    first, *others = ast.literal_eval(lines[6])
    assert first["label"] == lines[0].split()[0] and len(others) == 2
    engine = DermSim.from_pretrained(checkpoint)
    expected = engine.predict(tmp_path / "photo.jpg")[0].probabilities
    assert first["score"] == pytest.approx(expected[first["label"]], abs=1e-6)
    assert lines[7:] == ["16", "torch.Size([1, 16])"]
