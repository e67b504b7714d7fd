"""What was measured, in the forms in which it is read: JSON, a table, the model's card.

`dermsim.evaluate` fills a `Report`. Figures are kept to four decimals, so that a rerun can be
compared to the last digit, and no figure in the README or on the card is written by hand.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from dermsim.labels import DISCLAIMER, LABELS, MALIGNANT
from dermsim.metrics import Interval
from dermsim.storage import check_keys, load_json, save_json

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

DECISION_RULE = "argmax"
"""How a label is chosen: the most probable of the seven diagnoses, with no offset by class."""


_CELL = re.compile(r"corrupted_(?P<kind>\w+)_(?P<strength>\d)")
"""Name of a figure on one corruption at one strength, such as ``corrupted_blur_2``."""


@dataclass(frozen=True)
class Shift:
    """Test data of another origin, whose labels the model was never trained on.

    Attributes:
        dataset: Name of the data.
        class_counts: Images of each diagnosis code.
    """

    dataset: str
    class_counts: dict[str, int]

    def __post_init__(self) -> None:
        """Refuse counts of anything but the diagnoses, as a damaged file may hold."""
        check_keys(self.class_counts, {d.code for d in LABELS}, name="shift class_counts")


@dataclass(frozen=True)
class Report:
    """What a model achieved on a test set.

    Attributes:
        dataset: Name of the data.
        split: Name of the part evaluated, for example ``"test"``.
        n_images: Number of images.
        n_lesions: Number of lesions; an image of unknown lesion counts as one of its own.
        class_counts: Images of each diagnosis code. Means over classes are over those present.
        decision_rule: How a label is chosen from probabilities.
        coverage_target: Share of each class that prediction sets were calibrated to cover.
        metrics: Figures by name, each with its 95 % interval and the images it rests on. Those of
            the same images corrupted begin with ``corrupted_``, those of the data of another
            origin with ``shift_``.
        resamples: Lesion-bootstrap resamples behind each interval.
        seed: Seed of the resamples.
        fingerprint: Names the encoder.
        versions: Of Python and the packages that matter.
        shift: The data of another origin, or None when there were none.
    """

    dataset: str
    split: str
    n_images: int
    n_lesions: int
    class_counts: dict[str, int]
    decision_rule: str
    coverage_target: float
    metrics: dict[str, Interval]
    resamples: int
    seed: int
    fingerprint: str
    versions: dict[str, str]
    shift: Shift | None = None

    @property
    def missing_classes(self) -> tuple[str, ...]:
        """Diagnosis codes the test set has no image of."""
        return tuple(code for code, count in self.class_counts.items() if count == 0)

    def to_dict(self) -> dict[str, object]:
        """Return the fields as plain Python values, figures rounded to 4 decimals."""
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        plain["metrics"] = {name: m.to_dict() for name, m in self.metrics.items()}
        if self.shift is None:
            del plain["shift"]
        else:
            plain["shift"] = asdict(self.shift)
        return plain

    def save(self, path: str | Path) -> None:
        """Write the report as JSON, atomically."""
        save_json(path, self.to_dict())

    @classmethod
    def load(cls, path: str | Path) -> Report:
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the file is not JSON, or does not hold exactly a report.
        """
        values = load_json(
            path, keys={field.name for field in fields(cls)} - {"shift"}, optional={"shift"}
        )
        if not isinstance(values["metrics"], dict):
            raise ValueError(f"{Path(path).name} is not a report: its metrics are not an object.")
        names = {field.name for field in fields(Interval)}
        metrics = {
            name: Interval(**check_keys(figure, names, name=f"metric {name}"))  # type: ignore[arg-type]
            for name, figure in values["metrics"].items()
        }
        shift = None
        if "shift" in values:
            names = {field.name for field in fields(Shift)}
            shift = Shift(**check_keys(values["shift"], names, name="shift"))  # type: ignore[arg-type]
        return cls(**{**values, "metrics": metrics, "shift": shift})  # type: ignore[arg-type]

    def markdown(self) -> str:
        """Return a paragraph saying what was measured, and the tables of figures."""
        lines = [
            f"{self.dataset}, {self.split}: {self.n_images:,} images of {self.n_lesions:,} lesions "
            f"({_present(self.class_counts)}). A label is the most probable diagnosis "
            f"({self.decision_rule}). Intervals are 95 %, from {self.resamples:,} bootstrap "
            "resamples of whole lesions; n counts images.",
        ]
        if self.missing_classes:
            lines[0] += (
                f" There is no image of {', '.join(self.missing_classes)}: means over classes are "
                "over the others."
            )
        if self.shift is not None:
            lines[0] += (
                f" {self.shift.dataset} ({_present(self.shift.class_counts)}) is of another origin "
                "and none of its labels was trained on."
            )
        lines += ["", "| figure | value | 95 % interval | n |", "|---|---|---|---|"]
        for name in self.main_metrics:
            # as kept in the file, so that a loaded report prints the same table
            value, low, high, n = self.metrics[name].to_dict().values()
            lines.append(f"| {self.title(name)} | {value:.3f} | {low:.3f} to {high:.3f} | {n:,} |")
        return "\n".join([*lines, *self._robustness()]) + "\n"

    @property
    def main_metrics(self) -> tuple[str, ...]:
        """Names of the figures that are not of one corruption at one strength."""
        return tuple(name for name in self.metrics if not _CELL.fullmatch(name))

    def _robustness(self) -> list[str]:
        """Return the lines of the table of corruptions, a row for each; none when there is none."""
        cells: dict[str, dict[int, str]] = {}
        for name, figure in self.metrics.items():
            if found := _CELL.fullmatch(name):
                value, low, high, _ = figure.to_dict().values()
                row = cells.setdefault(found["kind"], {})
                row[int(found["strength"])] = f"{value:.3f} ({low:.3f} to {high:.3f})"
        if not cells:
            return []
        strengths = sorted({strength for row in cells.values() for strength in row})
        header = ["corruption", *(f"strength {strength}" for strength in strengths)]
        return [
            "",
            f"**Robustness.** Balanced accuracy ({self.decision_rule}) on the same images, each "
            "corrupted; strength 1 is mild, 2 clear, 3 strong.",
            "",
            f"| {' | '.join(header)} |",
            "|---" * len(header) + "|",
            *(
                f"| {' | '.join([_words(kind), *(row.get(s, '') for s in strengths)])} |"
                for kind, row in cells.items()
            ),
        ]

    def title(self, name: str) -> str:
        """Say in words what the figure `name` is."""
        if name in _TITLES:
            return _TITLES[name]
        if found := _CELL.fullmatch(name):
            return (
                f"Balanced accuracy ({DECISION_RULE}), {_words(found['kind'])} of strength "
                + (found["strength"])
            )
        if name.startswith("shift_"):
            origin = self.shift.dataset if self.shift else "data of another origin"
            return f"{origin}: {self.title(name.removeprefix('shift_'))}"
        for prefix, words in _PREFIXES.items():
            if name.startswith(prefix):
                return words.format(name.removeprefix(prefix), target=self.coverage_target)
        raise ValueError(f"there is no figure called {name!r}.")


