"""Sixteen requests at once of pictures that are small as files and large as pictures."""

import asyncio
import base64
import io
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image

from dermsim.data import images
from dermsim.data.admission import PIXELS, PixelBudget
from dermsim.serve import limits
from dermsim.serve.limits import Limits, reading
from dermsim.serve.routes import Desk
from dermsim.serve.tools import build_tools

SIDE = 300


@pytest.fixture
def budget(monkeypatch):
    """Room for two of the pictures and a bit."""
    made = PixelBudget(2 * SIDE * SIDE + 99)
    for module in (images, limits):
        monkeypatch.setattr(module, "PIXELS", made)
    return made


@pytest.fixture(scope="module")
def plain() -> bytes:
    stream = io.BytesIO()
    Image.new("RGBA", (SIDE, SIDE), (160, 90, 70, 200)).save(stream, "PNG")
    return stream.getvalue()


def test_requests_wait_for_room_and_are_all_answered(client, plain, budget):
    def ask(number):
        verb = ("predict", "embed", "similar")[number % 3]
        return client.post(f"/api/v1/{verb}", files={"images": plain}).status_code

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(ask, range(16))) == [200] * 16
    assert SIDE * SIDE <= budget.peak <= budget.most
    assert budget.held == 0


def test_two_pictures_of_one_request_are_admitted_together(client, plain, budget):
    sent = {"image": plain, "like": plain}
    assert client.post("/api/v1/explain", files=sent).status_code == 200
    assert budget.peak == 2 * SIDE * SIDE and budget.held == 0


def test_who_waits_too_long_is_told_to_come_back(client, plain, budget, monkeypatch):
    monkeypatch.setattr(limits, "PATIENCE", 0.05)
    with budget.hold(budget.most):
        answer = client.post("/api/v1/embed", files={"images": plain})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert "Too many large pictures" in answer.json()["detail"]
    assert client.post("/api/v1/embed", files={"images": plain}).status_code == 200


def test_tools_hold_room_too(engine, plain, budget, tmp_path):
    predict = build_tools(Desk(lambda: engine, limits=Limits()), uploads=tmp_path)[0]
    found = asyncio.run(predict(base64.b64encode(plain).decode()))
    assert "label_name" in found
    assert budget.peak == SIDE * SIDE and budget.held == 0


def test_what_was_made_smaller_holds_less_until_it_is_answered(plain, budget):
    with reading([plain, plain], limits=Limits(), at_least=(100, 100)) as pictures:
        assert [picture.size for picture in pictures] == [(100, 100)] * 2
        assert budget.held == 2 * 100 * 100
    assert budget.peak == 2 * SIDE * SIDE


def test_the_largest_pictures_are_decoded_one_at_a_time():
    assert Limits().pixels <= PIXELS.most < 2 * Limits().pixels
    # 16 of them at once: eight bytes a pixel, half a gigabyte
    assert 8 * PIXELS.most <= 1_500_000_000
