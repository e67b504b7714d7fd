"""The gate in front of everything: names, other sites, the token, and an end to logins."""

import asyncio

import pytest
from refusals import refuses
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from dermsim.core.refused import Phrase
from dermsim.ui.gate import STARTUP, Entrance, Gate, SafeHeaders
from dermsim.ui.hosts import Hosts, check_name, check_origin
from dermsim.ui.logins import LASTS, Logins, Misses, address_of, check_token
from dermsim.ui.stopping import Work

TOKEN = "a-token-of-this-clinic"
OPEN = ("/api/health", "/api/predict")


async def answer(request):
    return PlainTextResponse(f"{request.method} {request.url.path}")


def gated(*, work=None, logins=None, misses=None, **entrance):
    methods = ["GET", "POST", "OPTIONS"]
    inner = Starlette(routes=[Route("/{path:path}", answer, methods=methods)])
    door = Entrance(**entrance)
    return SafeHeaders(
        Gate(inner, entrance=door, work=work, logins=logins, misses=misses), embed=door.embed
    )


def visit(app, host="127.0.0.1:7860", **headers):
    return TestClient(app, f"http://{host}", headers=headers, follow_redirects=False)


@pytest.fixture
def logins():
    return Logins()


@pytest.fixture
def app(logins):
    misses = Misses(free=3, hold=0.0)
    return gated(token=TOKEN, guarded=("/api",), logins=logins, misses=misses)


# --- the token -----------------------------------------------------------------------------------


ROUTES = [
    *("/config", "/info", "/openapi.json", "/gradio_api/info", "/gradio_api/openapi.json"),
    *("/gradio_api/user", "/gradio_api/token", "/gradio_api/app_id", "/gradio_api/startup-events"),
    *("/gradio_api/heartbeat/anybody", "/gradio_api/cancel", "/gradio_api/reset"),
    *("/gradio_api/stream/x", "/theme.css", "/gradio_api/theme.css", "/manifest.json"),
    *("/robots.txt", "/favicon.ico", "/static/x", "/assets/x", "/svelte/x", "/pwa_icon"),
    *("/gradio_api/upload", "/gradio_api/queue/join", "/apix", "/api-health", "/login/"),
    *("/gradio_api/file=/etc/passwd", "/monitoring", "/gradio_api/deep_link", "/LOGIN"),
]


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
@pytest.mark.parametrize("path", ROUTES)
def test_without_the_token_nothing_answers(app, method, path):
    refused = visit(app).request(method, path)
    assert refused.status_code == 401
    assert "Authorization: Bearer" in refused.text
    wrong = visit(gated(token=TOKEN), authorization="Bearer " + TOKEN[:-1])
    assert wrong.request(method, path).status_code == 401


def test_a_page_leads_to_the_login_and_rest_guards_itself(app):
    stranger = visit(app)
    sent_on = stranger.get("/?lang=es")
    assert (sent_on.status_code, sent_on.headers["location"]) == (303, "login?lang=es")
    assert "quienes tienen su token" in stranger.get("/login?lang=es").text
    for path in OPEN:
        assert stranger.get(path).status_code == 200


def test_bearer_and_cookie_both_open_everything(app, logins):
    assert visit(app, authorization=f"Bearer {TOKEN}").post("/gradio_api/upload").text
    browser = visit(app)
    entered = browser.post("/login", data={"password": TOKEN}, headers={"accept": "text/html"})
    assert (entered.status_code, entered.headers["location"]) == (303, "./?lang=en")
    cookie = entered.headers["set-cookie"].lower()
    for part in ("httponly", "samesite=lax", f"max-age={LASTS:.0f}", "path=/"):
        assert part in cookie
    assert browser.post("/gradio_api/upload").status_code == 200
    assert browser.get("/").status_code == 200
    assert len(logins) == 1


def test_a_client_that_is_no_browser_is_answered_in_json(app):
    told = visit(app).post("/login", data={"username": "me", "password": TOKEN})
    assert (told.status_code, told.json()) == (200, {"success": True})
    assert visit(app).post("/login", json={"password": TOKEN}).status_code == 401
    assert visit(app).post("/login", data={"password": "wrong"}).status_code == 401


