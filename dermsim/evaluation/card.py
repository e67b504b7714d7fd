"""The model's card: the README.md of a checkpoint folder, for people and for the Hub.

Everything on it that is measured comes from the `Report`, everything that is fitted from the
`Calibration`. The front matter is made by huggingface_hub, whose validation it must pass.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from dermsim.core.labels import DISCLAIMER, LABELS, MALIGNANT
from dermsim.core.markdown import markdown_table
from dermsim.core.storage import pack_json
from dermsim.evaluation.concept_card import concept_section
from dermsim.tasks.classify import Calibration

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

    from dermsim.evaluation.report import Report
    from dermsim.tasks.concepts import Concepts

LICENCES = {"HAM10000": "cc-by-nc-4.0", "synthetic": "apache-2.0"}
"""Licence of what was learned from each data set, as the Hub spells it."""

HERE = "path/to/this/folder"
"""What the card's code loads as long as the folder is on no Hub."""


def licence(dataset: str) -> str:
    """Return the licence that weights learned from a data set carry, as the Hub spells it.

    Anything but a drawn data set is HAM10000 or derived from it, so that its licence holds.
    """
    return LICENCES.get(dataset, LICENCES["HAM10000"])


def measured_files(
    report: Report, *, training: Mapping[str, object], calibration: Calibration
) -> dict[str, bytes]:
    """Return what a checkpoint folder holds once it was measured: its figures and its card.

    Args:
        report: What the model achieved on the test split.
        training: As for `model_card`.
        calibration: As for `model_card`.

    Returns:
        The bytes of ``evaluation.json`` and of ``README.md``, for `DermSim.save_pretrained`.
    """
    card = model_card(report, training=training, calibration=calibration)
    return {"evaluation.json": pack_json(report.to_dict()), "README.md": card.encode("utf-8")}


def model_card(
    report: Report,
    *,
    training: Mapping[str, object],
    calibration: Calibration,
    model_id: str | None = None,
    gallery_id: str | None = None,
    concepts: Concepts | None = None,
    terms: str | None = None,
) -> str:
    """Write the card of a checkpoint folder (its README.md).

    The front matter carries the figures as a ``model-index`` that the Hub shows, each with its
    interval and n in ``metric_args``.

    Args:
        report: What the model achieved on the test split.
        training: Facts about the run, by name, listed as they are; ``"command"`` is shown as a
            code block.
        calibration: Whose temperature and thresholds make the decisions.
        model_id: Where the folder is on the Hub; None when it is on none.
        gallery_id: The data set on the Hub that holds the gallery, or None.
        concepts: What was fitted about concepts, or None.
        terms: Its licence, as the Hub spells it; by default that of the data set.

    Returns:
        Markdown with YAML front matter.
    """
    from huggingface_hub import ModelCard, ModelCardData

    drawn = report.dataset == "synthetic"
    data = ModelCardData(
        language="en",
        license=terms or licence(report.dataset),
        library_name="transformers",
        pipeline_tag="image-classification",
        tags=["dermatoscopy", "ham10000", "contrastive-learning", "image-retrieval", "custom_code"],
        datasets=[gallery_id] if gallery_id else None,
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
        name=model_id or HERE,
        gallery=_GALLERY.format(gallery_id) if gallery_id else "",
        training="\n".join(lines),
        origin=_DRAWN if drawn else _origin(training),
        decisions=_decisions(report.decision_rule, calibration),
        results=report.markdown(),
        concepts=concept_section(concepts),
        cite="" if drawn else _CITE_HAM10000,
    )
    return str(ModelCard(f"---\n{data.to_yaml()}\n---\n{body}"))


def _origin(training: Mapping[str, object]) -> str:
    """Name the photographs that were learned from, and the licence that the weights carry."""
    further = str(training.get("also learned from", ""))
    if not further:
        return _HAM10000
    named = _ISIC_2019 if "isic2019" in re.sub("[-_ ]", "", further.lower()) else _FURTHER
    return f"{_HAM10000}\n\n{named.format(further)}"


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


def _decisions(rule: str, calibration: Calibration) -> str:
    """Say how an answer is made, with every number that validation fitted."""
    fit = calibration.cross_fit
    thresholds = markdown_table(
        ["diagnosis", "probability at least", "lesions it rests on"],
        [
            [f"`{code}`", f"{1 - value:.4f}", str(fit.lesions[code]) if fit else "–"]
            for code, value in calibration.set_thresholds.items()
        ],
    )
    columns = ["malignancy at least", "sensitivity on validation", "specificity on validation"]
    points = markdown_table(
        ["operating point", *columns],
        [
            [
                f"`{name}`",
                f"{point.threshold:.4f}",
                f"{point.sensitivity:.3f}",
                f"{point.specificity:.3f}",
            ]
            for name, point in calibration.operating_points.items()
        ],
    )
    return _DECISIONS.format(
        rule=rule,
        temperature=calibration.temperature,
        malignant=", ".join(f"`{code}`" for code in MALIGNANT),
        coverage=1 - calibration.alpha,
        folds=_FOLDS.format(folds=fit.folds) if fit else "",
        thresholds="\n".join(thresholds),
        points="\n".join(points),
    )


_HAM10000 = """\
The photographs are HAM10000: Tschandl, Rosendahl and Kittler, *The HAM10000 dataset, a large
collection of multi-source dermatoscopic images of common pigmented skin lesions*, Scientific Data
5:180161 (2018), doi 10.1038/sdata.2018.161, licensed CC BY-NC 4.0. These weights are made from
them and carry the same licence: credit the authors, no commercial use."""

