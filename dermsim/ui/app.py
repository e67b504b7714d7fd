"""The page: one picture, eight tabs. Binds the callbacks to an engine and places the tabs."""

from __future__ import annotations

import functools
import inspect
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr
from starlette.middleware import Middleware
from starlette.types import ASGIApp

from dermsim.core.discretion import be_discreet
from dermsim.core.language import LANGUAGES
from dermsim.core.refused import Phrase
from dermsim.ui import (
    atlas_callbacks,
    batch_callbacks,
    callbacks,
    class_callbacks,
    compare_callbacks,
    concept_callbacks,
    explain_callbacks,
    gradio_seams,
    render,
    report_callbacks,
    tabs,
    worklist,
)
from dermsim.ui.body_limit import BodyLimit
from dermsim.ui.connections import BodyPace, limit_connections
from dermsim.ui.gate import Entrance, Gate, SafeHeaders
from dermsim.ui.hosts import Hosts
from dermsim.ui.i18n import number, say
from dermsim.ui.middleware import (
    AccessLog,
    HeadRequests,
    ServedFolder,
    is_call,
    is_upload,
    refusal,
)
from dermsim.ui.page_head import page_head
from dermsim.ui.page_language import PageLanguage
from dermsim.ui.stopping import Work
from dermsim.ui.tabs.housekeeping import housekeeping
from dermsim.ui.tabs.theme import theme
from dermsim.ui.uploads import PERIOD, upload_folder

if TYPE_CHECKING:  # it brings torch, and the page is served while that loads
    from dermsim.engine import DermSim

_MAX_FILE_SIZE = "50mb"
_MAX_UPLOAD = 256_000_000  # bytes of all files sent at a time
_MAX_CALL = 64_000_000  # bytes of anything else that is sent: values, pictures among them as text
_MAX_QUEUE = 500  # calls that wait; whoever comes later is told so
_SESSIONS = 1000  # visits at once, of 0.3 MB each; what they hold is counted by the shelf


def build_app(
    engine: Callable[[], DermSim],
    *,
    pictures: render.Pictures | None = None,
    note: Callable[[], str] | None = None,
) -> tabs.Page:
    """Build the page around a checkpoint, which may still be loading.

    Args:
        engine: Returns the checkpoint, shared by all visitors. It is called when a visitor needs
            the model, never while the page is built, and may wait.
        pictures: Picture of a past case by its image_id, from a data set at hand; None when there
            is none.
        note: Returns a sentence to show above the page, or an empty string; it may wait. None for
            never any.

    Returns:
        The page; pass it to `launch`.
    """
    folder = tempfile.TemporaryDirectory(prefix="dermsim-examples-")
    uploads = upload_folder()
    # our own folder of uploads is tidied up sooner, and by a clock that nobody sets
    cache = (int(PERIOD), 24 * 3600)
    with folder, tabs.Page(title="dermsim", analytics_enabled=False, delete_cache=cache) as app:
        masthead = gr.HTML(tabs.drawn(lambda language: render.masthead([], language=language)))
        app.load(tabs.sentences(_masthead_of(engine)), outputs=masthead, **tabs.QUIET)
        if note is not None:
            told = gr.HTML(elem_id="note")
            app.load(lambda: render.note(note()), outputs=told, api_name="note")
        bank = gr.State(None)
        with gr.Row(equal_height=False, elem_id="bench"):
            with gr.Column(scale=4, min_width=280, elem_id="tray"):
                upload = tabs.picture_input(
                    say("wiring.picture"),
                    height=290,
                    elem_id="picture",
                    buttons=["fullscreen"],
                    placeholder=say("wiring.drop"),
                )
                gr.Examples(
                    [[path] for path in callbacks.draw_examples(folder.name)],
                    [upload],
                    label=say("page.examples"),
                    elem_id="examples",
                )
                line = tabs.alert_line()
            with gr.Column(scale=9, min_width=300, elem_id="answers"):
                notice, summary = gr.HTML(elem_id="notice"), gr.HTML(elem_id="summary")
                above = tabs.Above(notice, summary, line.slider)
                with gr.Tabs(overflow_behavior="wrap", elem_id="tabs"):  # all are seen at 360 px
                    placed = _place_tabs(engine, upload, above, bank, line, pictures)
        _fill(app, engine, line, placed, bank)
        gr.HTML(tabs.drawn(render.disclaimer), elem_id="disclaimer")
        app.unload(tabs.forget)
    app.queue(max_size=_MAX_QUEUE)
    uploads.keep_all()
    return app


