"""Strangers at a page with a token, foreign pages, and a thousand visits that push at another."""

from __future__ import annotations

import httpx

from hostile import Count
from hostile._served import PATIENCE, TOKEN, call, lesion, page, upload

AT_LEAST = 1300

ROUTES = [
    *("/config", "/openapi.json", "/theme.css", "/manifest.json", "/robots.txt", "/monitoring"),
    *(
        f"/gradio_api/{name}"
        for name in (
            *("info", "openapi.json", "user", "token", "app_id", "startup-events", "cancel"),
            *("reset", "stream/x", "heartbeat/x", "queue/data?session_hash=x", "upload", "file=/x"),
            *("queue/join", "call/classify", "run/classify", "theme.css", "login_check"),
        )
    ),
]
VISITS = 1200


def run() -> list[Count]:
    """Knock at every route, come from elsewhere, guess, and open visits."""
    return [*_without_token(), _from_elsewhere(), _guesses(), _visits()]


def _without_token() -> list[Count]:
    """Ask without a token, and with a wrong one that is not guessed often."""
    with httpx.Client(base_url=page(TOKEN), timeout=PATIENCE) as http:
        tried = [(method, path) for path in ROUTES for method in ("GET", "POST")]
        through = sum(http.request(*each).status_code != 401 for each in tried)
        open_ = [http.get(path).status_code for path in ("/api/health", "/api/openapi.json")]
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        sent = http.post("/gradio_api/upload", files={"files": lesion()}, headers=bearer)
    shut = [*open_, sent.status_code].count(200) != 3
    return [
        Count("routes without the token", len(tried), through),
        Count("what is meant to be open, or open to a bearer, and is not", 3, int(shut)),
    ]


def _from_elsewhere() -> Count:
    """Come from other sites' pages, and by names that are not the server's."""
    origins = ("https://evil.example", "null", "http://127.0.0.1:1")
    headers = [{"origin": origin} for origin in origins]
    headers += [{"sec-fetch-site": "cross-site"}, {"host": "evil.example"}]
    tried = through = 0
    for address in (page(), page(TOKEN)):
        with httpx.Client(base_url=address, timeout=PATIENCE) as http:
            http.post("/login", data={"password": TOKEN})
            for path in ("/gradio_api/info", "/config", "/gradio_api/reset", "/api/model_info"):
                for method in ("GET", "POST", "OPTIONS"):
                    for more in headers:
                        answer = http.request(method, path, headers=more)
                        tried += 1
                        through += answer.status_code not in (403, 421)
    return Count("requests from elsewhere", tried, through)


def _guesses() -> Count:
    """Guess the token; after ten, guesses are no longer answered at once."""
    with httpx.Client(base_url=page(TOKEN), timeout=PATIENCE) as http:
        found = [
            http.post("/login", data={"password": f"guess-{n}"}).status_code for n in range(14)
        ]
    return Count(
        "guesses of the token beyond ten that were not slowed down", 14, found.count(401) - 10
    )


def _visits() -> Count:
    """Open and close many visits; whoever taught a class before still has it, or is told."""
    with httpx.Client(base_url=page(), timeout=PATIENCE) as http:
        picture = upload(http, lesion())
        call(http, "enroll", "clover", [picture], session="victim")
        _, before = call(http, "compare", picture, session="victim")
        for number in range(VISITS):
            with http.stream("GET", f"/gradio_api/heartbeat/stranger-{number}") as stream:
                next(stream.iter_raw())
        event, after = call(http, "compare", upload(http, lesion()), session="victim")
    kept = event == "complete" and "clover" in after[0]
    told = event == "error" and "taught" in str(after)
    lost = "clover" not in before[0] or not (kept or told)
    return Count("visits that pushed out a class without a word", VISITS, int(lost))
