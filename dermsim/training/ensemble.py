"""Several checkpoints made one: their encoders as members of an ensemble, or their weights' mean.

What surrounds an encoder is learned anew in both cases.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from dermsim.core.checkpoint import local_folder
from dermsim.core.refused import Refused
from dermsim.engine import DermSim
from dermsim.models import DermSimNetwork
from dermsim.models.encode import encode, fingerprint
from dermsim.models.encoder import join_encoders, load_encoder
from dermsim.models.preparation import ImagePreparation
from dermsim.tasks.retrieve import Gallery
from dermsim.training.stacking import fit_stack

if TYPE_CHECKING:
    from datasets import Dataset


def build_ensemble(
    folders: Sequence[str | Path],
    *,
    train: Dataset,
    validation: Dataset,
    device: str | None = None,
) -> DermSim:
    """Join checkpoints to one whose encoder is an ensemble of theirs.

    The members are taken as they are. The meta-learner is fitted to what they say of validation,
    and all that surrounds an encoder (gallery, prototypes, detector, atlas, calibration) is built
    for the ensemble as `DermSim.fit` builds it, except that the calibration sees stacked logits
    from fits that left the lesion out.

    Args:
        folders: Checkpoint folders or Hub ids of the members, at least two.
        train: Rows of the `load_ham10000` schema that the members were trained on; they become the
            gallery.
        validation: Rows of lesions that no member was trained on.
        device: Where the encoders run, such as ``"cuda"``; by default an accelerator if any.

    Raises:
        FileNotFoundError: If there is no such folder or model, or it lacks a part.
        ConnectionError: If the Hub cannot be reached and a model is not in the cache.
        ValueError: If a folder is damaged, the members do not belong together, or one of them was
            trained on validation.

    Examples:
        >>> from dermsim import build_ensemble, grouped_splits
        >>> from dermsim.data.synthetic import synthetic_ham10000
        >>> splits = grouped_splits(synthetic_ham10000(140))  # those of both runs
        >>> parts = {name: splits[name] for name in ("train", "validation")}
        >>> len(build_ensemble(["runs/first", "runs/second"], **parts).model.members)
        2
    """
    where: Any = device or ("cuda" if torch.cuda.is_available() else "cpu")
    lesions = list(validation["lesion_id"])
    loaded = _load_members(folders, lesions, same_image=True)
    members, processor = [model for model, _ in loaded], loaded[0][1]
    model = join_encoders(members).to(where).eval()
    answers = [encode(m, processor, validation["image"]).logits for m in model.members]
    stack = fit_stack(np.stack(answers), validation["dx"], lesions)
    with torch.no_grad():
        model.stack.weight.copy_(torch.from_numpy(stack.weight))
        model.stack.bias.copy_(torch.from_numpy(stack.bias))
    return DermSim.fit(
        model,
        processor,
        train=train,
        validation=validation,
        calibration_logits=stack.out_of_fold,
    )


def average_weights(
    folders: Sequence[str | Path],
    *,
    train: Dataset,
    validation: Dataset,
    test_image_size: int | None = None,
    device: str | None = None,
) -> DermSim:
    """Make one encoder whose weights are the mean of several (a uniform model soup).

    It costs no more to ask than one of them. The mean is worth something only where all are in one
    valley of the loss, as runs that began with the same weights and did not learn too fast: measure
    it. Batch statistics are averaged like weights; how readily each diagnosis is named, which the
    mean leaves to chance, is set right on validation (`fit_class_bias`). Source: Wortsman et al.
    2022, https://arxiv.org/abs/2203.05482.

    Args:
        folders: Checkpoint folders or Hub ids of encoders alike but for their weights, at least
            two. The result sees pictures as the first of them does, but for their size.
        train: As for `build_ensemble`, as are the others.
        validation: Rows of lesions that none of them was trained on.
        test_image_size: Side in pixels of the square that it is shown; None for that of the first.
        device: Where the encoder runs.

    Raises:
        FileNotFoundError: If there is no such folder or model, or it lacks a part.
        ConnectionError: If the Hub cannot be reached and a model is not in the cache.
        ValueError: If a folder is damaged, the encoders are not alike, one of them was trained on
            validation, or the size is not positive.
    """
    where: Any = device or ("cuda" if torch.cuda.is_available() else "cpu")
    loaded = _load_members(folders, list(validation["lesion_id"]))
    states = [model.state_dict() for model, _ in loaded]
    shapes = [{name: tensor.shape for name, tensor in state.items()} for state in states]
    for name, own in zip(folders, shapes, strict=True):
        if own != shapes[0]:
            raise Refused("ensemble.other_layers", name=name, folders=folders[0])
    model, processor = loaded[0]
    mean = {
        name: torch.stack([state[name].double() for state in states]).mean(dim=0).to(tensor.dtype)
        for name, tensor in states[0].items()
    }
    model.load_state_dict(mean)
    if test_image_size is not None:
        processor = processor.at(test_image_size)
    model = model.to(where)
    return DermSim.fit(model, processor, train=train, validation=validation, fit_bias=True)


def training_record(
    engine: DermSim, folders: Sequence[str | Path], *, command: str = "ensemble"
) -> dict[str, Any]:
    """Say how several were made one, for the card.

    Args:
        engine: What `build_ensemble` or `average_weights` made.
        folders: The members it was made of.
        command: That of `dermsim` which does so.

    Returns:
        The facts for `DermSim.save_pretrained`: of each member its backbone and the command that
        trained it, where its folder tells; the minutes and hardware of all, where all tell;
        what each began with, and the further sources that any of them learned from.
    """
    records = [_read_record(local_folder(name)) for name in folders]
    places = " ".join(f"<member {i}>" for i in range(1, len(records) + 1))
    facts: dict[str, Any] = {
        "command": f"dermsim {command} {places} --data <source> --output <folder>",
        "parameters": sum(p.numel() for p in engine.model.parameters()),
    }
    if all("minutes" in record for record in records):
        facts["minutes"] = sum(record["minutes"] for record in records)
    if all("hardware" in record for record in records):
        facts["hardware"] = ", ".join(sorted({record["hardware"] for record in records}))
    backbones = engine.model.config.backbone.split(" + ")
    if len(backbones) == 1:
        backbones *= len(records)
    for i, (backbone, record) in enumerate(zip(backbones, records, strict=True), start=1):
        command = f", by `{record['command']}`" if "command" in record else ""
        begun = f", begun with {record['started from']}" if "started from" in record else ""
        facts[f"member {i}"] = f"{backbone}{command}{begun}"
    further = {record["also learned from"] for record in records if "also learned from" in record}
    if further:
        facts["also learned from"] = ", ".join(sorted(further))
    return facts


def _load_members(
    folders: Sequence[str | Path], validation_lesions: Sequence[str], *, same_image: bool = False
) -> list[tuple[DermSimNetwork, ImagePreparation]]:
    """Return each member's encoder and image processor."""
    if len(folders) < 2:
        raise Refused("ensemble.too_few", count=len(folders))
    members: list[tuple[DermSimNetwork, ImagePreparation]] = []
    names: dict[str, str | Path] = {}
    for name in folders:
        folder = local_folder(name)
        model, processor = load_encoder(folder)
        if len(model.members) > 1:
            raise Refused("ensemble.nested", name=name)
        mark = fingerprint(model, processor)
        if mark in names:
            raise Refused("ensemble.twice", names=names[mark], name=name)
        names[mark] = name
        members.append((model.members[0], processor))
        if same_image and processor != members[0][1]:
            raise Refused("ensemble.other_size", name=name, folders=folders[0])
        _check_unseen(name, Gallery.load(folder / "gallery", fingerprint=mark), validation_lesions)
    return members


def _check_unseen(name: str | Path, gallery: Gallery, lesions: Sequence[str]) -> None:
    # The gallery is made of the training split. Of lesions that a member has learned by heart it is
    # right for the wrong reason, and the meta-learner would trust it above all others.
    learned = {str(record["lesion_id"]) for record in gallery.records}
    if shared := sorted(learned.intersection(lesions)):
        raise Refused("ensemble.leak", name=name, count=len(shared), shared=shared[0])


def _read_record(folder: Path) -> dict[str, Any]:
    path = folder / "training.json"
    if not path.is_file():
        return {}
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise Refused("ensemble.not_json", path=path, error=error) from error
    return record if isinstance(record, dict) else {}
