"""How a request is refused: always as one JSON object, a problem of RFC 9457.

https://www.rfc-editor.org/rfc/rfc9457. The status tells programs what to do: 4xx is theirs to mend,
503 is to be tried again after the seconds in ``Retry-After``. The sentence in `detail` is for
people; a fault of the server is told without its internals. Nothing of a request is ever logged.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dermsim.core.refused import Keyed, Phrase, RefusedRuntimeError
from dermsim.engine.shared_runs import Overloaded

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"


class Problem(BaseModel):
    """Why there is no answer (RFC 9457)."""

    type: str = Field(
        default="about:blank", description="Always `about:blank`: the status says it all."
    )
    title: str = Field(description="What the status is called.", examples=["Content Too Large"])
    status: int = Field(description="The HTTP status.", examples=[413])
    detail: str = Field(
        description="One sentence: what is wrong, and what to do.",
        examples=["The request has more than the 50,000,000 bytes accepted: send fewer pictures."],
    )
    code: str | None = Field(
        default=None,
        description="Which sentence it is: programs compare this, for the wording may change.",
        examples=["limits.request_too_large"],
    )


class Refusal(HTTPException):
    """A request that is not answered.

    Args:
        status: The HTTP status, 400 or more.
        detail: What is wrong, and what to do.
        headers: Further headers of the answer.

    Attributes:
        code: The key of `detail`.
    """

    def __init__(
        self,
        status: int,
        detail: BaseException | Keyed,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, _sentence(detail), headers)
        self.code = detail.key if isinstance(detail, Keyed) else None


def _sentence(said: BaseException | Keyed) -> str:
    text = " ".join(str(said).split())
    return text[:1].upper() + text[1:].rstrip(".") + "."


class BusyError(RefusedRuntimeError):
    """There are more requests under way than can be taken on."""


OVERLOADED: tuple[type[Exception], ...] = (BusyError, Overloaded, TimeoutError)
"""What is raised when there is too much to do; the client is asked to come back."""

RETRY_AFTER = 2
"""Seconds after which a client that came too early or too late should ask again."""


def come_back(detail: BaseException | Keyed) -> Refusal:
    """Return the refusal of a request that will be answered if it is sent again."""
    return Refusal(503, detail, headers={"Retry-After": str(RETRY_AFTER)})


def problem_response(
    status: int, detail: Keyed | str, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """Return a problem as a response."""
    code = detail.key if isinstance(detail, Keyed) else None
    return _response(status, str(detail), code, headers)


def _response(
    status: int, detail: str, code: str | None, headers: Mapping[str, str] | None
) -> JSONResponse:
    problem = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail, code=code)
    return JSONResponse(
        problem.model_dump(), status_code=status, headers=headers, media_type=MEDIA_TYPE
    )


async def on_refusal(request: Request, error: Exception) -> Response:
    """Answer what a route, or the framework, refuses: an `HTTPException`."""
    assert isinstance(error, HTTPException)
    if isinstance(error, Refusal):
        return _response(error.status_code, str(error.detail), error.code, error.headers)
    # the framework's own words are no sentences
    known = {404: Phrase("errors.no_address"), 405: Phrase("errors.no_method")}
    other = Phrase("errors.no_request", reason=error.detail)
    return problem_response(error.status_code, known.get(error.status_code, other), error.headers)


async def on_invalid(request: Request, error: Exception) -> Response:
    """Answer values that do not fit: each is named, with what was expected of it."""
    assert isinstance(error, RequestValidationError)
    reasons = {str(reason): reason for reason in map(_reason, error.errors())}
    return problem_response(422, Phrase("errors.values", reasons=list(reasons.values())))


def _reason(fault: Mapping[str, Any]) -> Phrase:
    # never fault["input"], nor words in which a validator repeats it
    place = ".".join(str(part) for part in fault["loc"][1:2])
    if fault["type"] == "missing":
        return Phrase("errors.missing", place=place)
    if fault["type"] == "value_error":
        return Phrase("errors.wrong_part", place=place)
    reason = f"{fault['msg'][0].lower()}{fault['msg'][1:]}"
    return Phrase("errors.wrong_value", place=place, reason=reason)


async def on_disconnect(request: Request, error: Exception) -> Response:
    """Answer a client that left while it was sending; nobody will read it."""
    return Response(status_code=400)


FAULT = Phrase("errors.fault")
"""What is said of an error that nobody expected."""


def note_fault(error: Exception) -> None:
    """Log which kind of error was raised where.

    Its words are left out, because they may repeat what came with the request.
    """
    frame = traceback.extract_tb(error.__traceback__)[-1]
    log.error("%s in %s, line %d", type(error).__name__, frame.filename, frame.lineno or 0)


class Faults:
    """Outermost middleware: what nobody expected becomes a problem of status 500."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        started = False

        async def watch(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, watch)
        except Exception as error:
            note_fault(error)
            if not started:
                await problem_response(500, FAULT)(scope, receive, send)


DESCRIPTIONS = {
    400: "The body cannot be read as a form.",
    401: "The server asks for a token, and this one is missing or wrong.",
    413: "The request is larger than the server accepts.",
    415: "The body is no form: send `multipart/form-data`.",
    422: "A value is out of range, or a file is not what it should be.",
    500: "The server failed.",
    503: "The checkpoint is still loading, or there is too much to do: come back after the seconds "
    "in `Retry-After`.",
}


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe refusals for the OpenAPI document."""
    schema = {"$ref": "#/components/schemas/Problem"}
    found: dict[int | str, dict[str, Any]] = {}
    for status in statuses:
        found[status] = {
            "description": DESCRIPTIONS[status],
            "content": {MEDIA_TYPE: {"schema": schema}},
        }
    if 503 in found:
        seconds = {"schema": {"type": "integer"}, "description": "Seconds to wait."}
        found[503]["headers"] = {"Retry-After": seconds}
    if 401 in found:
        found[401]["headers"] = {"WWW-Authenticate": {"schema": {"type": "string"}}}
    return found
