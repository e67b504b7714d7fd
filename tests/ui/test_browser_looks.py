"""The page as it is seen, heard and reached by keys, in each language, light and dark."""

import itertools

import pytest
from browsing import quiet, streams_of

from dermsim.core.language import LANGUAGES
from dermsim.data.synthetic import draw_lesion
from dermsim.ui.i18n import phrases, say, translations

axe_playwright = pytest.importorskip(
    "axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed"
)

WIDTHS = (1280, 768, 390, 360)
"""Of a screen, in pixels; the first is that in which the page is opened."""

QUICK = {("light", "en"), ("dark", "es")}
"""What is looked at in every run; the other combinations are marked slow."""

SETTLED = """() => !document.querySelector(
  ".generating, .eta-bar, [data-testid=status-tracker] .progress-text")"""

LONGEST = """() => {
  const all = document.querySelectorAll(".gradio-container *");
  const styles = [...all].map(e => getComputedStyle(e));
  const lengths = styles.flatMap(s => [s.animationDuration, s.transitionDuration]);
  return Math.max(...lengths.join().split(",").map(parseFloat));
}"""
"""Seconds that anything on the page takes to move."""

THERE = {"similar": "#cases .ds-case", "atlas": "#atlas-table [role=gridcell]"}
"""What a tab, by its id, shows when it is ready; of the others, nothing must go on."""


def combinations():
    for case in itertools.product(("light", "dark"), LANGUAGES):
        yield pytest.param(*case, marks=() if case in QUICK else pytest.mark.slow)


def english_only(language: str) -> set[str]:
    """What must not be read on a page in another language."""
    own = translations()[language]
    texts = {text for text, key in phrases().items() if text not in own.values()}
    texts.remove(say("masthead.language", "en"))  # the switch calls each language by its own name
    return {line for text in texts for line in text.split("\n") if "<" not in line}


def complaints_of(axe, page) -> list[str]:
    """What axe finds serious or critical on the page as it is shown."""
    found = axe.run(page, options={"resultTypes": ["violations"]}).response["violations"]
    return [
        f"{rule['id']}: {node['html'][:120]}"
        for rule in found
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]


def open_tab(page, tab) -> str:
    name = tab.get_attribute("data-tab-id")
    tab.click()
    if name in THERE:
        page.locator(THERE[name]).first.wait_for()
    page.wait_for_function(SETTLED)
    return name


@pytest.mark.parametrize(("scheme", "language"), list(combinations()))
def test_every_tab_is_legible_and_accessible(visit, tmp_path, scheme, language):
    axe = axe_playwright.Axe()
    page = visit(WIDTHS[0], locale=f"{language}-{language.upper()}", scheme=scheme)
    page.set_default_timeout(120_000)  # the last tab waits for the answers to all others
    assert page.locator("html").get_attribute("lang") == language
    assert complaints_of(axe, page) == []
    page.locator("#examples button").nth(4).click()
    page.locator("#verdict .ds-verdict").wait_for()
    page.locator(".ds-facts li").first.wait_for(state="attached")  # a phone has no room for them
    tabs = page.locator("[role=tab]").all()
    assert len(tabs) >= 5
    foreign = set() if language == "en" else english_only(language)
    for tab in tabs:
        name = open_tab(page, tab)
        for width in WIDTHS:
            where = (name, width)
            page.set_viewport_size({"width": width, "height": 900})
            assert tab.is_visible()
            page.screenshot(path=tmp_path / f"{name}-{width}.png", full_page=True)
            assert complaints_of(axe, page) == [], where
            assert foreign & set(page.locator("body").inner_text().splitlines()) == set(), where
            assert page.evaluate("document.documentElement.scrollWidth") <= width, where
            assert page.locator("#disclaimer").is_visible(), where
        page.set_viewport_size({"width": WIDTHS[0], "height": 900})