_ISIC_2019 = """\
Diagnoses were also learned from photographs of other clinics, `{0}`: ISIC 2019 without HAM10000,
which is BCN20000 (Combalia et al. 2019, arXiv 1908.02288) and MSK (Codella et al. 2018, arXiv
1710.05006), licensed CC BY-NC 4.0. None of them is in a split, the gallery or the calibration."""

_FURTHER = """\
Diagnoses were also learned from `{0}`, whose own licence holds beside that. None of its photographs
is in a split, the gallery or the calibration."""

_DRAWN = """\
**The pictures are drawings made by a program**, to try the training with. These weights know
nothing of skin."""

_GALLERY = """
The gallery of past cases stands on its own as the data set
[{0}](https://huggingface.co/datasets/{0}).
"""

_DECISIONS = """\
Logits are divided by the temperature {temperature:.4f}; their softmax gives the probabilities. The
label is the most probable diagnosis ({rule}), and nothing is added to any class here: what corrects
for how often each diagnosis was drawn in training (`--loss.prior-correction`), and in a mean of
several encoders for how readily each is named, is in the weights already. All numbers here were
fitted on validation, whose lesions are neither in training nor in test.{folds}

Malignancy is the summed probability of {malignant}. A lesion is called malignant when it reaches
the threshold of the operating point in use, `balanced` unless another is asked for:

{points}

The prediction set holds every diagnosis that cannot be excluded. One belongs to it when its
probability is at least that of the table, chosen so that at least {coverage:.0%} of each diagnosis
have their own in the set; the most probable one always does. Few lesions promise that only roughly.

{thresholds}"""

_FOLDS = """ Prediction
sets and operating points rest on answers about lesions that the fit had left out ({folds} folds),
and count lesions, not photographs. `sensitivity_95` is set to catch 95% of malignant photographs to
come more often than not, so that it caught more of those at hand."""

_CITE_HAM10000 = """
@article{tschandl2018ham10000,
  title = {The {HAM10000} dataset, a large collection of multi-source dermatoscopic images of
           common pigmented skin lesions},
  author = {Tschandl, Philipp and Rosendahl, Cliff and Kittler, Harald},
  journal = {Scientific Data},
  volume = {5},
  pages = {180161},
  year = {2018},
  doi = {10.1038/sdata.2018.161}
}"""

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
{gallery}
## How to use

With the `dermsim` package; `photo.jpg` is a drawing here, put your own photograph in its place:

```python
from dermsim import DermSim
from dermsim.data.synthetic import draw_lesion

draw_lesion("mel", seed=1).save("photo.jpg")

engine = DermSim.from_pretrained("{name}")
prediction = engine.predict("photo.jpg")[0]
print(prediction.label_name, prediction.prediction_set, prediction.is_outlier)
for case in engine.search("photo.jpg", k=5)[0]:
    print(case.image_id, case.dx, round(case.similarity, 3))
```

With 🤗 transformers alone, running the model code in this folder, on a path, a URL, bytes, a PIL
image, an array or a tensor:

```python
from transformers import AutoModel, pipeline

name = "{name}"
classify = pipeline("image-classification", model=name, trust_remote_code=True)
print(classify("photo.jpg", top_k=3))
extract = pipeline("image-feature-extraction", model=name, trust_remote_code=True)
print(len(extract("photo.jpg")[0]))

model = AutoModel.from_pretrained(name, trust_remote_code=True)
pixels = extract.image_processor("photo.jpg", return_tensors="pt").pixel_values
print(model(pixels, output_hidden_states=True).embeddings.shape)
```

Pixels, probabilities and embeddings are those of the `dermsim` package. Logits of `AutoModel` are
raw; `AutoModelForImageClassification` divides them by `config.calibration_temperature`, so that
their softmax is calibrated. `hidden_states` are the maps of the backbone's stages, and `attentions`
the weights of its attention layers, or None where it has none.

## Intended use

Research and teaching: how embeddings of skin lesions behave, how calibration and retrieval can be
measured, how explanations look.

**Not for** patients. It is not a medical device: do not use it to diagnose, to triage, to reassure
anyone, or to put off seeing a doctor. Not for commercial use either, where its licence forbids it.

## Training

{training}

{origin} Splits keep all photographs
of a lesion together; temperature, thresholds and operating points were fitted on validation.

## How it decides

{decisions}

## Results

{results}
Probabilities are calibrated. Coverage is given for each diagnosis, since a set that covers most
images may still miss one disease. Retrieval leaves out cases of the query's own lesion.

{concepts}## Limits

- It knows seven diagnoses and gives one of them to any picture. Heed `verdict` first:
  it is withheld for a picture that is not to be judged, and `withheld` says why.
- **Skin tone.** The photographs come from clinics in Austria and Australia and show mostly light
  skin; nobody recorded its tone. On darker skin the figures above promise nothing.
- **Device.** All are dermatoscopic. A telephone's snapshot of skin is another kind of image, and
  where other clinics, cameras and dermatoscopes differ from these, expect it to do worse.
- **Framing.** In nearly all photographs one lesion lies in the middle and fills a good part of the
  view. A lesion at the edge, cut off or one of several is outside what was measured.
- **Age.** HAM10000 gives ages in steps of five years; one photograph in fifteen is of
  a patient under 30, few are of children. Read the row of an age band, and its n, before trusting
  the figure for all.
- Rare diagnoses and small groups rest on few lesions: read their intervals, not their values.
- A heatmap shows what moved the answer, not where the disease is.

## How to cite

```bibtex
@software{{dermsim,
  title = {{dermsim: contrastive embeddings of dermatoscopic photographs}},
  author = {{{{The dermsim contributors}}}}
}}{cite}
```
"""
