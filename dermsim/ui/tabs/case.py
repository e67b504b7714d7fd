"""What stands around all tabs: the answer in short above them, the alert line beside them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from dermsim.tasks.classify import POINTS
from dermsim.ui import operating_slider
from dermsim.ui.i18n import say


@dataclass(frozen=True)
class AlertLine:
    """Where malignant begins, as this visitor has chosen it.

    Attributes:
        slider: Its value is a stop of `operating.stops`; every answer that depends on it takes it.
        panel: What the chosen point costs, filled once the checkpoint is there.
        presets: The points that have a name, by that name.
        kept: The threshold that this tab of the browser had before its page was loaded anew.
    """

    slider: gr.Slider
    panel: gr.HTML
    presets: dict[str, gr.Button]
    kept: gr.Textbox

    @property
    def offered(self) -> list[gr.Slider | gr.HTML | gr.Button]:
        """What `offer` fills."""
        return [self.slider, self.panel, *self.presets.values()]

    def on_choice(self, act: Callable[..., Any], *values: Any, **options: Any) -> None:
        """Call a listener whenever the visitor has chosen a point."""
        self.slider.release(act, *values, **options)
        for button in self.presets.values():
            button.click(act, *values, **options)


KEPT = "() => sessionStorage.getItem('dermsim-threshold') ?? ''"
"""JavaScript for `AlertLine.kept`; ``case.js`` keeps it there."""


def alert_line() -> AlertLine:
    """Place the slider and its presets; the page answers to them without asking the server."""
    with gr.Column(elem_id="point-box", elem_classes="ds-tight"):
        slider = gr.Slider(
            operating_slider.USUAL,
            0,
            value=operating_slider.USUAL,
            step=1,
            label=say("case.point"),
            info=say("case.point_how"),
            elem_id="point",
            interactive=True,
            buttons=[],
        )
        presets = {}
        with gr.Row(elem_id="point-presets"):
            for name in POINTS:
                button = presets[name] = gr.Button(
                    say(f"case.{name}"), size="sm", min_width=80, elem_id=f"point-{name}"
                )
                button.click(
                    None, None, slider, js=f"() => window.dermsimPreset('{name}')", queue=False
                )
        # a preset moves the slider without an event of its own
        slider.change(None, None, None, js="() => window.dermsimLine()", queue=False)
        script = Path(operating_slider.__file__).with_name("case.js").read_text(encoding="utf-8")
        panel = gr.HTML("", js_on_load=script, elem_id="point-panel")
    return AlertLine(slider, panel, presets, gr.Textbox("", visible=False))


def offer(stops: Callable[..., tuple[int, int, str, dict[str, str]]]) -> Callable[..., Any]:
    """Return what fills `AlertLine.offered`.

    Args:
        stops: The threshold kept, `language` -> number of stops, the one to begin with, HTML of the
            panel, and what the presets are called.
    """

    def offered(kept: str = "", *, language: str = "en") -> tuple[Any, ...]:
        count, first, html, names = stops(kept, language=language)
        labels = (gr.Button(names[name]) if name in names else gr.skip() for name in POINTS)
        return gr.Slider(minimum=0, maximum=count - 1, value=first), html, *labels

    return offered
