"""The tab *Concepts* in a real browser: shown where there are concepts, its switches, its looks."""

import math

import pytest

from dermsim.data.synthetic import draw_lesion
from dermsim.ui import concept_callbacks
from dermsim.ui.i18n import say

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")


@pytest.fixture(scope="module")
def address(concept_engine, close):
    from dermsim.ui.app import build_app, launch

    app = build_app(lambda: concept_engine)
    yield launch(app, port=None)
    close(app)


@pytest.fixture(scope="module")
def picture(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("seen") / "mel.png"
    draw_lesion("mel", seed=3, size=(160, 120)).save(path)
    return str(path)


def shown(page, picture: str, language: str = "en"):
    """Upload a picture, open the tab and wait for what it says."""
    page.locator("#picture input[type=file]").set_input_files(picture)
    page.get_by_role("tab", name=say("concepts.tab", language)).click()
    panel = page.locator("#concepts-panel")
    panel.locator("[data-concept]").first.wait_for()
    return panel


def test_switches_change_the_score_without_asking_anybody(visit, concept_engine, picture):
    page = visit()
    shown(page, picture)
    page.get_by_role("tab", name="Enrol a class").click()  # the last tab to answer a new picture
    page.locator("#comparison .ds-bars").wait_for()
    page.get_by_role("tab", name=say("concepts.tab")).click()
    panel = page.locator("#concepts-panel")
    reading = concept_engine.describe(picture).reading
    output = panel.locator(".ds-what-if output")
    assert output.inner_text() == "–"
    asked = []
    page.on("request", lambda sent: "/queue/join" in sent.url and asked.append(sent.url))
    start = math.log(reading.melanoma / (1 - reading.melanoma))
    total, told = start, []
    for name in list(reading.findings)[:2]:
        group = panel.locator(f'[data-concept="{name}"] .ds-switch')
        group.get_by_role("radio", name=say("concepts.state_absent")).check()
        score = reading.with_concept(name, absent=True)
        total += math.log(score / (1 - score)) - start
        told.append(output.inner_text())
    first = reading.with_concept(next(iter(reading.findings)), absent=True)
    assert told[0] == percent_text(first)
    assert told[1] == percent_text(1 / (1 + math.exp(-total)))
    panel.get_by_role("button", name=say("concepts.reset")).click()
    assert output.inner_text() == "–"
    assert panel.get_by_role("button", name=say("concepts.reset")).count() == 0
    assert panel.locator(".ds-switch input:checked").count() == len(reading.findings)
    assert asked == []


def percent_text(share: float) -> str:
    from dermsim.ui.render import percent

    return percent(share).replace("&lt;", "<").replace("&gt;", ">")


@pytest.mark.parametrize(
    ("width", "scheme", "locale"), [(1280, "light", "en-US"), (390, "dark", "es-ES")]
)
def test_it_is_well_formed_at_any_width(visit, picture, width, scheme, locale):
    axe_playwright = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed"
    )
    page = visit(width, 844, scheme=scheme, locale=locale)
    panel = shown(page, picture, locale[:2])
    panel.locator(".ds-places img").first.wait_for()
    found = axe_playwright.Axe().run(page, options={"resultTypes": ["violations"]})
    serious = [
        f"{rule['id']}: {node['html'][:120]}"
        for rule in found.response["violations"]
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]
    assert serious == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    unnamed = "images => images.filter(image => image.alt.length < 10).length"
    assert panel.locator("img").evaluate_all(unnamed) == 0


def test_cases_are_chosen_by_concept(visit, concept_engine, picture):
    page = visit()
    page.locator("#picture input[type=file]").set_input_files(picture)
    page.get_by_role("tab", name="Similar cases").click()
    page.locator("#cases .ds-case").first.wait_for()
    page.locator("#similar-facts").get_by_text("Only cases with").click()
    text, value = concept_callbacks.case_choices(concept_engine)[0]
    page.locator("#similar-concepts input").click()
    page.get_by_role("option", name=text).click()
    name, _, state = value.partition("=")
    part = concept_engine.concept_part
    count = len(part.cases.matching(part.head_of(name), state))
    page.locator("#cases").get_by_role("heading", name=f"of {count} ").first.wait_for()


@pytest.fixture
def plain_address(engine, close):
    from dermsim.ui.app import build_app, launch

    app = build_app(lambda: engine)
    yield launch(app, port=None)
    close(app)


def test_without_concepts_there_is_no_tab(browser, plain_address):
    page = browser.new_page()
    page.goto(plain_address, wait_until="domcontentloaded")
    page.locator("[data-points]").wait_for(state="attached")
    page.locator("#examples button img").nth(4).click()
    page.locator("#verdict .ds-verdict").wait_for()
    assert page.get_by_role("tab", name=say("concepts.tab")).count() == 0
    page.close()
