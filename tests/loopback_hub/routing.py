"""Which function answers which request. What no function answers is unknown, and noted as such."""

from __future__ import annotations

import re
from collections.abc import Callable

from .exchange import Response

REPO = r"(models|datasets|spaces)/([^/]+/[^/.][^/]*?)"
"""Kind and name of a repository in the path of an API."""

PAGE = r"(?:(datasets|spaces)/)?([^/]+/[^/.][^/]*?)"
"""The same in the path of a page."""

Endpoint = Callable[..., Response]

ROUTES: list[tuple[str, frozenset[str], re.Pattern[str], Endpoint]] = []


def route(methods: str, path: str, *, host: str = "hub") -> Callable[[Endpoint], Endpoint]:
    """Register a function for some methods, split by a bar, and a path.

    Args:
        methods: Such as ``"GET|HEAD"``.
        path: Regular expression of the whole path, as it is sent. What its groups match is given
            to the function after the hub and the request.
        host: "hub" or "storage".
    """

    def register(function: Endpoint) -> Endpoint:
        ROUTES.append((host, frozenset(methods.split("|")), re.compile(path), function))
        return function

    return register


def find(host: str, method: str, path: str) -> tuple[Endpoint, tuple[str | None, ...]] | None:
    """Return the function for a request and what its path holds, or None if it is unknown."""
    for server, methods, pattern, function in ROUTES:
        if server == host and method in methods and (match := pattern.fullmatch(path)):
            return function, match.groups()
    return None
