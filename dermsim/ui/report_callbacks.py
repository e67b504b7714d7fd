"""What happens when a visitor asks for a case report: plain functions that know no Gradio."""

from __future__ import annotations

import base64
import re
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from dermsim.core.refused import Refused
from dermsim.tasks.classify import POINTS
from dermsim.ui.case_page import case_html
from dermsim.ui.case_report import examine
from dermsim.ui.document import check_language
from dermsim.ui.i18n import number, say
from dermsim.ui.operating_slider import USUAL, point_at, presets
from dermsim.ui.uploads import Upload

if TYPE_CHECKING:  # it brings torch, and the page is served while that loads
    from dermsim.data.images import ImageSource
    from dermsim.engine import DermSim
    from dermsim.tasks.classify import OperatingPoint


def report_data(engine: DermSim, image: ImageSource | None, language: str = "en") -> str:
    """Return the report of a picture as an HTML document: the ``/report`` endpoint.

    Raises:
        ValueError: If there is no picture, it cannot be read, or the language is unknown.
    """
    return _write(engine, image, "balanced", language)


def report_link(
    engine: DermSim,
    image: ImageSource | None,
    *,
    point: str | OperatingPoint = "balanced",
    language: str = "en",
) -> str:
    """Return a link that holds the report of a picture, so that no server has to keep it.

    Args:
        engine: The loaded checkpoint.
        image: The picture, or None while there is none.
        point: Where malignant begins, as for `examine`.
        language: One of `dermsim.core.language.LANGUAGES`.

    Raises:
        ValueError: As `report_data`, or if the operating point is unknown.
    """
    data = _write(engine, image, point, language).encode("utf-8")
    size = number(max(1, round(len(data) / 1024)), ",", language)
    name = re.sub(r"[^\w.-]+", "-", Path(_name(image)).stem).strip("-.") or "case"
    return (
        f'<div class="ds ds-report"><a class="ds-button" download="dermsim-{escape(name)}.html" '
        f'href="data:text/html;charset=utf-8;base64,{base64.b64encode(data).decode("ascii")}">'
        f"{say('report.download', language, size=size)}</a>"
        f'<p class="ds-muted">{say("report.download_text", language)}</p></div>'
    )


def report_at(
    engine: DermSim, image: ImageSource | None, stop: int = USUAL, *, language: str = "en"
) -> str:
    """Return `report_link` with malignant beginning where the visitor put the alert line.

    Args:
        engine: The loaded checkpoint.
        image: The picture, or None while there is none.
        stop: Of `dermsim.ui.operating_slider.stops`.
        language: One of `dermsim.core.language.LANGUAGES`.

    Raises:
        ValueError: As `report_link`, or if there is no such stop.
    """
    calibration = engine.calibration
    # where two names are of one stop, it goes by the first
    names = {place: name for name, place in reversed(presets(calibration).items())}
    point = POINTS[0] if stop == USUAL else names.get(stop) or point_at(calibration, stop)
    return report_link(engine, image, point=point, language=language)


def _write(
    engine: DermSim, image: ImageSource | None, point: str | OperatingPoint, language: str
) -> str:
    check_language(language)
    if image is None:
        raise Refused("callbacks.no_picture")
    return case_html(examine(engine, image, name=_name(image), point=point), language=language)


def _name(image: ImageSource | None) -> str:
    """Return what the visitor's file is called; nothing where that is not known."""
    if isinstance(image, Upload):
        return image.name
    return Path(image).name if isinstance(image, str | Path) else ""
