"""The load benchmark, short: no error, nothing mixed up, and a mix-up would be noticed."""

import dataclasses
import importlib.util
import io
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bench():
    path = Path(__file__).parents[1] / "benchmarks" / "bench_load.py"
    spec = importlib.util.spec_from_file_location("bench_load", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["bench_load"] = module  # where its dataclasses look for their annotations
    spec.loader.exec_module(module)
    yield module
    del sys.modules["bench_load"]


@pytest.fixture(scope="module")
def visitors(bench, engine):
    return bench.make_visitors(engine, 5)


def test_several_visitors_each_get_their_own_answers(bench, visitors, checkpoint):
    with bench.served(str(checkpoint)) as (address, process):
        bench.load(address, visitors[:1], seconds=0.1)
        run = bench.load(address, visitors, seconds=10, process=process)
        swapped = [
            dataclasses.replace(visitor, reference=other.reference)
            for visitor, other in zip(visitors[:2], visitors[1::-1], strict=True)
        ]
        wrong = bench.load(address, swapped, seconds=1)
        broken = [dataclasses.replace(visitors[0], picture=b"Dear doctor")]
        refused = bench.load(address, broken, seconds=0.1)
    assert not run.errors
    assert run.mixed == 0
    assert run.answers >= len(visitors)
    assert sum(bool(found) for found in run.latencies.values()) >= 3  # verbs are drawn by lot
    assert len(run.memory) > 5 and min(run.memory) > 0
    assert wrong.mixed > 0
    assert refused.errors and refused.answers == 0


def test_figures_of_a_run(bench, capsys):
    memory = [100] * 10 + [110] * 30
    crowd = bench.Run(seconds=10, latencies={"a": [1.0] * 19, "b": [3.0]}, memory=memory)
    alone = bench.Run(seconds=10, latencies={"a": [1.0] * 5})
    assert (crowd.answers, crowd.throughput, crowd.percentile(50)) == (20, 2.0, 1.0)
    assert crowd.drift() == pytest.approx(0)
    assert bench.Run(memory=[100] * 40 + [105] * 10).drift() == pytest.approx(0.05)
    bench.report(alone, crowd, bare=0.01, clients=50)
    table = capsys.readouterr().out
    assert "| throughput / one at a time | 4.00 |" in table
    assert "| answers per second | 2.00 |" in table
    assert "| p50 / (bare forward pass x visitors) | 2.00 |" in table


def test_visitors_that_cannot_be_told_apart_are_refused(bench, engine, monkeypatch):
    lesion = bench.draw_picture(0, None)
    monkeypatch.setattr(bench, "draw_picture", lambda *_: lesion)
    with pytest.raises(RuntimeError, match="too alike to tell them apart"):
        bench.make_visitors(engine, 2)


def test_another_visitors_answer_is_wrong(bench, visitors):
    one, other = visitors[:2]
    bench.check(one, "embed", one.reference["embed"] + 1e-6)
    for answer in (other.reference["embed"], one.reference["embed"][:3], np.zeros(0)):
        with pytest.raises(bench.WrongAnswerError, match="visitor-0 got another's answer to embed"):
            bench.check(one, "embed", answer)


@pytest.mark.parametrize(("number", "form"), [(1, "JPEG"), (3, "PNG")])
def test_large_pictures_are_drawn(bench, number, form):
    picture = Image.open(io.BytesIO(bench.draw_picture(number, 1)))
    assert picture.format == form and picture.mode == ("RGB" if form == "JPEG" else "RGBA")
    assert picture.width * picture.height == pytest.approx(1e6, rel=0.01)
    assert sorted(filter(None, bench.MEGAPIXELS)) == [1, 3, 12, 24, 49]
