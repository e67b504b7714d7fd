"""How a visitor's pictures get from the folder of uploads into memory, and back into sight.

An upload is read into memory at once, before any turn has to be waited for; its file is deleted
within the minute (`dermsim.ui.uploads`). What is read lies on `SHELF`, and a `gr.State` holds its
name. `dermsim.ui.tabs.wiring.sentences` puts the thing itself in its place, so callbacks see bytes
where they would have seen a path.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from PIL import Image

from dermsim.core.refused import RefusedFileNotFoundError
from dermsim.data.formats import shown_by_browsers
from dermsim.data.images import read_image
from dermsim.ui import inline
from dermsim.ui.explain_callbacks import Explanation
from dermsim.ui.gradio_seams import visitor_request
from dermsim.ui.shelf import CLASSES, FILE, ROWS, Gone, Held, Shelf
from dermsim.ui.uploads import Upload
from dermsim.ui.visits import Visits

if TYPE_CHECKING:
    from dermsim.engine.batch import FileAnswer

SHELF = Shelf()
"""What the visitors of all pages of this program hold."""

VISITS = Visits(SHELF)
"""Which of them belong to which tab of a browser."""

AT_ONCE: dict[str, Any] = {
    "api_visibility": "private",
    "show_progress": "hidden",
    "preprocess": False,
    "concurrency_id": "take",
    "concurrency_limit": 8,
}
"""For listeners that read uploads: they wait for nobody else's answer, while the file grows old.
Several at a time, since a large picture takes 150 MB when it is decoded to be checked."""

INLINE: dict[str, Any] = {"postprocess": False}
"""For listeners that return values of `dermsim.ui.inline`."""


RETURNS = 3600.0
"""Seconds for which classes and rows are held when the page is closed: their visitor may return."""

_ROW = 4_000  # bytes of a row of a batch, without its picture


def hold(value: Any, *, size: int, kind: str = FILE, grace: float | None = None) -> Held:
    """Hold a thing for the visitor whose call is being answered.

    Args:
        value: The thing.
        size: Its bytes.
        kind: What kind of thing it is.
        grace: Seconds for which it is held when the page is closed; None for the usual.

    Raises:
        ValueError: If it is too large.
    """
    return SHELF.put(value, size=size, session=_session(), kind=kind, grace=grace)


def hold_classes(bank: Any) -> Held:
    """Hold the classes that a visitor has taught, a `ClassBank`."""
    held = hold(bank, size=len(bank.to_bytes()), kind=CLASSES, grace=RETURNS)
    VISITS.note(_session(), CLASSES, held)
    return held


def hold_rows(rows: Sequence[FileAnswer]) -> Held:
    """Hold the rows of a visitor's batch."""
    size = sum(_ROW + len(row.thumbnail) for row in rows)
    held = hold(rows, size=size, kind=ROWS, grace=RETURNS)
    VISITS.note(_session(), ROWS, held)
    return held


def held_thing(held: Held) -> Any:
    """Return what a name stands for.

    Classes and rows that were dropped are told of once; from then on there are none.

    Raises:
        Gone: If it was dropped, and its visitor does not know yet.
    """
    try:
        return SHELF.get(held)
    except Gone:
        if held.kind == FILE or not held.told:
            held.told = True
            raise
        return [] if held.kind == ROWS else None


def take(source: str | inline.Inline | None) -> tuple[Any, Any]:
    """Read an upload into memory.

    Args:
        source: Its path, None when the visitor has taken it away, or the picture that is held
            already, put back in sight.

    Returns:
        The name of its bytes for the two states of the picture and the last good one.

    Raises:
        ValueError: If it is no picture.
    """
    if inline.is_inline(source):
        return gr.skip(), gr.skip()
    if source is None:
        return None, gr.skip()
    _look(source)  # refuses with the file's name
    content = Upload.read(source)  # type: ignore[arg-type]
    held = hold(content, size=len(content))
    return held, held


def take_shared(source: str | inline.Inline | None) -> tuple[Any, Any]:
    """Read an upload as `take` does; all tabs show it, and a page that is loaded again."""
    held, last_good = take(source)
    if held is None or isinstance(held, Held):
        VISITS.note(_session(), FILE, held)
    return held, last_good


