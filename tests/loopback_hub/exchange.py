"""A request, an answer, and the errors of the Hub: what the parts of the server hand each other."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit


@dataclass(frozen=True)
class Account:
    """Whom a token belongs to and what it may do.

    Attributes:
        name: The user.
        role: "read" or "write"; or "fineGrained", which may do what `permissions` say.
        permissions: Such as ``("repo.content.read", "repo.write")``, of a fine-grained token.
        organizations: Where the user may write besides.
    """

    name: str
    role: str = "write"
    permissions: tuple[str, ...] = ()
    organizations: tuple[str, ...] = ()

    def may_write(self, namespace: str) -> bool:
        """Say whether the token can change the repositories of a user or organisation."""
        allowed = self.role == "write" or "repo.write" in self.permissions
        return allowed and namespace in (self.name, *self.organizations)

    def may_read(self, namespace: str) -> bool:
        """Say whether the token can see their private ones."""
        allowed = self.role != "fineGrained" or bool(
            {"repo.write", "repo.content.read"} & set(self.permissions)
        )
        return allowed and namespace in (self.name, *self.organizations)


@dataclass(frozen=True)
class Request:
    """What a client sent.

    Attributes:
        host: Which of the two servers it was sent to, "hub" or "storage".
        base: Address of the hub.
        method: HTTP method.
        target: Path and query as they were sent.
        headers: By name in lower case.
        account: Whose token came with it; None without a token.
        body: What came after the headers.
    """

    host: str
    base: str
    method: str
    target: str
    headers: Mapping[str, str]
    account: Account | None = None
    body: bytes = b""

    @property
    def path(self) -> str:
        """Path without the query, still quoted."""
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        """The query; of a name that comes twice, the last value."""
        parsed = parse_qs(urlsplit(self.target).query, keep_blank_values=True)
        return {name: values[-1] for name, values in parsed.items()}

    def flag(self, name: str) -> bool:
        """Say whether a query parameter is on."""
        return self.query.get(name, "").lower() in ("1", "true")

    def json(self) -> Any:
        """Return the body as JSON, or refuse it as the Hub does."""
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise HubError(400, "Invalid JSON in the body.") from error


@dataclass(frozen=True)
class Response:
    """What is sent back."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    def replace(self, **changes: Any) -> Response:
        """Return another answer that differs in these fields."""
        return dataclasses.replace(self, **changes)


def reply(
    value: object, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Answer with JSON."""
    kind = {"Content-Type": "application/json; charset=utf-8"}
    return Response(status, json.dumps(value).encode(), {**kind, **(headers or {})})


class HubError(Exception):
    """A refusal, with what the Hub's clients read in it."""

    def __init__(
        self,
        status: int,
        message: str,
        code: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code
        self.headers = dict(headers or {})

    def response(self) -> Response:
        """Return the refusal as an answer."""
        marks = {"X-Error-Message": self.message, **self.headers}
        if self.code:
            marks["X-Error-Code"] = self.code
        return reply({"error": self.message}, status=self.status, headers=marks)


def unquoted(*parts: str | None) -> tuple[str, ...]:
    """Return parts of a path as they are meant; a part that is missing is empty."""
    return tuple(unquote(part or "") for part in parts)
