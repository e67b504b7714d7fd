"""Imports timm without torch's compiler.

torchvision and timm ask torch's compiler, ``torch._dynamo``, for one small function each while
they are imported. For that Python reads a thousand modules, which takes nearly as long as torch
itself, and looking at a photograph needs none of them.

Stand-ins in `sys.modules` are seen by the whole process. So only programs of our own ask for them,
the server and the command line, before they load a checkpoint. Whoever imports dermsim as a library
gets timm as it is. A checkpoint is loaded in 0.72 of the processor's time with the stand-ins
(0.61 to 0.72, `benchmarks/bench_import.py`).
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any

COMPILER, COMPILER_UTILS = "torch._dynamo", "torch._dynamo.utils"


def import_without_compiler(name: str) -> ModuleType:
    """Import a module; what it wants of torch's compiler is fetched once it is called.

    While the module is imported, stand-ins lie where Python looks for the compiler. They hold the
    two functions that timm and torchvision take from it. For anything else they make way for the
    compiler itself, so a later timm that wants more is slower to import, and nothing else.

    Args:
        name: Of the module, such as ``"timm"``.
    """
    if name in sys.modules or COMPILER in sys.modules:
        return import_module(name)
    package = _stand_in(COMPILER, disable=_disable)
    package.__path__ = []  # a package, so that its submodules are looked for
    stand_ins = (package, _stand_in(COMPILER_UTILS, is_compile_supported=_is_compile_supported))
    sys.modules.update({module.__name__: module for module in stand_ins})
    try:
        return import_module(name)
    finally:
        _make_way(*stand_ins)


def _stand_in(name: str, **functions: Callable[..., Any]) -> ModuleType:
    module = ModuleType(name)
    vars(module).update(functions)

    def fetch(attribute: str) -> Any:
        # `inspect` asks every module for its file while torchvision registers its operators
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        _make_way(*(sys.modules[n] for n in (COMPILER, COMPILER_UTILS) if n in sys.modules))
        return getattr(import_module(name), attribute)

    module.__getattr__ = fetch  # type: ignore[method-assign]  # PEP 562
    module.__dermsim_stand_in__ = True  # type: ignore[attr-defined]
    return module


def _make_way(*modules: ModuleType) -> None:
    """Remove those of the modules that are stand-ins from where Python looks."""
    for module in modules:
        if "__dermsim_stand_in__" in vars(module) and sys.modules.get(module.__name__) is module:
            del sys.modules[module.__name__]


def _is_compile_supported(device: Any) -> bool:
    """Ask the compiler; torchvision does so in `roi_align` only."""
    return import_module(COMPILER_UTILS).is_compile_supported(device)


def _disable(
    fn: Callable[..., Any], recursive: bool = True, *, reason: str | None = None
) -> Callable[..., Any]:
    """Keep a function from being compiled, from its first call on; timm's NaFlexViT has such."""

    @functools.cache
    def disabled() -> Callable[..., Any]:
        import torch

        return torch.compiler.disable(fn, recursive, reason=reason)

    @functools.wraps(fn)
    def call(*args: Any, **kwargs: Any) -> Any:
        return disabled()(*args, **kwargs)

    return call
