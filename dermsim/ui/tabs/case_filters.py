"""The menus by which past cases are chosen, for the tabs that show some."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from dermsim.core.labels import CODES
from dermsim.ui import cards, filters
from dermsim.ui.i18n import say


@dataclass(frozen=True)
class FactMenus:
    """Menus of facts and two sliders of age.

    Attributes:
        menus: One for each of `filters.MENUS`.
        ages: The lowest and the highest age.
    """

    menus: tuple[gr.Dropdown, ...]
    ages: tuple[gr.Slider, gr.Slider]

    @property
    def inputs(self) -> list[Any]:
        """All of them, in the order in which functions take their values."""
        return [*self.menus, *self.ages]

    def on_choice(self, act: Callable[..., Any], *values: Any, **options: Any) -> None:
        """Call a listener whenever the visitor chooses."""
        for menu in self.menus:
            menu.input(act, *values, **options)
        for slider in self.ages:
            slider.release(act, *values, **options)


def fact_menus(name: str) -> FactMenus:
    """Place the menus; `fill_menus` says what they offer.

    Args:
        name: Begins the ids of their elements.
    """
    low, high = filters.AGES
    with gr.Row():
        menus = tuple(
            gr.Dropdown(
                [],
                multiselect=True,
                label=say(f"facts.{fact}"),
                min_width=150,
                elem_id=f"{name}-{fact}",
            )
            for fact in filters.MENUS
        )
    with gr.Row():
        ages = (
            gr.Slider(
                low, high, low, step=5, label=say("facts.age_from"), elem_id=f"{name}-youngest"
            ),
            gr.Slider(low, high, high, step=5, label=say("facts.age_to"), elem_id=f"{name}-oldest"),
        )
    return FactMenus(menus, ages)


def known_words() -> list[gr.Dropdown]:
    """Return menus for programs, which offer the words of HAM10000; others are taken as well."""
    words = {"dx": CODES, **cards.WORDS}
    return [
        gr.Dropdown(list(words[fact]), value=[], multiselect=True, label=fact, visible=False)
        for fact in filters.MENUS
    ]


def fill_menus(offers: dict[str, filters.Offer]) -> list[Any]:
    """Return what `FactMenus.menus` become when it is known what they offer."""
    return [gr.Dropdown(choices=offers[fact]) for fact in filters.MENUS]