def arrive(token: str | None) -> dict[str, Held]:
    """Return what the page that this tab of the browser showed before still holds."""
    return VISITS.arrive(token, _session())


def _session() -> str | None:
    return getattr(visitor_request(), "session_hash", None)


def show_again(held: Held | None) -> tuple[inline.Inline | None, Held | None]:
    """Put the last good picture back after one was refused.

    Args:
        held: Its name; None where there was none.

    Returns:
        The value of the upload, and the name for the state of the picture; None for both where
        there is nothing to put back any more.
    """
    if held is None:
        return None, None
    try:
        content = SHELF.get(held)
    except FileNotFoundError:
        return None, None
    VISITS.note(_session(), FILE, held)
    return inline.thumbnail(_look(content), mark=content.mark), held


def in_sight(source: Any, held: Held | None) -> Any:
    """Put a small copy of the current picture in sight where browsers cannot show the file itself.

    Args:
        source: What the upload shows, as Gradio describes it.
        held: The name of the picture; None where there is none.

    Returns:
        The value of the upload, or nothing to do.
    """
    if held is None or source is None or inline.is_inline(source):
        return gr.skip()
    try:
        content = SHELF.get(held)
    except FileNotFoundError:
        return gr.skip()
    if shown_by_browsers(content):
        return gr.skip()
    return inline.thumbnail(_look(content), mark=content.mark)


def take_several(sources: Sequence[Any] | None, known: Any) -> tuple[list[Any], Any]:
    """Read the uploads of a gallery into memory.

    Args:
        sources: What the gallery holds: new uploads, and pictures taken before.
        known: What was taken before: bytes by the pictures' names in the gallery.

    Returns:
        The gallery's new value, and the name of what is taken now.

    Raises:
        ValueError: If one is no picture, or all together are too large.
    """
    kept: dict[str, bytes] = {}
    shown, used = [], set(known or {})
    for source in sources or []:
        if inline.is_inline(source):
            name = source["orig_name"]
            if known is None or name not in known:
                raise RefusedFileNotFoundError("holding.gone", name=name)
            content = known[name]
        else:
            _look(source)
            content = Path(source).read_bytes()
            name = next(n for n in _numbered(Path(source).name) if n not in used)
        kept[name] = content
        used.add(name)
        shown.append({"image": inline.thumbnail(_look(content), name=name), "caption": None})
    return shown, hold(kept, size=sum(map(len, kept.values()))) if kept else None


def chosen(sources: Sequence[Any] | None, known: Any) -> list[Any]:
    """Return the pictures that a gallery still shows, as bytes; those not yet taken as they are.

    Raises:
        FileNotFoundError: If one is no longer held.
    """
    found: list[Any] = []
    for source in sources or []:
        if not inline.is_inline(source):
            found.append(source)
        elif known is None or source["orig_name"] not in known:
            raise RefusedFileNotFoundError("holding.gone", name=source["orig_name"])
        else:
            found.append(known[source["orig_name"]])
    return found


def hold_explanation(explanation: Explanation | None) -> Held | None:
    """Hold an explanation, to draw it again at another opacity."""
    if explanation is None:
        return None
    size = sum(map(_bytes, explanation.pictures))
    size += sum(heatmap.values.nbytes for heatmap in explanation.heatmaps)
    return hold(explanation, size=size)


def forget(request: gr.Request) -> None:
    """Let go of what a visitor holds, when the page is closed."""
    if request.session_hash is not None:
        SHELF.close(request.session_hash)


def _look(source: Any) -> Image.Image:
    """Read a picture no larger than a small copy of it needs; it is decoded whole all the same."""
    return read_image(source, at_least=inline.THUMBNAIL)


def _numbered(name: str) -> Any:
    yield name
    number = 2
    while True:
        yield f"{number}-{name}"
        number += 1


def _bytes(picture: Any) -> int:
    if isinstance(picture, bytes):
        return len(picture)
    return picture.width * picture.height * 3 if hasattr(picture, "width") else 0
