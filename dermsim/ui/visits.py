"""What a visitor's tab of the browser has given, so that a page loaded anew has it again.

A page that is loaded anew, in another language or by going back, is a new session to Gradio, and
its states are empty. The tab keeps a random token, and by that token the page before is found. What
it held lies on the `Shelf` as before, for as long as there: nothing is held longer for this.
"""

from __future__ import annotations

import re
import threading
import weakref
from collections import OrderedDict

from dermsim.ui.shelf import Gone, Held, Shelf

MOST = 10_000
"""Tabs that are known at a time."""

_TOKEN = re.compile(r"[0-9a-f]{32}")


class Visits:
    """Which names of things each tab of a browser has on a shelf; safe to share between threads.

    Only the names' own holders keep a thing: what every session has forgotten is gone here, too.
    """

    def __init__(self, shelf: Shelf, *, most: int = MOST) -> None:
        self._shelf, self._most = shelf, most
        self._things: OrderedDict[str, dict[str, weakref.ref[Held]]] = OrderedDict()
        self._tokens: OrderedDict[str, str] = OrderedDict()  # by session
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._things)

    def arrive(self, token: object, session: str | None) -> dict[str, Held]:
        """Note that a tab has loaded the page, and return what its page before still holds.

        That is the new session's from now on.

        Args:
            token: What the tab is known by, 32 hexadecimal digits; nothing is kept for any other.
            session: Gradio's name of the new session.
        """
        if session is None or not isinstance(token, str) or not _TOKEN.fullmatch(token):
            return {}
        with self._lock:
            known = self._things.pop(token, {})
            self._things[token] = known
            self._tokens.pop(session, None)
            self._tokens[session] = token
            while len(self._things) > self._most:
                self._things.popitem(last=False)
            while len(self._tokens) > self._most:
                self._tokens.popitem(last=False)
            names = {kind: name for kind, reference in known.items() if (name := reference())}
        found = {}
        for kind, name in names.items():
            try:
                self._shelf.adopt(name, session)
            except Gone:
                continue
            found[kind] = name
        return found

    def note(self, session: str | None, kind: str, held: Held | None) -> None:
        """Note what a session's page shows now.

        Args:
            session: Gradio's name of it; None for a program, of which nothing is noted.
            kind: Of the thing; a page has one of each.
            held: Its name; None for nothing.
        """
        with self._lock:
            token = self._tokens.get(session or "")
            if token is None or token not in self._things:
                return
            if held is None:
                self._things[token].pop(kind, None)
            else:
                self._things[token][kind] = weakref.ref(held)
