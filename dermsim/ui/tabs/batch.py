"""The tab *Batch*: many pictures in, a worklist and a file out, with progress and a stop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import gradio as gr

from dermsim.ui import batch_callbacks, inline, render
from dermsim.ui.i18n import say
from dermsim.ui.tabs.case import AlertLine
from dermsim.ui.tabs.holding import hold_rows
from dermsim.ui.tabs.page import drawn as spoken
from dermsim.ui.tabs.wiring import DRAWING, ONCE, QUIET, add_endpoint, sentences
from dermsim.ui.uploads import upload_folder

RUNS: dict[str, Any] = {
    "concurrency_id": "batch",
    "concurrency_limit": 4,
    "preprocess": False,
    "api_visibility": "private",
    "show_progress": "hidden",
    "trigger_mode": "always_last",  # files that are added meanwhile are classified next
}
"""Few batches run at a time, and leave other visitors' single pictures their turns."""

DRAWN: dict[str, Any] = {**DRAWING, "preprocess": False}
"""The slider may be asked before it has its stops, and would be refused."""

KEPT = 60 * 60
"""Seconds that a visitor's rows are kept in memory at most."""

FIRST = 16
"""Rows from which the table is drawn; then whenever they have doubled, so that drawing a long table
again and again does not take longer than what it is about."""


@dataclass(frozen=True)
class BatchPage:
    """What the tab asks for.

    Attributes:
        run: Paths, bank -> after every few pictures the rows so far, and HTML of how far that is.
        table: Rows, stop of the threshold -> HTML.
        summary: Rows, stop, `total` -> HTML.
        detail: Rows, place of one, stop -> HTML.
        save: Rows, stop, kind of file, folder -> file.
        data: Paths, operating point -> JSON-able values, for the endpoint.
    """

    run: Callable[..., Iterator[batch_callbacks.Step]]
    table: Callable[..., str]
    summary: Callable[..., str]
    detail: Callable[..., str]
    save: Callable[..., Path]
    data: Callable[..., dict[str, Any]]


@dataclass(frozen=True)
class BatchRows:
    """The rows of a batch, which a page that is loaded anew has again.

    Attributes:
        rows: What they are held by.
        show_after: Event -> None; shows them after it.
    """

    rows: gr.State
    show_after: Callable[[Any], None]


@dataclass(frozen=True)
class _Form:
    """What a visitor puts in.

    Attributes:
        files: The pictures.
        folder: Adds those of a whole folder to `files`.
        stop: Ends a run; seen while there is one.
    """

    files: gr.File
    folder: gr.UploadButton
    stop: gr.Button


@dataclass(frozen=True)
class _Results:
    """What a visitor gets.

    Attributes:
        told: How far a run is, and what it found in short.
        table: A row for each picture.
        saves: Buttons that save them, by the kind of file.
        file: A link to the file that was asked for, which ``batch.js`` follows.
        shown: The row that was chosen, in full.
        pointer: Reports which that is.
        rows: What was found, apart from how it is shown.
    """

    told: gr.HTML
    table: gr.HTML
    saves: dict[str, gr.Button]
    file: gr.HTML
    shown: gr.HTML
    pointer: Any
    rows: gr.State


def batch_tab(page: BatchPage, line: AlertLine, bank: gr.State) -> BatchRows:
    """Build *Batch*.

    Args:
        page: What to ask.
        line: The malignancy threshold of the whole page.
        bank: What the classes are held by that this visitor taught; they are compared, too.
    """
    form = _place_form()
    results = _place_results()
    _wire_runs(page, form, results, line, bank)
    _wire_table(page, results, line)
    several = gr.File(file_count="multiple", visible=False)
    point = gr.Textbox("balanced", label="operating_point", visible=False)
    turns = {name: RUNS[name] for name in ("concurrency_id", "concurrency_limit", "preprocess")}
    named = ("files", "operating_point")
    answer = [gr.JSON(visible=False)]
    add_endpoint("batch", page.data, [several, point], answer, named=named, holds=False, **turns)

    def show_after(event: Any) -> None:
        again, asked, filled = _shower(page, results), [results.rows, line.slider], _all(results)
        event.success(sentences(again), asked, filled, **DRAWN)

    return BatchRows(results.rows, show_after)


def no_row(language: str = "en") -> str:
    """Return what stands beside the table while no row is chosen."""
    return render.empty(say("batch.no_row", language), say("batch.no_row_how", language))


def _place_form() -> _Form:
    with gr.Row(equal_height=False, elem_id="batch-form"):
        files = gr.File(
            file_count="multiple",
            label=say("batch.files"),
            height=130,
            elem_id="batch-files",
            scale=3,
        )
        with gr.Column(scale=1, min_width=200):
            folder = gr.UploadButton(
                say("batch.folder"), file_count="directory", size="sm", elem_id="batch-folder"
            )
            stop = gr.Button(say("batch.stop"), variant="stop", visible=False, elem_id="batch-stop")
    return _Form(files, folder, stop)