def launch(
    app: tabs.Page,
    *,
    host: str = "127.0.0.1",
    port: int | None = 7860,
    share: bool = False,
    server: dict[str, Any] | None = None,
    entrance: Entrance | None = None,
    work: Work | None = None,
) -> str:
    """Serve the page in the background; it reaches no other host unless `share` is set.

    Args:
        app: What `build_app` returned.
        host: Address to listen on.
        port: Port to listen on; None takes a free one.
        share: Whether to open a public tunnel through Gradio's servers.
        server: What else is served there, as `dermsim.serve.beside_page` returns it.
        entrance: Whom it lets in; None for everybody at this machine's own names.
        work: Takes note of what is under way, so that `wait_until_stopped` can finish it.

    Returns:
        The page's local address.
    """
    door, underway = entrance or Entrance(hosts=Hosts(shared=share)), work or Work()
    be_discreet()
    gradio_seams.be_discreet()
    beside = {
        **(server or {}),
        "middleware": _middleware(),
        "lifespan": _together(housekeeping, underway.in_loop, (server or {}).get("lifespan")),
    }
    underway.starting = True
    address = gradio_seams.launch(
        app,
        server_name=host,
        server_port=port,
        share=share,
        theme=theme(),
        head=page_head(),
        i18n=app.spoken(),
        footer_links=["api"],
        run_history=False,
        ssr_mode=False,
        max_file_size=_MAX_FILE_SIZE,
        state_session_capacity=_SESSIONS,
        app_kwargs=beside,
        outermost=functools.partial(_outermost, entrance=door, work=underway),
        configure=limit_connections,
    )
    underway.starting = False
    gradio_seams.keep_sessions(app.app, holding=tabs.SHELF.sessions, evicted=tabs.SHELF.lose)
    return address


def _outermost(app: ASGIApp, *, entrance: Entrance, work: Work) -> ASGIApp:
    """Put around everything, Gradio's own middleware too, what every request passes first."""
    gate = Gate(BodyPace(app), entrance=entrance, work=work)
    return AccessLog(SafeHeaders(HeadRequests(gate), embed=entrance.embed))


def _middleware() -> list[Middleware]:
    """Return what every request passes through behind the gate, the outermost first."""
    uploads = upload_folder()
    return [
        Middleware(PageLanguage, tell=gradio_seams.told_language),
        Middleware(ServedFolder, folder=uploads.path),
        _limit(_MAX_CALL, concerns=is_call),
        _limit(_MAX_UPLOAD, concerns=is_upload, admit=uploads.admit, receiving=uploads.receiving),
    ]


def _limit(most: int, **options: Any) -> Middleware:
    """Return what refuses requests of more bytes, in the page's words."""
    return Middleware(
        BodyLimit,
        most=most,
        refuse=refusal,
        too_long=Phrase("app.too_long", most=most / 1e6),
        too_many=Phrase("app.too_many"),
        **options,
    )


@dataclass(frozen=True)
class _Placed:
    """What of the tabs others need.

    Attributes:
        picture: The shared picture.
        menus: The menus of facts, to be filled.
        batch: The rows of the batch, to be given back to a page that is loaded anew.
    """

    picture: tabs.Picture
    menus: list[gr.Dropdown]
    batch: tabs.BatchRows


def _fill(
    app: tabs.Page,
    engine: Callable[[], DermSim],
    line: tabs.AlertLine,
    placed: _Placed,
    bank: gr.State,
) -> None:
    """Fill what waits for the checkpoint, and what a page that is loaded anew had before."""
    points = tabs.offer(_bound(engine, callbacks.points))
    app.load(tabs.sentences(points), line.kept, line.offered, js=tabs.KEPT, **tabs.QUIET)
    arrived = tabs.return_things(app, placed.picture, bank, placed.batch.rows)
    placed.batch.show_after(arrived)
    app.load(tabs.sentences(_offers_of(engine)), outputs=placed.menus, **tabs.QUIET)


