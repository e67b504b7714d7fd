"""What the REST routes answer: each field with its meaning, as the OpenAPI document shows it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from dermsim.core.labels import DISCLAIMER

Probabilities = dict[str, float]
"""By diagnosis code or class name, summing to 1."""


class _Answer(BaseModel):
    model_config = ConfigDict(protected_namespaces=())  # for fields called model_...


class Answer(_Answer):
    """What every answer about pictures has."""

    fingerprint: str = Field(
        description="Names the encoder: embeddings and banks of another cannot be compared.",
        examples=["5d0cf3a1be6d7f10"],
    )
    trained_on: Literal["photographs", "drawings"] = Field(
        description="Of drawings: the model knows nothing of skin, and that must be said."
    )
    disclaimer: str = Field(default=DISCLAIMER, description="To be shown beside any answer.")


class Share(_Answer):
    """A share with its 95 % interval."""

    value: float = Field(description="In [0, 1], like the two that follow.", examples=[0.853])
    low: float = Field(description="Lower end of the interval.", examples=[0.795])
    high: float = Field(description="Upper end of the interval.", examples=[0.911])
    n: int = Field(description="Photographs it rests on.", examples=[244])


class ReachedPoint(_Answer):
    """What a malignancy threshold reached on photographs that no threshold was fitted to."""

    origin: Literal["held_out", "elsewhere"] = Field(
        description="`held_out`: other lesions of the data the model learned from. `elsewhere`: "
        "photographs of other clinics, which tell more of yours."
    )
    dataset: str = Field(description="What these are called.", examples=["ISIC 2017"])
    threshold: float = Field(description="The measured threshold nearest to the one asked for.")
    sensitivity: Share = Field(description="Of the malignant photographs it caught.")
    specificity: Share = Field(description="Of the benign photographs it let pass.")


class FittedPoint(_Answer):
    """What a malignancy threshold did to the photographs it was fitted on: this flatters."""

    sensitivity: float = Field(description="Share of malignant validation images it catches.")
    specificity: float = Field(description="Share of benign validation images it lets pass.")


class Point(_Answer):
    """A malignancy threshold and what it reached."""

    name: str | None = Field(
        description="`balanced` or `sensitivity_95`; null for a threshold of one's own.",
        examples=["balanced"],
    )
    threshold: float = Field(description="Malignant is called what reaches it, in [0, 1].")
    reached: list[ReachedPoint] = Field(
        description="On held-out lesions and in other clinics; empty where that was not measured."
    )
    validation: FittedPoint | None = Field(
        description="On the photographs it was fitted on; null where the checkpoint cannot say."
    )


class PastCase(_Answer):
    """A past case that a picture is a copy of."""

    image_id: str = Field(description="Its photograph.")
    lesion_id: str | None = Field(description="Its lesion, left out of search and vote.")
    dx: str = Field(description="Its known diagnosis.", examples=["nv"])
    learned: bool = Field(description="Whether the model was trained on it: all else flatters.")


class ReadLabel(_Answer):
    """The label to read among all that are here."""

    label: str | None = Field(description="Null where the verdict is withheld.", examples=["mel"])
    probability: float | None = Field(description="Its probability; null likewise.")
    of: Literal["probabilities", "enrolled"] = Field(
        description="Which of the two says so: with a bank, `enrolled`."
    )


class Listed(_Answer):
    """A diagnosis, and whether the prediction set lists it."""

    code: str = Field(description="Its code.", examples=["nv"])
    probability: float = Field(description="Calibrated.", examples=[0.14])
    in_set: bool = Field(description="Whether it is in `prediction_set`.")
    limit: float | None = Field(
        description="Probability from which it is listed; each diagnosis has a limit of its own."
    )
    out_though_likelier: bool = Field(
        description="Whether it is left out though a less likely one is listed."
    )


class PictureClasses(_Answer):
    """What the classifier says of one picture."""

    answer: ReadLabel
    notice: str | None = Field(
        description="What must be read before the label: why no verdict is given, that the "
        "picture is a training photograph, that the model learned from drawings. Null when there "
        "is nothing of the kind."
    )
    verdict: Literal["malignant", "benign", "withheld"] = Field(
        description="At the operating point asked for. Withheld: show no label, or only as what "
        "the picture resembles."
    )
    withheld: list[str] = Field(
        description="Why it is withheld, by key; empty when it is not.", examples=[["unfamiliar"]]
    )
    label: int = Field(description="Index of the most probable diagnosis.", examples=[4])
    label_name: str = Field(description="Its code.", examples=["mel"])
    probabilities: Probabilities = Field(
        description="Calibrated probability of each diagnosis code.",
        examples=[{"mel": 0.61, "nv": 0.39}],
    )
    prediction_set: list[str] = Field(
        description="Codes that cannot be excluded at the calibrated coverage, likeliest first.",
        examples=[["mel", "nv"]],
    )
    prediction_sets: dict[str, list[str]] = Field(
        description="The same for each coverage the checkpoint was calibrated for; may be empty.",
        examples=[{"0.95": ["mel", "nv", "bkl"]}],
    )
    malignancy: float = Field(description="Summed probability of akiec, bcc and mel, in [0, 1].")
    is_malignant: bool = Field(
        description="Whether it reaches the operating point asked for; `verdict` says whether that "
        "may be shown."
    )
    threshold: float = Field(description="Malignancy threshold of the operating point.")
    conflict: str | None = Field(
        description="`benign_label_above_threshold` or `malignant_label_below_threshold` where the "
        "most probable diagnosis and the malignancy disagree, which must be said; else null."
    )
    operating_point: Point
    listing: list[Listed] = Field(description="Every diagnosis, most probable first.")
    set_limits: dict[str, float] = Field(
        description="Probability from which `prediction_set` lists a code."
    )
    quality: list[str] = Field(
        description="Why the picture is not one to judge, by key: `no_lesion`, `lesion_small`, "
        "`lesion_at_edge`, `too_dark`, `too_bright`, `greyscale`, `out_of_focus`, `not_dermoscopy`."
    )
    recognised: PastCase | None = Field(
        description="The past case that the picture is a copy of, which has no vote; else null."
    )
    drawn: bool = Field(description="Whether the model was trained on drawings.")
    ood_score: float = Field(description="Distance from the training data; higher is stranger.")
    ood_limit: float = Field(description="Above it a picture is an outlier.")
    is_outlier: bool = Field(description="Whether the classifier should not be relied on here.")
    entropy: float = Field(description="How undecided the probabilities are, in bits: 0 to 2.81.")
    vote: Probabilities = Field(
        description="A second opinion: probability of each diagnosis by the vote of the nearest "
        "past cases."
    )
    agrees: bool | None = Field(
        description="Whether the vote is for `label`; null where the verdict is withheld."
    )
    enrolled: Probabilities | None = Field(
        default=None,
        description="Probability of each class of the bank, old and new; null without a bank.",
    )


class PredictAnswer(Answer):
    """One result for each picture, in the order in which they were sent."""

    results: list[PictureClasses] = Field(description="What the classifier says of each.")


class EmbedAnswer(Answer):
    """One row for each picture, in the order in which they were sent."""

    space: str = Field(description="`embeddings`, or `pooled_features`.", examples=["embeddings"])
    dim: int = Field(description="Length D of a row.", examples=[128])
    embeddings: list[list[float]] = Field(
        description="(N, D); rows of `embeddings` have length 1, so that the inner product of two "
        "is their likeness."
    )


class Case(_Answer):
    """A past case."""

    image_id: str = Field(description="Its photograph, as HAM10000 names it.")
    lesion_id: str | None = Field(description="Its lesion; null when not known.")
    dx: str = Field(description="Its diagnosis code.", examples=["nv"])
    similarity: float = Field(description="Cosine similarity to the picture, in [-1, 1].")
    percentile: float | None = Field(
        description="Share of pairs of past cases with one diagnosis that are less alike, in "
        "[0, 1]; null where there are no such pairs.",
        examples=[0.93],
    )
    facts: dict[str, str | float | None] = Field(
        description="What else is known of it: dx_type (how the diagnosis was confirmed), age in "
        "years, sex, localization.",
        examples=[{"dx_type": "histo", "age": 45.0, "sex": "female", "localization": "back"}],
    )


class PictureCases(_Answer):
    """The past cases like one picture."""

    recognised: PastCase | None = Field(
        description="The past case that the picture is a copy of, left out with its lesion."
    )
    neighbors: list[Case] = Field(
        description="Most similar first; fewer than asked for when no more have all the facts."
    )
    vote: Probabilities = Field(
        description="Probability of each diagnosis by the vote of the 16 nearest cases that have "
        "all the facts; empty when none has."
    )


class SimilarAnswer(Answer):
    """One result for each picture, in the order in which they were sent."""

    results: list[PictureCases] = Field(description="The past cases like each.")


class Box(_Answer):
    """A part of a picture, in shares of its width and height from the upper left."""

    left: float = Field(description="In [0, 1], like the three that follow.", examples=[0.2])
    top: float = Field(description="Of the upper edge.", examples=[0.3])
    right: float = Field(description="Of the right edge.", examples=[0.6])
    bottom: float = Field(description="Of the lower edge.", examples=[0.7])


class Map(_Answer):
    """A heatmap over one picture, as two PNG files of equal size."""

    width: int = Field(description="Of both files, in pixels.")
    height: int = Field(description="Of both files, in pixels.")
    overlay: str = Field(description="Base64 of a PNG: the picture with the map painted over it.")
    values: str = Field(
        description="Base64 of a PNG in 16-bit grey: the map alone, 0 to 65535 for 0 to 1. Times "
        "`peak` it is the raw map."
    )
    peak: float = Field(description="Largest raw value; 0 when nothing speaks for the target.")
    strength: float = Field(
        description="How strong the evidence is beside that for the model's own answer, in [0, 1]; "
        "the overlay is drawn as faint as that."
    )
    strongest_part: Box | None = Field(
        description="Around all that reaches half the peak; null when nothing does."
    )


class Figure(_Answer):
    """A figure with its 95 % interval."""

    value: float = Field(description="The figure.", examples=[0.061])
    low: float = Field(description="Lower end of the interval.", examples=[0.032])
    high: float = Field(description="Upper end of the interval.", examples=[0.094])
    n: int = Field(description="Photographs it rests on.", examples=[126])


class MapWorth(_Answer):
    """What maps made in this way were measured to be worth, on lesions not trained on."""

    verdict: Literal["better", "partly_better", "mixed", "no_better", "worse"] | None = Field(
        description="Beside a blob in the middle of the picture, by the two gains: `better` with "
        "both intervals above 0, `partly_better` with one, `mixed` with one above and one below, "
        "`no_better` with neither, `worse` with none above and one below. Null: not measured."
    )
    not_measured: Literal["not_measured", "other_layer", "smooth", "likeness"] | None = Field(
        description="Why there are no figures; null where there are."
    )
    dataset: str | None = Field(None, description="What the photographs are called.")
    split: str | None = Field(None, description="Which part of them.")
    energy: Figure | None = Field(
        None, description="Share of a map inside the dermatologist's outline of the lesion."
    )
    energy_gain: Figure | None = Field(None, description="That, less the blob's.")
    road: Figure | None = Field(
        None,
        description="By how much more the probability falls without what a map marks most than "
        "without what it marks least.",
    )
    road_gain: Figure | None = Field(None, description="That, less the blob's.")


class ExplainAnswer(Answer):
    """Where the picture holds evidence; with `like`, a second map over the other picture."""

    target: str = Field(
        description="What was explained: a diagnosis code, `malignancy`, `similarity` or a class."
    )
    method: str = Field(description="How.", examples=["gradcam"])
    score: float | None = Field(description="The scalar explained: a logit, log-odds or a cosine.")
    worth: MapWorth = Field(description="Whether to rely on such maps; show it beside them.")
    maps: list[Map] = Field(description="One; with `like` two, of the picture and of the other.")


class BankClass(_Answer):
    """A class of a bank."""

    name: str = Field(description="What it is called.", examples=["pyogenic granuloma"])
    pictures: int = Field(description="How many it rests on.")
    enrolled: bool = Field(description="Whether it is new; old ones are those trained with.")
    head: str | None = Field(description="How it is told from the others; null for old classes.")


class OldClass(_Answer):
    """What became of an old class."""

    name: str = Field(description="Its code.", examples=["mel"])
    images: int = Field(description="Held-out images of it that were asked about.")
    before: float = Field(description="Share that is right without the new classes.")
    after: float = Field(description="Share that is right with them.")


class Enrollment(_Answer):
    """What became of the old classes, on held-out images that the bank keeps."""

    images: int = Field(description="How many.")
    balanced_accuracy_before: float = Field(description="Over old classes, without the new ones.")
    balanced_accuracy_after: float = Field(description="Over old classes, with the new ones.")
    old: list[OldClass] = Field(description="Each old class.")


class EnrollAnswer(Answer):
    """A new bank; the one that was sent is unchanged, and the server keeps neither."""

    bank: str = Field(
        description="Base64 of a .safetensors file: send it as `bank` to use or extend it. It "
        "holds names and vectors, no pictures."
    )
    classes: list[BankClass] = Field(description="All that it holds, the old ones first.")
    report: Enrollment | None = Field(description="Null when the bank keeps no held-out images.")


class Health(_Answer):
    """Whether the server can answer."""

    status: Literal["ok"] = Field(description="`ok`; anything else is a problem of status 503.")
    version: str = Field(description="Of dermsim.")


class DiagnosisInfo(_Answer):
    """One of the diagnoses."""

    code: str = Field(description="As in all answers.", examples=["mel"])
    name: str = Field(description="In words.", examples=["Melanoma"])
    malignant: bool = Field(description="Whether it counts as malignant.")


class ModelInfo(Answer):
    """What the server runs on and accepts."""

    version: str = Field(description="Of dermsim.")
    backbone: str = Field(description="As timm calls it.", examples=["resnet18"])
    embedding_dim: int = Field(description="Length of an embedding.", examples=[128])
    takes_facts: bool = Field(description="Whether age, sex and site of the patient may be sent.")
    diagnoses: list[DiagnosisInfo] = Field(description="In the order of `label`.")
    operating_points: list[Point] = Field(description="Those of `operating_point`.")
    coverages: list[str] = Field(description="Of `prediction_sets`.", examples=[["0.95"]])
    methods: list[str] = Field(description="Ways of making heatmaps with this encoder.")
    default_method: str = Field(description="The one of `default`, which did best on validation.")
    stages: list[str] = Field(description="What `layer` may name, first to last.")
    cases: int = Field(description="Past cases in the gallery.")
    limits: dict[str, int] = Field(description="Of a request: bytes, pictures, pixels.")
