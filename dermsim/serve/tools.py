"""The same verbs as tools for assistants: each takes pictures as text and returns plain values.

Assistants speak the Model Context Protocol (https://modelcontextprotocol.io), whose messages are
JSON, so a picture comes as a data URI or in base64, or as the address that this server gave it when
it was uploaded. Nothing is fetched from elsewhere, and nothing is written to disk. `mcp_server`
offers these functions; an assistant is shown their docstrings and what is said of each argument.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import unquote, urlsplit

from pydantic import Field

from dermsim.core.explain_methods import DEFAULT, MethodChoice
from dermsim.core.labels import DISCLAIMER
from dermsim.core.language import Language
from dermsim.core.refused import Refused, RefusedRuntimeError
from dermsim.engine import answers
from dermsim.serve import documents
from dermsim.serve.errors import FAULT, Refusal, note_fault
from dermsim.serve.mcp_server import Tool

if TYPE_CHECKING:
    from PIL.Image import Image

    from dermsim.engine import DermSim
    from dermsim.serve.routes import Desk

Answer = dict[str, Any]
"""JSON-able values; under `OVERLAY` may lie a picture."""

Picture = Annotated[
    str,
    Field(description="A data URI, base64, or the address of a file uploaded to this server."),
]

OVERLAY = "overlay"
"""Key of a PNG in base64 that an assistant should be shown."""

FILE_ROUTE = "/gradio_api/file="
"""What an uploaded file's address has before its path on the server."""


def build_tools(desk: Desk, *, uploads: Path) -> tuple[Tool, ...]:
    """Return the tools.

    Args:
        desk: The checkpoint, the limits and the threads, shared with REST.
        uploads: The folder of uploads to the page; no file elsewhere is read.
    """
    tools = Tools(desk, uploads=uploads)
    return tools.predict, tools.embed, tools.explain, tools.similar, tools.enroll, tools.describe