def _present(class_counts: Mapping[str, int]) -> str:
    return ", ".join(f"{code} {count}" for code, count in class_counts.items() if count)


def _words(kind: str) -> str:
    return kind.replace("_", " ")


_TITLES = {
    "balanced_accuracy": f"Balanced accuracy ({DECISION_RULE})",
    "accuracy": f"Accuracy ({DECISION_RULE})",
    "macro_f1": f"Macro F1 ({DECISION_RULE})",
    "mean_auc": "Mean AUC, one diagnosis against the rest",
    "melanoma_auc": "AUC, melanoma against the rest",
    "keratosis_auc": "AUC, benign keratosis (bkl) against the rest",
    "malignancy_auc": f"AUC, malignant ({', '.join(MALIGNANT)}) against benign",
    "expected_calibration_error": "Expected calibration error, 15 bins",
    "mean_set_size": "Diagnoses in a prediction set, mean",
    "mean_average_precision": "Retrieval: mAP, macro over classes",
    "majority_vote_at_5": "Retrieval: majority of the 5 nearest (mMV@5), macro over classes",
    "neighbor_balanced_accuracy": "Vote of the 16 nearest: balanced accuracy (most votes)",
    "neighbor_balanced_accuracy_adjusted": (
        "Vote of the 16 nearest: balanced accuracy (votes divided by class frequency)"
    ),
    "neighbor_malignancy_auc": "Vote of the 16 nearest: AUC, malignant against benign",
    "precision_chance": "Retrieval: precision by chance, macro over classes",
    "corrupted_balanced_accuracy": (
        f"Balanced accuracy ({DECISION_RULE}), mean over all corruptions and strengths"
    ),
    "balanced_accuracy_with_facts": f"Told age, sex and site: balanced accuracy ({DECISION_RULE})",
    "melanoma_auc_with_facts": "Told age, sex and site: AUC, melanoma against the rest",
    "mean_auc_with_facts": "Told age, sex and site: mean AUC, one diagnosis against the rest",
    "facts_gain_balanced_accuracy": (
        f"Balanced accuracy ({DECISION_RULE}) gained by age, sex and site"
    ),
    "corruption_drop": f"Balanced accuracy ({DECISION_RULE}) lost to corruptions, mean",
}

_PREFIXES = {
    "recall_": f"Recall, {{}} ({DECISION_RULE})",
    "coverage_": "Coverage of prediction sets, {} (aim {target:.0%})",
    "sensitivity_at_": "Sensitivity to malignancy at the point `{}` fitted on validation",
    "specificity_at_": "Specificity at the point `{}` fitted on validation",
    "precision_at_": "Retrieval: precision at {}, macro over classes",
}


