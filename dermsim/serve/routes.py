"""The REST routes: what each takes, checked and described, and the answer that is made of it.

Forms are read by the event loop, in memory; decoding and the encoder run in threads.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, File, Form, Request, Response, UploadFile
from fastapi.routing import APIRoute

from dermsim.core.explain_methods import DEFAULT, MethodChoice
from dermsim.core.language import Language
from dermsim.core.refused import Phrase
from dermsim.serve import documents
from dermsim.serve.concept_schemas import DescribeAnswer
from dermsim.serve.errors import OVERLOADED, Refusal, come_back, responses
from dermsim.serve.form_fields import (
    Age,
    Bank,
    Conditions,
    Lesions,
    Pictures,
    Threshold,
    Word,
    Words,
)
from dermsim.serve.limits import NEIGHBORS, FormRequest, Limits, Workers, reading
from dermsim.serve.schemas import (
    EmbedAnswer,
    EnrollAnswer,
    ExplainAnswer,
    Health,
    ModelInfo,
    PredictAnswer,
    SimilarAnswer,
)

if TYPE_CHECKING:  # it brings torch, and requests are answered while it loads
    from PIL.Image import Image

    from dermsim.engine import DermSim
    from dermsim.tasks.enroll import ClassBank

T = TypeVar("T")

Engine = Callable[[], "DermSim | None"]
"""Returns the checkpoint, or None while it is still loading; never waits."""

MAPS = 2
"""Requests for heatmaps that are worked on at the same time."""


class FormRoute(APIRoute):
    """A route whose form is read by `FormRequest`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request."""
        answer = super().get_route_handler()

        async def handler(request: Request) -> Response:
            return await answer(FormRequest(request.scope, request.receive))

        return handler


class Desk:
    """What all routes share: the checkpoint, the limits and the threads."""

    def __init__(self, engine: Engine, *, limits: Limits) -> None:
        self._engine = engine
        self.limits = limits
        self._workers = Workers(limits)
        # a map has several times the memory of its picture
        self._drawers = Workers(replace(limits, threads=min(MAPS, limits.threads)))

    def engine(self) -> DermSim:
        """Return the checkpoint, or refuse while it is loading."""
        engine = self._engine()
        if engine is None:
            raise come_back(Phrase("routes.loading"))
        return engine

    async def work(self, task: Callable[[], T], *, maps: bool = False) -> T:
        """Do what takes long in a thread; what it refuses is a problem of status 422.

        Args:
            task: What to do.
            maps: Whether it draws maps, of which few are drawn at a time.
        """
        try:
            return await (self._drawers if maps else self._workers).run(task)
        except OVERLOADED as error:
            raise come_back(error) from error
        except ValueError as error:
            raise Refusal(422, error) from error

    async def pictures(self, files: list[UploadFile]) -> list[bytes]:
        """Take the files of a form."""
        if len(files) > self.limits.pictures:
            most = self.limits.pictures
            raise Refusal(413, Phrase("routes.too_many", count=len(files), most=most))
        return [await file.read() for file in files]

    def reading(
        self, engine: DermSim, files: Sequence[bytes], *, side: int = 0
    ) -> AbstractContextManager[list[Image]]:
        """Decode the pictures of a request as far as they are needed; see `limits.reading`.

        Args:
            engine: The checkpoint, whose encoder needs so much of them.
            files: Their bytes.
            side: What is shown of them needs so many pixels of the longest side.
        """
        width, height = engine.pixels_needed
        enough = (max(width, side), max(height, side))
        return reading(files, limits=self.limits, at_least=enough)

    async def bank(self, file: UploadFile | None, engine: DermSim) -> Callable[[], Any]:
        """Return what reads the bank of a form, if there is one; to be called in a thread."""
        if file is None:
            return lambda: None
        data = await file.read()
        if len(data) > self.limits.bank_bytes:
            most = self.limits.bank_bytes
            raise Refusal(413, Phrase("routes.bank_too_large", most=most))

        def read() -> ClassBank:
            from dermsim.tasks.enroll import ClassBank

            return ClassBank.from_bytes(data, fingerprint=engine.fingerprint)

        return read


def build_router(desk: Desk) -> APIRouter:
    """Return the routes."""
    router = APIRouter(route_class=FormRoute)
    _about(router, desk)
    for add in (_predicting, _embedding, _searching, _teaching, _explaining, _describing):
        add(router, desk)
    return router


def _about(router: APIRouter, desk: Desk) -> None:
    """Add the routes that say what the server is."""

    @router.get("/health", tags=["about"], responses=responses(503))
    async def health() -> Health:
        """Say whether requests can be answered; needs no token.

        While the checkpoint is loading the status is 503, as load balancers expect.
        """
        from dermsim.core.version import __version__

        desk.engine()
        return Health(status="ok", version=__version__)

    @router.get("/model_info", tags=["about"], responses=responses(401, 503))
    async def model_info() -> ModelInfo:
        """Say which model answers, with what it may be asked, and the limits of a request."""
        engine = desk.engine()
        return await desk.work(lambda: documents.model_info(engine, limits=desk.limits))


_COMMON = responses(400, 401, 413, 415, 422, 500, 503)


def _predicting(router: APIRouter, desk: Desk) -> None:
    """Add the route that classifies pictures."""

    @router.post("/v1/predict", tags=["pictures"], responses=_COMMON)
    async def predict(
        images: Pictures,
        operating_point: Annotated[
            Literal["balanced", "sensitivity_95"] | Threshold,
            Form(description="Where malignant begins: a name, or a threshold on `malignancy`."),
        ] = "balanced",
        age: Age = None,
        sex: Word = None,
        site: Word = None,
        bank: Bank = None,
        exclude_lesion: Lesions = [],  # noqa: B006 FastAPI copies it
    ) -> PredictAnswer:
        """Classify pictures: probabilities, what cannot be excluded, benign or malignant.

        `age`, `sex` and `site` are of the patient in all the pictures, for a checkpoint that takes
        facts; see `takes_facts` in `/model_info`.
        """
        engine = desk.engine()
        files, read_bank = await desk.pictures(images), await desk.bank(bank, engine)

        def task() -> PredictAnswer:
            from dermsim.data.facts import Facts

            facts, known = Facts(age, sex, site), read_bank()
            with desk.reading(engine, files) as pictures:
                return documents.predict(
                    engine,
                    pictures,
                    operating_point=operating_point,
                    facts=facts,
                    bank=known,
                    exclude_lesion_ids=exclude_lesion,
                )

        return await desk.work(task)


def _embedding(router: APIRouter, desk: Desk) -> None:
    """Add the route that makes vectors of pictures."""

    @router.post("/v1/embed", tags=["pictures"], responses=_COMMON)
    async def embed(
        images: Pictures,
        space: Annotated[
            Literal["embeddings", "pooled_features"],
            Form(description="`pooled_features` are what banks of classes compare."),
        ] = "embeddings",
    ) -> EmbedAnswer:
        """Embed pictures: one vector each, to compare with others of the same `fingerprint`."""
        engine, files = desk.engine(), await desk.pictures(images)

        def task() -> EmbedAnswer:
            with desk.reading(engine, files) as pictures:
                return documents.embed(engine, pictures, space=space)

        return await desk.work(task)


def _searching(router: APIRouter, desk: Desk) -> None:
    """Add the route that finds past cases."""

    @router.post("/v1/similar", tags=["pictures"], responses=_COMMON)
    async def similar(
        images: Pictures,
        k: Annotated[int, Form(ge=1, le=NEIGHBORS, description="How many cases.")] = 5,
        one_per_lesion: Annotated[bool, Form(description="Leave further photographs out.")] = False,
        dx: Words = [],  # noqa: B006 FastAPI copies it
        sex: Words = [],  # noqa: B006
        localization: Words = [],  # noqa: B006
        dx_type: Words = [],  # noqa: B006
        age_min: Age = None,
        age_max: Age = None,
        concept: Conditions = [],  # noqa: B006
        exclude_lesion: Lesions = [],  # noqa: B006
    ) -> SimilarAnswer:
        """Find the past cases most like each picture.

        The other fields keep only cases with these facts; `dx`, `sex`, `localization` and
        `dx_type` may come several times, for any of the values.
        """
        engine, files = desk.engine(), await desk.pictures(images)

        def task() -> SimilarAnswer:
            where = documents.case_filter(
                dx=dx,
                sex=sex,
                localization=localization,
                dx_type=dx_type,
                age_min=age_min,
                age_max=age_max,
                concept=concept,
            )
            with desk.reading(engine, files) as pictures:
                return documents.similar(
                    engine,
                    pictures,
                    k=k,
                    where=where,
                    one_per_lesion=one_per_lesion,
                    exclude_lesion_ids=exclude_lesion,
                )

        return await desk.work(task)


def _teaching(router: APIRouter, desk: Desk) -> None:
    """Add the route that enrolls a class."""

    @router.post("/v1/enroll", tags=["classes"], responses=_COMMON)
    async def enroll(
        images: Pictures,
        name: Annotated[str, Form(min_length=1, max_length=80, description="Of the new class.")],
        head: Annotated[
            Literal["auto", "mean", "neighbors", "logistic"],
            Form(description="How it is told from the others; auto chooses by the pictures."),
        ] = "auto",
        bank: Bank = None,
    ) -> EnrollAnswer:
        """Teach a class with a few pictures: a bank in, or none, and a bank out.

        The server keeps nothing: send the bank along with `/v1/predict` or `/v1/explain`.
        """
        engine = desk.engine()
        files, read_bank = await desk.pictures(images), await desk.bank(bank, engine)

        def task() -> EnrollAnswer:
            known = read_bank()
            with desk.reading(engine, files) as pictures:
                return documents.enroll(engine, pictures, name=name, head=head, bank=known)

        return await desk.work(task)


def _describing(router: APIRouter, desk: Desk) -> None:
    """Add the route that puts one picture into words."""

    @router.post("/v1/describe", tags=["pictures"], responses=_COMMON)
    async def describe(
        image: Annotated[UploadFile, File(description="The picture.")],
        language: Annotated[Language, Form(description="Of the sentences.")] = "en",
    ) -> DescribeAnswer:
        """Describe a picture in words: which dermoscopic structures it shows, and where.

        Every sentence comes with the fact it says and with what that rests on. A checkpoint without
        concept heads refuses.
        """
        engine, files = desk.engine(), await desk.pictures([image])

        def task() -> DescribeAnswer:
            with desk.reading(engine, files) as (picture,):
                return documents.describe(engine, picture, language=language)

        return await desk.work(task, maps=True)


def _explaining(router: APIRouter, desk: Desk) -> None:
    """Add the route that takes one picture, or one and another."""

    @router.post("/v1/explain", tags=["pictures"], responses=_COMMON)
    async def explain(
        image: Annotated[UploadFile, File(description="The picture.")],
        like: Annotated[
            UploadFile | None,
            File(description="Another picture: explain on both what makes the two alike."),
        ] = None,
        target: Annotated[
            str | None,
            Form(
                max_length=80,
                description="A diagnosis, `malignancy`, or a class of `bank`; by default the "
                "model's own answer. Not together with `like`.",
            ),
        ] = None,
        method: Annotated[MethodChoice, Form(description="By default as did best.")] = DEFAULT,
        layer: Annotated[
            str | None,
            Form(max_length=128, description="A stage by its number, such as -2, or a module."),
        ] = None,
        smooth: Annotated[bool, Form(description="Finer, and eight times slower.")] = False,
        opacity: Annotated[float, Form(ge=0, le=1, description="Of the strongest place.")] = 0.7,
        outline: Annotated[bool, Form(description="Draw a line around the strongest half.")] = (
            False
        ),
        bank: Bank = None,
    ) -> ExplainAnswer:
        """Show where a picture holds evidence, painted over it and as a map of values.

        Both are PNG files in base64, so that the numbers that belong to them come in one answer.
        """
        engine = desk.engine()
        files = await desk.pictures([image] if like is None else [image, like])
        read_bank = await desk.bank(bank, engine)

        def task() -> ExplainAnswer:
            known = read_bank()
            with desk.reading(engine, files, side=documents.ENOUGH) as (first, *others):
                return documents.explain(
                    engine,
                    first,
                    method=method,
                    target=target,
                    like=others[0] if others else None,
                    layer=layer,
                    smooth=smooth,
                    bank=known,
                    opacity=opacity,
                    outline=outline,
                )

        return await desk.work(task, maps=True)
