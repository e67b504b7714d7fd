"""What assistants are offered: no tab, but functions as tools of Gradio's own MCP server.

The tools are apart from the page, whose endpoints serve it and would make a list nobody could
choose from. They take text and return plain values, so that nothing goes through Gradio's cache.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from dermsim.core.optional import require


def upload_folder() -> Path:
    """Return where Gradio keeps what visitors upload."""
    return Path(gr.utils.get_upload_folder())


def tool_server(
    tools: Sequence[Callable[..., Any]], *, picture_key: str
) -> tuple[Any, Callable[[Any], Any]]:
    """Make an MCP server of functions.

    Args:
        tools: Functions with type hints and docstrings that return dictionaries of plain values.
        picture_key: What lies under it in an answer is a PNG in base64, and shown as a picture.

    Returns:
        The application, to be mounted at ``/gradio_api/mcp``, and its lifespan.

    Raises:
        ImportError: If the package ``mcp`` is not installed; the message says how to get it.
    """
    require("mcp", extra="mcp")
    from gradio.mcp import GradioMCPServer
    from starlette.applications import Starlette

    class Server(GradioMCPServer):
        """Gradio's server, which would answer with Python's spelling of a dictionary."""

        def postprocess_output_data(self, data: Any, root_url: str) -> list[Any]:
            """Answer with JSON, and with a picture if there is one."""
            (answer,) = data
            told = {key: value for key, value in answer.items() if key != picture_key}
            content = [self.types.TextContent(type="text", text=json.dumps(told))]
            if picture_key in answer:
                content.append(
                    self.types.ImageContent(
                        type="image", data=answer[picture_key], mimeType="image/png"
                    )
                )
            return content

    with gr.Blocks(title="dermsim", analytics_enabled=False) as blocks:
        for tool in tools:
            # not queued: who asks has a thread of the server's own, or is told to come back
            gr.api(tool, queue=False)
    server = Server(blocks)
    application = Starlette()
    server.launch_mcp_on_sse(application, "", "")
    return application, server.lifespan
