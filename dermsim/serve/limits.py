"""What a request may ask for, and how the server keeps within its memory and its threads.

Bytes are counted while they arrive, before they are kept; pictures are measured by their headers,
before they are decoded. Uploads are held in memory and never written to disk.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.datastructures import FormData
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from dermsim.core.refused import Keyed, Phrase, Refused, renamed
from dermsim.data.admission import PATIENCE, PIXELS
from dermsim.data.images import pixels_to_decode, read_image
from dermsim.serve.errors import RETRY_AFTER, BusyError, Refusal, problem_response
from dermsim.ui.body_limit import BodyLimit
from dermsim.ui.logins import Misses, bearer_of, check_token, is_token

if TYPE_CHECKING:
    from PIL.Image import Image

NEIGHBORS = 100
"""Similar cases of each picture, at most."""

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds of what is accepted.

    Attributes:
        request_bytes: Of one request's body.
        held_bytes: Of the bodies of all requests under way together.
        pictures: In one request.
        pixels: Of one request's pictures together, width x height of each.
        bank_bytes: Of a file of enrolled classes.
        threads: Requests that are worked on at once.
        waiting: Requests that wait for a thread.
    """

    request_bytes: int = 50_000_000
    held_bytes: int = 500_000_000
    pictures: int = 32
    pixels: int = 50_000_000
    bank_bytes: int = 16_000_000
    threads: int = 16
    waiting: int = 128

    def __post_init__(self) -> None:
        """Refuse limits under which nothing could be asked."""
        for part in fields(self):
            value = getattr(self, part.name)
            if type(value) is not int or value < (0 if part.name == "waiting" else 1):
                raise Refused("limits.positive", name=part.name, value=value)


def body_limit(app: ASGIApp, *, limits: Limits) -> BodyLimit:
    """Bound the bodies of requests to REST, refusing them as a problem."""
    most = limits.request_bytes
    return BodyLimit(
        app,
        most=most,
        together=limits.held_bytes,
        refuse=_refuse,
        too_long=Phrase("limits.request_too_large", most=most),
        too_many=Phrase("limits.too_many_at_once"),
    )


def _refuse(status: int, sentence: Keyed | str) -> ASGIApp:
    headers = {"Retry-After": str(RETRY_AFTER)} if status == 503 else None
    return problem_response(status, sentence, headers)


class Bearer:
    """Middleware: lets in who names the token, and answers anybody else with 401.

    Who sends many wrong ones is slowed down, and told so with 429.

    Args:
        app: What is guarded.
        token: The token.
        open_paths: Addresses below the mount that stay open.
        misses: Counts wrong tokens; None for a count of its own.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        token: str,
        open_paths: Collection[str] = (),
        misses: Misses | None = None,
    ) -> None:
        self.app = app
        self._token = check_token(token)
        self._open = frozenset(open_paths)
        self._misses = misses or Misses()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        flooded = self._misses.flooded(scope)
        given = bearer_of(scope)
        right = not flooded and given is not None and is_token(given, self._token)
        if path in self._open or right:
            await self.app(scope, receive, send)
            return
        if flooded or (given is not None and await self._misses.note(scope)):
            detail = Phrase("limits.wrong_tokens")
            headers = {"Retry-After": f"{self._misses.every:.0f}"}
            await problem_response(429, detail, headers)(scope, receive, send)
            return
        detail = Phrase("limits.no_token")
        headers = {"WWW-Authenticate": "Bearer"}
        await problem_response(401, detail, headers)(scope, receive, send)


class FormRequest(Request):
    """A request whose form is kept in memory, and which must be one."""

    async def form(self, **limits: Any) -> FormData:  # type: ignore[override]  # of a plain await
        """Read the form.

        Args:
            limits: As for `Request.form`.

        Raises:
            Refusal: If the body is no form, or a broken one.
        """
        kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "multipart/form-data":
            raise Refusal(415, Phrase("limits.no_form"))
        try:
            return await _InMemoryParser(self.headers, self.stream(), **limits).parse()
        except MultiPartException as error:
            reason = error.message.rstrip(".")
            raise Refusal(400, Phrase("limits.broken_form", reason=reason)) from error


class _InMemoryParser(MultiPartParser):
    """Starlette's parser, which would put files of more than a megabyte on disk."""

    spool_max_size = 2**62


class Workers:
    """Threads that do what would hold up the event loop.

    Args:
        limits: How many, and how many requests may wait for one.
    """

    def __init__(self, limits: Limits) -> None:
        self._pool = ThreadPoolExecutor(limits.threads, thread_name_prefix="dermsim-rest")
        self._room = threading.BoundedSemaphore(limits.threads + limits.waiting)

    async def run(self, work: Callable[..., T], *values: Any, **options: Any) -> T:
        """Do a piece of work.

        Raises:
            BusyError: If too much of it is waiting already.
        """
        if not self._room.acquire(blocking=False):
            raise BusyError("limits.busy")
        job = self._pool.submit(partial(work, *values, **options))
        # who leaves early frees the place only when the work is over or was never begun
        job.add_done_callback(lambda _: self._room.release())
        return await asyncio.wrap_future(job)


@contextmanager
def reading(
    files: Sequence[bytes], *, limits: Limits, at_least: tuple[int, int] | None = None
) -> Iterator[list[Image]]:
    """Decode the pictures of a request, and hold room for them until they are answered.

    Args:
        files: The pictures' bytes.
        limits: Of a request. A picture that is decoded smaller counts as that.
        at_least: What is needed of each, as for `read_image`; all of it by default.

    Raises:
        TimeoutError: If there was no room for so many pixels in time.
        ValueError: If one cannot be read, or they have too many pixels together; one sentence.
    """
    asked = sum(map(pixels_to_decode, files))
    with PIXELS.hold(asked, seconds=PATIENCE) as room:
        pictures = read_pictures(files, limits=limits, at_least=at_least)
        room.keep(sum(picture.width * picture.height for picture in pictures))
        yield pictures


def read_pictures(
    files: Iterable[bytes], *, limits: Limits, at_least: tuple[int, int] | None = None
) -> list[Image]:
    """Decode the pictures of a request, in order.

    Args:
        files: The pictures' bytes.
        limits: Of a request. A picture that is decoded smaller counts as that.
        at_least: What is needed of each, as for `read_image`; all of it by default.

    Raises:
        ValueError: If one cannot be read, or they have too many pixels together; one sentence.
    """
    pictures: list[Image] = []
    left = limits.pixels
    for number, data in enumerate(files, start=1):
        try:
            picture = read_image(data, max_pixels=limits.pixels, at_least=at_least)
        except Refused as error:
            named = renamed(error, name=Phrase("limits.picture", number=number))
            assert isinstance(named, Refused)
            raise named from error
        left -= picture.width * picture.height
        if left < 0:
            raise Refused("limits.pixels", pixels=limits.pixels)
        pictures.append(picture)
    return pictures
