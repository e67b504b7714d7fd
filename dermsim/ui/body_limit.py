"""ASGI middleware that bounds what a request may send, for the page and for REST."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dermsim.core.refused import Keyed, Phrase

Refuse = Callable[[int, Keyed | str], ASGIApp]
"""HTTP status, sentence -> the response that says so."""


class _Verdict(NamedTuple):
    status: int
    sentence: Keyed


def is_request(scope: Scope) -> bool:
    """Say whether this is an HTTP request at all."""
    return scope["type"] == "http"


class BodyLimit:
    """Counts the bytes of a body while it arrives, whatever length was declared.

    A request that declares too much is refused before it is read; one that turns out to have too
    much is told to the application as a client that left, and answered with the refusal.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        most: int,
        refuse: Refuse,
        too_long: Keyed,
        too_many: Keyed,
        together: int | None = None,
        admit: Callable[[int], bool] | None = None,
        receiving: Callable[[], AbstractContextManager[None]] = nullcontext,
        concerns: Callable[[Scope], bool] = is_request,
    ) -> None:
        """Limit what is sent to an ASGI application.

        Args:
            app: The application.
            most: Bytes of one request.
            refuse: Makes the response of a refusal: 413, 503, or 411.
            too_long: Sentence for a request of more bytes.
            too_many: Sentence for a request that finds no room beside the others.
            together: Bytes of all requests under way; None for any number.
            admit: Declared bytes of one request -> whether there is room for them. With it, a
                request that declares no length is refused.
            receiving: () -> what is entered for as long as a request is answered.
            concerns: Which requests are bounded; others pass.
        """
        self.app, self.most, self.together = app, most, together
        self.refuse, self.too_long, self.too_many = refuse, too_long, too_many
        self.admit, self.receiving, self.concerns = admit, receiving, concerns
        self._held = 0  # only ever touched by the event loop's thread

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request as the application does, or refuse it."""
        if not self.concerns(scope):
            await self.app(scope, receive, send)
            return
        verdict = self._declared(Headers(scope=scope).get("content-length", ""))
        own, started = 0, False

        async def count() -> Message:
            nonlocal own, verdict
            if verdict is None:
                message = await receive()
                size = len(message.get("body", b""))
                own += size
                self._held += size
                verdict = self._arrived(own)
            return message if verdict is None else {"type": "http.disconnect"}

        async def answer(message: Message) -> None:
            nonlocal started
            if verdict is None or started:
                started = True
                await send(message)

        if verdict is None:
            try:
                with self.receiving():
                    await self.app(scope, count, answer)
            except Exception:
                if verdict is None:  # else it is what the application makes of the disconnect
                    raise
            finally:
                self._held -= own
        if verdict is not None and not started:
            await self.refuse(*verdict)(scope, receive, send)

    def _declared(self, length: str) -> _Verdict | None:
        """Judge a request by the length it declares."""
        if not (length.isascii() and length.isdigit()):
            if self.admit is None:
                return None
            return _Verdict(411, Phrase("body_limit.no_length"))
        size = int(length[:20])
        if size > self.most:
            return _Verdict(413, self.too_long)
        if self.admit is not None and not self.admit(size):
            return _Verdict(503, self.too_many)
        return None

    def _arrived(self, own: int) -> _Verdict | None:
        """Judge a request by the bytes that have come."""
        if own > self.most:
            return _Verdict(413, self.too_long)
        if self.together is not None and self._held > self.together:
            return _Verdict(503, self.too_many)
        return None
