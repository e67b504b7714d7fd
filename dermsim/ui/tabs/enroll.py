"""The tab *Enrol a class*: new classes from a few pictures."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr

from dermsim.ui import callbacks, render
from dermsim.ui.tabs.wiring import ON_PAGE, Picture, add_endpoint, of, sentences


def enroll_tab(
    picture: Picture,
    bank: gr.State,
    *,
    compare: Callable[[Any, str | None], str],
    enroll: Callable[..., Any],
    load: Callable[[str], Any],
    data: Callable[[Any, str | None], dict[str, float]],
) -> None:
    """Build *Enrol a class*: teach a class from pictures, compare, save, load, remove.

    Args:
        picture: The shared picture.
        bank: What this visitor's session knows; replaced, never changed.
        compare: Bank, path or None -> HTML.
        enroll: Bank, name, paths, `report` -> bank.
        load: Path of a saved bank -> bank.
        data: Bank, path -> probabilities, for the endpoint.
    """
    with gr.Row(equal_height=False):
        with gr.Column(scale=1, min_width=280):
            name, pictures, submit = _enroll_form()
            shown, load_button, doomed, remove_button = _bank_panel()
        with gr.Column(scale=1, min_width=280):
            result = gr.HTML(callbacks.NOTHING_COMPARED, elem_id="comparison")

    def show(own: Any, path: str | None) -> str:
        return of(path, compare(own, path))

    form = [bank, name, pictures]
    changes = [
        submit.click(sentences(_teacher(enroll)), form, form, **ON_PAGE),
        load_button.upload(sentences(load), load_button, bank, **ON_PAGE),
        remove_button.click(sentences(callbacks.remove), [bank, doomed], bank, **ON_PAGE),
    ]
    for change in changes:
        change.success(_show_bank, bank, shown, api_visibility="private")
    for event in (picture.accepted, *changes):
        event.success(sentences(show), [bank, picture.path], result, **ON_PAGE)

    def endpoint(bank: Any, name: str, pictures: list[str]) -> tuple[Any, dict[str, object]]:
        known = enroll(bank, name, pictures)
        return known, {"names": list(known.names), "enrolled": callbacks.own_classes(known)}

    files = gr.File(file_count="multiple", visible=False)
    add_endpoint("enroll", endpoint, [bank, name, files], [bank, gr.JSON(visible=False)])
    add_endpoint("compare", data, [bank, picture.upload], [gr.JSON(visible=False)])


def _enroll_form() -> tuple[gr.Textbox, gr.Gallery, gr.Button]:
    """Place what a visitor fills in to teach a class: its name and its pictures."""
    name = gr.Textbox(
        label="1 · Name the new class",
        placeholder="for example: pyogenic granuloma",
        max_length=80,
        elem_id="class-name",
    )
    pictures = gr.Gallery(
        label="2 · Add about five pictures of it",
        type="filepath",
        interactive=True,
        columns=5,
        height=190,
        object_fit="cover",
        sources=["upload"],
        file_types=["image"],
        elem_id="class-pictures",
    )
    submit = gr.Button("Enrol this class", variant="primary", elem_id="enrol")
    return name, pictures, submit


def _bank_panel() -> tuple[list[Any], gr.UploadButton, gr.Dropdown, gr.Button]:
    """Place what shows and changes the visitor's classes; the first are what `_show_bank` fills."""
    panel = gr.HTML(render.bank_panel({}), elem_id="bank")
    with gr.Row():
        save = gr.DownloadButton(
            "Save to a file", size="sm", interactive=False, min_width=120, elem_id="save-bank"
        )
        load = gr.UploadButton("Load from a file", size="sm", min_width=120, elem_id="load-bank")
    with gr.Row(visible=False, elem_id="remove") as removal:
        doomed = gr.Dropdown([], label="Remove a class", scale=2, min_width=120)
        remove = gr.Button("Remove", size="sm", scale=1, min_width=80)
    return [panel, save, removal, doomed], load, doomed, remove


def _teacher(enroll: Callable[..., Any]) -> Callable[..., Any]:
    """Let `enroll` report to Gradio's progress bar; a taught class empties the form."""

    def teach(
        bank: Any,
        name: str,
        pictures: list[str] | None,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 where Gradio looks for it
    ) -> tuple[Any, str, None]:
        def report(share: float, text: str) -> None:
            progress(share, desc=text)

        return enroll(bank, name, pictures or [], report=report), "", None

    return teach


def _show_bank(bank: Any) -> Iterator[tuple[Any, ...]]:
    """Show the visitor's classes and put them in a file to download."""
    own = callbacks.own_classes(bank)
    with tempfile.TemporaryDirectory() as folder:
        path = callbacks.save_bank(bank, folder)
        # Gradio has copied the file into its own cache when it asks for the next value
        yield (
            render.bank_panel(own),
            gr.DownloadButton(value=str(path), interactive=bool(own)),
            gr.Row(visible=bool(own)),
            gr.Dropdown(list(own), value=None),
        )
