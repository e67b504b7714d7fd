"""The page, REST and the token that guards both, at one address."""

import subprocess
import sys

import httpx
import pytest
from gradio_client import Client, handle_file

from dermsim.core.labels import CODES

TOKEN = "s3cret-of-the-clinic"


@pytest.fixture(scope="module")
def page(serve):
    return serve()


@pytest.fixture(scope="module")
def guarded(serve):
    return serve(token=TOKEN)


@pytest.fixture
def path(lesion, tmp_path):
    (tmp_path / "lesion.png").write_bytes(lesion)
    return str(tmp_path / "lesion.png")


def test_the_page_and_rest_answer_alike(page, lesion, path):
    rest = httpx.post(f"{page}/api/v1/predict", files={"images": lesion}).json()["results"][0]
    own = Client(page, verbose=False).predict(handle_file(path), api_name="/classify")
    assert rest["probabilities"] == pytest.approx(own["probabilities"])
    assert httpx.get(page).headers["content-type"].startswith("text/html")


def test_below_its_address_rest_has_the_last_word(page):
    answer = httpx.get(f"{page}/api/nowhere")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert httpx.get(f"{page}/gradio_api/info").status_code == 200  # which begins alike


def test_there_are_no_tools_unless_they_are_asked_for(page):
    assert httpx.get(f"{page}/gradio_api/mcp/schema").status_code == 404


def test_a_chunked_body_is_read_and_bounded(page, lesion):
    def body():
        yield b'--x\r\nContent-Disposition: form-data; name="images"; filename="a.png"\r\n\r\n'
        yield lesion
        yield b"\r\n--x--\r\n"

    kind = {"content-type": "multipart/form-data; boundary=x"}
    answer = httpx.post(f"{page}/api/v1/predict", content=body(), headers=kind)
    assert answer.status_code == 200
    assert answer.json()["results"][0]["label_name"] in CODES


def test_the_token_closes_the_page_and_rest(guarded, lesion):
    for path in ("config", "gradio_api/info"):
        assert httpx.get(f"{guarded}/{path}").status_code == 401, path
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    file = f"{guarded}/gradio_api/file=/etc/passwd"
    assert httpx.get(file).status_code == 401
    # nobody gets that, whatever they know
    assert httpx.get(file, headers=bearer).status_code == 403
    call = httpx.post(f"{guarded}/gradio_api/call/classify", json={"data": [None]})
    assert call.status_code == 401
    assert httpx.post(f"{guarded}/gradio_api/upload", files={"files": lesion}).status_code == 401
    assert httpx.get(f"{guarded}/api/model_info").status_code == 401
    assert httpx.get(f"{guarded}/api/health").status_code == 200


def test_a_visitor_gives_the_token_as_the_password(guarded, path):
    login = {"username": "anybody", "password": "wrong"}
    assert httpx.post(f"{guarded}/login", data=login).status_code == 401
    login = {"username": "anybody", "password": TOKEN}
    with httpx.Client() as visitor:
        assert visitor.post(f"{guarded}/login", data=login).status_code == 200
        assert visitor.get(f"{guarded}/gradio_api/info").status_code == 200
    session = Client(guarded, auth=("anybody", TOKEN), verbose=False)
    assert session.predict(handle_file(path), api_name="/classify")["label_name"] in CODES


def test_a_program_may_name_the_token_at_the_page_too(guarded, path, lesion):
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    sent = httpx.post(f"{guarded}/gradio_api/upload", files={"files": lesion}, headers=bearer)
    assert sent.status_code == 200
    session = Client(guarded, headers=bearer, verbose=False)
    assert session.predict(handle_file(path), api_name="/classify")["label_name"] in CODES


def test_a_visitor_is_told_what_to_give_in_both_languages(guarded):
    told = httpx.get(guarded, follow_redirects=True)
    assert (told.status_code, told.url.path) == (200, "/login")
    assert "those who have its token" in told.text
    told = httpx.get(f"{guarded}/?lang=es", follow_redirects=True).text
    assert "quienes tienen su token" in told


def test_nothing_heavy_is_loaded_at_start():
    code = (
        "import sys, dermsim.serve, dermsim.serve.page_server, dermsim.cli.main\n"
        "heavy = ('umap', 'faiss', 'datasets', 'sklearn', 'torch', 'transformers')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
