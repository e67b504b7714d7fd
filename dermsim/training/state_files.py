"""The files of one training state: safetensors and JSON, nothing that a reader would run.

Weights, their running mean and the optimizer's moments are tensors; schedule, progress and the
scaling of half precision are a few numbers; each process has generators of its own. What lies
among them and is none of these is refused: a state that somebody else may have touched is data.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from dermsim.core.atomic import sync
from dermsim.core.refused import Phrase, Refused
from dermsim.core.storage import check_keys, existing, load_json, save_json

if TYPE_CHECKING:
    from torch import nn

MODEL, AVERAGE, OPTIMIZER = "model.safetensors", "average.safetensors", "optimizer.safetensors"
COURSE, GENERATORS = "course.json", "generators-{}.json"

OWN = re.compile(r"(model|average|optimizer)\.safetensors|course\.json|generators-\d+\.json")
"""Names of a state's files."""

SCHEDULE = {"base_lrs", "last_epoch", "_step_count", "_last_lr"}
"""What is kept of a learning-rate schedule; its shape comes from the configuration."""


@dataclass
class Progress:
    """How far a run is.

    Attributes:
        epoch: Epochs finished.
        step: Updates of the weights made.
        seconds: Time spent, over all the parts of an interrupted run.
    """

    epoch: int = 0
    step: int = 0
    seconds: float = 0.0

    def take(self, values: object) -> None:
        """Go on from what was kept.

        Raises:
            ValueError: If they are no numbers of a run.
        """
        known = check_keys(values, set(asdict(self)), name=Phrase("state_files.progress_of_run"))
        if not all(type(known[name]) is int and known[name] >= 0 for name in ("epoch", "step")):  # type: ignore[operator]
            raise Refused("state_files.progress", known=known)
        if type(known["seconds"]) not in (int, float):
            raise Refused("state_files.progress", known=known)
        vars(self).update(known)


@dataclass(frozen=True)
class Learning:
    """Everything that a run has learned so far, and goes on from.

    Attributes:
        model: What is trained, without a wrapper.
        average: The running mean of its weights.
        optimizer: What moves the weights.
        scheduler: What sets the learning rate.
        progress: How far the run is.
        device: Where it runs.
        scaler: Scales the loss of half precision; None for others.
    """

    model: nn.Module
    average: nn.Module
    optimizer: torch.optim.Optimizer
    scheduler: torch.optim.lr_scheduler.LRScheduler
    progress: Progress
    device: torch.device
    scaler: torch.amp.GradScaler | None = None

    def save(self, folder: Path) -> None:
        """Write what all processes share; one of them calls it."""
        _save_tensors(folder / MODEL, self.model.state_dict())
        _save_tensors(folder / AVERAGE, self.average.state_dict())
        moments, groups = _optimizer_parts(self.optimizer)
        _save_tensors(folder / OPTIMIZER, moments)
        schedule = self.scheduler.state_dict()
        save_json(
            folder / COURSE,
            {
                "progress": asdict(self.progress),
                "schedule": {name: schedule[name] for name in sorted(SCHEDULE)},
                "groups": groups,
                "scaler": self.scaler.state_dict() if self.scaler is not None else {},
            },
        )

    def load(self, folder: Path) -> None:
        """Read what `save` wrote; every process calls it.

        Raises:
            FileNotFoundError: If a file is missing.
            ValueError: If a file is damaged or of another run, or the folder holds any other.
        """
        refuse_strange_files(folder)
        course = load_json(folder / COURSE, keys={"progress", "schedule", "groups", "scaler"})
        schedule = check_keys(
            course["schedule"], SCHEDULE, name=Phrase("state_files.schedule", file=COURSE)
        )
        try:
            self.model.load_state_dict(_load_tensors(folder / MODEL))
            self.average.load_state_dict(_load_tensors(folder / AVERAGE))
            _restore_optimizer(self.optimizer, _load_tensors(folder / OPTIMIZER), course["groups"])
            number = len(self.optimizer.param_groups)
            self.scheduler.load_state_dict({**schedule, "lr_lambdas": [None] * number})
            if self.scaler is not None and course["scaler"]:
                known = set(self.scaler.state_dict())
                self.scaler.load_state_dict(
                    check_keys(
                        course["scaler"], known, name=Phrase("state_files.scaler", file=COURSE)
                    )
                )
        except (RuntimeError, KeyError, TypeError, AttributeError) as error:
            reason = str(error).strip().splitlines()[0].rstrip(".:")
            raise Refused("state_files.other_state", folder=folder, reason=reason) from error
        self.progress.take(course["progress"])

    def save_generators(self, folder: Path, process: int) -> None:
        """Write where the random numbers of one process are; each calls it for itself."""
        version, numbers, gauss = random.getstate()
        numpy: Any = np.random.get_state(legacy=False)
        states = {
            "python": {"version": version, "numbers": list(numbers), "gauss": gauss},
            "numpy": {
                "key": numpy["state"]["key"].tolist(),
                "pos": int(numpy["state"]["pos"]),
                "has_gauss": int(numpy["has_gauss"]),
                "gauss": float(numpy["gauss"]),
            },
            "torch": torch.get_rng_state().tolist(),
            "device": self._device_generator(),
        }
        save_json(folder / GENERATORS.format(process), states)

    def load_generators(self, folder: Path, process: int) -> None:
        """Go on with the random numbers of one process, if it took part when they were kept.

        Raises:
            ValueError: If the file is damaged.
        """
        path = folder / GENERATORS.format(process)
        if not path.exists():
            return
        states: dict[str, Any] = load_json(path, keys={"python", "numpy", "torch", "device"})
        try:
            own, other = states["python"], states["numpy"]
            random.setstate((own["version"], tuple(own["numbers"]), own["gauss"]))
            np.random.set_state(
                {
                    "bit_generator": "MT19937",
                    "state": {"key": np.array(other["key"], np.uint32), "pos": other["pos"]},
                    "has_gauss": other["has_gauss"],
                    "gauss": other["gauss"],
                }
            )
            torch.set_rng_state(torch.tensor(states["torch"], dtype=torch.uint8))
            if states["device"] is not None and self.device.type != "cpu":
                numbers = torch.tensor(states["device"], dtype=torch.uint8)
                torch.get_device_module(self.device).set_rng_state(numbers)
        except (KeyError, TypeError, ValueError, OverflowError, RuntimeError) as error:
            raise Refused("state_files.damaged", name=path.name, error=error) from error

    def _device_generator(self) -> list[int] | None:
        if self.device.type == "cpu":
            return None
        found: list[int] = torch.get_device_module(self.device).get_rng_state().cpu().tolist()
        return found


