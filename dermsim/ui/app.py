"""The page: one picture, six tabs. Binds the callbacks to an engine and places the tabs."""

from __future__ import annotations

import functools
import inspect
import json
import secrets
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from starlette.middleware import Middleware

from dermsim.labels import CODES
from dermsim.traffic import AccessLog, ServedFolder, UploadLimits, be_discreet
from dermsim.ui import atlas, batching, callbacks, explaining, render, reporting, tabs
from dermsim.ui.i18n import LANGUAGES, number, say
from dermsim.ui.page_language import PageLanguage
from dermsim.ui.tabs.housekeeping import housekeeping
from dermsim.ui.uploads import AGE, PERIOD, upload_folder

if TYPE_CHECKING:  # it brings torch, and the page is served while that loads
    from dermsim.engine import DermSim

_MAX_FILE_SIZE = "50mb"
_MAX_UPLOAD = 256_000_000  # bytes of all files sent at a time
_MAX_QUEUE = 500  # calls that wait; whoever comes later is told so
_SESSIONS = 1000  # visitors remembered at once, each with less than half a megabyte

_TEAL = gr.themes.Color(
    name="dermsim-teal",
    c50="#eef7f5",
    c100="#d6ebe7",
    c200="#aed8d1",
    c300="#7dbfb5",
    c400="#4aa397",
    c500="#23877b",
    c600="#136c62",
    c700="#10574f",
    c800="#0f4640",
    c900="#0d3935",
    c950="#06211f",
)
_STONE = gr.themes.Color(
    name="dermsim-stone",
    c50="#faf8f5",
    c100="#f3f0ea",
    c200="#e6e1d8",
    c300="#d0c9bd",
    c400="#a19b91",
    c500="#6a6660",
    c600="#57554f",
    c700="#3b3f3f",
    c800="#242b2c",
    c900="#1a2021",
    c950="#121718",
)


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
    cache = (int(PERIOD), int(AGE))
    with folder, tabs.Page(title="dermsim", analytics_enabled=False, delete_cache=cache) as app:
        masthead = gr.HTML(tabs.drawn(lambda language: render.masthead([], language=language)))
        app.load(tabs.sentences(_masthead_of(engine)), outputs=masthead, **tabs.QUIET)
        if note is not None:
            told = gr.HTML(elem_id="note")
            app.load(lambda: render.note(note()), outputs=told, api_name="note")
        bank = gr.State(None)
        with gr.Row(equal_height=False, elem_id="bench"):
            with gr.Column(scale=4, min_width=280, elem_id="tray"):
                upload = tabs.picture_input()
                gr.Examples(
                    [[path] for path in callbacks.draw_examples(folder.name)],
                    [upload],
                    label=say("page.examples"),
                    elem_id="examples",
                )
            with gr.Column(scale=9, min_width=300):
                notice = gr.HTML(elem_id="notice")
                with gr.Tabs(overflow_behavior="wrap"):  # all are seen at 360 px
                    menus = _place_tabs(engine, upload, notice, bank, pictures)
        app.load(tabs.sentences(_offers_of(engine)), outputs=menus, **tabs.QUIET)
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
    token: str | None = None,
) -> str:
    """Serve the page in the background; it reaches no other host unless `share` is set.

    Args:
        app: What `build_app` returned.
        host: Address to listen on.
        port: Port to listen on; None takes a free one.
        share: Whether to open a public tunnel through Gradio's servers.
        server: What else is served there, as `dermsim.serve.beside_page` returns it.
        token: What a visitor must give as the password to see the page; None lets everybody in.

    Returns:
        The page's local address.
    """
    be_discreet()
    tabs.be_discreet()
    beside = {
        **(server or {}),
        "middleware": _middleware(),
        "lifespan": _together(housekeeping, (server or {}).get("lifespan")),
    }
    _, url, _ = app.launch(
        server_name=host,
        server_port=port,
        share=share,
        prevent_thread_lock=True,
        theme=_theme(),
        head=_head(),
        i18n=app.spoken(),
        footer_links=["api"],
        run_history=False,
        ssr_mode=False,
        max_file_size=_MAX_FILE_SIZE,
        state_session_capacity=_SESSIONS,
        app_kwargs=beside,
        auth=None if token is None else _visitor_check(token),
        auth_message=" · ".join(say("serve.login", language) for language in LANGUAGES),
        # skips only Gradio's look at its own page, which gives up after 3 s on a busy machine
        _frontend=False,
    )
    return url


def _middleware() -> list[Middleware]:
    """Return what every request passes through, the outermost first."""
    return [
        Middleware(AccessLog),
        Middleware(PageLanguage),
        Middleware(ServedFolder, folder=upload_folder().path),
        Middleware(UploadLimits, most=_MAX_UPLOAD, admit=upload_folder().admit),
    ]


