"""Who has shown the token: logins of browsers, wrong tokens, and the page on which one logs in.

A login is a random number in a cookie, one for each browser; it ends after a day, when its visitor
logs out, and with the server. Wrong tokens are counted by the address that they come from; whoever
has the right one is let in whatever others send, unless a flood comes from the very same address.
"""

from __future__ import annotations

import asyncio
import ipaddress
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable
from html import escape
from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.types import Message, Receive, Scope

from dermsim.core.refused import Refused
from dermsim.ui.i18n import say

LASTS = 24 * 3600.0
"""Seconds after which a login ends."""

SHORTEST = 16
"""Characters of a token at least."""

_MOST_LOGINS = 10_000
_MOST_ADDRESSES = 10_000
_FORM = 10_000  # bytes of a form that is sent to log in


def check_token(token: str) -> str:
    """Return a token, or refuse one that cannot be sent in a header or is soon guessed.

    Raises:
        ValueError: If it is too short, or holds blanks or characters beyond ASCII.
    """
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise Refused("logins.characters")
    if len(token) < SHORTEST:
        raise Refused("logins.short", count=len(token), shortest=SHORTEST)
    return token


def is_token(given: str, token: str) -> bool:
    """Compare in time that does not depend on how much of it is right."""
    return secrets.compare_digest(given.strip().encode(), token.encode())


def bearer_of(scope: Scope) -> str | None:
    """Return the bearer token that a request names; None where it names none."""
    kind, _, given = Headers(scope=scope).get("authorization", "").partition(" ")
    return given if kind.lower() == "bearer" else None


class Logins:
    """The browsers that are logged in; safe to share between threads.

    Args:
        lasts: Seconds after which a login ends.
        most: Logins remembered at once; the oldest gives way.
        clock: Returns seconds, never fewer than before.
    """

    def __init__(
        self,
        *,
        lasts: float = LASTS,
        most: int = _MOST_LOGINS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.lasts, self.most, self._clock = lasts, most, clock
        self._until: dict[str, float] = {}  # in the order in which they began
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._until)

    def begin(self) -> str:
        """Log a browser in, and return the number that its cookie is to hold."""
        with self._lock:
            while len(self._until) >= self.most:
                del self._until[next(iter(self._until))]
            number = secrets.token_urlsafe(32)
            self._until[number] = self._clock() + self.lasts
            return number

    def __contains__(self, number: str | None) -> bool:
        """Say whether a number is of a login that has not ended."""
        with self._lock:
            until = self._until.get(number or "")
            if until is not None and until <= self._clock():
                del self._until[number or ""]
                return False
            return until is not None

    def end(self, number: str | None) -> None:
        """Log one browser out."""
        with self._lock:
            self._until.pop(number or "", None)


