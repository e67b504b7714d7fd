"""What may go wrong between a client and the Hub, on demand.

A `Fault` says which requests it befalls and how; `LoopbackHub.inject` arms it.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from .exchange import HubError, Request, Response


@dataclass(frozen=True)
class Refuse:
    """Answer with an error in place of what was asked for.

    Attributes:
        status: HTTP status.
        message: What the Hub says.
        code: Its ``X-Error-Code``, if it sends one.
        headers: Further headers.
    """

    status: int
    message: str = "made to fail"
    code: str | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def answer(self) -> Response:
        """Return the error."""
        return HubError(self.status, self.message, self.code, headers=self.headers).response()


@dataclass(frozen=True)
class HangUp:
    """Close the connection while the request is still coming in, and do nothing of it.

    Attributes:
        after: Share of the request's body that is read before that.
    """

    after: float = 0.0


@dataclass(frozen=True)
class LoseReply:
    """Do what was asked, then close the connection without a word of it."""


@dataclass(frozen=True)
class CutShort:
    """Announce the whole answer, send part of it, and close the connection.

    Attributes:
        after: Share of the body that is sent.
        reset: Close with a reset, as a router that lost its state does, not in order.
    """

    after: float = 0.5
    reset: bool = False


@dataclass(frozen=True)
class Mangle:
    """Receive something else than was sent.

    Attributes:
        change: Makes what arrives of the body that was sent.
    """

    change: Callable[[bytes], bytes]


@dataclass(frozen=True)
class Alter:
    """Send another answer than the true one.

    Attributes:
        change: Makes the false answer of the true one.
    """

    change: Callable[[Response], Response]


def truncated(share: float = 0.5) -> Alter:
    """Send part of the body as if it were all."""
    return Alter(lambda r: r.replace(body=r.body[: int(len(r.body) * share)]))


def flipped() -> Alter:
    """Send a body of the right length with one bit of its middle byte turned round."""

    def change(response: Response) -> Response:
        body = bytearray(response.body)
        body[len(body) // 2] ^= 1
        return response.replace(body=bytes(body))

    return Alter(change)


def body(data: bytes) -> Alter:
    """Send this in place of the true body."""
    return Alter(lambda response: response.replace(body=data))


def header(name: str, value: str | None) -> Alter:
    """Send this header with another value, or without it when None."""

    def change(response: Response) -> Response:
        kept = {k: v for k, v in response.headers.items() if k.lower() != name.lower()}
        return response.replace(headers=kept if value is None else {**kept, name: value})

    return Alter(change)


Effect = Refuse | HangUp | LoseReply | CutShort | Alter | Mangle


@dataclass
class Fault:
    """One thing that goes wrong.

    Attributes:
        method: HTTP method of the requests it befalls.
        path: Regular expression searched in their path and query, as they were sent.
        effect: What happens.
        times: How often, or None for always.
        skip: How many such requests pass unharmed before it starts.
        host: "hub", or "storage" for what is behind the Hub's redirects.
    """

    method: str
    path: str
    effect: Effect
    times: int | None = 1
    skip: int = 0
    host: str = "hub"
    struck: int = field(default=0, init=False)
    _seen: int = field(default=0, init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def befalls(self, request: Request) -> bool:
        """Say whether this request is hit, and count it if so."""
        if (request.host, request.method) != (self.host, self.method):
            return False
        if not re.search(self.path, request.target):
            return False
        with self._lock:
            self._seen += 1
            spent = self.times is not None and self.struck >= self.times
            if self._seen <= self.skip or spent:
                return False
            self.struck += 1
            return True
