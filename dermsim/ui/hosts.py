"""Which names a server answers to, and which requests come from other sites' pages.

A browser lets any page send requests anywhere, and a stranger's name may be made to mean this
machine for a moment (DNS rebinding). So a request must name a host that this server is known by,
and one that a page sent must come from a page of this very server.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

from dermsim.core.refused import Refused

VARIABLE = "DERMSIM_HOSTS"
"""Environment variable with further names, separated by commas."""

_SPACE = "SPACE_HOST"  # how the Hub tells a Space its name
_TUNNEL = ".gradio.live"
_PAGES = ("/", "/login", "/logout")
"""What a link on another site's page may lead to."""


class Hosts:
    """The names of a server.

    Addresses of numbers are always answered: no name has to be looked up for them, so nobody can
    make them mean another machine.

    Args:
        names: Names besides those of this machine, such as a proxy's before it; ``.example.org``
            is every name below that one.
        shared: Whether the page is reached through Gradio's tunnel as well.
    """

    def __init__(self, names: Iterable[str] = (), *, shared: bool = False) -> None:
        own = (check_name(name) for name in names)
        told = os.environ.get(VARIABLE, "").split(",")
        space = os.environ.get(_SPACE, "").split(",")
        self.told = frozenset(
            [*own, *(check_name(name.strip()) for name in (*told, *space) if name.strip())]
            + ([_TUNNEL] if shared else [])
        )
        self._machine = frozenset({"localhost", ".localhost", _plain(socket.gethostname())})

    def answers_to(self, header: str | None) -> bool:
        """Say whether the header ``Host`` names this server."""
        if not header:
            return False
        name = _name(header)
        return name is not None and (
            is_address(name) or _among(name, self._machine) or _among(name, self.told)
        )

    def is_own_page(self, origin: str, host: str) -> bool:
        """Say whether a page at an origin is one of this server.

        Args:
            origin: The header ``Origin``.
            host: The header ``Host``, which a proxy may have changed.
        """
        parts = urlsplit(origin)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            return False
        name = _name(parts.netloc)
        same = parts.netloc.lower() == host.lower()
        return same or (name is not None and _among(name, self.told))

    def comes_from_elsewhere(self, scope: Scope) -> bool:
        """Say whether a request was sent by another site's page, other than by a link to ours."""
        headers = Headers(scope=scope)
        reads = scope["method"] in ("GET", "HEAD")
        link = reads and scope["path"] in _PAGES
        origin = headers.get("origin")
        if origin is not None and not self.is_own_page(origin, headers.get("host", "")):
            return not link
        if origin is None and headers.get("sec-fetch-site") in ("cross-site", "same-site"):
            return not (link and headers.get("sec-fetch-mode") == "navigate")
        return False


def check_name(name: str) -> str:
    """Return the name of a host as it is compared.

    Raises:
        ValueError: If it is none.
    """
    plain = _plain(name.removeprefix("."))
    allowed = plain.replace("-", "").replace(".", "").replace("_", "")
    if not (allowed.isalnum() and allowed.isascii()):
        raise Refused("hosts.host", name=name)
    return f".{plain}" if name.startswith(".") else plain


def check_origin(origin: str) -> str:
    """Return an origin whose pages may show this one inside.

    Raises:
        ValueError: If it is none.
    """
    parts = urlsplit(origin)
    rest = parts.path.strip("/") or parts.query or parts.fragment or parts.username
    if parts.scheme not in ("http", "https") or not parts.hostname or rest:
        raise Refused("hosts.origin", origin=origin)
    check_name(parts.hostname.removeprefix("*"))
    return f"{parts.scheme}://{parts.netloc}"


def _plain(name: str) -> str:
    return name.lower().rstrip(".")


def _name(netloc: str) -> str | None:
    """Return the host of ``host:port``; None where it is none."""
    try:
        found = urlsplit(f"//{netloc}")
        _ = found.port  # which must be one
    except ValueError:
        return None
    return _plain(found.hostname) if found.hostname and "@" not in netloc else None


def is_address(name: str) -> bool:
    """Say whether a host is given by its number."""
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def _among(name: str, names: Iterable[str]) -> bool:
    return any(name == one or (one.startswith(".") and name.endswith(one)) for one in names)
