"""Another Python process for the clients of the Hub, which read their environment only once."""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Outcome:
    """What a call in the other process came to.

    Attributes:
        value: What it returned; None if it raised.
        kinds: Names of the error's class and its bases, those of refusals aside; empty if it
            returned.
        sentence: What the error says.
        trace: Where it was raised, for the reader of a failed test.
    """

    value: Any = None
    kinds: tuple[str, ...] = ()
    sentence: str = ""
    trace: str = ""

    @property
    def ok(self) -> bool:
        """Whether the call returned."""
        return not self.kinds

    def unwrap(self) -> Any:
        """Return the value, or fail with the trace."""
        assert self.ok, self.trace
        return self.value


class ClientProcess:
    """Runs functions in a process of its own, one after the other.

    The process starts with the first call and lives until `close`.

    Attributes:
        home: Where the clients keep what they fetched.
    """

    def __init__(self, url: str, home: Path, *, without: tuple[str, ...] = ()) -> None:
        """Describe the process.

        Args:
            url: The Hub's address.
            home: Folder for all that the clients keep.
            without: Packages that are not to be found there.
        """
        self.home = home
        environment = {
            "HF_ENDPOINT": url,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_VERBOSITY": "critical",
            "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
            "TRANSFORMERS_VERBOSITY": "error",
            "TQDM_DISABLE": "1",
        }
        self._pool = ProcessPoolExecutor(
            1,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_prepare,
            initargs=(environment, without),
        )

    def run(
        self,
        function: Callable[..., Any],
        *args: Any,
        environment: Mapping[str, str] | None = None,
        **options: Any,
    ) -> Outcome:
        """Call a function there.

        Args:
            function: Defined at the top of a module. It must import what it needs of the Hub's
                clients itself.
            args: Its arguments; they must survive a copy between processes.
            environment: Variables that are set for this call alone, such as a token.
            options: Its keyword arguments.
        """
        call = self._pool.submit(_call, function, args, options, environment or {})
        return call.result(timeout=300)

    def close(self) -> None:
        """End the process."""
        self._pool.shutdown()


def _prepare(environment: Mapping[str, str], without: tuple[str, ...]) -> None:
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_CACHE"):
        os.environ.pop(name, None)
    os.environ.update(environment)
    # A process that is spawned inherits its parent's path, and with it, if the parent has opened a
    # model that brings its own code, the place where transformers keeps that code for the parent.
    sys.path[:] = [place for place in sys.path if not Path(place, "transformers_modules").is_dir()]
    for package in without:
        sys.modules[package] = None  # type: ignore[assignment] # as if it were not installed
    sleep = time.sleep
    time.sleep = lambda seconds: sleep(min(seconds, 0.01))


def _call(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    options: dict[str, Any],
    environment: Mapping[str, str],
) -> Outcome:
    if remembers := sys.modules.get("huggingface_hub.hf_file_system"):
        remembers.HfFileSystem.clear_instance_cache()  # a fresh process has listed no folder yet
    before = dict(os.environ)
    os.environ.update(environment)
    try:
        return Outcome(function(*args, **options))
    except Exception as error:  # whatever it is, the test is to see it
        kinds = tuple(
            kind.__name__
            for kind in type(error).__mro__
            if kind.__module__ != "dermsim.core.refused"
        )
        return Outcome(None, kinds, str(error), traceback.format_exc())
    finally:
        os.environ.clear()  # a token that one call was given is not the next one's
        os.environ.update(before)
