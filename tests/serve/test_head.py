"""HEAD, which monitors and load balancers ask with, on every address that answers GET."""

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from dermsim.serve import Desk, Limits, build_rest


def client(engine, **options) -> TestClient:
    rest = build_rest(Desk(lambda: engine, limits=Limits()), **options)
    return TestClient(Starlette(routes=[Mount("/api", rest)]))


@pytest.mark.parametrize("path", ["/api/health", "/api/openapi.json"])
def test_head_says_what_get_says(path):
    asked = client(object())
    head, get = asked.head(path), asked.get(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == get.headers["content-length"] == str(len(get.content))
    assert head.headers["content-type"] == get.headers["content-type"]


def test_head_of_a_server_that_is_loading():
    answer = client(None).head("/api/health")
    assert (answer.status_code, answer.content) == (503, b"")
    assert answer.headers["retry-after"]


@pytest.mark.parametrize(("path", "status"), [("/api/nowhere", 404), ("/api/v1/predict", 405)])
def test_head_of_what_does_not_answer_get(path, status):
    answer = client(object()).head(path)
    assert (answer.status_code, answer.content) == (status, b"")


def test_head_asks_for_the_token_too():
    guarded = client(object(), token="s3cret-of-the-clinic")
    assert guarded.head("/api/model_info").status_code == 401
    assert guarded.head("/api/health").status_code == 200


@pytest.mark.parametrize(
    "path", ["/", "/api/health", "/api/model_info", "/config", "/gradio_api/info", "/theme.css"]
)
def test_head_on_the_page_and_all_beside_it(serve, path):
    page = serve()
    head, get = httpx.head(f"{page}{path}"), httpx.get(f"{page}{path}")
    assert (head.status_code, head.content) == (200, b"") and get.status_code == 200
    assert head.headers["content-type"] == get.headers["content-type"]
