"""REST alone, without the page, from one process or several.

The page keeps its visitors' sessions in the memory of its process, so only what keeps nothing can
be served from several: each loads the checkpoint for itself, and the system deals out connections.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Mount
from starlette.types import ASGIApp
from uvicorn.supervisors import Multiprocess

from dermsim.core.discretion import be_discreet, show_access
from dermsim.core.refused import Keyed, Refused
from dermsim.serve.errors import problem_response
from dermsim.serve.limits import Limits
from dermsim.serve.memory import release_early
from dermsim.serve.page_server import TOKEN, check_port, load_checkpoint, prepare
from dermsim.serve.rest import PREFIX, build_rest
from dermsim.serve.routes import Desk, Engine
from dermsim.ui.connections import BodyPace, PatientHttp, connection_limit
from dermsim.ui.gate import Entrance, Gate, SafeHeaders
from dermsim.ui.hosts import VARIABLE as HOSTS
from dermsim.ui.hosts import check_name, is_address
from dermsim.ui.logins import check_token
from dermsim.ui.middleware import AccessLog
from dermsim.ui.stopping import GRACE, Work, ended_quietly

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
    allow_host: Sequence[str] = (),
    grace: float = GRACE,
) -> None:
    """Serve REST until interrupted.

    Args:
        model: Checkpoint folder or Hub id.
        host: Address to listen on.
        port: Port to listen on.
        workers: Processes that answer.
        token: As for `dermsim.serve.page_server.serve_page`, as is `access_log`.
        access_log: Whether to log sizes and times.
        allow_host: Names that are answered to, likewise.
        grace: Seconds in which answers under way are finished at the end.

    Raises:
        OSError: If the checkpoint cannot be found, or the port is taken.
        ValueError: If it is damaged, there are no workers, or the token or a name cannot be one.
    """
    if workers < 1:
        raise Refused("workers.count", workers=workers)
    names = [*map(check_name, allow_host), *([] if is_address(host) else [host])]
    prepare(model)
    from dermsim.core.checkpoint import local_folder

    folder = local_folder(model)
    check_port(host, port)
    os.environ[MODEL] = str(folder)
    os.environ[LOG] = "1" if access_log else ""
    os.environ[HOSTS] = ",".join([*names, os.environ.get(HOSTS, "")]).strip(",")
    if secret := token or os.environ.get(TOKEN):
        os.environ[TOKEN] = check_token(secret)
    # a damaged checkpoint is told here once, instead of by workers that die and are born for ever
    checked = load_checkpoint(folder)
    print(f"REST at http://{host}:{port}{PREFIX}, {workers} workers", flush=True)
    options: dict[str, Any] = {
        "host": host,
        "port": port,
        "log_level": "warning",
        "http": PatientHttp,
        "limit_concurrency": connection_limit(),
        "timeout_graceful_shutdown": math.ceil(Work(grace=grace).grace),
    }
    if workers == 1:
        with ended_quietly():
            uvicorn.run(mounted(lambda: checked), **options)
        return
    share = max(1, (os.cpu_count() or 1) // workers)
    os.environ.setdefault("OMP_NUM_THREADS", str(share))  # else each takes all cores
    supervise(
        uvicorn.Config("dermsim.serve.workers:worker", factory=True, workers=workers, **options)
    )


def supervise(config: uvicorn.Config) -> None:
    """Have several processes answer until they are told to end."""
    _Supervisor(config, sockets=[config.bind_socket()]).run()


class _Supervisor(Multiprocess):
    """Ends its processes, and leaves nobody waiting at a door behind which there is no one."""

    def terminate_all(self) -> None:
        super().terminate_all()
        for listener in self.sockets:  # each process closes its own
            listener.close()


def worker() -> ASGIApp:
    """Return what one of several processes serves; its checkpoint is loaded behind it."""
    release_early()
    found = ThreadPoolExecutor(max_workers=1).submit(load_checkpoint, os.environ[MODEL])
    return mounted(lambda: found.result() if found.done() else None)


def mounted(engine: Engine) -> ASGIApp:
    """Return REST at its address, with the token of the environment.

    Args:
        engine: Returns the checkpoint, or None while it is loading.
    """
    rest = build_rest(Desk(engine, limits=Limits()), token=os.environ.get(TOKEN) or None)
    be_discreet()
    if os.environ.get(LOG):
        show_access()
    paced = BodyPace(Starlette(routes=[Mount(PREFIX, rest)]), refuse=_refuse)
    # the token is asked for by REST itself
    return AccessLog(SafeHeaders(Gate(paced, entrance=Entrance(), refuse=_refuse)))


def _refuse(status: int, sentence: Keyed | str) -> Response:
    return problem_response(status, sentence)
