"""What a DermSim encoder is made of. Ships beside the weights, so it imports nothing of dermsim."""

from __future__ import annotations

import math
from typing import Any

from transformers import PreTrainedConfig

DIAGNOSIS_CODES = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
"""The seven HAM10000 diagnoses in label order; the same as `dermsim.core.labels.CODES`."""

FACTS_COLUMNS = (
    *("age:0", "age:15", "age:30", "age:45", "age:60", "age:75", "age:90"),
    *("sex:female", "sex:male"),
    *("localization:abdomen", "localization:acral", "localization:back", "localization:chest"),
    *("localization:ear", "localization:face", "localization:foot", "localization:genital"),
    *("localization:hand", "localization:lower extremity", "localization:neck"),
    *("localization:scalp", "localization:trunk", "localization:upper extremity"),
)
"""What the numbers about a patient mean; the same as `dermsim.data.facts.FACTS_COLUMNS`. A column
of sex or localization is 1 where the fact is the one named. A column of age is 1 at that age, in
years, and falls in straight lines to 0 at the ages of its neighbours. Not known is 0 throughout."""

BACKBONE_OPTIONS = frozenset(
    (
        *("img_size", "dynamic_img_size", "patch_size", "window_size", "output_stride"),
        *("embed_dim", "depth", "depths", "num_heads", "mlp_ratio", "growth_rate"),
        *("block_config", "layers", "channels", "global_pool", "class_token", "reg_tokens"),
        *("drop_rate", "drop_path_rate", "attn_drop_rate", "proj_drop_rate"),
        *("act_layer", "init_values", "use_abs_pos_emb", "use_rel_pos_bias"),
    )
)
"""Arguments of `timm.create_model` that a configuration may name: those that make a network. Others
would fetch weights, open files or ask the Hub, and a configuration may be a stranger's."""

ACTIVATIONS = ("gelu", "gelu_tanh", "quick_gelu")
"""What `act_layer` among the options may be. No two of them give the same embeddings."""

LARGEST = 65_536
"""A whole number of a configuration is at most so large: no encoder's is larger, and what is made
of it is made before the weights are looked at."""

PIPELINES = {
    task: {"impl": f"pipelines_dermsim.{name}", "pt": [auto_class]}
    for task, name, auto_class in (
        (
            "image-classification",
            "DermSimImageClassificationPipeline",
            "AutoModelForImageClassification",
        ),
        ("image-feature-extraction", "DermSimImageFeatureExtractionPipeline", "AutoModel"),
    )
}
"""What `transformers.pipeline` runs for each task, and the class that it loads the model by."""


class RemoteConfig(PreTrainedConfig):
    """What the configurations of an encoder and of an ensemble have in common.

    Attributes:
        calibration_temperature: Divisor of the logits that makes calibrated probabilities of them
            by a softmax; None for an encoder that was not calibrated. `DermSimModel` leaves its
            logits raw, and `DermSimForImageClassification` divides them.
        calibration_temperature_facts: The same for logits that facts about the patient added to.
    """

    calibration_temperature: float | None = None
    calibration_temperature_facts: float | None = None

    @property
    def custom_pipelines(self) -> dict[str, dict[str, Any]]:
        """The pipelines of this folder; made anew, since transformers writes in what it gets."""
        return {task: dict(pipeline) for task, pipeline in PIPELINES.items()}

    def check_temperatures(self) -> None:
        """Refuse temperatures that no fit can give.

        Raises:
            ValueError: If one is not a positive number.
        """
        for name in ("calibration_temperature", "calibration_temperature_facts"):
            value = getattr(self, name)
            if value is not None and (type(value) not in (int, float) or not 0 < value < math.inf):
                raise ValueError(f"{name} is {value!r}, but must be a positive number.")