def _place_tabs(
    engine: Callable[[], DermSim],
    upload: gr.Image,
    above: tabs.Above,
    bank: gr.State,
    line: tabs.AlertLine,
    pictures: render.Pictures | None,
) -> _Placed:
    """Bind the callbacks to the engine, one tab each."""
    bind = functools.partial(_bound, engine)
    with gr.Tab(say("tabs.classify"), id="classify"):
        picture = tabs.classify_tab(
            upload,
            above,
            bank,
            classify=bind(callbacks.classify),
            data=bind(callbacks.classify_data),
        )
        tabs.report_button(
            picture,
            above.line,
            write=bind(report_callbacks.report_at),
            data=bind(report_callbacks.report_data),
        )
    with gr.Tab(say("tabs.explain"), id="explain"):
        tabs.explain_tab(picture, bank, _explain_page(bind, pictures))
    with gr.Tab(say("concepts.tab"), id="concepts", visible=False) as tab:
        tabs.concepts_tab(picture, tab, _concept_page(bind))
    with gr.Tab(say("tabs.similar"), id="similar"):
        similar = tabs.similar_tab(
            picture,
            similar=bind(callbacks.similar, pictures=pictures),
            data=bind(callbacks.similar_data),
            concepts=bind(concept_callbacks.case_choices),
        )
    with gr.Tab(say("compare.tab"), id="compare"):
        tabs.compare_tab(
            picture,
            above.line,
            compare=bind(compare_callbacks.compare, pictures=pictures),
            data=bind(compare_callbacks.compare_data, pictures=pictures),
        )
    with gr.Tab(say("tabs.enroll"), id="enroll"):
        tabs.enroll_tab(
            picture,
            bank,
            compare=bind(callbacks.compare),
            enroll=bind(callbacks.enroll),
            harm=bind(class_callbacks.harm),
            known=bind(class_callbacks.known_as),
            load=bind(callbacks.load_bank),
            data=bind(callbacks.compare_data),
        )
    with gr.Tab(say("tabs.atlas"), id="atlas") as tab:
        mapped = tabs.atlas_tab(picture, tab, _atlas_page(bind, pictures))
    with gr.Tab(say("batch.tab"), id="batch"):
        batch = tabs.batch_tab(_batch_page(bind), line, bank)
    return _Placed(picture, [*similar.menus, *mapped.menus], batch)


def _explain_page(
    bind: Callable[..., Callable[..., Any]], pictures: render.Pictures | None
) -> tabs.ExplainPage:
    return tabs.ExplainPage(
        explain=bind(explain_callbacks.explain),
        compare=bind(explain_callbacks.compare, pictures=pictures),
        menus=bind(explain_callbacks.menus),
        data=bind(explain_callbacks.explain_data),
    )


def _concept_page(bind: Callable[..., Callable[..., Any]]) -> tabs.ConceptPage:
    return tabs.ConceptPage(
        known=bind(concept_callbacks.has_concepts),
        describe=bind(concept_callbacks.describe),
        data=bind(concept_callbacks.describe_data),
    )


def _atlas_page(
    bind: Callable[..., Callable[..., Any]], pictures: render.Pictures | None
) -> tabs.AtlasPage:
    return tabs.AtlasPage(
        choices=bind(atlas_callbacks.choices),
        draw=bind(atlas_callbacks.draw),
        case=bind(atlas_callbacks.case_panel, pictures=pictures),
        hover=bind(atlas_callbacks.hover_picture, pictures=pictures)
        if pictures is not None  # asked whether it has any, it may wait for the checkpoint
        else None,
        rows=bind(atlas_callbacks.listed),
        table=bind(atlas_callbacks.rows_table),
        save=bind(atlas_callbacks.save_csv),
        agreement=bind(atlas_callbacks.agreement),
    )


def _batch_page(bind: Callable[..., Callable[..., Any]]) -> tabs.BatchPage:
    return tabs.BatchPage(
        run=bind(batch_callbacks.run),
        table=bind(worklist.table_html),
        summary=bind(batch_callbacks.summary),
        detail=bind(worklist.detail),
        save=bind(batch_callbacks.save),
        data=bind(batch_callbacks.data),
    )


def _together(*lifespans: Callable[[Any], Any] | None) -> Callable[[Any], Any]:
    """Return one lifespan of a server that is all of several."""

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for each in lifespans:
                if each is not None:
                    await stack.enter_async_context(each(app))
            yield

    return lifespan


def _bound(engine: Callable[[], DermSim], fn: Callable[..., Any], **fixed: Any) -> Any:
    """Bind a callback to the engine; it goes on taking a language where it did."""

    def bound(*values: Any, **options: Any) -> Any:
        return fn(engine(), *values, **fixed, **options)

    def speaking(*values: Any, language: str = LANGUAGES[0], **options: Any) -> Any:
        return bound(*values, language=language, **options)

    language = inspect.signature(fn).parameters.get("language")
    # a program names the language itself, as one of the values
    return speaking if language and language.kind is language.KEYWORD_ONLY else bound


def _masthead_of(engine: Callable[[], DermSim]) -> Callable[..., str]:
    def masthead(request: gr.Request, *, language: str = LANGUAGES[0]) -> str:
        checkpoint = engine()
        cases = number(len(checkpoint.gallery), language=language)
        facts = [
            checkpoint.model.config.backbone,
            say("masthead.past_cases", language, count=cases),
        ]
        return render.masthead(facts, language=language, query=dict(request.query_params))

    return masthead


def _offers_of(engine: Callable[[], DermSim]) -> Callable[..., list[Any]]:
    def offers(*, language: str = LANGUAGES[0]) -> list[Any]:
        return tabs.fill_menus(callbacks.offers(engine(), language=language)) * 2

    return offers
