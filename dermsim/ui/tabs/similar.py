"""The tab *Similar cases*: past cases most like a picture."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from dermsim.core.concept_schema import STATES
from dermsim.data.concepts import load_schema
from dermsim.ui import callbacks, filters
from dermsim.ui.i18n import say
from dermsim.ui.tabs.case_filters import FactMenus, fact_menus, known_words
from dermsim.ui.tabs.page import drawn
from dermsim.ui.tabs.wiring import ON_PAGE, QUIET, Picture, add_endpoint, of, sentences

NAMED = ("youngest", "oldest", "concepts", "exclude_lesion")
"""What programs call the last of their values."""


def similar_tab(
    picture: Picture,
    *,
    similar: Callable[..., str],
    data: Callable[..., list[dict[str, object]]],
    concepts: Callable[..., list[tuple[str, str]]],
) -> FactMenus:
    """Build *Similar cases*: cards of the nearest past cases.

    Args:
        picture: The shared picture.
        similar: Path or None, how many, whether one photograph of each lesion, and the choice of
            facts -> HTML.
        data: The same, with a path -> JSON-able values, for the endpoint.
        concepts: `language` -> by which concepts past cases can be chosen; nothing where they were
            not looked through.

    Returns:
        The menus of facts, to be filled.
    """
    k, one_per_lesion = _place_numbers()
    facts, concept, lesion = _place_facts()
    cards = gr.HTML(drawn(callbacks.nothing_similar), elem_id="cases")

    def show(path: Any, *asked: Any, language: str = "en") -> str:
        *others, shown, left_out = asked
        known = {"concepts": shown, "exclude_lesion": left_out}
        return of(path, similar(path, *others, **known, language=language))

    def plain(path: Any, *asked: Any) -> list[dict[str, object]]:
        *others, shown, left_out = asked
        return data(path, *others, concepts=shown, exclude_lesion=left_out)

    def offer(*, language: str = "en") -> Any:
        offered = concepts(language=language)
        return gr.Dropdown(offered, visible=bool(offered))

    wiring: list[Any] = [
        sentences(show),
        [picture.path, k, one_per_lesion, *facts.inputs, concept, lesion],
        cards,
    ]
    picture.accepted.success(*wiring, **ON_PAGE)
    k.change(*wiring, **ON_PAGE)
    one_per_lesion.input(*wiring, **ON_PAGE)
    facts.on_choice(*wiring, **ON_PAGE)
    concept.input(*wiring, **ON_PAGE)
    gr.on(None, sentences(offer), None, concept, **QUIET)
    lesion.submit(*wiring, **ON_PAGE)
    lesion.blur(*wiring, **ON_PAGE)
    asked = [picture.upload, k, one_per_lesion, *_for_programs(facts, lesion)]
    named = (*("image", "k", "one_per_lesion"), *filters.MENUS, *NAMED)
    add_endpoint("similar", plain, asked, [gr.JSON(visible=False)], named=named)
    return facts


def _for_programs(facts: FactMenus, lesion: gr.Textbox) -> list[Any]:
    """Return by what programs choose cases: menus that do not wait for a checkpoint."""
    concepts = gr.Dropdown(
        [f"{name}={state}" for name in load_schema() for state in STATES],
        value=[],
        multiselect=True,
        label="concepts",
        visible=False,
    )
    return [*known_words(), *facts.ages, concepts, lesion]


def _place_numbers() -> tuple[gr.Slider, gr.Checkbox]:
    """Place how many cases are shown, and whether one of each lesion."""
    with gr.Row(equal_height=True):
        k = gr.Slider(
            1,
            callbacks.MAX_NEIGHBORS,
            value=6,
            step=1,
            label=say("similar.how_many"),
            elem_id="how-many",
            min_width=220,
            scale=2,
        )
        one_per_lesion = gr.Checkbox(
            True,
            label=say("similar.one_per_lesion"),
            info=say("similar.one_per_lesion_why"),
            elem_id="one-per-lesion",
            min_width=220,
        )
    return k, one_per_lesion


def _place_facts() -> tuple[FactMenus, gr.Dropdown, gr.Textbox]:
    """Place which cases are looked at, by facts and by concepts, and which lesion is left out."""
    with gr.Accordion(say("facts.only_with"), open=False, elem_id="similar-facts"):
        facts = fact_menus("similar")
        concept = gr.Dropdown(
            [],
            multiselect=True,
            label=say("concepts.cases"),
            info=say("concepts.cases_how"),
            visible=False,
            elem_id="similar-concepts",
        )
        lesion = gr.Textbox(
            "",
            label=say("similar.left_out"),
            info=say("similar.left_out_why"),
            elem_id="similar-left-out",
            max_lines=1,
        )
    return facts, concept, lesion