class DermSimConfig(RemoteConfig):
    """Configuration of a `DermSimModel`.

    Attributes:
        backbone: Name of any timm model that has a feature map.
        backbone_kwargs: Further arguments of `timm.create_model`, of `BACKBONE_OPTIONS`, or None.
        embed_dim: D, the dimension of the embedding.
        drop_rate: Dropout before the classifier, in [0, 1).
        image_size: Side in pixels of the square images the encoder is meant to see.
        facts_dim: How many numbers about the patient the classifier takes beside the image; 0 for
            none.
        facts_columns: What each of them means, as in `FACTS_COLUMNS`, which they are unless told
            otherwise; None when there are none. It is saved, so that a model goes on being read
            as it was trained.
        malignancy_head: Whether a second classifier, benign or malignant, is trained beside the
            first.

    Examples:
        >>> from dermsim import DermSimConfig
        >>> config = DermSimConfig(backbone="test_resnet", embed_dim=16, image_size=64)
        >>> config.num_labels, config.id2label[4]
        (7, 'mel')
    """

    model_type = "dermsim"

    backbone: str = "resnet18"
    backbone_kwargs: dict[str, Any] | None = None
    embed_dim: int = 128
    drop_rate: float = 0.0
    image_size: int = 112
    facts_dim: int = 0
    facts_columns: list[str] | None = None
    malignancy_head: bool = False

    def __post_init__(self, **kwargs: Any) -> None:
        """Fill in the seven diagnoses, and refuse values no encoder can have."""
        if not {"id2label", "num_labels"} & kwargs.keys() and self.id2label is None:
            self.id2label = dict(enumerate(DIAGNOSIS_CODES))
            self.label2id = {code: index for index, code in enumerate(DIAGNOSIS_CODES)}
        super().__post_init__(**kwargs)
        self.check_temperatures()
        if self.embed_dim < 1 or self.image_size < 1:
            raise ValueError(
                f"embed_dim ({self.embed_dim}) and image_size ({self.image_size}) must be positive."
            )
        check_backbone_options(self.backbone_kwargs)
        if max(self.embed_dim, self.image_size, self.facts_dim, len(self.id2label or ())) > LARGEST:
            raise ValueError(
                f"embed_dim, image_size, facts_dim and the number of classes are at most {LARGEST}."
            )
        if not 0.0 <= self.drop_rate < 1.0:
            raise ValueError(f"drop_rate is {self.drop_rate}, but must be in [0, 1).")
        if self.facts_columns is None and self.facts_dim == len(FACTS_COLUMNS):
            self.facts_columns = list(FACTS_COLUMNS)
        if self.facts_dim != len(self.facts_columns or ()):
            raise ValueError(
                f"facts_dim is {self.facts_dim}, but must be the number of facts_columns: "
                f"{len(self.facts_columns or ())} are named, {len(FACTS_COLUMNS)} are the default."
            )


def check_backbone_options(options: Any) -> None:
    """Refuse arguments for a backbone that are not those of a network's shape.

    Args:
        options: Arguments by name, or None.

    Raises:
        ValueError: If one is not among `BACKBONE_OPTIONS`, or its value is no number, word or list
            of numbers, or too large.
    """
    for name, value in (options or {}).items():
        if name not in BACKBONE_OPTIONS:
            known = ", ".join(sorted(BACKBONE_OPTIONS))
            raise ValueError(f"backbone_kwargs names {name!r}, but may name only {known}.")
        numbers = value if isinstance(value, list | tuple) else [value]
        plain = all(type(item) in (bool, int, float) for item in numbers)
        word = type(value) is str and (
            name == "global_pool" or (name == "act_layer" and value in ACTIVATIONS)
        )
        if not (plain or word) or any(
            not isinstance(item, str) and not -LARGEST <= item <= LARGEST for item in numbers
        ):
            raise ValueError(
                f"backbone_kwargs sets {name} to {str(value)[:80]!r}, but it must be a number of "
                f"at most {LARGEST} or a list of some."
            )
