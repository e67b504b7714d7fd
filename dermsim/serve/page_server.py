"""The page with all that is beside it: what `python app.py` and ``dermsim serve`` do."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dermsim.core.discretion import quieten
from dermsim.core.refused import Refused, RefusedOSError
from dermsim.serve.memory import release_early
from dermsim.ui.stopping import GRACE, Work, ended_by_signals

if TYPE_CHECKING:
    from dermsim.engine import DermSim
    from dermsim.ui.gate import Entrance
    from dermsim.ui.render import Pictures

TOKEN = "DERMSIM_TOKEN"
"""Environment variable that the token is taken from, where a process list would show an option."""


def serve_page(
    model: str,
    *,
    dataset: str | None = None,
    label_column: str | None = None,
    mapping: Mapping[str, str] | None = None,
    host: str = "127.0.0.1",
    port: int = 7860,
    share: bool = False,
    token: str | None = None,
    tools: bool = False,
    access_log: bool = False,
    allow_host: Sequence[str] = (),
    embed: Sequence[str] = (),
    grace: float = GRACE,
) -> None:
    """Serve the page and, beside it, REST and the tools until told to end.

    The page is up before the weights are loaded: a click waits, a program is told to come back.

    Args:
        model: Checkpoint folder or Hub id.
        dataset: Where the past cases' pictures are: folder or Hub id; None when not at hand.
        label_column: The column of its diagnoses, as for `load_dataset`.
        mapping: What its words for diagnoses mean, likewise.
        host: Address to listen on.
        port: Port to listen on.
        share: Whether to open a public tunnel through Gradio's servers.
        token: What visitors, programs and assistants must know; None takes `TOKEN` from the
            environment, and without that lets everybody in.
        tools: Whether assistants are served.
        access_log: Whether to log sizes and times of requests.
        allow_host: Names that it answers to besides this machine's own.
        embed: Origins whose pages may show this one inside.
        grace: Seconds in which answers under way are finished at the end.

    Raises:
        ImportError: If assistants are to be served and the package ``mcp`` is not installed.
        OSError: If the checkpoint or data set cannot be found, or the port is taken.
        ValueError: If a part of the checkpoint is damaged, or the token cannot be one.
    """
    prepare(model, dataset)
    from dermsim.data.dataset import open_source

    # what is wrong with the data is said before anything is loaded
    opened = open_source(dataset, label_column=label_column, mapping=mapping) if dataset else None
    from dermsim.core.checkpoint import local_folder
    from dermsim.core.discretion import show_access
    from dermsim.serve.beside import entrance
    from dermsim.ui.callbacks import dataset_pictures

    secret = token or os.environ.get(TOKEN) or None
    work = Work(grace=grace)
    door = entrance(secret, hosts=(host, *allow_host), embed=embed, shared=share)
    folder = local_folder(model)
    check_port(host, port)
    pictures = dataset_pictures(opened.load()) if opened else None
    if access_log:
        show_access()
    _run(folder, pictures, door, tools=tools, work=work, host=host, port=port, share=share)


def _run(
    folder: Path,
    pictures: Pictures | None,
    door: Entrance,
    *,
    tools: bool,
    work: Work,
    **address: Any,
) -> None:
    """Launch the page, load the checkpoint behind it, and wait until it is to end."""
    from dermsim.serve.beside import beside_page
    from dermsim.ui.app import build_app, launch
    from dermsim.ui.ending import serve_until_stopped

    engine: Future[DermSim] = Future()
    app = build_app(engine.result, pictures=pictures)
    server = beside_page(
        lambda: engine.result() if engine.done() else None, token=door.token, tools=tools
    )

    def load() -> None:
        engine.set_result(load_checkpoint(folder))

    with ended_by_signals() as asked:
        launch(app, server=server, entrance=door, work=work, **address)
        serve_until_stopped(app, work, load, asked=asked)


def load_checkpoint(folder: str | Path) -> DermSim:
    """Load a checkpoint in a program that does nothing else, so that timm may come quicker.

    Raises:
        OSError: As `DermSim.from_pretrained`.
        ValueError: Likewise.
    """
    from dermsim.models.compiler import import_without_compiler

    import_without_compiler("timm")
    from dermsim.engine import DermSim

    return DermSim.from_pretrained(folder)


def prepare(*sources: str | None) -> None:
    """Set what libraries read once, when they are imported, and what memory threads may keep.

    Args:
        sources: What will be loaded; when all of it is on this machine, the Hub is left alone.
    """
    quieten()
    release_early()
    if all(Path(source).exists() for source in sources if source):
        os.environ.setdefault("HF_HUB_OFFLINE", "1")


def check_port(host: str, port: int) -> None:
    """Refuse a port that cannot be listened on, before anything is loaded.

    Raises:
        OSError: If it is taken, or the address is none of this machine.
        ValueError: If there is no such port.
    """
    if not 0 < port < 65536:
        raise Refused("page_server.port", port=port)
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise RefusedOSError(
            "page_server.cannot_listen", host=host, port=port, error=error
        ) from error