def test_behind_tls_the_cookie_is_for_tls_alone(app):
    told = visit(app, **{"x-forwarded-proto": "https"}).post("/login", data={"password": TOKEN})
    assert "; Secure" in told.headers["set-cookie"]


def test_a_page_that_is_shown_inside_others_gets_its_cookie_there():
    app = gated(token=TOKEN, embed=("https://clinic.example",))
    told = visit(app).post("/login", data={"password": TOKEN})
    assert "SameSite=None; Secure; Partitioned" in told.headers["set-cookie"]
    policy = told.headers["content-security-policy"]
    assert "frame-ancestors https://clinic.example" in policy


def test_logging_out_ends_ones_own_login_alone_and_not_by_a_link(app, logins):
    one, other = visit(app), visit(app)
    for browser in (one, other):
        browser.post("/login", data={"username": "me", "password": TOKEN})
    assert one.get("/logout").status_code == 200
    foreign = {"origin": "https://elsewhere.example"}
    assert one.post("/logout", headers=foreign).status_code == 403
    assert one.get("/config").status_code == 200
    assert one.post("/logout").status_code == 303
    assert one.get("/config").status_code == 401
    assert other.get("/config").status_code == 200
    assert len(logins) == 1


def test_a_login_ends_after_a_day_and_the_oldest_gives_way():
    now = [0.0]
    logins = Logins(most=2, clock=lambda: now[0])
    first, second, third = logins.begin(), logins.begin(), logins.begin()
    assert first not in logins and second in logins and third in logins
    now[0] = LASTS - 1
    assert second in logins
    now[0] = LASTS
    assert second not in logins and None not in logins and "" not in logins


def test_wrong_tokens_are_slowed_down_and_the_right_one_is_not(app):
    statuses = [
        visit(app).post("/login", data={"password": f"guess-{n}"}).status_code for n in range(6)
    ]
    assert statuses == [401] * 3 + [429] * 3
    wrong = visit(app, authorization="Bearer guess").get("/config")
    assert wrong.status_code == 429 and int(wrong.headers["retry-after"]) > 0
    page = visit(app, accept="text/html").post("/login?lang=es", data={"password": "x"})
    assert page.status_code == 429 and "demasiados tokens" in page.text
    assert visit(app, authorization=f"Bearer {TOKEN}").get("/config").status_code == 200


def test_in_a_flood_nothing_is_looked_at_and_others_are_let_in():
    async def flood():
        misses = Misses(free=2, hold=0.2, waiting=4)
        mine, yours = {"client": ("192.0.2.1", 1)}, {"client": ("192.0.2.2", 1)}
        assert [await misses.note(mine) for _ in range(2)] == [False, False]
        held = [asyncio.create_task(misses.note(mine)) for _ in range(4)]
        await asyncio.sleep(0)
        assert misses.flooded(mine) and not misses.flooded(yours)
        assert not await misses.note(yours)
        assert await asyncio.gather(*held) == [True] * 4
        assert not misses.flooded(mine)

    asyncio.run(flood())


def test_misses_are_forgiven_with_time():
    now = [0.0]
    misses = Misses(free=2, every=6, hold=0, clock=lambda: now[0])

    def note():
        return asyncio.run(misses.note({"client": ("192.0.2.1", 1)}))

    assert [note() for _ in range(4)] == [False, False, True, True]
    now[0] += 12
    assert not note()


def test_an_address_of_ipv6_is_a_house():
    near, same, far = "2001:db8:0:1::5", "2001:db8:0:1:ffff::9", "2001:db8:0:2::5"
    found = [address_of({"client": (host, 1)}) for host in (near, same, far)]
    assert found[0] == found[1] != found[2]
    assert address_of({"client": None}) == "" and address_of({"client": ("x", 1)}) == "x"


@pytest.mark.parametrize(
    ("token", "words"),
    [
        ("", "logins.characters"),
        ("a b", "logins.characters"),
        ("naïve" * 5, "logins.characters"),
        ("short", Phrase("logins.short", count=5)),
    ],
)
def test_what_is_soon_guessed_is_no_token(token, words):
    with refuses(words):
        check_token(token)
    with refuses(words):
        Entrance(token=token)


