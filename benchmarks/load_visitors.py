"""Who asks in `bench_load.py`: visitors, their pictures, and the verbs of page and REST."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
from PIL import Image

from dermsim.core.labels import CODES
from dermsim.data.synthetic import draw_lesion
from dermsim.ui import filters

TOLERANCE = 2e-5
"""How far a number may be from its reference: well above rounding, well below another picture's."""

PATIENCE = 300
"""Seconds after which an app, or an answer, is given up."""

MEGAPIXELS = (None, 1, None, 3, None, 12, None, 24, 49)
"""Of the pictures with ``--large``, one visitor after the other; None for an ordinary one."""

COARSE = 2e-2
"""`TOLERANCE` for large pictures, which another checkout may scale down in another way."""

CASES = 3


@dataclass(frozen=True)
class Visitor:
    """Who asks.

    Attributes:
        name: Of the visitor's picture and session.
        picture: The bytes of a PNG.
        reference: By verb, the numbers that an answer must hold.
        tolerance: How far a number may be from them.
    """

    name: str
    picture: bytes
    reference: dict[str, np.ndarray]
    tolerance: float = TOLERANCE


Verb = Callable[[httpx.Client, Visitor], np.ndarray]
"""Asks for a visitor, and returns the numbers of the answer that `Visitor.reference` holds."""


def draw_picture(number: int, megapixels: int | None) -> bytes:
    """Draw a visitor's picture as the bytes of a file; every other large one is a JPEG."""
    lesion = draw_lesion(CODES[number % len(CODES)], seed=number, size=(600, 450))
    buffer = io.BytesIO()
    if megapixels is None:
        lesion.save(buffer, "PNG")
        return buffer.getvalue()
    height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
    large = lesion.resize((height * 4 // 3, height), Image.Resampling.NEAREST)
    if number % 4 == 1:
        large.save(buffer, "JPEG", quality=90)
    else:
        large.putalpha(255)
        large.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def page_verbs() -> dict[str, Verb]:
    """Return the verbs of the page's endpoints."""

    def call(http: httpx.Client, visitor: Visitor, endpoint: str, *options: Any) -> list[Any]:
        file = {"files": (f"{visitor.name}.png", visitor.picture)}
        (path,) = http.post("/gradio_api/upload", files=file).raise_for_status().json()
        picture = {"path": path, "meta": {"_type": "gradio.FileData"}}
        body = {"data": [picture, *options], "session_hash": visitor.name}
        asked = http.post(f"/gradio_api/call/{endpoint}", json=body).raise_for_status().json()
        stream = http.get(f"/gradio_api/call/{endpoint}/{asked['event_id']}").raise_for_status()
        last = stream.text.strip().split("\n\n")[-1]
        if not last.startswith("event: complete"):
            raise RuntimeError(f"{endpoint} answered {last!r}")
        return json.loads(last.partition("data: ")[2])

    def predict(http: httpx.Client, visitor: Visitor) -> np.ndarray:
        return np.array(
            list(call(http, visitor, "classify", "balanced")[0]["probabilities"].values())
        )

    def similar(http: httpx.Client, visitor: Visitor) -> np.ndarray:
        every = ([] for _ in filters.MENUS)
        cases = call(http, visitor, "similar", CASES, True, *every, *filters.AGES, "")[0]
        return np.array([case["similarity"] for case in cases])

    def compare(http: httpx.Client, visitor: Visitor) -> np.ndarray:
        return np.array(list(call(http, visitor, "compare")[0].values()))

    def explain(http: httpx.Client, visitor: Visitor) -> np.ndarray:
        options = ("mel", 0.5, "gradcam", "", False, False)
        return np.array([call(http, visitor, "explain", *options)[1]["score"]])

    return {"predict": predict, "similar": similar, "compare": compare, "explain": explain}


def rest_verbs() -> dict[str, Verb]:
    """Return the verbs of REST."""

    def post(http: httpx.Client, visitor: Visitor, verb: str, **options: Any) -> dict[str, Any]:
        files = {"images": (f"{visitor.name}.png", visitor.picture)}
        answer = http.post(f"/api/v1/{verb}", files=files, data=options)
        return answer.raise_for_status().json()

    def predict(http: httpx.Client, visitor: Visitor) -> np.ndarray:
        found = post(http, visitor, "predict")["results"][0]["probabilities"]
        return np.array([found[code] for code in CODES])

    def similar(http: httpx.Client, visitor: Visitor) -> np.ndarray:
        found = post(http, visitor, "similar", k=CASES, one_per_lesion=True)["results"][0]
        return np.array([case["similarity"] for case in found["neighbors"]])

    def embed(http: httpx.Client, visitor: Visitor) -> np.ndarray:
        return np.array(post(http, visitor, "embed")["embeddings"][0])

    return {"predict": predict, "similar": similar, "embed": embed}


def find_verbs(address: str) -> dict[str, Verb]:
    """Return the verbs that an app answers, each by a name that begins with that of `MIX`."""
    verbs = {f"{name} (page)": verb for name, verb in page_verbs().items()}
    if httpx.get(f"{address}/api/health", timeout=PATIENCE).status_code == 200:
        verbs |= {f"{name} (REST)": verb for name, verb in rest_verbs().items()}
    return verbs
