"""The runner of hostile attempts: it finds its modules, and says what got through."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from hostile import Count
from hostile import __main__ as runner


@pytest.fixture
def two_kinds(monkeypatch):
    good = SimpleNamespace(__name__="good", AT_LEAST=2, run=lambda: [("doors", 2, 0)])
    bad = SimpleNamespace(__name__="bad", run=lambda: [("windows", 3, 1)])
    monkeypatch.setattr(runner, "modules", lambda: {"good": good, "bad": bad})


def test_every_module_with_attempts_is_found_and_run(two_kinds, capsys):
    assert runner.main([]) == 1
    table = capsys.readouterr().out
    assert "| doors | 2 | 0 |\n| windows | 3 | 1 |\n" in table
    assert "FAULT windows: 1 of 3 got through." in table


def test_one_kind_alone(two_kinds, capsys):
    assert runner.main(["good"]) == 0
    assert "windows" not in capsys.readouterr().out


def test_an_unknown_kind_is_refused(two_kinds, capsys):
    with pytest.raises(SystemExit):
        runner.main(["chimney"])
    assert "there is no chimney: choose of good, bad" in capsys.readouterr().err


def test_too_few_attempts_are_a_fault():
    module = SimpleNamespace(__name__="hostile.doors", AT_LEAST=40)
    assert runner.faults(module, [Count("doors", 39, 0)]) == [
        "hostile.doors: 39 attempts, and at least 40 are asked."
    ]
    assert runner.faults(SimpleNamespace(__name__="none"), [Count("doors", 0, 0)]) == [
        "doors: nothing was tried.",
        "none: 0 attempts, and at least 1 are asked.",
    ]


def test_the_package_has_its_modules():
    assert all(callable(module.run) for module in runner.modules().values())


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["fetch", "large", "paths", "sessions", "slow", "stopping"])
def test_nothing_gets_through(kind):
    module = runner.modules()[kind]
    assert runner.faults(module, module.run()) == []