class Tools:
    """What an assistant may call; it is shown the names, the docstrings and the annotations.

    Args:
        desk: As for `build_tools`.
        uploads: Likewise.
    """

    def __init__(self, desk: Desk, *, uploads: Path) -> None:
        self._desk, self._uploads = desk, uploads

    def _reading(
        self, engine: DermSim, *texts: str, side: int = 0
    ) -> AbstractContextManager[list[Image]]:
        """Decode the pictures of a call; see `Desk.reading`."""
        most = self._desk.limits.pictures
        if len(texts) > most:
            raise Refused("tools.too_many", count=len(texts), most=most)
        files = [picture_bytes(text, uploads=self._uploads) for text in texts]
        return self._desk.reading(engine, files, side=side)

    async def _ask(self, task: Callable[[DermSim], Answer], *, maps: bool = False) -> Answer:
        try:
            engine = self._desk.engine()
            return await self._desk.work(lambda: task(engine), maps=maps)
        except Refusal as refusal:
            raise ValueError(refusal.detail) from refusal
        except Exception as error:  # its words may be of the picture, and are not for others
            note_fault(error)
            raise RefusedRuntimeError(FAULT.key) from None

    async def predict(
        self,
        image: Picture,
        operating_point: Annotated[
            Literal["balanced", "sensitivity_95"] | float,
            Field(
                description="balanced, sensitivity_95 (misses less, alarms more) or a threshold."
            ),
        ] = "balanced",
    ) -> Answer:
        """Classify a dermatoscopic photograph of a skin lesion into seven diagnoses.

        Answers with calibrated probabilities, the diagnoses that cannot be excluded, whether the
        lesion counts as malignant, and whether the picture is unlike the training data: then say so
        before any label. Not a medical device; say that too.
        """

        def task(engine: DermSim) -> Answer:
            with self._reading(engine, image) as pictures:
                found = documents.predict(engine, pictures, operating_point=operating_point)
            return {**found.results[0].model_dump(), "disclaimer": found.disclaimer}

        return await self._ask(task)

    async def embed(self, image: Picture) -> Answer:
        """Turn a dermatoscopic photograph into a vector of length 1.

        The inner product of two vectors with the same fingerprint is the likeness of the pictures.
        """

        def task(engine: DermSim) -> Answer:
            with self._reading(engine, image) as pictures:
                found = documents.embed(engine, pictures)
            return {"fingerprint": found.fingerprint, "embedding": found.embeddings[0]}

        return await self._ask(task)

    async def explain(
        self,
        image: Picture,
        target: Annotated[
            str,
            Field(
                description="A diagnosis such as mel, or malignancy; empty for the model's own "
                "answer."
            ),
        ] = "",
        like: Annotated[
            str,
            Field(
                description="Another picture, to show on the first what makes the two alike; then "
                "no target."
            ),
        ] = "",
        method: Annotated[
            MethodChoice,
            Field(description="How evidence is measured; by default as did best on validation."),
        ] = DEFAULT,
    ) -> Answer:
        """Show where in a dermatoscopic photograph the model sees evidence for a diagnosis.

        Answers with the picture painted over and with the part of it that holds the strongest
        evidence, in shares of width and height from the upper left.
        """

        def task(engine: DermSim) -> Answer:
            texts, side = [image, like] if like else [image], documents.ENOUGH
            with self._reading(engine, *texts, side=side) as (first, *others):
                found = documents.explain(
                    engine,
                    first,
                    method=method,
                    target=target or None,
                    like=others[0] if others else None,
                )
            shown = found.maps[0].model_dump(include={"strength", "strongest_part", OVERLAY})
            told = found.model_dump(include={"target", "method", "score", "worth", "disclaimer"})
            return {**told, **shown}

        return await self._ask(task, maps=True)

    async def similar(
        self,
        image: Picture,
        k: Annotated[int, Field(description="How many cases, 1 to 100.")] = 5,
        dx: Annotated[
            str, Field(description="Only cases of this diagnosis, such as mel; empty for all.")
        ] = "",
        concept: Annotated[
            str,
            Field(description="Only cases that show a concept, or do not: streaks=present."),
        ] = "",
    ) -> Answer:
        """Find past cases with a known diagnosis that look like a dermatoscopic photograph.

        Answers with the cases, most similar first, and how the nearest 16 of them vote.
        """

        def task(engine: DermSim) -> Answer:
            where = documents.case_filter(
                dx=[dx] if dx else [], concept=[concept] if concept else []
            )
            with self._reading(engine, image) as pictures:
                found = documents.similar(engine, pictures, k=k, where=where)
            return {**found.results[0].model_dump(), "disclaimer": found.disclaimer}

        return await self._ask(task)

    async def enroll(
        self,
        name: Annotated[str, Field(description="What the new class is called.")],
        examples: Annotated[
            list[str],
            Field(description="Pictures of it, about five, each given as for image."),
        ],
        image: Picture,
    ) -> Answer:
        """Teach a new class with a few example photographs, and ask about another picture.

        Answers with the probability of the new class and of the seven diagnoses, and what the new
        class does to them. Nothing is kept: send the examples again with the next question.
        """

        def task(engine: DermSim) -> Answer:
            if not examples:
                raise Refused("tools.no_example")
            with self._reading(engine, *examples, image) as (*shown, asked):
                bank = answers.teach(engine, shown, name=name)
                report = documents.enrollment(bank)
                return {
                    "probabilities": answers.compare(engine, [asked], bank=bank)[0],
                    "report": report.model_dump() if report else None,
                    "disclaimer": DISCLAIMER,
                }

        return await self._ask(task)

    async def describe(
        self,
        image: Picture,
        language: Annotated[Language, Field(description="Of the sentences.")] = "en",
    ) -> Answer:
        """Describe a dermatoscopic photograph in words, by the structures a dermatologist names.

        Answers with verified sentences, each with the fact it says and its evidence, and with the
        melanoma score from concepts alone, as it would be with each concept there or not. Repeat
        the sentences as they are; say nothing more certain. Not a medical device; say that too.
        """

        def task(engine: DermSim) -> Answer:
            with self._reading(engine, image) as (picture,):
                return documents.describe(engine, picture, language=language).model_dump()

        return await self._ask(task, maps=True)


def picture_bytes(text: str, *, uploads: Path) -> bytes:
    """Return the file that a text stands for.

    Args:
        text: A data URI, base64, or address or path of an upload.
        uploads: The folder of uploads.

    Raises:
        ValueError: If it is none of these.
    """
    if text.startswith("data:"):
        return _decode(text.partition(",")[2])
    if text.startswith(("http://", "https://")):
        _, route, path = urlsplit(text).path.partition(FILE_ROUTE)
        if not route:
            raise Refused("tools.no_fetching")
        return _upload(unquote(path), uploads)
    # not every absolute path: base64 of a JPEG begins like one
    return _upload(text, uploads) if text.startswith(f"{uploads}/") else _decode(text)


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refused("tools.not_a_picture") from error


def _upload(path: str, uploads: Path) -> bytes:
    try:
        file = Path(path).resolve()
        if file.is_relative_to(uploads.resolve()) and file.is_file():
            return file.read_bytes()
    except (OSError, ValueError):  # a name no file can have
        pass
    raise Refused("tools.upload_gone")
