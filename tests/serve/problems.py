"""What the tests of refusals share."""

import io

from PIL import Image

from dermsim.core.refused import sentences
from dermsim.serve.errors import MEDIA_TYPE


def problem(answer, status: int, words: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == MEDIA_TYPE
    told = answer.json()
    assert set(told) == {"type", "title", "status", "detail", "code"}
    assert told["code"] in sentences("en")
    assert (told["type"], told["status"]) == ("about:blank", status)
    assert words in told["detail"] and told["detail"].endswith(".") and "\n" not in told["detail"]


def small(width, height, kind="PNG") -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (width, height)).save(stream, kind)
    return stream.getvalue()