def _place_results() -> _Results:
    told = gr.HTML(spoken(batch_callbacks.nothing_yet), elem_id="batch-told")
    with gr.Row(elem_id="batch-saves"):
        saves = {
            kind: gr.Button(
                say(f"batch.save_{kind}"),
                size="sm",
                visible=False,
                min_width=140,
                elem_id=f"batch-{kind}",
            )
            for kind in batch_callbacks.KINDS
            if kind != "xlsx" or find_spec("openpyxl") is not None
        }
    with gr.Row(equal_height=False, elem_id="batch-found"):
        with gr.Column(scale=5, min_width=280):
            table = gr.HTML("", elem_id="batch-table")
        with gr.Column(scale=2, min_width=260, elem_id="batch-side"):
            shown = gr.HTML("", elem_id="batch-row")
    file = gr.HTML("", elem_id="batch-file", visible="hidden")
    script = Path(batch_callbacks.__file__).with_name("batch.js").read_text(encoding="utf-8")
    pointer = gr.HTML("", js_on_load=script, elem_id="batch-pointer")
    rows = gr.State([], time_to_live=KEPT)
    return _Results(told, table, saves, file, shown, pointer, rows)


def _all(results: _Results) -> list[Any]:
    """Return what `_shower` fills."""
    return [results.told, results.table, results.shown, *results.saves.values()]


def _shower(page: BatchPage, results: _Results) -> Callable[..., Any]:
    """Draw all that is said of rows; nothing where there are none."""

    def show(found: list[Any], stop: int, *, language: str = "en") -> tuple[Any, ...]:
        if not found:
            return (gr.skip(),) * len(_all(results))
        told = page.summary(found, stop, total=len(found), language=language)
        buttons = (gr.Button(visible=True) for _ in results.saves)
        return told, page.table(found, stop, language=language), no_row(language), *buttons

    return show


def _wire_runs(
    page: BatchPage, form: _Form, results: _Results, line: AlertLine, bank: gr.State
) -> None:
    """Classify whatever is uploaded, show the rows as they come, and let the visitor stop it."""

    def run(
        paths: list[str], stop: int, own: Any, *, language: str = "en"
    ) -> Iterator[tuple[Any, ...]]:
        upload_folder().spare_no_more(paths or [])
        hidden = (gr.Button(visible=False),) * len(results.saves)
        following = 0
        for found, progress in page.run(paths, own, language=language):
            table: Any = gr.skip()
            if len(found) >= following:
                table = page.table(found, stop, language=language)
                following = max(FIRST, 2 * len(found))
            yield hold_rows(found), progress, table, "", *hidden

    def halt(found: list[Any], stop: int, *, language: str = "en") -> tuple[Any, ...]:
        shown = _shower(page, results)(found, stop, language=language)
        text = page.summary(found, stop, language=language)
        return text or batch_callbacks.nothing_yet(language), *shown[1:]

    asked: list[Any] = [results.rows, line.slider]
    filled = [results.rows, *_all(results)]
    finishing: list[Any] = [sentences(_shower(page, results)), asked, _all(results)]
    # uploads do not wait for a button: the server keeps them no longer than it must
    given = form.folder.upload(batch_callbacks.pictures_of, form.folder, form.files, **QUIET)
    runs = []
    for begin in (form.files.upload, given.success):
        running = begin(sentences(_busy), form.files, form.stop, **QUIET, preprocess=False).then(
            sentences(run), [form.files, line.slider, bank], filled, **RUNS
        )
        for end in (running.success, running.failure):
            end(_idle, None, form.stop, **QUIET)
        running.success(*finishing, **DRAWN)
        runs.append(running)
    halted = form.stop.click(_idle, None, form.stop, cancels=runs, **QUIET)
    halted.then(sentences(halt), asked, _all(results), **DRAWN)


def _wire_table(page: BatchPage, results: _Results, line: AlertLine) -> None:
    """Show the row that is chosen, and save all of them."""

    def look(found: list[Any], stop: int, event: gr.EventData, *, language: str = "en") -> str:
        return page.detail(found, event.row, stop, language=language)

    asked: list[Any] = [results.rows, line.slider]
    results.pointer.chosen(sentences(look), asked, results.shown, **DRAWN)
    for kind, button in results.saves.items():
        save = sentences(_saver(page, kind))
        button.click(save, asked, results.file, **{**DRAWN, **ONCE})


def _saver(page: BatchPage, kind: str) -> Callable[..., str]:
    def save(found: list[Any], stop: int) -> str:
        if not found:
            return ""
        saved = inline.written(partial(page.save, found, stop, kind))
        name = escape(saved["orig_name"], quote=True)
        return f'<a href="{saved["url"]}" download="{name}" data-fresh>{name}</a>'

    return save


def _busy(paths: list[str] | None) -> Any:
    upload_folder().spare(paths or [])
    return gr.Button(visible=True)


def _idle() -> Any:
    return gr.Button(visible=False)
