"""REST as one ASGI application, to be mounted at ``/api``."""

from __future__ import annotations

from typing import Any

from fastapi import Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from dermsim.core.labels import DISCLAIMER
from dermsim.serve.errors import Faults, Problem, on_disconnect, on_invalid, on_refusal
from dermsim.serve.limits import Bearer, body_limit
from dermsim.serve.routes import Desk, build_router
from dermsim.ui.logins import check_token
from dermsim.ui.middleware import HeadRequests

PREFIX = "/api"
"""Where the application is mounted, below which its addresses are."""

OPEN = ("/health", "/openapi.json")
"""What needs no token."""

DESCRIPTION = f"""
Classify dermatoscopic photographs, see where the model looked, find similar past cases, and teach
new classes with a few pictures. {DISCLAIMER}

Pictures are sent as `multipart/form-data`, held in memory while they are worked on, and neither
written to disk nor kept. Every refusal is a problem of RFC 9457, `application/problem+json`.
"""


def build_rest(desk: Desk, *, token: str | None = None) -> FastAPI:
    """Build the REST application.

    Args:
        desk: The checkpoint, the limits and the threads.
        token: What a client must name as a bearer token, but for `OPEN`; None lets everybody in.

    Raises:
        ValueError: If the token cannot be one.
    """
    from dermsim.core.version import __version__

    app = FastAPI(
        title="dermsim",
        version=__version__,
        description=DESCRIPTION.strip(),
        # interactive pages would be fetched from elsewhere, and there may be no network
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
        dependencies=[Depends(HTTPBearer(auto_error=False))] if token is not None else [],
    )
    app.include_router(build_router(desk))
    app.add_exception_handler(HTTPException, on_refusal)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(ClientDisconnect, on_disconnect)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    app.add_middleware(body_limit, limits=desk.limits)
    if token is not None:
        app.add_middleware(Bearer, token=check_token(token), open_paths=OPEN)
    app.add_middleware(HeadRequests)
    app.add_middleware(Faults)  # the last is the outermost
    return app


def _openapi(app: FastAPI) -> dict[str, Any]:
    """Describe the routes, once; refusals are no models of any route, so they are put in here."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            routes=app.routes,
            servers=[{"url": PREFIX}],
        )
        document["components"]["schemas"]["Problem"] = Problem.model_json_schema()
        app.openapi_schema = document
    return app.openapi_schema
