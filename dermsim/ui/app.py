"""The page: one picture, six tabs. Binds the callbacks to an engine and places the tabs."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from dermsim.ui import atlas, callbacks, comparing, explaining, render, tabs
from dermsim.ui.i18n import say

if TYPE_CHECKING:  # it brings torch, and the page is served while that loads
    from dermsim.engine import DermSim

_DAY = 24 * 60 * 60
_MAX_FILE_SIZE = "50mb"
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
    c500="#736f69",
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
) -> gr.Blocks:
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
    with (
        folder,
        gr.Blocks(title="dermsim", analytics_enabled=False, delete_cache=(_DAY // 24, _DAY)) as app,
    ):
        masthead = gr.HTML(render.masthead([]))
        app.load(
            lambda: render.masthead(_facts(engine())),
            outputs=masthead,
            api_visibility="private",
            show_progress="hidden",
        )
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
                    label="Or click a synthetic drawing, made by a program",
                    elem_id="examples",
                )
                line = tabs.alert_line()
            with gr.Column(scale=9, min_width=300, elem_id="answers"):
                notice, summary = gr.HTML(elem_id="notice"), gr.HTML(elem_id="summary")
                above = tabs.Above(notice, summary, line.slider)
                with gr.Tabs(overflow_behavior="wrap"):  # all are seen at 360 px
                    menus = _place_tabs(engine, upload, above, bank, pictures)
        app.load(
            tabs.sentences(tabs.offer(lambda **said: callbacks.points(engine(), **said))),
            outputs=line.offered,
            **tabs.QUIET,
        )
        app.load(
            tabs.sentences(lambda: tabs.fill_menus(callbacks.offers(engine())) * 2),
            outputs=menus,
            api_visibility="private",
            show_progress="hidden",
        )
        gr.HTML(render.disclaimer(), elem_id="disclaimer")
    return app


def launch(
    app: gr.Blocks,
    *,
    host: str = "127.0.0.1",
    port: int | None = 7860,
    share: bool = False,
) -> str:
    """Serve the page in the background; it reaches no other host unless `share` is set.

    Args:
        app: What `build_app` returned.
        host: Address to listen on.
        port: Port to listen on; None takes a free one.
        share: Whether to open a public tunnel through Gradio's servers.

    Returns:
        The page's local address.
    """
    _, url, _ = app.launch(
        server_name=host,
        server_port=port,
        share=share,
        prevent_thread_lock=True,
        theme=_theme(),
        head=_style(),
        footer_links=["api"],
        run_history=False,
        ssr_mode=False,
        max_file_size=_MAX_FILE_SIZE,
        state_session_capacity=_SESSIONS,
        # skips only Gradio's look at its own page, which gives up after 3 s on a busy machine
        _frontend=False,
    )
    return url


def _place_tabs(
    engine: Callable[[], DermSim],
    upload: gr.Image,
    above: tabs.Above,
    bank: gr.State,
    pictures: render.Pictures | None,
) -> list[gr.Dropdown]:
    """Bind the callbacks to the engine, one tab each; return the menus of facts to be filled."""

    def bind(fn: Any, **fixed: Any) -> Any:
        def bound(*values: Any, **options: Any) -> Any:
            return fn(engine(), *values, **fixed, **options)

        return bound

    with gr.Tab("Classify", id="classify"):
        picture = tabs.classify_tab(
            upload,
            above,
            classify=bind(callbacks.classify),
            data=bind(callbacks.classify_data),
        )
    with gr.Tab("Explain", id="explain"):
        tabs.explain_tab(
            picture,
            bank,
            explain=bind(explaining.explain),
            compare=bind(explaining.compare, pictures=pictures),
            menus=bind(explaining.menus),
            data=bind(explaining.explain_data),
        )
    with gr.Tab("Similar cases", id="similar"):
        similar = tabs.similar_tab(
            picture,
            similar=bind(callbacks.similar, pictures=pictures),
            data=bind(callbacks.similar_data),
        )
    with gr.Tab(say("compare.tab"), id="compare"):
        tabs.compare_tab(
            picture,
            above.line,
            compare=bind(comparing.compare, pictures=pictures),
            data=bind(comparing.compare_data, pictures=pictures),
        )
    with gr.Tab("Enrol a class", id="enroll"):
        tabs.enroll_tab(
            picture,
            bank,
            compare=bind(callbacks.compare),
            enroll=bind(callbacks.enroll),
            load=bind(callbacks.load_bank),
            data=bind(callbacks.compare_data),
        )
    with gr.Tab("Atlas", id="atlas") as tab:
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
    return [*similar.menus, *mapped.menus]


def _facts(engine: DermSim) -> list[str]:
    return [engine.model.config.backbone, f"{len(engine.gallery):,} past cases"]


def _style() -> str:
    """Return the style sheet as part of the page's head.

    Given as `css_paths`, Gradio would rewrite every selector and lose what it does not know.
    """
    sheet = Path(__file__).with_name("style.css").read_text(encoding="utf-8")
    return f"<style>{sheet}</style>"


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
        button_primary_background_fill_dark="*primary_500",
        button_primary_text_color="white",
        button_secondary_background_fill="*neutral_100",
        button_secondary_background_fill_dark="*neutral_800",
        slider_color="*primary_500",
    )
