"""The page's tabs: layout and wiring, one builder each. They receive functions, never the engine.

Every listener that takes a picture is wired with ``preprocess=False``, so that the uploaded file
reaches `dermsim.data.images.read_image` as it came: Gradio's own preprocessing would decode it
first, with PIL's messages. (A `gr.Image` subclass could do the same, but Gradio writes a ``.pyi``
file beside every module that defines one.)
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from dermsim.ui import callbacks, explaining, render

_MODEL: dict[str, Any] = {"concurrency_id": "model", "concurrency_limit": 1, "preprocess": False}
"""Listeners that ask the model take turns, and see files as they were uploaded."""

_ON_PAGE: dict[str, Any] = {**_MODEL, "api_visibility": "private"}
"""The same for those that serve the page only; programs have endpoints of their own."""


def sentences(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function a listener: uploads become paths, refusals become `gr.Error`."""

    @functools.wraps(fn)
    def listener(*values: Any, **special: Any) -> Any:
        try:
            return fn(*map(_plain, values), **special)
        except FileNotFoundError as error:
            raise _refusal("The file is no longer on the server: add it again.") from error
        except ValueError as error:
            raise _refusal(str(error)) from error

    return listener


@dataclass(frozen=True)
class Picture:
    """The picture that all tabs speak of.

    Attributes:
        upload: Where the visitor puts it; what the endpoints take.
        path: Its path once it was read, None while there is none. The tabs take this: by the time
            their turn comes, the visitor may already have uploaded another, unreadable one.
        accepted: The event after which `path` is new.
    """

    upload: gr.Image
    path: gr.State
    accepted: Any


def picture_input() -> gr.Image:
    """Place the upload shared by all tabs."""
    return gr.Image(
        label="Your picture",
        show_label=False,
        type="filepath",
        sources=["upload", "clipboard"],
        height=290,
        elem_id="picture",
        buttons=["fullscreen"],
        placeholder="Drop a dermatoscopic photograph\nor click to choose one",
    )


def classify_tab(
    upload: gr.Image,
    notice: gr.HTML,
    *,
    classify: Callable[[str | None], tuple[str, str]],
    data: Callable[[str | None], dict[str, object]],
) -> Picture:
    """Build *Classify* and take in new pictures.

    A picture that is refused is answered with a sentence, and the last good one put back: Gradio
    empties an upload before it takes the next file.

    Args:
        upload: The shared upload.
        notice: Above all tabs, for what must be read before any label.
        classify: Path or None -> HTML of the notice, HTML of the verdict.
        data: Path -> JSON-able values, for the endpoint.

    Returns:
        The picture for the other tabs to follow.
    """
    panel = gr.HTML(render.legend(), elem_id="verdict")
    path, last_good = gr.State(None), gr.State(None)

    def accept(candidate: str | None) -> tuple[str, str, str | None, Any]:
        return *classify(candidate), candidate, candidate or gr.skip()

    shown = [notice, panel, path, last_good]
    accepted = upload.change(sentences(accept), upload, shown, **_ON_PAGE)
    accepted.failure(_same, last_good, upload, api_visibility="private", show_progress="hidden")
    _endpoint("classify", data, [upload], [gr.JSON(visible=False)])
    return Picture(upload, path, accepted)


def explain_tab(
    picture: Picture,
    bank: gr.State,
    *,
    explain: Callable[..., tuple[Any, str]],
    compare: Callable[..., tuple[Any, str]],
    menus: Callable[[str | None], tuple[Any, Any, Any]],
    data: Callable[..., tuple[Any, dict[str, object]]],
) -> None:
    """Build *Explain*: a heatmap for any target by any method, and maps of a likeness.

    Args:
        picture: The shared picture.
        bank: What this visitor's session knows; its classes can be explained, too.
        explain: Path or None, bank, and the choices of target, method, layer and smoothing ->
            (explanation, HTML).
        compare: Path or None, a case, and the choices of method, layer and smoothing ->
            (explanation, HTML).
        menus: Path or None -> what the menus of methods, layers and cases offer.
        data: Path, target, opacity, method, layer, smoothing, outline -> (picture, JSON-able
            values), for the endpoint.
    """
    kept, pair = gr.State(None), gr.State(None)
    with gr.Row(equal_height=False):
        with gr.Column(scale=3, min_width=280):
            drawn = gr.ImageSlider(
                label="The picture, and the evidence in it",
                show_label=False,
                format="png",
                interactive=False,
                elem_id="evidence",
                buttons=["download", "fullscreen"],
                slider_position=0,
                visible=False,
            )
            words = gr.HTML(explaining.NOTHING_EXPLAINED, elem_id="evidence-words")
        with gr.Column(scale=2, min_width=240):
            target, method, layer, smooth = _explain_menus()
            opacity = gr.Slider(
                0, 1, value=0.6, step=0.05, label="Heatmap opacity", elem_id="opacity"
            )
            outlined = gr.Checkbox(True, label="Outline the map's top half", elem_id="outline")
    case = gr.Dropdown(
        [], label="Why is it like a past case? Choose one", visible=False, elem_id="case"
    )
    alike = gr.Image(
        label="What makes them alike",
        show_label=False,
        format="png",
        interactive=False,
        elem_id="alike",
        buttons=["download", "fullscreen"],
        visible=False,
    )
    alike_words = gr.HTML("", elem_id="alike-words")

    def show(share: float, line: bool, *asked: Any) -> tuple[Any, Any, str]:
        explanation, html = explain(*asked)
        images = explaining.blend(explanation, share, line)
        return explanation, gr.ImageSlider(images, visible=images is not None), html

    def show_pair(share: float, line: bool, *asked: Any) -> tuple[Any, Any, str]:
        explanation, html = compare(*asked)
        image = explaining.blend_pair(explanation, share, line)
        return explanation, gr.Image(image, visible=image is not None), html

    def offer(path: str | None) -> tuple[Any, ...]:
        methods, layers, cases = menus(path)
        offered = gr.Dropdown(cases, value=None, visible=bool(cases))
        return gr.Dropdown(methods), gr.Dropdown(layers), offered, None, gr.Image(visible=False), ""

    def redraw(explanation: Any, two: Any, share: float, line: bool) -> tuple[Any, Any]:
        return explaining.blend(explanation, share, line), explaining.blend_pair(two, share, line)

    style: list[Any] = [opacity, outlined]
    how: list[Any] = [method, layer, smooth]
    single = ([*style, picture.path, bank, target, *how], [kept, drawn, words])
    double = ([*style, picture.path, case, *how], [pair, alike, alike_words])
    offers = [method, layer, case, pair, alike, alike_words]
    picture.accepted.success(sentences(show), *single, **_ON_PAGE)
    picture.accepted.success(sentences(offer), picture.path, offers, **_ON_PAGE)
    # a menu's `input` comes twice: when an option is chosen and when the menu is left
    target.select(sentences(show), *single, **_ON_PAGE)
    for chosen in (method.select, layer.select, smooth.input):
        chosen(sentences(show), *single, **_ON_PAGE).success(
            sentences(show_pair), *double, **_ON_PAGE
        )
    case.select(sentences(show_pair), *double, **_ON_PAGE)
    quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    for knob in style:
        knob.change(sentences(redraw), [kept, pair, *style], [drawn, alike], **quiet)
    bank.change(lambda own: gr.Dropdown(explaining.target_choices(own)), bank, target, **quiet)
    answer = [gr.Image(format="png", visible=False), gr.JSON(visible=False)]
    _endpoint("explain", data, [picture.upload, target, opacity, *how, outlined], answer)


