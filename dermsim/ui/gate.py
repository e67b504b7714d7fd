"""The one gate in front of everything that a server answers: page, REST and tools alike.

`Gate` refuses, in this order, requests to a name that is not the server's, requests that another
site's page sent, new work while the server is stopping, and, where there is a token, whoever has
not shown it. `SafeHeaders` tells browsers what answers may be used for.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dermsim.core.refused import Keyed, Phrase
from dermsim.ui.hosts import Hosts
from dermsim.ui.i18n import say
from dermsim.ui.logins import (
    Logins,
    Misses,
    bearer_of,
    check_token,
    is_token,
    login_cookie,
    login_of,
    login_page,
    logout_page,
    posted_password,
)
from dermsim.ui.middleware import refusal
from dermsim.ui.page_language import chosen_language
from dermsim.ui.stopping import Work

STARTUP = "/gradio_api/startup-events"
"""What Gradio asks its own server for when it is launched."""

Refuse = Callable[[int, Keyed | str], Response]
"""HTTP status, sentence -> the response that says so."""


@dataclass(frozen=True, kw_only=True)
class Entrance:
    """Whom a server lets in.

    Attributes:
        token: What must be shown; None lets everybody in.
        hosts: The names that the server answers to.
        embed: Origins whose pages may show this one inside, such as ``https://example.org``.
        guarded: What the addresses begin with that ask for the token themselves, as a bearer token
            only: REST and tools, whose refusals have a form of their own.
    """

    token: str | None = None
    hosts: Hosts = field(default_factory=Hosts)
    embed: tuple[str, ...] = ()
    guarded: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what cannot be a token."""
        if self.token is not None:
            check_token(self.token)


class Gate:
    """ASGI middleware that lets in whom it should, before anything else is asked.

    Args:
        app: What is behind it.
        entrance: Whom it lets in.
        work: What is under way, and whether more is taken on.
        refuse: Makes the response of a refusal.
        logins: The browsers that are logged in.
        misses: Slows wrong tokens down.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        entrance: Entrance,
        work: Work | None = None,
        refuse: Refuse = refusal,
        logins: Logins | None = None,
        misses: Misses | None = None,
    ) -> None:
        self.app, self.entrance, self.refuse = app, entrance, refuse
        self.work = work or Work()
        self.logins = Logins() if logins is None else logins
        self.misses = misses or Misses()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request as the application does, or refuse it."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] != "http":  # nothing here speaks by WebSocket
            await send({"type": "websocket.close", "code": 1008})
        elif (answer := await self._refusal(scope, receive)) is not None:
            await answer(scope, receive, send)
        else:
            with self.work.answering(scope):
                await self.app(scope, receive, send)

    async def _refusal(self, scope: Scope, receive: Receive) -> Response | None:
        """Return what is answered in the application's place; None to let a request in."""
        entrance = self.entrance
        if not entrance.hosts.answers_to(Headers(scope=scope).get("host")):
            return self.refuse(421, Phrase("gate.other_host"))
        if entrance.hosts.comes_from_elsewhere(scope):
            return self.refuse(403, Phrase("gate.other_site"))
        if self.work.is_refused(scope):
            return self.refuse(503, Phrase("gate.stopping"))
        if entrance.token is None or _below(scope["path"], entrance.guarded):
            return None
        if self.work.starting and scope["path"] == STARTUP:
            return None
        return await self._without_token(scope, receive, entrance.token)

    async def _without_token(self, scope: Scope, receive: Receive, token: str) -> Response | None:
        """Let in who has shown the token, take it from who shows it now, and refuse others."""
        path = scope["path"]
        if path == "/logout":
            return self._logout(scope)
        if path == "/login" and scope["method"] == "POST":
            return await self._login(scope, receive, token)
        if login_of(scope) in self.logins:
            return RedirectResponse("./", 303) if path == "/login" else None
        if path == "/login":
            return HTMLResponse(login_page(_language(scope)))
        if (given := bearer_of(scope)) is not None:
            if self.misses.flooded(scope):
                return self._too_many()
            if is_token(given, token):
                return None
            if await self.misses.note(scope):
                return self._too_many()
        elif path == "/" and scope["method"] in ("GET", "HEAD"):
            query = scope.get("query_string", b"").decode("latin-1")
            return RedirectResponse(f"login?{query}" if query else "login", 303)
        answer = self.refuse(401, Phrase("gate.no_token"))
        answer.headers["www-authenticate"] = "Bearer"
        return answer

    async def _login(self, scope: Scope, receive: Receive, token: str) -> Response:
        """Answer a form that shows the token: a browser's, or that of `gradio_client`."""
        language, flooded = _language(scope), self.misses.flooded(scope)
        if not flooded and is_token(await posted_password(scope, receive), token):
            self.logins.end(login_of(scope))
            answer: Response = JSONResponse({"success": True})
            if _is_browser(scope):
                answer = RedirectResponse(f"./?lang={language}", 303)
            answer.headers["set-cookie"] = self._cookie(
                scope, self.logins.begin(), self.logins.lasts
            )
            return answer
        slower = flooded or await self.misses.note(scope)
        if not _is_browser(scope):
            return self._too_many() if slower else self.refuse(401, say("serve.wrong"))
        told = say("serve.slower" if slower else "serve.wrong", language)
        return HTMLResponse(login_page(language, told=told), 429 if slower else 401)

    def _logout(self, scope: Scope) -> Response:
        """Log this browser out, when its visitor presses the button; a link only shows it."""
        if scope["method"] != "POST":
            return HTMLResponse(logout_page(_language(scope)))
        self.logins.end(login_of(scope))
        answer = RedirectResponse("login", 303)
        answer.headers["set-cookie"] = self._cookie(scope, "", 0)
        return answer

    def _too_many(self) -> Response:
        answer = self.refuse(429, say("serve.slower"))
        answer.headers["retry-after"] = f"{self.misses.every:.0f}"
        return answer

    def _cookie(self, scope: Scope, number: str, lasts: float) -> str:
        embedded = bool(self.entrance.embed)
        return login_cookie(scope, number, lasts=lasts, embedded=embedded)


