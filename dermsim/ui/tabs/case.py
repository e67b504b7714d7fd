"""What stands around all tabs: the answer in short above them, the alert line beside them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

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
    """

    slider: gr.Slider
    panel: gr.HTML

    @property
    def offered(self) -> list[gr.Slider | gr.HTML]:
        """What `offer` fills."""
        return [self.slider, self.panel]


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
        with gr.Row(elem_id="point-presets"):
            for name in POINTS:
                button = gr.Button(
                    say(f"case.{name}"), size="sm", min_width=80, elem_id=f"point-{name}"
                )
                button.click(
                    None, None, slider, js=f"() => window.dermsimPreset('{name}')", queue=False
                )
        # a preset moves the slider without an event of its own
        slider.change(None, None, None, js="() => window.dermsimLine()", queue=False)
        script = Path(operating_slider.__file__).with_name("case.js").read_text(encoding="utf-8")
        panel = gr.HTML("", js_on_load=script, elem_id="point-panel")
    return AlertLine(slider, panel)


def offer(stops: Callable[..., tuple[int, int, str]]) -> Callable[..., tuple[gr.Slider, str]]:
    """Return what fills `AlertLine.offered`.

    Args:
        stops: `language` -> number of stops, the usual one, HTML of the panel.
    """

    def offered(*, language: str = "en") -> tuple[gr.Slider, str]:
        count, usual, html = stops(language=language)
        return gr.Slider(minimum=0, maximum=count - 1, value=usual), html

    return offered
