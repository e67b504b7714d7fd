"""What several browser tests do: open a page that is told of no error, and find a point."""

import time
from collections.abc import Iterator
from typing import Any

SETTLED = """() => [...document.querySelectorAll("[data-testid=status-tracker]")].every(
  tracker => tracker.classList.contains("hide"))"""
"""Whether no component of Gradio waits for an answer."""

PATIENCE = 240
"""Seconds in which all answers must have come, those that earlier visitors left behind included."""

PLACE = """row => {
  const drawn = document.querySelector("#atlas-plot .js-plotly-plot");
  const {xaxis, yaxis, _size} = drawn._fullLayout;
  const frame = drawn.getBoundingClientRect();
  for (const trace of drawn.data) {
    const place = (trace.customdata ?? []).indexOf(row);
    if (place >= 0) return [frame.x + _size.l + xaxis.d2p(trace.x[place]),
                            frame.y + _size.t + yaxis.d2p(trace.y[place])];
  }
}"""
"""Where on the screen a case's point lies."""


def opened(browser: Any, address: str, **options: Any) -> Iterator[Any]:
    """Open the page, and fail in the end if the browser complained.

    Args:
        browser: Playwright's.
        address: Of the page.
        options: Of the browser's context, such as ``viewport``.
    """
    complaints: list[str] = []
    context = browser.new_context(locale="en-US", reduced_motion="reduce", **options)
    page = context.new_page()
    page.set_default_timeout(40_000)
    page.on("console", lambda said: said.type == "error" and complaints.append(said.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(address, wait_until="domcontentloaded")
    page.locator("#examples button img").first.wait_for()
    page.locator("[data-points]").wait_for(state="attached")
    yield page
    context.close()
    assert complaints == []


def streams_of(page: Any) -> set[Any]:
    """Follow the requests by which Gradio's client listens for answers, those to come."""
    open_ones: set[Any] = set()

    def begin(request: Any) -> None:
        if "/gradio_api/queue/data" in request.url:
            open_ones.add(request)

    page.on("request", begin)
    for event in ("requestfinished", "requestfailed"):
        page.on(event, lambda request: open_ones.discard(request))  # it must be a function
    return open_ones


def quiet(page: Any, streams: set[Any]) -> None:
    """Wait until every answer has come: who leaves before breaks them off.

    Gradio's client now and then opens a stream for an answer that an earlier stream has brought at
    the same moment; nothing comes on it any more. Where no component waits for five seconds, the
    answers are there.
    """
    end, calm, settled = time.monotonic() + PATIENCE, 0, 0
    while calm < 10 and settled < 50:
        assert time.monotonic() < end, [asked.url for asked in streams]
        page.wait_for_timeout(100)
        calm = 0 if streams else calm + 1
        settled = settled + 1 if page.evaluate(SETTLED) else 0