def _below(path: str, prefixes: Collection[str]) -> bool:
    return any(path == prefix or path.startswith(f"{prefix}/") for prefix in prefixes)


def _is_browser(scope: Scope) -> bool:
    return "text/html" in Headers(scope=scope).get("accept", "")


def _language(scope: Scope) -> str:
    query = dict(parse_qsl(scope.get("query_string", b"").decode("latin-1")))
    return chosen_language(query, Headers(scope=scope).get("accept-language"))


_FILES = ("/gradio_api/file=", "/gradio_api/file/", "/api/")
"""Addresses of answers in which nothing is to run, whoever opens them."""

_INERT = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'"


class SafeHeaders:
    """ASGI middleware that tells browsers what the answers may be used for.

    Nothing is loaded from elsewhere, answers are taken for what they say they are, other sites are
    not told the page's address, and show it inside theirs only where that is asked for.

    Args:
        app: The application.
        embed: Origins whose pages may show this one inside; none by default.
    """

    def __init__(self, app: ASGIApp, *, embed: Sequence[str] = ()) -> None:
        self.app = app
        frames = f"frame-ancestors {' '.join(embed)}" if embed else "frame-ancestors 'self'"
        self._page = f"{PAGE_POLICY}; {frames}"
        self._inert = f"{_INERT}; sandbox allow-forms allow-same-origin; {frames}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request as the application does."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        inert = scope["path"].startswith(_FILES) or scope["path"] in ("/login", "/logout")

        async def tell(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["x-content-type-options"] = "nosniff"
                headers["referrer-policy"] = "same-origin"
                headers["content-security-policy"] = self._inert if inert else self._page
            await send(message)

        await self.app(scope, receive, tell)


PAGE_POLICY = "; ".join(
    (
        "default-src 'self'",
        # Gradio's page holds its settings and ours in scripts between its lines, and its HTML
        # components make functions of their templates
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "media-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self' data: blob:",
        "worker-src 'self' blob:",
        "frame-src 'self' data: blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
    )
)
"""What the page may load and run (Content Security Policy, level 3)."""