def test_a_visitor_changes_the_language_and_it_stays(visit):
    page = visit(locale="es-MX", query="?__theme=dark")
    page.get_by_role("heading", name=say("classify.seven", "es")).wait_for()
    page.locator(".ds-facts li").first.wait_for(
        state="attached"
    )  # a phone has no room for them  # the links now keep the rest of the address
    link = page.get_by_role("link", name="English")
    assert (link.get_attribute("lang"), link.get_attribute("hreflang")) == ("en", "en")
    # followed by another visitor: who leaves a page breaks off what Gradio's client waits for
    page = visit(locale="es-MX", query=link.get_attribute("href"))
    page.get_by_role("heading", name=say("classify.seven", "en")).wait_for()
    page.get_by_role("tab", name=say("tabs.similar", "en")).wait_for()
    page.locator(".ds-facts").get_by_text("past cases").wait_for()
    assert page.locator("html").get_attribute("lang") == "en"
    assert page.locator("[aria-current]").inner_text() == "English"
    assert "__theme=dark" in page.url
    assert page.locator(".dark").count() == 1


def test_the_picture_comes_along_into_the_other_language(visit, tmp_path, engine):
    lesion = tmp_path / "lesion.png"
    draw_lesion("vasc", seed=5).save(lesion)
    said = f"{engine.predict(str(lesion))[0].malignancy:.6f}"
    page = visit()
    streams = streams_of(page)
    page.locator("#picture input[type=file]").last.set_input_files(str(lesion))
    page.locator("#verdict [data-malignancy]").wait_for(state="attached")
    quiet(page, streams)
    page.get_by_role("link", name="Español").click()
    page.get_by_role("tab", name=say("tabs.similar", "es")).wait_for()
    shown = page.locator("#verdict [data-malignancy]")
    shown.wait_for(state="attached")
    assert f"{float(shown.get_attribute('data-malignancy')):.6f}" == said
    assert page.evaluate("sessionStorage.getItem('dermsim-picture')") is None


def test_a_refusal_is_told_in_the_visitors_language(visit, tmp_path):
    letter = tmp_path / "letter.jpg"
    letter.write_text("Dear doctor")
    page = visit(locale="es-ES")
    page.locator("#picture input[type=file]").last.set_input_files(str(letter))
    page.get_by_test_id("toast-text").get_by_text("letter.jpg no es una imagen").wait_for()


def test_the_page_is_worked_by_keys_alone(visit):
    page = visit()
    page.locator(".ds-facts li").first.wait_for(state="attached")  # a phone has no room for them
    reached = []

    def press_until(what: str) -> None:
        """Press Tab until the element that matches has the focus, and check that it is seen."""
        for _ in range(40):
            page.keyboard.press("Tab")
            reached.append(page.evaluate("document.activeElement.outerHTML.slice(0, 80)"))
            if page.evaluate("what => document.activeElement.matches(what)", what):
                outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
                assert outline != "none", what
                return
        raise AssertionError(f"{what} was not reached, but {reached}")

    press_until("a.ds-skip")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.matches('[role=tab][data-tab-id=classify]')")
    page.evaluate("document.activeElement.blur(); window.getSelection().removeAllRanges()")
    page.locator("a.ds-skip").focus()
    press_until(".ds-languages a")
    press_until("#picture button")
    press_until("#examples button[aria-label*=Melanoma]")
    page.keyboard.press("Enter")
    page.locator("#verdict .ds-verdict").wait_for()
    press_until("[role=tab][data-tab-id=classify]")
    for key, name in (("End", "batch"), ("ArrowRight", "classify"), ("ArrowLeft", "batch")):
        page.keyboard.press(key)
        page.locator(f"body[data-tab={name}]").wait_for()
        assert page.evaluate("document.activeElement.dataset.tabId") == name
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    page.locator("body[data-tab=explain]").wait_for()
    page.locator("#evidence img").nth(1).wait_for()
    assert page.locator("#evidence img").first.get_attribute("alt") == say("explain.evidence")
    press_until("#opacity input")


def test_nothing_moves_for_who_asked_for_that(visit):
    page = visit()
    assert page.evaluate(LONGEST) <= 0.001