class Misses:
    """Slows down whoever sends wrong tokens. To be used from one event loop.

    Args:
        free: Wrong tokens of one address that are answered at once.
        every: Seconds after which one more is.
        hold: Seconds for which the answer to any other is held back.
        waiting: Held answers of one address at most; what comes while there are so many is refused
            without a look at its token.
        clock: Returns seconds, never fewer than before.
    """

    def __init__(
        self,
        *,
        free: int = 10,
        every: float = 6.0,
        hold: float = 1.0,
        waiting: int = 16,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.free, self.every, self.hold, self.waiting = free, every, hold, waiting
        self._clock = clock
        self._spent: dict[str, float] = {}  # address -> when all its free misses are back
        self._held: Counter[str] = Counter()

    def flooded(self, scope: Scope) -> bool:
        """Say whether so much is wrong from a request's address that nothing is looked at."""
        return self._held[address_of(scope)] >= self.waiting

    async def note(self, scope: Scope) -> bool:
        """Count a wrong token, and hold its answer back if there were too many.

        Returns:
            Whether there were too many.
        """
        address, now = address_of(scope), self._clock()
        back = max(self._spent.pop(address, now), now) + self.every
        self._spent[address] = min(back, now + (self.free + 1) * self.every)
        if len(self._spent) > _MOST_ADDRESSES:
            del self._spent[next(iter(self._spent))]
        if back - now <= self.free * self.every:
            return False
        self._held[address] += 1
        try:
            await asyncio.sleep(self.hold)
        finally:
            self._held[address] -= 1
            if not self._held[address]:
                del self._held[address]
        return True


def address_of(scope: Scope) -> str:
    """Return the address that a request comes from; for IPv6 its network of 64 bits."""
    host = (scope.get("client") or ("", 0))[0]
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if address.version == 6:
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


def cookie_name(scope: Scope) -> str:
    """Return what the cookie is called; servers at other ports of one name get it as well."""
    return f"dermsim-{(scope.get('server') or ('', 0))[1]}"


def login_of(scope: Scope) -> str | None:
    """Return the number that a request's cookie holds; None where there is none."""
    return cookie_parser(Headers(scope=scope).get("cookie", "")).get(cookie_name(scope))


def login_cookie(scope: Scope, number: str, *, lasts: float, embedded: bool) -> str:
    """Write the header that gives a browser its cookie, or takes it away with ``lasts=0``.

    Args:
        scope: The request.
        number: Of the login.
        lasts: Seconds.
        embedded: Whether the page is meant to be shown inside other sites' pages.
    """
    parts = [f"{cookie_name(scope)}={number}", "Path=/", f"Max-Age={lasts:.0f}", "HttpOnly"]
    if embedded:
        parts += ["SameSite=None", "Secure", "Partitioned"]
    else:
        parts += ["SameSite=Lax", *(["Secure"] if is_secure(scope) else [])]
    return "; ".join(parts)


def is_secure(scope: Scope) -> bool:
    """Say whether a request came by TLS, to this server or to a proxy before it."""
    forwarded = Headers(scope=scope).get("x-forwarded-proto", "")
    return scope.get("scheme") == "https" or forwarded.partition(",")[0].strip() == "https"


async def posted_password(scope: Scope, receive: Receive) -> str:
    """Read what a form for logging in gives as the token; empty where it gives none.

    It takes the form of the page below and that of `gradio_client`, which sends a name as well.
    """
    kind = Headers(scope=scope).get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        return ""
    body = bytearray()
    while len(body) <= _FORM:
        message: Message = await receive()
        body += message.get("body", b"")
        if message["type"] != "http.request" or not message.get("more_body"):
            break
    try:
        found = parse_qs(bytes(body[:_FORM]).decode("ascii"), max_num_fields=10)
    except ValueError:  # neither ASCII nor so few fields
        return ""
    return found.get("password", [""])[0]


_PAGE = """<!doctype html>
<html lang="{language}">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>dermsim</title><link rel="icon" href="data:,">
<style>
body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 26rem; margin: 15vh auto; padding: 1rem;
color-scheme: light dark }}
input, button {{ font: inherit; width: 100%; box-sizing: border-box; padding: .6rem;
margin: .3rem 0 }}
</style></head>
<body><main><h1>dermsim</h1>{content}</main></body></html>
"""


def login_page(language: str, *, told: str = "") -> str:
    """Return the page on which a visitor gives the token, as HTML.

    Args:
        language: The visitor's.
        told: A sentence about what went wrong.
    """
    alert = f'<p role="alert">{escape(told)}</p>' if told else ""
    content = (
        f"<p>{say('serve.login', language)}</p>{alert}"
        f'<form method="post" action="login?lang={language}">'
        f'<label for="password">{say("serve.token", language)}</label>'
        '<input id="password" name="password" type="password" required autofocus '
        'autocomplete="current-password">'
        f"<button>{say('serve.enter', language)}</button></form>"
    )
    return _PAGE.format(language=language, content=content)


def logout_page(language: str) -> str:
    """Return the page with the button that logs out, as HTML."""
    content = (
        f'<form method="post" action="logout?lang={language}">'
        f"<button>{say('serve.leave', language)}</button></form>"
    )
    return _PAGE.format(language=language, content=content)
