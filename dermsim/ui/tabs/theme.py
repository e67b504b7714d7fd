"""The colours and shapes of Gradio's own components; ours are in ``style.css``."""

from __future__ import annotations

import gradio as gr

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


def theme() -> gr.themes.Base:
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
