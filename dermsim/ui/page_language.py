"""Which language a visitor reads the page in, and the page served in it from its first line.

The page's address decides, ``?lang=es``, else the browser's own preference (``Accept-Language``).
Nothing is remembered: what a visitor chose stands in the address for as long as the page is open,
and Gradio's client repeats the address's query with every call, so that a listener's answer is in
the same language as the page.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any
from urllib.parse import parse_qsl, urlencode

from dermsim.ui.i18n import language_of

PARAMETER = "lang"
"""Of the page's address."""

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


def chosen_language(query: Mapping[str, str], accepted: str | None) -> str:
    """Return the page's language for a visitor.

    Args:
        query: The parameters of the page's address.
        accepted: The header ``Accept-Language``.
    """
    return language_of(f"{query.get(PARAMETER, '')},{accepted or ''}")


def address_in(language: str, query: Mapping[str, str]) -> str:
    """Return the link to the same page in a language; what else stands in its address stays."""
    return f"?{urlencode({**query, PARAMETER: language})}"


class PageLanguage:
    """ASGI middleware that says the visitor's language in Gradio's page."""

    def __init__(self, app: App, *, tell: Callable[[bytes, str], bytes]) -> None:
        """Say the language in the pages of an ASGI application.

        Args:
            app: The application.
            tell: Page, language -> the page in which it is said.
        """
        self.app, self._tell = app, tell

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Pass a request on, and its answer back; a page is held until it is whole."""
        if scope["type"] != "http" or scope["method"] != "GET":
            return await self.app(scope, receive, send)
        start: Message = {}
        page = bytearray()

        async def hold(message: Message) -> None:
            if message["type"] == "http.response.start" and _is_page(message):
                start.update(message)
            elif message["type"] == "http.response.body" and start:
                page.extend(message.get("body", b""))
                if not message.get("more_body"):
                    body = self._tell(bytes(page), _language(scope))
                    await send({**start, "headers": _headers(start, len(body))})
                    await send({"type": "http.response.body", "body": body})
            else:
                await send(message)

        return await self.app(scope, receive, hold)


def _is_page(start: Message) -> bool:
    kinds = (value for name, value in start["headers"] if name.lower() == b"content-type")
    return any(kind.startswith(b"text/html") for kind in kinds)


def _language(scope: Mapping[str, Any]) -> str:
    headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
    query = dict(parse_qsl(scope.get("query_string", b"").decode("latin-1")))
    return chosen_language(query, headers.get(b"accept-language"))


def _headers(start: Message, length: int) -> list[tuple[bytes, bytes]]:
    kept = [(name, value) for name, value in start["headers"] if name.lower() != b"content-length"]
    return [*kept, (b"content-length", str(length).encode()), (b"vary", b"Accept-Language")]