def _explain_menus() -> tuple[gr.Dropdown, gr.Dropdown, gr.Dropdown, gr.Checkbox]:
    """Place the choices of what is explained and how."""
    return (
        gr.Dropdown(
            explaining.target_choices(None), value="", label="Evidence for", elem_id="target"
        ),
        gr.Dropdown(explaining.method_choices(), value="gradcam", label="Method", elem_id="method"),
        gr.Dropdown(explaining.layer_choices(), value="", label="Layer", elem_id="layer"),
        gr.Checkbox(label="Smooth: average over turns and mirror images", elem_id="smooth"),
    )


def similar_tab(
    picture: Picture,
    *,
    similar: Callable[[str | None, int], str],
    data: Callable[[str | None, int], list[dict[str, object]]],
) -> None:
    """Build *Similar cases*: cards of the nearest past cases.

    Args:
        picture: The shared picture.
        similar: Path or None, how many -> HTML.
        data: Path, how many -> JSON-able values, for the endpoint.
    """
    k = gr.Slider(
        1, callbacks.MAX_NEIGHBORS, value=6, step=1, label="How many cases", elem_id="how-many"
    )
    cards = gr.HTML(callbacks.NOTHING_SIMILAR, elem_id="cases")
    picture.accepted.success(sentences(similar), [picture.path, k], cards, **_ON_PAGE)
    k.change(sentences(similar), [picture.path, k], cards, **_ON_PAGE)
    _endpoint("similar", data, [picture.upload, k], [gr.JSON(visible=False)])


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

    form = [bank, name, pictures]
    changes = [
        submit.click(sentences(_teacher(enroll)), form, form, **_ON_PAGE),
        load_button.upload(sentences(load), load_button, bank, **_ON_PAGE),
        remove_button.click(sentences(callbacks.remove), [bank, doomed], bank, **_ON_PAGE),
    ]
    for change in changes:
        change.success(_show_bank, bank, shown, api_visibility="private")
    for event in (picture.accepted, *changes):
        event.success(sentences(compare), [bank, picture.path], result, **_ON_PAGE)

    def endpoint(bank: Any, name: str, pictures: list[str]) -> tuple[Any, dict[str, object]]:
        known = enroll(bank, name, pictures)
        return known, {"names": list(known.names), "enrolled": callbacks.own_classes(known)}

    files = gr.File(file_count="multiple", visible=False)
    _endpoint("enroll", endpoint, [bank, name, files], [bank, gr.JSON(visible=False)])
    _endpoint("compare", data, [bank, picture.upload], [gr.JSON(visible=False)])


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


def _endpoint(name: str, fn: Callable[..., Any], inputs: list[Any], outputs: list[Any]) -> None:
    """Expose a function to `gradio_client` and MCP, apart from what the page shows."""
    gr.on([], sentences(fn), inputs, outputs, api_name=name, **_MODEL)


def _same(value: Any) -> Any:
    return value


def _plain(value: Any) -> Any:
    """Reduce Gradio's raw descriptions of files, alone or in a list, to their paths."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    if path := value.get("path"):
        return _uploaded(path)
    return _plain(value.get("image") or value.get("video"))  # what a gallery holds


def _uploaded(path: str) -> str:
    """Return the path of an upload; a program may name any file of the server as its own."""
    folder = Path(gr.utils.get_upload_folder()).resolve()
    if not Path(path).resolve().is_relative_to(folder):
        raise ValueError(f"{Path(path).name} was not uploaded: add it again.")
    return path


def _refusal(sentence: str) -> gr.Error:
    # Gradio shows the message as HTML, and it may hold the visitor's own file name
    return gr.Error(escape(sentence, quote=False), print_exception=False)
