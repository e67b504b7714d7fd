"""What was measured, in the forms in which it is read: JSON and tables.

`dermsim.evaluation.evaluate` fills a `Report`; `dermsim.evaluation.card` makes the model's card of
it. Figures are kept to four decimals, so that a rerun can be compared to the last digit, and no
figure in the README or on the card is written by hand.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from dermsim.core.bootstrap import Interval
from dermsim.core.labels import LABELS, MALIGNANT
from dermsim.core.markdown import markdown_table
from dermsim.core.refused import Phrase, Refused
from dermsim.core.storage import check_keys, load_json, save_json
from dermsim.evaluation.explanations.explanation_report import ExplanationReport
from dermsim.evaluation.explanations.explanation_tables import explanation_digest, explanation_lines
from dermsim.tasks.classify import ThresholdFigures, read_figures

DECISION_RULE = "argmax"
"""How a label is chosen: the most probable of the seven diagnoses, with nothing added by class."""

FACTS = {"sex": "sex", "age": "age in years", "localization": "site"}
"""What photographs are grouped by, and what that is called in a table."""

SUBGROUP_FIGURES = {
    "malignancy_auc": "AUC, malignant against benign",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "balanced_accuracy": "balanced accuracy",
}
"""Figures of a subgroup in the order of their columns, and what those are called."""

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
class Subgroup:
    """What a model achieved on the photographs that share one fact.

    Attributes:
        fact: ``"sex"``, ``"age"`` or ``"localization"``.
        name: The group, such as ``"female"``, ``"45 to 59"`` or ``"not known"``.
        n_images: Number of images.
        n_lesions: Number of lesions.
        class_counts: Images of each diagnosis code.
        diagnoses: Codes that the balanced accuracy is a mean over.
        metrics: Figures by name, as `dermsim.evaluation.subgroups.evaluate_subgroups` gives them;
            those that would rest on too few lesions are left out.
    """

    fact: str
    name: str
    n_images: int
    n_lesions: int
    class_counts: dict[str, int]
    diagnoses: tuple[str, ...]
    metrics: dict[str, Interval]

    def __post_init__(self) -> None:
        """Refuse what no evaluation writes, as a damaged file may hold."""
        if self.fact not in FACTS:
            raise Refused("evaluation_report.subgroup_fact", fact=self.fact, facts=[*FACTS])
        check_keys(self.class_counts, {d.code for d in LABELS}, name="subgroup class_counts")

    @property
    def n_malignant(self) -> int:
        """Images of a malignant diagnosis."""
        return sum(self.class_counts[code] for code in MALIGNANT)

    def to_dict(self) -> dict[str, object]:
        """Return the fields as plain Python values, figures rounded to 4 decimals."""
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        plain["diagnoses"] = list(self.diagnoses)
        plain["metrics"] = {name: m.to_dict() for name, m in self.metrics.items()}
        return plain

    @classmethod
    def from_dict(cls, values: object) -> Subgroup:
        """Return what `to_dict` was made of.

        Raises:
            ValueError: If `values` is something else.
        """
        given = check_keys(
            values, {field.name for field in fields(cls)}, name=Phrase("evaluation_report.subgroup")
        )
        diagnoses = given["diagnoses"]
        if not isinstance(diagnoses, list):
            raise Refused("evaluation_report.subgroup_diagnoses", diagnoses=diagnoses)
        metrics = _intervals(given["metrics"], name=Phrase("evaluation_report.subgroup_metrics"))
        return cls(**{**given, "diagnoses": tuple(diagnoses), "metrics": metrics})  # type: ignore[arg-type]


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
        subgroups: The same figures within each sex, age band and site; none where no fact of
            the patients is known.
        explanations: What was measured of heatmaps, or None when nothing was.
        thresholds: What each malignancy threshold reached, on these images and on the data of
            another origin.
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
    subgroups: tuple[Subgroup, ...] = ()
    explanations: ExplanationReport | None = None
    thresholds: tuple[ThresholdFigures, ...] = ()

    @property
    def missing_classes(self) -> tuple[str, ...]:
        """Diagnosis codes the test set has no image of."""
        return tuple(code for code, count in self.class_counts.items() if count == 0)

    def to_dict(self) -> dict[str, object]:
        """Return the fields as plain Python values, figures rounded to 4 decimals."""
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        plain["metrics"] = {name: m.to_dict() for name, m in self.metrics.items()}
        plain["shift"] = asdict(self.shift) if self.shift else None
        plain["subgroups"] = [group.to_dict() for group in self.subgroups] or None
        plain["explanations"] = self.explanations.to_dict() if self.explanations else None
        plain["thresholds"] = [found.to_dict() for found in self.thresholds] or None
        return {name: value for name, value in plain.items() if value is not None}

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
        optional = {"shift", "subgroups", "explanations", "thresholds"}
        names = {field.name for field in fields(cls)}
        values = load_json(path, keys=names - optional, optional=optional)
        values["metrics"] = _intervals(
            values["metrics"], name=Phrase("evaluation_report.report_metrics", name=Path(path).name)
        )
        if "shift" in values:
            names = {field.name for field in fields(Shift)}
            shift = check_keys(values["shift"], names, name="shift")
            values["shift"] = Shift(**shift)  # type: ignore[arg-type]
        groups = values.get("subgroups", [])
        if not isinstance(groups, list):
            raise Refused("evaluation_report.subgroups", groups=groups)
        values["subgroups"] = tuple(Subgroup.from_dict(group) for group in groups)
        values["thresholds"] = read_figures(values, fingerprint=str(values["fingerprint"]))
        if "explanations" in values:
            values["explanations"] = ExplanationReport.from_dict(values["explanations"])
        return cls(**values)  # type: ignore[arg-type]

    def markdown(self) -> str:
        """Return a paragraph saying what was measured, and the tables of figures."""
        lines = [*self._headline(), *self._robustness(), *self._subgroup_tables()]
        if self.explanations is not None:
            lines += ["", *explanation_lines(self.explanations, split=self.split)]
        return "\n".join(lines) + "\n"

    def digest(self) -> str:
        """Return what to read first: the paragraph, one table, and explanations in another."""
        lines = self._headline()
        if self.explanations is not None:
            lines += ["", *explanation_digest(self.explanations)]
        return "\n".join(lines) + "\n"

    def _headline(self) -> list[str]:
        """Return the lines of the paragraph and of the table of main figures."""
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
        rows = []
        for name in self.main_metrics:
            # as kept in the file, so that a loaded report prints the same table
            value, low, high, n = self.metrics[name].to_dict().values()
            rows.append([self.title(name), f"{value:.3f}", f"{low:.3f} to {high:.3f}", f"{n:,}"])
        return [*lines, "", *markdown_table(["figure", "value", "95 % interval", "n"], rows)]

    @property
    def main_metrics(self) -> tuple[str, ...]:
        """Names of the figures that are not of one corruption at one strength."""
        return tuple(name for name in self.metrics if not _CELL.fullmatch(name))

    def _robustness(self) -> list[str]:
        """Return the lines of the table of corruptions, a row for each; none when there is none."""
        cells: dict[str, dict[int, str]] = {}
        for name, figure in self.metrics.items():
            if found := _CELL.fullmatch(name):
                cells.setdefault(found["kind"], {})[int(found["strength"])] = f"{figure}"
        if not cells:
            return []
        strengths = sorted({strength for row in cells.values() for strength in row})
        header = ["corruption", *(f"strength {strength}" for strength in strengths)]
        return [
            "",
            f"**Robustness.** Balanced accuracy ({self.decision_rule}) on the same images, each "
            "corrupted; strength 1 is mild, 2 clear, 3 strong.",
            "",
            *markdown_table(
                header,
                [
                    [_words(kind), *(row.get(strength, "") for strength in strengths)]
                    for kind, row in cells.items()
                ],
            ),
        ]

    def _subgroup_tables(self) -> list[str]:
        """Return the lines of one table for each fact, a row for each group."""
        if not self.subgroups:
            return []
        lines = [
            "",
            "**For whom.** The same images by what is known of the patient. Sensitivity and "
            "specificity are for malignancy at the point `balanced`. Balanced accuracy is the mean "
            f"recall ({self.decision_rule}) over the diagnoses counted beside it. A dash stands "
            "where too few lesions are left to say.",
        ]
        for fact, words in FACTS.items():
            groups = [group for group in self.subgroups if group.fact == fact]
            if groups:
                header = [words, "images", "lesions", "malignant", *SUBGROUP_FIGURES.values()]
                lines += ["", *markdown_table(header, map(_subgroup_row, groups))]
        return lines

    def title(self, name: str) -> str:
        """Return the title of the figure `name`.

        Raises:
            ValueError: If there is no such figure.
        """
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
        raise Refused("evaluation_report.no_figure", name=name)


def _intervals(values: object, *, name: Phrase) -> dict[str, Interval]:
    """Read figures by name, or refuse them."""
    if not isinstance(values, dict):
        raise Refused("evaluation_report.not_an_object", name=name)
    keys = {field.name for field in fields(Interval)}
    found = {}
    for figure, value in values.items():
        known = check_keys(value, keys, name=Phrase("evaluation_report.metric", name=figure))
        found[figure] = Interval(**known)  # type: ignore[arg-type]
    return found


def _subgroup_row(group: Subgroup) -> list[str]:
    counts = (group.n_images, group.n_lesions, group.n_malignant)
    cells = [group.name, *(f"{count:,}" for count in counts)]
    for figure in SUBGROUP_FIGURES:
        if figure not in group.metrics:
            cells.append("–")
            continue
        over = [f"{len(group.diagnoses)} dx"] if figure == "balanced_accuracy" else []
        cells.append(group.metrics[figure].words(*over))
    return cells


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
