"""The precision that training computes in."""

import pytest
import torch

from dermsim.training import precision
from dermsim.training.precision import cpu_has_bfloat16, usable_precision


@pytest.mark.parametrize(("native", "used"), [(True, "bf16"), (False, "no")])
def test_a_cpu_is_not_asked_for_numbers_it_would_emulate(monkeypatch, native, used):
    monkeypatch.setattr(precision, "cpu_has_bfloat16", lambda: native)
    assert usable_precision("bf16", cpu=True) == used


def test_an_accelerator_computes_in_what_was_asked_for(monkeypatch):
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(precision, "cpu_has_bfloat16", lambda: False)
    assert usable_precision("bf16", cpu=False) == "bf16"


def test_other_precisions_are_left_alone(monkeypatch):
    monkeypatch.setattr(precision, "cpu_has_bfloat16", lambda: False)
    assert usable_precision("no", cpu=True) == "no"
    assert usable_precision("fp16", cpu=False) == "fp16"


@pytest.mark.parametrize(
    ("capabilities", "native"),
    [
        ({"avx2": True, "avx512_bf16": False, "amx_bf16": False}, False),
        ({"avx2": True, "avx512_bf16": True, "amx_bf16": False}, True),
        ({"avx512_bf16": False, "amx_bf16": True}, True),
        ({"neon": True, "bf16": True}, True),
        ({"neon": True}, False),
    ],
)
def test_what_the_processor_says_of_itself(monkeypatch, capabilities, native):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert cpu_has_bfloat16() is native