def refuse_strange_files(folder: Path) -> None:
    """Refuse a state with anything in it that no run writes, such as a pickle.

    Raises:
        ValueError: If there is such a file; none is opened.
    """
    for path in sorted(folder.iterdir()):
        if not OWN.fullmatch(path.name) or path.is_symlink() or not path.is_file():
            raise Refused("state_files.foreign", folder=folder, name=path.name)


def _save_tensors(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    from safetensors.torch import save_file

    plain = {name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()}
    save_file({name: tensor.clone() for name, tensor in plain.items()}, path)
    sync(path)


def _load_tensors(path: Path) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(existing(path))
    except SafetensorError as error:
        raise Refused("storage.not_safetensors", name=path.name, error=error) from error


def _optimizer_parts(
    optimizer: torch.optim.Optimizer,
) -> tuple[dict[str, torch.Tensor], list[dict[str, Any]]]:
    """Part an optimizer's state into tensors, named ``number.what``, and plain groups."""
    state = optimizer.state_dict()
    moments = {
        f"{number}.{name}": torch.as_tensor(value)
        for number, values in state["state"].items()
        for name, value in values.items()
    }
    return moments, state["param_groups"]


def _restore_optimizer(
    optimizer: torch.optim.Optimizer, moments: Mapping[str, torch.Tensor], groups: Any
) -> None:
    """Give an optimizer its state back.

    Raises:
        ValueError: If it is that of other weights.
    """
    own = optimizer.state_dict()["param_groups"]
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    if not isinstance(groups, list) or len(groups) != len(own):
        raise Refused("state_files.groups", course=COURSE)
    for kept, group in zip(groups, own, strict=True):
        check_keys(kept, set(group), name=Phrase("state_files.group", file=COURSE))
        if kept["params"] != group["params"]:
            raise Refused("state_files.groups", course=COURSE)
        for name, value in group.items():  # JSON has no tuples
            if isinstance(value, tuple):
                kept[name] = tuple(kept[name])
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in moments.items():
        number, _, what = name.partition(".")
        if not number.isdecimal() or int(number) >= len(weights):
            raise Refused("state_files.no_weight", optimizer=OPTIMIZER, name=name)
        weight = weights[int(number)]
        if tensor.ndim:
            if tensor.shape != weight.shape:
                raise Refused(
                    "state_files.shape", optimizer=OPTIMIZER, name=name, shape=list(tensor.shape)
                )
            # laid out in memory as the weight is: a fused step walks through both side by side
            tensor = torch.empty_like(weight).copy_(tensor)
        state.setdefault(int(number), {})[what] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": groups})
