"""The tab *Enrol a class*: new classes from a few pictures."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import gradio as gr

from dermsim.data.images import IMAGE_SUFFIXES
from dermsim.ui import callbacks, inline, render
from dermsim.ui.i18n import say
from dermsim.ui.tabs.holding import AT_ONCE, INLINE, chosen, hold_classes, take_several
from dermsim.ui.tabs.page import drawn
from dermsim.ui.tabs.wiring import (
    ON_PAGE,
    ONCE,
    QUIET,
    Picture,
    add_endpoint,
    of,
    sentences,
)


def enroll_tab(
    picture: Picture,
    bank: gr.State,
    *,
    compare: Callable[..., str],
    enroll: Callable[..., Any],
    harm: Callable[..., str],
    known: Callable[..., str],
    load: Callable[[str], Any],
    data: Callable[[Any, str | None], dict[str, float]],
) -> None:
    """Build *Enrol a class*: teach a class from pictures, compare, save, load, remove.

    Args:
        picture: The shared picture.
        bank: What the classes are held by that this visitor taught; replaced, never changed.
        compare: Bank, path or None, `language` -> HTML.
        enroll: Bank, name, paths, `report`, `language` -> bank.
        harm: Bank, `language` -> HTML of what the old classes lose.
        known: Bank, name, `language` -> HTML of why a class cannot be called so, or nothing.
        load: Path of a saved bank -> bank.
        data: Bank, path -> probabilities, for the endpoint.
    """
    with gr.Row(equal_height=False):
        with gr.Column(scale=1, min_width=280):
            name, hint, pictures, submit = _enroll_form()
            shown, load_button, doomed, remove_button = _bank_panel()
        with gr.Column(scale=1, min_width=280):
            result = gr.HTML(drawn(callbacks.nothing_compared), elem_id="comparison")
            lost = gr.HTML("", elem_id="harm")

    def show(own: Any, path: Any, *, language: str = "en") -> str:
        return of(path, compare(own, path, language=language))

    def load_classes(path: str) -> Any:
        return hold_classes(load(path))

    def remove(own: Any, name: str | None) -> Any:
        return hold_classes(callbacks.remove(own, name))

    taught = gr.State(None)
    held = [pictures, taught]
    pictures.upload(sentences(take_several), held, held, **AT_ONCE, **INLINE)
    form, button = [bank, name, pictures], {**ON_PAGE, **ONCE}
    submit.click(sentences(_teacher(enroll)), [*form, taught], [*form, taught], **button)
    load_button.upload(sentences(load_classes), load_button, bank, **ON_PAGE)
    remove_button.click(sentences(remove), [bank, doomed], bank, **button)
    # classes also come back with a page that is loaded anew, so what changes them is not asked
    bank.change(sentences(_show_bank), bank, shown, api_visibility="private", **INLINE)
    bank.change(sentences(harm), bank, lost, **ON_PAGE)
    for event in (picture.accepted.success, bank.change):
        event(sentences(show), [bank, picture.path], result, **ON_PAGE)
    name.change(sentences(known), [bank, name], hint, **QUIET, trigger_mode="always_last")
    _add_endpoints(picture, bank, name, enroll=enroll, data=data)


def _add_endpoints(
    picture: Picture,
    bank: gr.State,
    name: gr.Textbox,
    *,
    enroll: Callable[..., Any],
    data: Callable[[Any, str | None], dict[str, float]],
) -> None:
    def endpoint(bank: Any, name: str, pictures: list[str]) -> tuple[Any, dict[str, object]]:
        known = enroll(bank, name, pictures)
        own: dict[str, object] = {
            "names": list(known.names),
            "enrolled": callbacks.own_classes(known),
        }
        return hold_classes(known), own

    files = gr.File(file_count="multiple", visible=False)
    answer, asked = [bank, gr.JSON(visible=False)], [bank, name, files]
    add_endpoint("enroll", endpoint, asked, answer, named=("bank", "name", "pictures"))
    asked = [bank, picture.upload]
    add_endpoint("compare", data, asked, [gr.JSON(visible=False)], named=("bank", "image"))


def _enroll_form() -> tuple[gr.Textbox, gr.HTML, gr.Gallery, gr.Button]:
    """Place what a visitor fills in to teach a class: its name and its pictures."""
    name = gr.Textbox(
        label=say("enroll.name"),
        placeholder=say("enroll.name_hint"),
        max_length=80,
        elem_id="class-name",
    )
    hint = gr.HTML("", elem_id="class-name-hint")
    pictures = gr.Gallery(
        label=say("enroll.add"),
        type="filepath",
        interactive=True,
        columns=5,
        height="auto",
        object_fit="cover",
        sources=["upload"],
        file_types=["image", *sorted(IMAGE_SUFFIXES)],
        elem_id="class-pictures",
    )
    submit = gr.Button(say("enroll.submit"), variant="primary", elem_id="enrol")
    return name, hint, pictures, submit


def _bank_panel() -> tuple[list[Any], gr.UploadButton, gr.Dropdown, gr.Button]:
    """Place what shows and changes the visitor's classes; the first are what `_show_bank` fills."""
    panel = gr.HTML(
        drawn(lambda language: render.bank_panel({}, language=language)), elem_id="bank"
    )
    with gr.Row():
        save = gr.DownloadButton(
            say("enroll.save"), size="sm", interactive=False, min_width=120, elem_id="save-bank"
        )
        load = gr.UploadButton(say("enroll.load"), size="sm", min_width=120, elem_id="load-bank")
    with gr.Row(visible=False, elem_id="remove") as removal:
        doomed = gr.Dropdown([], label=say("enroll.doomed"), scale=2, min_width=120)
        remove = gr.Button(say("enroll.remove"), size="sm", scale=1, min_width=80)
    return [panel, save, removal, doomed], load, doomed, remove


def _teacher(enroll: Callable[..., Any]) -> Callable[..., Any]:
    """Let `enroll` report to Gradio's progress bar; a taught class empties the form."""

    def teach(
        bank: Any,
        name: str,
        pictures: list[Any] | None,
        taken: dict[str, bytes] | None,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 where Gradio looks for it
        *,
        language: str = "en",
    ) -> tuple[Any, str, None, None]:
        def report(share: float, text: str) -> None:
            progress(share, desc=text)

        files = chosen(pictures, taken)
        known = enroll(bank, name, files, report=report, language=language)
        return hold_classes(known), "", None, None

    return teach


def _show_bank(bank: Any, *, language: str = "en") -> tuple[Any, ...]:
    """Show the visitor's classes and put them in a file to download."""
    own = callbacks.own_classes(bank)
    if bank is None:
        return render.bank_panel({}, language=language), gr.skip(), gr.skip(), gr.skip()
    saved = inline.written(partial(callbacks.save_bank, bank))
    return (
        render.bank_panel(own, language=language),
        gr.update(value=saved, interactive=bool(own)),
        gr.Row(visible=bool(own)),
        gr.Dropdown(list(own), value=None),
    )
