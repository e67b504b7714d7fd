"""The visitor's language: from the address and the browser, into the page and its listeners."""

from types import SimpleNamespace

import gradio as gr
import pytest
from gradio.context import LocalContext
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from dermsim.core.language import LANGUAGES
from dermsim.core.refused import Refused
from dermsim.ui import i18n
from dermsim.ui.gradio_seams import told_language
from dermsim.ui.page_language import PageLanguage, address_in, chosen_language
from dermsim.ui.tabs import Page, drawn, sentences
from dermsim.ui.tabs.wiring import add_endpoint

GRADIO = '<!doctype html>\n<html\n\tlang="en"><head><script>window.gradio_config = {}</script>'


@pytest.mark.parametrize(
    ("query", "accepted", "language"),
    [
        ({}, "es-MX,es;q=0.9", "es"),
        ({"lang": "en"}, "es-MX", "en"),
        ({"lang": "tlh"}, "es-MX", "es"),
        ({}, None, "en"),
    ],
)
def test_the_address_decides_then_the_browser(query, accepted, language):
    assert chosen_language(query, accepted) == language


def test_a_link_to_a_language_keeps_the_rest_of_the_address():
    assert address_in("es", {"__theme": "dark", "lang": "en"}) == "?__theme=dark&lang=es"


@pytest.fixture
def site():
    def page(request):
        return HTMLResponse(GRADIO)

    def other(request):
        return HTMLResponse('<html lang="en"><head>docs')

    def data(request):
        return JSONResponse({"lang": "en"})

    routes = [Route("/", page), Route("/docs", other), Route("/data", data)]
    return TestClient(
        Starlette(routes=routes, middleware=[Middleware(PageLanguage, tell=told_language)])
    )


def test_a_page_is_told_before_its_own_scripts(site):
    answer = site.get("/", headers={"accept-language": "es-AR"})
    assert '<html\n\tlang="es"' in answer.text
    assert answer.text.index('["language", "es"]') < answer.text.index("gradio_config")
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert answer.headers["vary"] == "Accept-Language"
    assert 'lang="en"' in site.get("/?lang=en", headers={"accept-language": "es"}).text


@pytest.mark.parametrize("path", ["/docs", "/data"])
def test_anything_else_is_passed_on_as_it_is(site, path):
    plain = site.get(path).content
    assert site.get(path, headers={"accept-language": "es"}).content == plain
    assert b"navigator" not in plain


@pytest.fixture
def in_spanish():
    """A call of a visitor who reads Spanish."""
    token = LocalContext.request.set(
        SimpleNamespace(query_params={}, headers={"accept-language": "es-ES"})
    )
    yield
    LocalContext.request.reset(token)


def test_a_listener_is_given_the_language_and_refuses_in_it(in_spanish):
    def greet(name, *, language="en"):
        if not name:
            raise Refused("callbacks.no_picture")
        return f"{language} {name}"

    assert sentences(greet)("Ana") == "es Ana"
    with pytest.raises(gr.Error, match="Todavía no hay ninguna imagen"):
        sentences(greet)("")
    assert sentences(lambda value: value)("plain") == "plain"


def test_a_generator_is_given_the_language_and_refuses_in_it(in_spanish):
    def count(most, *, language="en"):
        yield language
        raise FileNotFoundError(most)

    steps = sentences(count)("x")
    assert next(steps) == "es"
    with pytest.raises(gr.Error, match="El archivo ya no está"):
        next(steps)


def test_without_a_visitor_a_listener_speaks_english():
    assert sentences(lambda *, language="?": language)() == "en"


@pytest.fixture
def page():
    with Page() as page:
        k = gr.Slider(label=i18n.say("similar.how_many"), info=i18n.say("facts.age"))
        gr.HTML(drawn(lambda language: f"<p>{i18n.say('facts.age', language)}</p>"))
        gr.HTML("<p>neither known nor drawn</p>")
        gr.Button(i18n.say("enroll.submit"))
        gr.Textbox(i18n.say("facts.sex"), label="not a text of ours")
        add_endpoint("double", lambda k, *, language="?": [language, 2 * k], [k], [gr.JSON()])
    return page


def test_components_are_marked_for_the_browser_and_every_mark_is_known(page):
    described = {c["type"]: c["props"] for c in page.get_config_file()["components"]}
    texts = page.spoken().translations_dict
    assert texts.keys() == set(LANGUAGES)
    assert '"key": "similar.how_many"' in described["slider"]["label"]
    assert '"key": "facts.age"' in described["slider"]["info"]
    assert '"key": "enroll.submit"' in described["button"]["value"]
    assert described["textbox"]["label"] == "not a text of ours"
    assert described["textbox"]["value"] == "Sex", "what a visitor may have typed is left alone"
    html = [
        c["props"]["value"] for c in page.get_config_file()["components"] if c["type"] == "html"
    ]
    key = html[0].split('"key": "')[1].split('"')[0]
    assert [texts[language][key] for language in ("en", "es")] == ["<p>Age</p>", "<p>Edad</p>"]
    assert html[1] == "<p>neither known nor drawn</p>"


def test_an_endpoint_is_described_and_answers_in_english(page, in_spanish):
    page.config = page.get_config_file()
    (parameter,) = page.get_api_info()["named_endpoints"]["/double"]["parameters"]
    assert parameter["label"] == "How many cases"
    (endpoint,) = [fn for fn in page.fns.values() if fn.api_name == "double"]
    assert endpoint.fn(3) == ["en", 6]
