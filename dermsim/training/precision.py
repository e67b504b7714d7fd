"""The precision that a processor computes in without emulating it."""

from __future__ import annotations

import torch

from dermsim.training.config import Precision


def usable_precision(asked: Precision, *, cpu: bool) -> Precision:
    """Give the precision to train in: the one asked for, unless this processor would emulate it.

    A CPU without bfloat16 instructions computes in it all the same, an order of magnitude slower
    than in float32.

    Args:
        asked: The precision that was asked for.
        cpu: Whether a CPU computes, whatever accelerators there are.

    Returns:
        ``"no"``, which is float32, for bfloat16 on such a CPU; else what was asked for.
    """
    if asked == "bf16" and (cpu or not torch.accelerator.is_available()):
        return "bf16" if cpu_has_bfloat16() else "no"
    return asked


def cpu_has_bfloat16() -> bool:
    """Tell whether this CPU multiplies bfloat16 numbers itself (AVX-512 BF16, AMX, Arm BF16)."""
    try:
        capabilities = torch.cpu.get_capabilities()
    except AttributeError:  # an older torch
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))
