"""The page as a Space: its model and gallery pulled from the Hub, on a CPU or on ZeroGPU.

`dermsim.hub.space_repository` builds the folder that this runs in. What cannot be fetched is
replaced by the checkpoint that lies in the folder, and the page says so.

On ZeroGPU a graphics card is lent for seconds at a time. What runs there runs in a forked process
that has the card; pictures and answers travel between the two, and what the process remembers is
lost. So only what needs the encoder goes there, with pictures that were read, and refused, before.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from dermsim.core.discretion import quieten
from dermsim.core.storage import load_json
from dermsim.hub.space_repository import BUNDLED, SETTINGS

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL.Image import Image

    from dermsim.data.images import ImageSource
    from dermsim.engine import DermSim
    from dermsim.engine.results import Analysis
    from dermsim.tasks.explain import Heatmap
    from dermsim.tasks.retrieve import Neighbor

Lend = Callable[[Callable[..., Any]], Callable[..., Any]]
"""Makes a function run where the graphics card is."""

EMBED = ("https://huggingface.co", "https://*.hf.space")
"""Whose pages show a Space inside."""

SECONDS = 30
"""What one call may take of the graphics card at most."""


@dataclass(frozen=True)
class Fetched:
    """What the Hub gave.

    Attributes:
        model: A checkpoint folder, the bundled one when the Hub gave none.
        gallery: The files of the gallery data set, or None.
        notices: A sentence about each thing that is not as it should be.
    """

    model: Path
    gallery: Path | None
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class OpenedSpace:
    """What the page runs on.

    Attributes:
        engine: The checkpoint.
        pictures: Picture of a past case by its image_id, or None when there are none.
        notices: As in `Fetched`.
    """

    engine: DermSim
    pictures: Callable[[str], Image | None] | None
    notices: tuple[str, ...]


def main(folder: Path) -> None:
    """Serve the page of a Space until it is stopped.

    Args:
        folder: What `dermsim.hub.space_repository.build_space` wrote.
    """
    quieten()
    lend = gpu_lender()
    if lend is not None:
        # OpenMP's threads do not survive the fork, and whoever waits for them waits for ever
        os.environ["OMP_NUM_THREADS"] = "1"
    with ThreadPoolExecutor(max_workers=1) as pool:
        fetching = pool.submit(fetch, folder)  # while the libraries are imported
        serve(lambda: open_fetched(fetching.result(), bundled=folder / BUNDLED), lend=lend)


def serve(open_: Callable[[], OpenedSpace], *, lend: Lend | None) -> None:
    """Serve the page, and open what it runs on behind it.

    Args:
        open_: Loads the checkpoint; it may wait.
        lend: As `gpu_lender` returns it. Then the checkpoint is loaded first: ZeroGPU takes over
            the weights when the page is launched, and only those that are there.
    """
    from dermsim.serve.beside import beside_page, entrance
    from dermsim.serve.memory import release_early
    from dermsim.serve.page_server import TOKEN
    from dermsim.ui.app import build_app, launch
    from dermsim.ui.ending import serve_until_stopped
    from dermsim.ui.stopping import Work, ended_by_signals

    release_early()
    opened: Future[OpenedSpace] = Future()
    app = build_app(
        lambda: opened.result().engine,
        pictures=_Late(opened),
        note=lambda: " ".join(opened.result().notices),
    )
    if lend is not None:
        found = open_()
        opened.set_result(OpenedSpace(lend_gpu(found.engine, lend), found.pictures, found.notices))
    # the Hub's containers are reached from outside, and say so in this variable
    host = os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1")
    port = int(os.environ.get("GRADIO_SERVER_PORT", "7860"))
    token = os.environ.get(TOKEN) or None
    server = None
    if lend is None:  # a card is lent to a visitor of the page, and a program is none
        server = beside_page(lambda: opened.result().engine if opened.done() else None, token=token)
    door, work = entrance(token, hosts=(host,), embed=EMBED), Work()

    def load() -> None:
        if lend is None:
            opened.set_result(open_())

    with ended_by_signals() as asked:
        launch(app, host=host, port=port, server=server, entrance=door, work=work)
        serve_until_stopped(app, work, load, asked=asked)


def gpu_lender() -> Lend | None:
    """Return what makes a function run on ZeroGPU's card; None where there is no ZeroGPU.

    Must be asked before torch is imported: there the package `spaces` changes what torch does.
    """
    if os.environ.get("SPACES_ZERO_GPU", "").lower() not in ("1", "t", "true"):
        return None
    return cast("Lend", import_module("spaces").GPU(duration=SECONDS))


# -- what the page runs on ------------------------------------------------------------------------


def fetch(folder: Path) -> Fetched:
    """Fetch model and gallery from the Hub, or say why they could not be.

    Args:
        folder: That of the Space.

    Raises:
        FileNotFoundError: If the Space lacks its settings.
        ValueError: If they are damaged.
    """
    from dermsim.core.checkpoint import local_folder
    from dermsim.core.downloads import download
    from dermsim.hub.gallery_data import FILES

    wanted = load_json(folder / SETTINGS, keys={"model", "gallery"})
    model, gallery = str(wanted["model"]), wanted["gallery"]
    try:
        found = local_folder(model)
    except (OSError, ValueError) as error:
        return Fetched(folder / BUNDLED, None, (_fallback(model, error),))
    if gallery is None:
        return Fetched(found, None)
    try:
        files = download(str(gallery), repo_type="dataset", allow_patterns=list(FILES))
    except (OSError, ValueError) as error:
        return Fetched(found, None, (_own_gallery(str(gallery), error),))
    return Fetched(found, files)


def open_fetched(fetched: Fetched, *, bundled: Path) -> OpenedSpace:
    """Load what was fetched; what cannot be used is replaced, and the page says so.

    Args:
        fetched: What the Hub gave.
        bundled: The checkpoint that came with the Space.

    Raises:
        OSError: If that is damaged as well.
        ValueError: Likewise.
    """
    from dermsim.hub.gallery_data import GalleryPictures, has_pictures, load_gallery
    from dermsim.serve.page_server import load_checkpoint

    notices = list(fetched.notices)
    try:
        engine = load_checkpoint(fetched.model)
    except (OSError, ValueError) as error:
        if fetched.model == bundled:
            raise
        notices.append(_fallback(fetched.model.name, error))
        engine = load_checkpoint(bundled)
    pictures = None
    if fetched.gallery is not None:
        try:
            engine.gallery = load_gallery(fetched.gallery, fingerprint=engine.fingerprint)
            if has_pictures(fetched.gallery):
                pictures = GalleryPictures(fetched.gallery)
        except (OSError, ValueError) as error:
            notices.append(_own_gallery(fetched.gallery.name, error))
    return OpenedSpace(engine, pictures, tuple(notices))


def _fallback(model: str, error: Exception) -> str:
    return (
        f"This page runs on the checkpoint that came with it: {model} could not be used. "
        f"{_sentence(error)}"
    )


def _own_gallery(gallery: str, error: Exception) -> str:
    return (
        f"The past cases are those that came with the model: {gallery} could not be used. "
        f"{_sentence(error)}"
    )


def _sentence(error: Exception) -> str:
    return " ".join(str(error).split())


class _Late:
    """The pictures of past cases, which may still be on their way."""

    def __init__(self, opened: Future[OpenedSpace]) -> None:
        self._opened = opened

    def __bool__(self) -> bool:
        """Whether there are any."""
        return self._opened.result().pictures is not None

    def __call__(self, image_id: str) -> Image | None:
        pictures = self._opened.result().pictures
        return pictures(image_id) if pictures else None


# -- ZeroGPU --------------------------------------------------------------------------------------


def lend_gpu(engine: DermSim, lend: Lend) -> DermSim:
    """Return a checkpoint whose encoder runs where the graphics card is.

    Args:
        engine: The checkpoint; ZeroGPU has already told it that there is a card.
        lend: As `gpu_lender` returns it.
    """
    return cast("DermSim", _Lent(engine, lend))


class _Lent:
    """Answers as a `DermSim`, and sends what needs the encoder to the other process."""

    def __init__(self, engine: DermSim, lend: Lend) -> None:
        self._engine = engine

        # positional only: an option may be called anything, `method` for one
        def answer(verb: str, /, *values: Any, **options: Any) -> tuple[ValueError | None, Any]:
            try:
                return None, getattr(engine, verb)(*values, **options)
            except ValueError as error:  # of an error raised there, its words do not come back
                return error.with_traceback(None), None

        self._lent = lend(answer)

    def _answer(self, verb: str, /, *values: Any, **options: Any) -> Any:
        refusal, found = self._lent(verb, *values, **options)
        if refusal is not None:
            raise refusal
        return found

    def __getattr__(self, name: str) -> Any:
        """Everything else is asked for here."""
        return getattr(self._engine, name)

    def analyze(self, image: ImageSource, **options: Any) -> Analysis:
        """Say everything as `DermSim.analyze` does."""
        return self._answer("analyze", _read(image)[0], **options)

    def predict(self, images: ImageSource | Sequence[ImageSource], **options: Any) -> list[Any]:
        """Classify as `DermSim.predict` does."""
        return self._answer("predict", _read(images), **options)

    def predict_and_vote(self, images: Sequence[ImageSource], **options: Any) -> list[Any]:
        """Classify as `DermSim.predict_and_vote` does."""
        return self._answer("predict_and_vote", _read(images), **options)

    def similar_cases(
        self, images: ImageSource | Sequence[ImageSource], k: int = 5, **options: Any
    ) -> list[Any]:
        """Search and vote as `DermSim.similar_cases` does."""
        return self._answer("similar_cases", _read(images), k, **options)

    def embed(
        self, images: ImageSource | Sequence[ImageSource], **options: Any
    ) -> npt.NDArray[np.float32]:
        """Embed as `DermSim.embed` does."""
        return self._answer("embed", _read(images), **options)

    def search(
        self,
        images_or_embeddings: ImageSource | Sequence[ImageSource] | npt.NDArray[np.floating],
        k: int = 5,
        **options: Any,
    ) -> list[list[Neighbor]]:
        """Search as `DermSim.search` does; the gallery is searched here."""
        return self._engine.search(self._embeddings(images_or_embeddings), k, **options)

    def vote(
        self,
        images_or_embeddings: ImageSource | Sequence[ImageSource] | npt.NDArray[np.floating],
        **options: Any,
    ) -> list[dict[str, float]]:
        """Vote as `DermSim.vote` does; the gallery votes here."""
        return self._engine.vote(self._embeddings(images_or_embeddings), **options)

    def _embeddings(
        self, given: ImageSource | Sequence[ImageSource] | npt.NDArray[np.floating]
    ) -> npt.NDArray[np.floating]:
        import numpy as np

        return given if isinstance(given, np.ndarray) else self.embed(given)

    def explain(self, image: ImageSource, **options: Any) -> Heatmap:
        """Explain as `DermSim.explain` does."""
        return self._answer("explain", _read(image)[0], **_with_like(options))

    def explain_many(self, images: Sequence[ImageSource], **options: Any) -> list[Heatmap]:
        """Explain as `DermSim.explain_many` does."""
        return self._answer("explain_many", _read(images), **_with_like(options))

    def explain_likeness(
        self, image: ImageSource, other: ImageSource, **options: Any
    ) -> tuple[Heatmap, Heatmap]:
        """Explain as `DermSim.explain_likeness` does."""
        return self._answer("explain_likeness", *_read([image, other]), **options)


def _with_like(options: dict[str, Any]) -> dict[str, Any]:
    """Read the case to be like, unless it is an embedding."""
    import numpy as np

    like = options.get("like")
    if like is None or isinstance(like, np.ndarray):
        return options
    return {**options, "like": _read(like)[0]}


def _read(images: ImageSource | Sequence[ImageSource]) -> list[Image]:
    """Read pictures here: a refusal would come back from the other process without its words."""
    from dermsim.data.images import as_list, read_image

    return [read_image(image) for image in as_list(images)]
