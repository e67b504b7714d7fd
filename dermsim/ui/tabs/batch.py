"""The tab *Batch*: many pictures in, a table and a CSV file out, with progress and a stop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from dermsim.ui import batch_callbacks, inline
from dermsim.ui.i18n import say
from dermsim.ui.tabs.holding import INLINE, hold_rows
from dermsim.ui.tabs.page import drawn as spoken
from dermsim.ui.tabs.wiring import QUIET, add_endpoint, sentences
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

WIDTHS = {"file": 220, "set": 200, "problem": 420}
"""Pixels of the columns that need more than others; who has fewer scrolls sideways."""

KEPT = 60 * 60
"""Seconds that a visitor's rows are kept in memory at most."""


@dataclass(frozen=True)
class BatchPage:
    """What the tab asks for.

    Attributes:
        run: Paths -> after every few pictures the rows so far, and HTML of how far that is.
        table: Rows, operating point -> header and cells.
        summary: Rows, operating point, `total` -> HTML.
        detail: Rows, file -> HTML.
        save: Rows, operating point, folder -> CSV file.
        data: Paths, operating point -> JSON-able values, for the endpoint.
    """

    run: Callable[..., Iterator[batch_callbacks.Step]]
    table: Callable[..., tuple[list[str], list[list[Any]]]]
    summary: Callable[..., str]
    detail: Callable[..., str]
    save: Callable[..., Path]
    data: Callable[..., dict[str, Any]]


@dataclass(frozen=True)
class _Form:
    """What a visitor puts in.

    Attributes:
        files: The pictures.
        folder: Adds those of a whole folder to `files`.
        point: The operating point that they are judged by.
        stop: Ends a run; seen while there is one.
    """

    files: gr.File
    folder: gr.UploadButton
    point: gr.Radio
    stop: gr.Button


@dataclass(frozen=True)
class _Results:
    """What a visitor gets.

    Attributes:
        told: How far a run is, and what it found in short.
        table: A row for each picture.
        download: The same as a CSV file.
        shown: The row that was chosen, in full.
        rows: What was found, apart from how it is shown.
    """

    told: gr.HTML
    table: gr.Dataframe
    download: gr.DownloadButton
    shown: gr.HTML
    rows: gr.State


def batch_tab(page: BatchPage) -> None:
    """Build *Batch*.

    Args:
        page: What to ask.
    """
    form = _place_form()
    results = _place_results()
    _wire_runs(page, form, results)
    _wire_table(page, form, results)
    several = gr.File(file_count="multiple", visible=False)
    turns = {name: RUNS[name] for name in ("concurrency_id", "concurrency_limit", "preprocess")}
    add_endpoint(
        "batch",
        page.data,
        [several, form.point],
        [gr.JSON(visible=False)],
        holds=False,
        **turns,
    )


def _place_form() -> _Form:
    with gr.Row(equal_height=False):
        files = gr.File(
            file_count="multiple",
            label=say("batch.files"),
            height=170,
            elem_id="batch-files",
            scale=3,
        )
        with gr.Column(scale=2, min_width=240):
            folder = gr.UploadButton(
                say("batch.folder"), file_count="directory", size="sm", elem_id="batch-folder"
            )
            point = gr.Radio(
                point_choices(),
                value="balanced",
                label=say("batch.point"),
                elem_id="batch-point",
            )
            stop = gr.Button(say("batch.stop"), variant="stop", visible=False, elem_id="batch-stop")
    return _Form(files, folder, point, stop)


def _place_results() -> _Results:
    told = gr.HTML(spoken(batch_callbacks.nothing_yet), elem_id="batch-told")
    table = gr.Dataframe(
        interactive=False,
        visible=False,
        max_height=460,
        show_label=False,
        wrap=False,
        column_widths=[WIDTHS.get(name, 130) for name in batch_callbacks.COLUMNS],
        datatype=[
            "number" if name in batch_callbacks.NUMBERS else "str"
            for name in batch_callbacks.COLUMNS
        ],
        elem_id="batch-table",
    )
    download = gr.DownloadButton(say("batch.save"), size="sm", visible=False, elem_id="batch-csv")
    shown = gr.HTML(elem_id="batch-row")
    return _Results(told, table, download, shown, gr.State([], time_to_live=KEPT))


