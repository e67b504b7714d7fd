"""What a page that is loaded anew has again: picture, taught classes and batch.

The threshold, too, and which tab was open; those two the browser's tab keeps itself (``case.js``).
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from dermsim.ui.shelf import CLASSES, FILE, ROWS
from dermsim.ui.tabs.holding import AT_ONCE, INLINE, arrive, show_again
from dermsim.ui.tabs.wiring import Picture

TOKEN = """() => {
  const name = "dermsim-visit", digits = crypto.getRandomValues(new Uint8Array(16));
  const made = [...digits].map((digit) => digit.toString(16).padStart(2, "0")).join("");
  if (!sessionStorage.getItem(name)) sessionStorage.setItem(name, made);
  return sessionStorage.getItem(name);
}"""
"""JavaScript that returns what this tab of the browser is known by, and makes it at first."""


def return_things(page: gr.Blocks, picture: Picture, bank: gr.State, rows: gr.State) -> Any:
    """Give a page that is loaded anew what the one before it held.

    Args:
        page: The page.
        picture: The shared picture.
        bank: What the classes are held by that this visitor taught.
        rows: What the batch's rows are held by.

    Returns:
        The event after which they are there; the tabs follow picture and classes by themselves.
    """
    token = gr.Textbox("", visible=False)
    arrived = gr.HTML("", elem_id="arrived", visible="hidden")

    def back(known: str) -> tuple[Any, ...]:
        held = arrive(known)
        image, name = show_again(held.get(FILE))
        there = "picture" if name else "nothing"
        own = (held.get(kind) or gr.skip() for kind in (CLASSES, ROWS))
        again = (image, name, name) if name else [gr.skip()] * 3
        return *again, *own, f'<i data-arrived="{there}"></i>'

    filled = [picture.upload, picture.path, picture.last_good, bank, rows, arrived]
    return page.load(back, token, filled, js=TOKEN, **AT_ONCE, **INLINE)