def _place_tabs(
    engine: Callable[[], DermSim],
    upload: gr.Image,
    notice: gr.HTML,
    bank: gr.State,
    pictures: render.Pictures | None,
) -> list[gr.Dropdown]:
    """Bind the callbacks to the engine, one tab each; return the menus of facts to be filled."""
    bind = functools.partial(_bound, engine)
    with gr.Tab(say("tabs.classify"), id="classify"):
        picture = tabs.classify_tab(
            upload,
            notice,
            classify=bind(callbacks.classify),
            data=bind(callbacks.classify_data),
        )
        tabs.report_button(
            picture, write=bind(reporting.report_link), data=bind(reporting.report_data)
        )
    with gr.Tab(say("tabs.explain"), id="explain"):
        tabs.explain_tab(
            picture,
            bank,
            explain=bind(explaining.explain),
            compare=bind(explaining.compare, pictures=pictures),
            menus=bind(explaining.menus),
            data=bind(explaining.explain_data),
        )
    with gr.Tab(say("tabs.similar"), id="similar"):
        similar = tabs.similar_tab(
            picture,
            similar=bind(callbacks.similar, pictures=pictures),
            data=bind(callbacks.similar_data),
        )
    with gr.Tab(say("tabs.enroll"), id="enroll"):
        tabs.enroll_tab(
            picture,
            bank,
            compare=bind(callbacks.compare),
            enroll=bind(callbacks.enroll),
            load=bind(callbacks.load_bank),
            data=bind(callbacks.compare_data),
        )
    with gr.Tab(say("tabs.atlas"), id="atlas") as tab:
        mapped = tabs.atlas_tab(
            picture,
            tab,
            tabs.AtlasPage(
                choices=bind(atlas.choices),
                draw=bind(atlas.draw),
                case=bind(atlas.case_panel, pictures=pictures),
                rows=bind(atlas.listed),
                table=bind(atlas.rows_table),
                save=bind(atlas.save_csv),
                agreement=bind(atlas.agreement),
            ),
        )
    with gr.Tab(say("batch.tab"), id="batch"):
        tabs.batch_tab(
            tabs.BatchPage(
                run=bind(batching.run),
                table=bind(batching.table),
                summary=bind(batching.summary),
                detail=batching.detail,
                save=bind(batching.save),
                data=bind(batching.data),
            ),
        )
    return [*similar.menus, *mapped.menus]


def _visitor_check(token: str) -> Callable[[str, str], bool]:
    """Return what lets in visitors who know the token, whatever name they give."""

    def knows(name: str, password: str) -> bool:
        return secrets.compare_digest(password.encode(), token.encode())

    return knows


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

    return speaking if "language" in inspect.signature(fn).parameters else bound


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


def _head() -> str:
    """Return the style sheet and the script as part of the page's head.

    Given as `css_paths`, Gradio would rewrite every selector and lose what it does not know.
    """
    folder = Path(__file__).parent
    sheet = (folder / "style.css").read_text(encoding="utf-8")
    script = (folder / "page.js").read_text(encoding="utf-8")
    constants = "".join(
        f"const {name} = {json.dumps(texts)};\n" for name, texts in _described().items()
    )
    return f'<style>{sheet}</style><script type="module">{constants}{script}</script>'


def _described() -> dict[str, dict[str, Any]]:
    """Return what ``page.js`` says of the pictures, in each language."""
    images = {
        "#picture": "wiring.picture",
        "#evidence": "explain.evidence",
        "#alike": "explain.alike",
    }
    return {
        "NAMES": {
            language: {
                code: say("page.example", language, name=render.name_of(code, language))
                for code in CODES
            }
            for language in LANGUAGES
        },
        "IMAGES": {
            language: {selector: say(key, language) for selector, key in images.items()}
            for language in LANGUAGES
        },
        "MAP": {language: say("atlas.plot", language) for language in LANGUAGES},
    }


def _theme() -> gr.themes.Base:
    """Return the page's colours and shapes, in a font that Gradio serves itself."""
    return gr.themes.Base(
        # of its weight 600 Gradio ships the Cyrillic letters only
        font=[gr.themes.LocalFont("IBM Plex Sans", weights=(400, 700)), "system-ui", "sans-serif"],
        primary_hue=_TEAL,
        secondary_hue=_TEAL,
        neutral_hue=_STONE,
        radius_size=gr.themes.sizes.radius_lg,
        spacing_size=gr.themes.sizes.spacing_lg,
    ).set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        body_text_color="*neutral_800",
        body_text_color_dark="*neutral_100",
        # all text has a contrast of at least 4.5 with what it stands on (WCAG 2.2, 1.4.3)
        body_text_color_subdued="*neutral_500",
        body_text_color_subdued_dark="*neutral_400",
        block_info_text_color="*neutral_500",
        block_info_text_color_dark="*neutral_400",
        block_label_text_color="*neutral_600",
        block_label_text_color_dark="*neutral_200",
        block_title_text_color="*neutral_600",
        block_title_text_color_dark="*neutral_200",
        input_placeholder_color="*neutral_500",
        input_placeholder_color_dark="*neutral_400",
        block_background_fill="white",
        block_background_fill_dark="*neutral_900",
        block_border_color="*neutral_200",
        block_border_color_dark="*neutral_800",
        block_label_background_fill="*neutral_100",
        block_label_background_fill_dark="*neutral_800",
        block_shadow="none",
        input_background_fill="*neutral_50",
        input_background_fill_dark="*neutral_950",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_dark="*primary_600",
        button_primary_background_fill_hover_dark="*primary_700",
        button_primary_text_color="white",
        button_secondary_background_fill="*neutral_100",
        button_secondary_background_fill_dark="*neutral_800",
        checkbox_border_color="*neutral_500",
        checkbox_border_color_dark="*neutral_400",
        slider_color="*primary_500",
    )