# --- names and other sites -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:7860", "localhost", "LOCALHOST:80", "[::1]:7860", "192.168.1.7", "derm.example"],
)
def test_the_servers_names_are_answered(host):
    app = gated(hosts=Hosts(["derm.example"]))
    assert visit(app).get("/config", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "", "a@localhost"]
)
def test_other_names_are_not_whatever_they_mean(host):
    refused = visit(gated()).get("/", headers={"host": host})
    assert refused.status_code == 421 and "--allow-host" in refused.text


def test_names_come_from_the_environment_too(monkeypatch):
    monkeypatch.setenv("DERMSIM_HOSTS", "one.example, .two.example")
    monkeypatch.setenv("SPACE_HOST", "user-derm.hf.space")
    hosts = Hosts(shared=True)
    for name in ("one.example", "a.two.example", "user-derm.hf.space", "abc.gradio.live"):
        assert hosts.answers_to(name)
    assert not hosts.answers_to("two.example") and not hosts.answers_to(None)


@pytest.mark.parametrize("name", ["", "a b", "http://x", "x/y", "*", "a:80"])
def test_what_is_no_name_is_refused(name):
    with refuses("hosts.host"):
        check_name(name)


@pytest.mark.parametrize("origin", ["clinic.example", "https://x/y", "https://", "ftp://x"])
def test_what_is_no_origin_is_refused(origin):
    with refuses("hosts.origin"):
        check_origin(origin)
    assert check_origin("https://*.hf.space") == "https://*.hf.space"


FOREIGN = [
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": "http://127.0.0.1:9999"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors"},
]


@pytest.mark.parametrize("headers", FOREIGN)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_other_sites_pages_are_not_answered(headers, method):
    for path in ("/gradio_api/info", "/gradio_api/heartbeat/x", "/api/v1/predict", "/config"):
        refused = visit(gated(hosts=Hosts(["derm.example"])), **headers).request(method, path)
        assert refused.status_code == 403, path
        assert "access-control-allow-origin" not in refused.headers


def test_a_link_on_another_site_leads_here():
    headers = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert visit(gated(), **headers).get("/?lang=es").status_code == 200
    assert visit(gated(), **headers).get("/gradio_api/file=/x").status_code == 403


def test_ones_own_page_is_answered_behind_a_proxy_too():
    app = gated(hosts=Hosts(["derm.example"]))
    for origin, host in (
        ("http://127.0.0.1:7860", "127.0.0.1:7860"),
        ("https://derm.example", "derm.example"),
        ("https://derm.example", "127.0.0.1:7860"),
    ):
        sent = visit(app, host, origin=origin).post("/gradio_api/queue/join")
        assert sent.status_code == 200, origin


# --- what else -----------------------------------------------------------------------------------


def test_every_answer_says_what_it_may_be_used_for(app):
    for path in ("/login", "/config", "/api/health", "/"):
        told = visit(app).get(path).headers
        assert told["x-content-type-options"] == "nosniff"
        assert told["referrer-policy"] == "same-origin"
        assert "frame-ancestors 'self'" in told["content-security-policy"]
    file = visit(gated()).get("/gradio_api/file=/x.svg").headers["content-security-policy"]
    assert "default-src 'none'" in file and "sandbox" in file
    page = visit(gated()).get("/").headers["content-security-policy"]
    assert "default-src 'self'" in page and "object-src 'none'" in page


def test_while_it_is_stopping_results_are_fetched_and_nothing_is_begun():
    work = Work()
    app = gated(work=work)
    work.stopping = True
    refused = visit(app).post("/gradio_api/call/classify")
    assert refused.status_code == 503 and int(refused.headers["retry-after"]) > 0
    assert visit(app).get("/gradio_api/call/classify/1").status_code == 200


def test_gradio_may_ask_itself_to_begin_only_at_first():
    work = Work()
    app = gated(token=TOKEN, work=work)
    work.starting = True
    assert visit(app).get(STARTUP).status_code == 200
    assert visit(app).get("/config").status_code == 401
    work.starting = False
    assert visit(app).get(STARTUP).status_code == 401


def test_nothing_speaks_by_websocket():
    sent = []

    async def send(message):
        sent.append(message)

    asyncio.run(Gate(answer, entrance=Entrance())({"type": "websocket"}, None, send))
    assert sent == [{"type": "websocket.close", "code": 1008}]
