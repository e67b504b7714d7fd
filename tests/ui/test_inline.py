import base64
from io import BytesIO

import numpy as np
from PIL import Image

from dermsim.data.synthetic import draw_lesion
from dermsim.ui import inline


def content(value):
    kind, _, data = value["url"].partition(";base64,")
    return kind, base64.b64decode(data)


def test_a_picture_comes_back_without_loss():
    lesion = draw_lesion("mel", seed=0, size=(60, 40))
    value = inline.picture(lesion, name="evidence.png")
    kind, data = content(value)
    assert (kind, value["orig_name"], value["path"]) == ("data:image/png", "evidence.png", None)
    assert np.array_equal(np.asarray(Image.open(BytesIO(data))), np.asarray(lesion))


def test_a_thumbnail_is_small_and_the_picture_as_it_was():
    lesion = draw_lesion("mel", seed=0, size=(1800, 1200))
    kind, data = content(inline.thumbnail(lesion))
    assert kind == "data:image/jpeg"
    assert Image.open(BytesIO(data)).size == (900, 600)
    assert lesion.size == (1800, 1200)


def test_a_file_keeps_its_name_and_content(tmp_path):
    (tmp_path / "cases.csv").write_bytes(b"a,b\r\n")
    value = inline.file(tmp_path / "cases.csv")
    assert (value["orig_name"], content(value)) == ("cases.csv", ("data:text/csv", b"a,b\r\n"))


def test_only_these_are_taken_for_them():
    assert inline.is_inline(inline.picture(draw_lesion("nv", seed=0, size=(20, 20))))
    for other in (
        None,
        "data:image/png;base64,",
        {"path": "/tmp/a.png", "url": "data:image/png;base64,"},
        {"path": None, "url": "http://127.0.0.1/a.png"},
        {"path": None, "url": None},
    ):
        assert not inline.is_inline(other)
