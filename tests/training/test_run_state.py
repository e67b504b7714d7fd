"""Where a run's states go, and what is refused before the first epoch."""

import shutil
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch
from refusals import refuses

from dermsim.core.refused import Phrase
from dermsim.data.dataset import open_source
from dermsim.data.synthetic import draw_lesion
from dermsim.training.config import LossConfig, OptimConfig, TrainConfig
from dermsim.training.run_state import CHECKPOINT_EXTRAS, StateFolder, run_choices

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def model() -> torch.nn.Module:
    return torch.nn.Linear(1000, 1000)


def with_free(monkeypatch, free: int) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(free, 0, free))


def test_a_disk_without_room_is_refused(tmp_path, model, monkeypatch):
    states = StateFolder(tmp_path / "state")
    states.prepare(resume=False, choices={})
    with_free(monkeypatch, 10 * 2**20)
    with refuses("run_state.disk", OSError, free=10) as refused:
        states.check_room(model)
    assert round(refused.value.values["needed"]) == 98


def test_room_for_two_states_is_enough(tmp_path, model, monkeypatch):
    states = StateFolder(tmp_path / "state")
    states.prepare(resume=False, choices={})
    states.check_room(model)
    weights = 4 * 1001 * 1000
    with_free(monkeypatch, 9 * weights + CHECKPOINT_EXTRAS)
    states.check_room(model)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with refuses(
        "run_state.not_writable",
        OSError,
        folder=tmp_path / "file" / "state",
        reason="Not a directory",
    ):
        StateFolder(tmp_path / "file" / "state").prepare(resume=False, choices={})


def test_a_folder_that_cannot_be_written_is_refused(tmp_path, monkeypatch):
    def read_only(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", read_only)
    with refuses(
        "run_state.not_writable", OSError, folder=tmp_path / "state", reason="Permission denied"
    ):
        StateFolder(tmp_path / "state").prepare(resume=False, choices={})


def test_one_run_at_a_time_has_the_folder(tmp_path):
    first, second = StateFolder(tmp_path / "state"), StateFolder(tmp_path / "state")
    first.prepare(resume=False, choices={})

    def begin() -> str:
        try:
            second.prepare(resume=False, choices={})
        except TimeoutError as error:
            return str(error)
        return "nobody was in the way"

    with ThreadPoolExecutor(1) as other:
        assert "state is being written by another process" in other.submit(begin).result()
        first.release()
        assert other.submit(begin).result() == "nobody was in the way"
        other.submit(second.release).result()


def test_a_refused_run_lets_go_of_the_folder(tmp_path):
    states = StateFolder(tmp_path / "state")
    with states:
        states.prepare(resume=False, choices={"seed": 0})
        (states.folder / "epoch-0001").mkdir()
    for options in ({"resume": False, "choices": {}}, {"resume": True, "choices": {"seed": 1}}):
        with pytest.raises((FileExistsError, ValueError)):
            StateFolder(tmp_path / "state").prepare(**options)
    with ThreadPoolExecutor(1) as other, StateFolder(tmp_path / "state") as again:
        other.submit(again.prepare, resume=True, choices={"seed": 0}).result()
        other.submit(again.release).result()


@pytest.fixture
def data(tmp_path):
    """A folder per class with two pictures."""
    for dx in ("mel", "nv"):
        (tmp_path / "own" / dx).mkdir(parents=True)
        draw_lesion(dx, seed=0, size=(40, 30)).save(tmp_path / "own" / dx / f"{dx}.png")
    return tmp_path / "own"


@pytest.fixture
def begun(tmp_path, data):
    """A run that was begun and interrupted; called with a configuration, it is resumed."""
    config = TrainConfig(data=str(data), output=tmp_path / "run")
    states = StateFolder(tmp_path / "run" / "state")
    states.prepare(resume=False, choices=run_choices(config, open_source(data)))
    (states.folder / "epoch-0001").mkdir()

    def resume(config):
        choices = run_choices(config, open_source(config.data))
        states.prepare(resume=True, choices=choices)

    return config, resume


@pytest.mark.filterwarnings("ignore:.*lesion of its own:UserWarning")
class TestResume:
    @pytest.mark.parametrize(
        "change",
        [
            {},
            {"optim": OptimConfig(epochs=99)},
            {"cpu": True, "trackers": ("wandb",), "corruptions": False, "split": "validation"},
        ],
    )
    def test_what_may_change(self, begun, change):
        config, resume = begun
        resume(replace(config, resume=True, **change))

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (
                {"seed": 7},
                Phrase(
                    "run_state.other_choices",
                    other=[Phrase("run_state.choice", name="seed", was=0, now=7)],
                ),
            ),
            (
                {"seed": 7, "loss": LossConfig(contrastive="triplet")},
                Phrase(
                    "run_state.other_choices",
                    other=[
                        Phrase("run_state.choice", name="seed", was=0, now=7),
                        Phrase(
                            "run_state.choice", name="loss.contrastive", was="supcon", now="triplet"
                        ),
                    ],
                ),
            ),
            (
                {"optim": OptimConfig(batch_size=16)},
                Phrase(
                    "run_state.other_choices",
                    other=[Phrase("run_state.choice", name="optim.batch_size", was=64, now=16)],
                ),
            ),
            (
                {"leave_out": ("df",)},
                Phrase(
                    "run_state.other_choices",
                    other=[Phrase("run_state.choice", name="leave_out", was="", now="df")],
                ),
            ),
            (
                {"map": ("nv=mel",)},
                Phrase(
                    "run_state.other_choices",
                    other=[Phrase("run_state.choice", name="map", was="", now="nv=mel")],
                ),
            ),
        ],
    )
    def test_other_choices_are_named(self, begun, change, words):
        config, resume = begun
        with refuses(words):
            resume(replace(config, **change))

    def test_other_photographs_under_the_same_name(self, begun, data):
        config, resume = begun
        draw_lesion("nv", seed=1, size=(40, 30)).save(data / "nv" / "new.png")
        with refuses(
            "run_state.other_choices",
            other=[
                Phrase(
                    "run_state.choice",
                    name="photographs",
                    was="2 (4a784d4db582dd4e)",
                    now="3 (754e41b6008eaabe)",
                )
            ],
        ):
            resume(config)

    def test_other_data_with_the_same_names(self, begun, data):
        config, resume = begun
        shutil.copytree(data, data.with_name("others"))
        others = str(data.with_name("others"))
        choice = Phrase("run_state.choice", name="data", was=str(data), now=others)
        with refuses("run_state.other_choices", other=[choice]):
            resume(replace(config, data=others))

    def test_the_same_data_by_another_path(self, begun, data, monkeypatch):
        config, resume = begun
        monkeypatch.chdir(data.parent)
        resume(replace(config, data="own"))

    def test_a_run_that_kept_no_choices(self, begun, tmp_path):
        config, resume = begun
        (tmp_path / "run" / "state" / "choices.json").unlink()
        with refuses(
            "run_state.no_record",
            FileNotFoundError,
            record=tmp_path / "run" / "state" / "choices.json",
        ):
            resume(config)
