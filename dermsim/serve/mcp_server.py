"""Functions as tools for assistants, by the Model Context Protocol's own library.

`mcp.server.fastmcp.FastMCP` would do the same in fewer lines, but it gives the process's root
logger a handler of its own, and what assistants send must not be logged.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

from starlette.types import ASGIApp

from dermsim.core.optional import require
from dermsim.core.refused import Refused

Tool = Callable[..., Coroutine[Any, Any, dict[str, Any]]]


def tool_server(
    tools: Sequence[Tool], *, picture_key: str, most: int
) -> tuple[ASGIApp, Callable[[Any], Any]]:
    """Make an MCP server of functions, by streamable HTTP and without sessions.

    Args:
        tools: Coroutine functions with annotations that describe each argument, and docstrings.
            They return dictionaries of plain values.
        picture_key: What lies under it in an answer is a PNG in base64, and shown as a picture.
        most: Bytes of one request at most.

    Returns:
        The application, to be mounted, and its lifespan.

    Raises:
        ImportError: If the package ``mcp`` is not installed; the message says how to get it.
    """
    types = require("mcp", extra="mcp").types
    from mcp.server.fastmcp.tools import Tool as Described
    from mcp.server.lowlevel import Server
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

    known = {tool.__name__: tool for tool in tools}
    described = [Described.from_function(tool, structured_output=False) for tool in tools]
    server: Any = Server("dermsim")

    @server.list_tools()
    async def offered() -> list[Any]:
        return [
            types.Tool(name=tool.name, description=tool.description, inputSchema=tool.parameters)
            for tool in described
        ]

    @server.call_tool()
    async def call(name: str, arguments: dict[str, Any]) -> list[Any]:
        if name not in known:
            raise Refused("mcp_server.unknown_tool", name=name)
        answer = await known[name](**arguments)
        picture = answer.pop(picture_key, None)
        content: list[Any] = [types.TextContent(type="text", text=json.dumps(answer))]
        if picture is not None:
            content.append(types.ImageContent(type="image", data=picture, mimeType="image/png"))
        return content

    manager = StreamableHTTPSessionManager(server, stateless=True, max_request_body_size=most)

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        async with manager.run():
            yield

    return manager.handle_request, lifespan
