"""Connections that do not hurry are closed: a head or a body that never ends holds nothing up.

`PatientHttp` is uvicorn's own protocol with a limit of time for the head of a request, which
uvicorn has not; `BodyPace` limits the time for its body.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from dermsim.core.refused import Keyed, Phrase
from dermsim.ui.middleware import refusal

if TYPE_CHECKING:
    from uvicorn import Config

HEAD = 20.0
"""Seconds that the head of a request may take."""

PAUSE = 20.0
"""Seconds between two pieces of a body at most."""

PACE = 10_000
"""Bytes a second that a body must have on average, once it has taken longer than `PAUSE`."""

_MOST = 4096
_OTHERS = 128
"""Open files that are no connections: weights, libraries, uploads that are being written."""


def connection_limit() -> int | None:
    """Return how many connections there may be at once; None where the system does not say.

    One more is answered with 503, where otherwise a file could not be opened any more.
    """
    try:
        import resource
    except ImportError:  # on Windows
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST if soft == resource.RLIM_INFINITY else max(16, min(_MOST, soft - _OTHERS))


class PatientHttp(AutoHTTPProtocol):  # type: ignore[misc, valid-type]  # chosen when imported
    """HTTP of a server that waits `HEAD` seconds for the head of a request."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Take what came; a head that is not whole by now must be so in time."""
        super().data_received(data)
        if self.cycle is None or self.cycle.response_complete:
            self._wait()
        else:
            self._wait_no_more()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._wait_no_more()
        super().connection_lost(exc)

    def _wait(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(HEAD, self._give_up)

    def _wait_no_more(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()


def limit_connections(config: Config) -> None:
    """Have a server of uvicorn drop slow connections, and take no more than it can hold."""
    config.http = PatientHttp
    config.limit_concurrency = connection_limit()


class BodyPace:
    """ASGI middleware that drops a body which takes too long.

    The application is told that the client left, and the client is answered with 408.

    Args:
        app: The application.
        pause: Seconds between two pieces at most.
        pace: Bytes a second on average, after the first `pause`.
        refuse: Makes the response of the refusal.
        clock: Returns seconds, never fewer than before.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        pause: float = PAUSE,
        pace: float = PACE,
        refuse: Callable[[int, Keyed | str], ASGIApp] = refusal,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.app, self.pause, self.pace, self.refuse = app, pause, pace, refuse
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request as the application does, as long as its body keeps coming."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        clock = self._clock or asyncio.get_running_loop().time
        begun, size, whole, late, started = clock(), 0, False, False, False

        async def hurry() -> Message:
            nonlocal size, whole, late
            if late:
                return {"type": "http.disconnect"}
            if whole:
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), self.pause)
            except TimeoutError:
                late = True
                return {"type": "http.disconnect"}
            size += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            spent = clock() - begun
            late = not whole and spent > self.pause and size < self.pace * (spent - self.pause)
            return {"type": "http.disconnect"} if late else message

        async def answer(message: Message) -> None:
            nonlocal started
            if not late or started:
                started = True
                await send(message)

        try:
            await self.app(scope, hurry, answer)
        except Exception:
            if not late:  # else it is what the application makes of the disconnect
                raise
        if late and not started:
            await self.refuse(408, Phrase("connections.slow"))(scope, receive, send)