def _wire_runs(page: BatchPage, form: _Form, results: _Results) -> None:
    """Classify whatever is uploaded, show the rows as they come, and let the visitor stop it."""

    def run(paths: list[str], asked: str, *, language: str = "en") -> Iterator[tuple[Any, ...]]:
        upload_folder().spare_no_more(paths or [])
        for found, progress in page.run(paths, language=language):
            drawn = _drawn(page, found, asked, language)
            yield hold_rows(found), progress, drawn, gr.DownloadButton(visible=False), ""

    def halt(found: list[Any], asked: str, *, language: str = "en") -> str:
        text = page.summary(found, asked, language=language)
        return text or batch_callbacks.nothing_yet(language)

    asked: list[Any] = [results.rows, form.point]
    filled = [results.rows, results.told, results.table, results.download, results.shown]
    finishing: list[Any] = [sentences(_finisher(page)), asked, results.told]
    saving: list[Any] = [sentences(_saver(page)), asked, results.download]
    # uploads do not wait for a button: the server keeps them no longer than it must
    given = form.folder.upload(batch_callbacks.pictures_of, form.folder, form.files, **QUIET)
    runs = []
    for begin in (form.files.upload, given.success):
        running = begin(sentences(_busy), form.files, form.stop, **QUIET, preprocess=False).then(
            sentences(run), [form.files, form.point], filled, **RUNS
        )
        for end in (running.success, running.failure):
            end(_idle, None, form.stop, **QUIET)
        running.success(*finishing, **QUIET)
        running.success(*saving, **QUIET, **INLINE)
        runs.append(running)
    halted = form.stop.click(_idle, None, form.stop, cancels=runs, **QUIET)
    halted.then(sentences(halt), asked, results.told, **QUIET)
    halted.then(*saving, **QUIET, **INLINE)


def _wire_table(page: BatchPage, form: _Form, results: _Results) -> None:
    """Judge the rows anew at another operating point, and show the one that is chosen."""

    def draw(found: list[Any], asked: str, *, language: str = "en") -> Any:
        return _drawn(page, found, asked, language)

    def offer_at_first(*, language: str = "en") -> Any:
        return gr.Radio(point_choices(language))

    def look(found: list[Any], event: gr.SelectData, *, language: str = "en") -> str:
        return page.detail(found, str(event.row_value[0]), language=language)

    asked: list[Any] = [results.rows, form.point]
    form.point.input(sentences(draw), asked, results.table, **QUIET)
    form.point.input(sentences(_finisher(page)), asked, results.told, **QUIET)
    form.point.input(sentences(_saver(page)), asked, results.download, **QUIET, **INLINE)
    gr.on(None, sentences(offer_at_first), None, form.point, **QUIET)
    results.table.select(sentences(look), results.rows, results.shown, **QUIET)


def _drawn(page: BatchPage, found: list[Any], asked: str, language: str) -> gr.Dataframe:
    header, cells = page.table(found, asked, language=language)
    return gr.Dataframe(value={"headers": header, "data": cells}, visible=bool(found))


def _finisher(page: BatchPage) -> Callable[..., str]:
    def finish(found: list[Any], asked: str, *, language: str = "en") -> str:
        text = page.summary(found, asked, total=len(found), language=language)
        return text or batch_callbacks.nothing_yet(language)

    return finish


def _saver(page: BatchPage) -> Callable[..., Any]:
    def save(found: list[Any], asked: str) -> Any:
        saved = inline.written(partial(page.save, found, asked)) if found else None
        return gr.update(value=saved, visible=saved is not None)

    return save


def point_choices(language: str = "en") -> list[tuple[str, str]]:
    """Return the operating points, each as text and value."""
    names = ("balanced", "sensitivity_95")
    return [(say(f"report.point_{name}", language), name) for name in names]


def _busy(paths: list[str] | None) -> Any:
    upload_folder().spare(paths or [])
    return gr.Button(visible=True)


def _idle() -> Any:
    return gr.Button(visible=False)
