"""docs/data-sets.md says what the adapters do, and cannot drift from them."""

import importlib
import inspect
from pathlib import Path

import pytest

from dermsim.data.sources import ADAPTERS
from dermsim.data.sources.page import ABOUT, page

PAGE = Path(__file__).parents[3] / "docs" / "data-sets.md"


def test_the_page_is_what_the_adapters_say():
    written = PAGE.read_text(encoding="utf-8")
    assert written == page(), "run python -m dermsim.data.sources.page > docs/data-sets.md"


def test_every_adapter_is_on_it():
    assert list(ABOUT) == [adapter.name for adapter in ADAPTERS]


@pytest.mark.parametrize("adapter", ADAPTERS, ids=lambda adapter: adapter.name)
def test_columns_on_the_page_are_those_that_are_read(adapter):
    source = inspect.getsource(importlib.import_module(f"dermsim.data.sources.{adapter.name}"))
    assert [column for column in ABOUT[adapter.name].columns if f'"{column}"' not in source] == []


@pytest.mark.parametrize("adapter", ADAPTERS, ids=lambda adapter: adapter.name)
def test_what_is_a_guess_is_said_in_the_module_too(adapter):
    known = ABOUT[adapter.name].known
    if "guess" in known or "public code" in known:
        module = importlib.import_module(f"dermsim.data.sources.{adapter.name}").__doc__
        assert any(word in module for word in ("memory", "public code", "not seen", "From"))