def model_card(report: Report, *, training: Mapping[str, object]) -> str:
    """Write the card of a checkpoint folder (its README.md).

    The front matter carries the figures as a ``model-index`` that the Hub shows, each with its
    interval and n in ``metric_args``.

    Args:
        report: What the model achieved on the test split.
        training: Facts about the run, by name, listed as they are; ``"command"`` is shown as a
            code block.

    Returns:
        Markdown with YAML front matter.
    """
    from huggingface_hub import ModelCard, ModelCardData

    drawn = report.dataset == "synthetic"
    data = ModelCardData(
        language="en",
        license="apache-2.0" if drawn else "cc-by-nc-4.0",
        library_name="transformers",
        pipeline_tag="image-classification",
        tags=["dermatoscopy", "ham10000", "contrastive-learning", "image-retrieval", "custom_code"],
        model_name="dermsim",
        eval_results=[_eval_result(report, name) for name in report.main_metrics],
    )
    facts = dict(training)
    command = facts.pop("command", None)
    lines = [f"- {name}: {value}" for name, value in facts.items()]
    if command is not None:
        lines += ["", "```bash", str(command), "```"]
    body = _CARD.format(
        disclaimer=DISCLAIMER,
        diagnoses="\n".join(f"- `{d.code}` {d.name}" for d in LABELS),
        training="\n".join(lines),
        origin=_DRAWN if drawn else _HAM10000,
        results=report.markdown(),
    )
    return str(ModelCard(f"---\n{data.to_yaml()}\n---\n{body}"))


def _eval_result(report: Report, name: str) -> EvalResult:
    from huggingface_hub import EvalResult

    figure = report.metrics[name].to_dict()
    value = figure.pop("value")
    kind, dataset, split = "ham10000", report.dataset, report.split
    if report.shift is not None and name.startswith("shift_"):
        dataset, split = report.shift.dataset, "all"
        kind = dataset.lower().replace(" ", "")
    return EvalResult(
        task_type="image-classification",
        dataset_type=kind,
        dataset_name=dataset,
        dataset_split=split,
        metric_type=name,
        metric_name=report.title(name),
        metric_value=value,
        metric_args={**figure, "interval": "95 % bootstrap over lesions"},
    )


_HAM10000 = """\
The photographs are HAM10000: Tschandl, Rosendahl and Kittler, *The HAM10000 dataset, a large
collection of multi-source dermatoscopic images of common pigmented skin lesions*, Scientific Data
5:180161 (2018), doi 10.1038/sdata.2018.161, licensed CC BY-NC 4.0. These weights are made from
them and carry the same licence: credit the authors, no commercial use."""

_DRAWN = """\
**The pictures are drawings made by a program**, to try the training with. These weights know
nothing of skin."""

_CARD = """
# dermsim

{disclaimer}

## What it is

One encoder for dermatoscopic photographs, trained so that lesions of the same diagnosis come to
lie close together. A photograph becomes an embedding of length 1; from it come a diagnosis among
seven, a map of where the encoder looked, the most similar past cases, and new classes learnt from
a few pictures. This folder holds the weights and all that makes them safe to use: calibration,
prediction sets, a detector of unfamiliar images, and the gallery of training cases (embeddings and
facts, no photographs).

{diagnoses}

## How to use

With the `dermsim` package, from a local copy of this folder:

```python
from dermsim import DermSim

engine = DermSim.from_pretrained("path/to/this/folder")
prediction = engine.predict(["photo.jpg"])[0]
print(prediction.label_name, prediction.prediction_set, prediction.is_outlier)
for case in engine.search(["photo.jpg"], k=5)[0]:
    print(case.image_id, case.dx, round(case.similarity, 3))
```

With 🤗 transformers alone, running the model code in this folder:

```python
from PIL import Image
from transformers import AutoImageProcessor, AutoModel

folder = "path/to/this/folder"
processor = AutoImageProcessor.from_pretrained(folder, trust_remote_code=True)
model = AutoModel.from_pretrained(folder, trust_remote_code=True)
pixels = processor(Image.open("photo.jpg").convert("RGB"), return_tensors="pt").pixel_values
print(model(pixels).embeddings.shape)
```

## Intended use

Research and teaching: how embeddings of skin lesions behave, how calibration and retrieval can be
measured, how explanations look. It is **not a medical device**. Do not use it to diagnose, to
triage, to reassure anyone, or to put off seeing a doctor.

## Training

{training}

{origin} Splits keep all photographs
of a lesion together; temperature, thresholds and operating points were fitted on validation.

## Results

{results}
Probabilities are calibrated. Coverage is given for each diagnosis, since a set that covers most
images may still miss one disease. Retrieval leaves out cases of the query's own lesion.

## Limits

- It knows seven diagnoses and gives one of them to any picture. Heed `is_outlier` first.
- The photographs come from clinics in Austria and Australia and show mostly light skin; on darker
  skin the figures above promise nothing.
- All are dermatoscopic. A telephone's snapshot of skin is another kind of image.
- Where other clinics and devices differ from these, expect it to do worse.
- Rare diagnoses rest on few lesions: read their intervals, not their values.
- A heatmap shows what moved the answer, not where the disease is.
"""
