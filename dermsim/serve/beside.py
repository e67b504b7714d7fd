"""All that is served beside the page, in its process and at its address.

The page's own server takes further routes, which come before its own: REST at ``/api`` and, where
it is asked for, the tools for assistants at ``/gradio_api/mcp``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.routing import Mount

from dermsim.serve.errors import Faults
from dermsim.serve.limits import Bearer, Limits, body_limit
from dermsim.serve.mcp_server import tool_server
from dermsim.serve.rest import PREFIX, build_rest
from dermsim.serve.routes import Desk, Engine
from dermsim.serve.tools import OVERLAY, build_tools
from dermsim.ui.gate import Entrance
from dermsim.ui.hosts import Hosts, check_origin, is_address
from dermsim.ui.logins import check_token
from dermsim.ui.uploads import upload_folder

TOOLS = "/gradio_api/mcp"
"""Where Gradio has the tools of its pages, and where assistants look for them."""


def entrance(
    token: str | None,
    *,
    hosts: Sequence[str] = (),
    embed: Sequence[str] = (),
    shared: bool = False,
) -> Entrance:
    """Say whom the page, with all that is beside it, lets in.

    Args:
        token: What must be shown; None lets everybody in.
        hosts: Addresses and names that are answered to, besides this machine's own names.
        embed: Origins whose pages may show the page inside.
        shared: Whether it is reached through Gradio's tunnel as well.

    Raises:
        ValueError: If one of them cannot be what it is said to be.
    """
    named = [host for host in hosts if not is_address(host)]
    return Entrance(
        token=token,
        hosts=Hosts(named, shared=shared),
        embed=tuple(map(check_origin, embed)),
        guarded=(PREFIX, TOOLS),
    )


def beside_page(
    engine: Engine, *, token: str | None = None, tools: bool = False, limits: Limits | None = None
) -> dict[str, Any]:
    """Return what `dermsim.ui.app.launch` takes as `server`.

    Args:
        engine: Returns the checkpoint, or None while it is loading.
        token: What programs and assistants must name as a bearer token; None lets everybody in.
        tools: Whether assistants are served.
        limits: Of requests; None for the usual ones.

    Raises:
        ImportError: If assistants are to be served and the package ``mcp`` is not installed.
        ValueError: If the token cannot be one.
    """
    desk = Desk(engine, limits=limits or Limits())
    server: dict[str, Any] = {"routes": [Mount(PREFIX, build_rest(desk, token=token))]}
    if tools:
        verbs = build_tools(desk, uploads=upload_folder().path)
        application, lifespan = tool_server(
            verbs, picture_key=OVERLAY, most=desk.limits.request_bytes
        )
        guarded: Any = body_limit(application, limits=desk.limits)
        if token is not None:
            guarded = Bearer(guarded, token=check_token(token))
        server["routes"].append(Mount(TOOLS, Faults(guarded)))
        server["lifespan"] = lifespan
    return server
