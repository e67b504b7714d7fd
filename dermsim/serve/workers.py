"""REST alone, without the page, from one process or several.

The page keeps its visitors' sessions in the memory of its process, so only what keeps nothing can
be served from several: each loads the checkpoint for itself, and the system deals out connections.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount

from dermsim.core.discretion import be_discreet, show_access
from dermsim.serve.limits import Limits
from dermsim.serve.memory import release_early
from dermsim.serve.page_server import TOKEN, check_port, load_checkpoint, prepare
from dermsim.serve.rest import PREFIX, build_rest, check_token
from dermsim.serve.routes import Desk, Engine
from dermsim.ui.middleware import AccessLog

MODEL = "DERMSIM_MODEL"
"""Environment variable by which worker processes are told their checkpoint."""

LOG = "DERMSIM_ACCESS_LOG"
"""Environment variable by which they are told whether to log sizes and times."""


def serve_rest(
    model: str,
    *,
    host: str,
    port: int,
    workers: int = 1,
    token: str | None = None,
    access_log: bool = False,
) -> None:
    """Serve REST until interrupted.

    Args:
        model: Checkpoint folder or Hub id.
        host: Address to listen on.
        port: Port to listen on.
        workers: Processes that answer.
        token: As for `dermsim.serve.page_server.serve_page`, as is `access_log`.
        access_log: Whether to log sizes and times.

    Raises:
        OSError: If the checkpoint cannot be found, or the port is taken.
        ValueError: If it is damaged, there are no workers, or the token cannot be one.
    """
    if workers < 1:
        raise ValueError(f"{workers} workers cannot answer: choose 1 or more.")
    prepare(model)
    from dermsim.core.checkpoint import local_folder

    folder = local_folder(model)
    check_port(host, port)
    os.environ[MODEL] = str(folder)
    os.environ[LOG] = "1" if access_log else ""
    if secret := token or os.environ.get(TOKEN):
        os.environ[TOKEN] = check_token(secret)
    # a damaged checkpoint is told here once, instead of by workers that die and are born for ever
    checked = load_checkpoint(folder)
    print(f"REST at http://{host}:{port}{PREFIX}, {workers} workers", flush=True)
    if workers == 1:
        uvicorn.run(mounted(lambda: checked), host=host, port=port, log_level="warning")
        return
    share = max(1, (os.cpu_count() or 1) // workers)
    os.environ.setdefault("OMP_NUM_THREADS", str(share))  # else each takes all cores
    uvicorn.run(
        "dermsim.serve.workers:worker",
        factory=True,
        host=host,
        port=port,
        workers=workers,
        log_level="warning",
    )


def worker() -> Starlette:
    """Return what one of several processes serves; its checkpoint is loaded behind it."""
    release_early()
    found = ThreadPoolExecutor(max_workers=1).submit(load_checkpoint, os.environ[MODEL])
    return mounted(lambda: found.result() if found.done() else None)


def mounted(engine: Engine) -> Starlette:
    """Return REST at its address, with the token of the environment.

    Args:
        engine: Returns the checkpoint, or None while it is loading.
    """
    rest = build_rest(Desk(engine, limits=Limits()), token=os.environ.get(TOKEN) or None)
    be_discreet()
    if os.environ.get(LOG):
        show_access()
    return Starlette(routes=[Mount(PREFIX, rest)], middleware=[Middleware(AccessLog)])
