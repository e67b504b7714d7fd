"""What an ensemble is made of. Ships beside the weights, so it imports only its sibling."""

from __future__ import annotations

import dataclasses
from typing import Any

from .configuration_dermsim import DIAGNOSIS_CODES, DermSimConfig, RemoteConfig

MOST_MEMBERS = 64
"""More are not made: a configuration may be a stranger's, and each takes memory."""


class DermSimEnsembleConfig(RemoteConfig):
    """Configuration of a `DermSimEnsembleModel`.

    Attributes:
        members: The fields of each member's `DermSimConfig`, as a dict. They may have any backbone
            and embedding, but see the same square of pixels and tell the same classes apart.
        image_size: Side in pixels of that square; the members' own when left out.

    Examples:
        >>> from dermsim import DermSimEnsembleConfig
        >>> members = [{"backbone": "test_resnet"}, {"backbone": "test_efficientnet"}]
        >>> DermSimEnsembleConfig(members=members).backbone
        'test_resnet + test_efficientnet'
    """

    model_type = "dermsim_ensemble"

    members: list[dict[str, Any]] | None = None
    image_size: int | None = None

    # An ensemble takes the image alone. Without annotations: not saved, and not to be set.
    facts_dim = 0
    facts_columns = None

    def __post_init__(self, **kwargs: Any) -> None:
        """Fill in the seven diagnoses, and refuse members that do not belong together."""
        if not {"id2label", "num_labels"} & kwargs.keys() and self.id2label is None:
            self.id2label = dict(enumerate(DIAGNOSIS_CODES))
            self.label2id = {code: index for index, code in enumerate(DIAGNOSIS_CODES)}
        super().__post_init__(**kwargs)
        self.check_temperatures()
        members = self.members
        if not isinstance(members, list) or not all(isinstance(values, dict) for values in members):
            raise ValueError(
                f"members is {members!r}, but must be a list of at least 2 configurations."
            )
        if len(members) < 2:
            raise ValueError(f"An ensemble has at least 2 members, got {len(members)}.")
        if len(members) > MOST_MEMBERS:
            raise ValueError(f"An ensemble has at most {MOST_MEMBERS} members, got {len(members)}.")
        configs = [self._member(values) for values in members]
        if any(config.id2label != self.id2label for config in configs):
            raise ValueError("The members of an ensemble must tell the same classes apart.")
        if any(config.facts_dim for config in configs):
            raise ValueError(
                "An ensemble takes the image alone, so none of its members may take facts about "
                "the patient."
            )
        sizes = sorted({config.image_size for config in configs})
        if len(sizes) > 1 or self.image_size not in (None, *sizes):
            raise ValueError(
                "The members of an ensemble see the same image, but theirs are "
                f"{', '.join(map(str, sizes))} pixels wide"
                f"{f' and its own {self.image_size}' if self.image_size else ''}."
            )
        self.image_size = sizes[0]
        # What a member shares with the others, or what saving it left behind, is not kept twice.
        names = _own_fields()
        self.members = [{name: getattr(config, name) for name in names} for config in configs]

    def _member(self, values: dict[str, Any]) -> DermSimConfig:
        labels = {"id2label": self.id2label, "label2id": self.label2id}
        known = {*_own_fields(), *labels}
        return DermSimConfig(**{**labels, **{k: v for k, v in values.items() if k in known}})

    @property
    def backbone(self) -> str:
        """The members' backbones, such as ``"resnet18 + densenet121"``."""
        return " + ".join(values["backbone"] for values in self.members or ())

    def member_configs(self) -> list[DermSimConfig]:
        """Return the configuration of each member.

        Examples:
            >>> from dermsim import DermSimEnsembleConfig
            >>> config = DermSimEnsembleConfig(members=[{"backbone": "test_resnet"}] * 2)
            >>> [member.embed_dim for member in config.member_configs()]
            [128, 128]
        """
        return [self._member(values) for values in self.members or ()]


def _own_fields() -> list[str]:
    """Names of what `DermSimConfig` has beside what the whole ensemble has, too."""
    inherited = {field.name for field in dataclasses.fields(RemoteConfig)}
    return [f.name for f in dataclasses.fields(DermSimConfig) if f.name not in inherited]
