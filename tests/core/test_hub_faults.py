"""Whatever goes wrong on the way to the Hub: taken up again or reported, and nothing left damaged.

Each case breaks one kind of request, once or always. A load then either says exactly what it says
when nothing is wrong, or fails in one sentence; the cache never keeps a damaged or half-written
file; and once the network is well again, the same call succeeds.
"""

import pytest
from hub_clients import audit, load_auto, load_dermsim, load_ham
from loopback_hub import (
    CutShort,
    Fault,
    HangUp,
    LoseReply,
    Refuse,
    body,
    flipped,
    header,
    truncated,
)

from dermsim.data.synthetic import draw_lesion

NAME = "alice/dermsim"
INFO, TREE = r"/revision/main$", r"/tree/"
SMALL = r"resolve-cache/.*/calibration\.json"
LARGE = r"/lfs/.*filename=model\.safetensors"
HEAD = r"/resolve/.*/model\.safetensors"
NOWHERE = "http://127.0.0.1:9/gone"


def hub_fault(method, path, effect, times=1):
    return Fault(method, path, effect, times=times)


def storage_fault(effect, times=1, path=LARGE):
    return Fault("GET", path, effect, times=times, host="storage")


def case(name, make, kind=None, words="", *, marks=()):
    """A fault, and what comes of it: success when `kind` is None, else an error and its words."""
    return pytest.param(make, kind, words, id=name.replace(" ", "-"), marks=marks)


def rare(*args):
    """A case that differs little from its neighbours: there are many, so they count as slow."""
    return case(*args, marks=pytest.mark.slow)


def check_error(outcome, kind, words):
    assert kind in outcome.kinds, outcome.trace
    assert words in outcome.sentence
    assert "\n" not in outcome.sentence


@pytest.fixture(scope="module")
def photograph(tmp_path_factory):
    path = tmp_path_factory.mktemp("photographs") / "lesion.png"
    draw_lesion("mel", seed=5).save(path)
    return path


# --- DermSim.from_pretrained ---------------------------------------------------------------------

ASKED = "There is no folder alice/dermsim, and the Hub could not be asked"
ALWAYS = None

DERMSIM = [
    case("info 500 once", lambda: hub_fault("GET", INFO, Refuse(500))),
    case("info 500", lambda: hub_fault("GET", INFO, Refuse(500), ALWAYS), "ConnectionError", ASKED),
    rare("info 503 once", lambda: hub_fault("GET", INFO, Refuse(503))),
    rare(
        "info 429 once", lambda: hub_fault("GET", INFO, Refuse(429, headers={"Retry-After": "0"}))
    ),
    case("info 429", lambda: hub_fault("GET", INFO, Refuse(429), ALWAYS), "ConnectionError", "429"),
    case("info 403", lambda: hub_fault("GET", INFO, Refuse(403)), "PermissionError", "not let"),
    case("info 401", lambda: hub_fault("GET", INFO, Refuse(401)), "FileNotFoundError", "may read"),
    rare("info 409", lambda: hub_fault("GET", INFO, Refuse(409)), "ConnectionError", ASKED),
    case("info hangs up once", lambda: hub_fault("GET", INFO, HangUp())),
    rare(
        "info hangs up", lambda: hub_fault("GET", INFO, HangUp(), ALWAYS), "ConnectionError", ASKED
    ),
    rare("info reply lost once", lambda: hub_fault("GET", INFO, LoseReply())),
    rare("info cut short once", lambda: hub_fault("GET", INFO, CutShort())),
    rare("info truncated once", lambda: hub_fault("GET", INFO, truncated())),
    case(
        "info truncated",
        lambda: hub_fault("GET", INFO, truncated(), ALWAYS),
        "ConnectionError",
        "what answered is not the Hub, or sent half an answer",
    ),
    rare(
        "a captive portal",
        lambda: hub_fault("GET", INFO, body(b"<html>Log in</html>"), ALWAYS),
        "ConnectionError",
        "what answered is not the Hub",
    ),
    rare("tree 500 once", lambda: hub_fault("GET", TREE, Refuse(500))),
    rare("tree 500", lambda: hub_fault("GET", TREE, Refuse(500), ALWAYS), "ConnectionError", "500"),
    case("tree hangs up once", lambda: hub_fault("GET", TREE, HangUp())),
    rare("tree truncated once", lambda: hub_fault("GET", TREE, truncated())),
    case("head 500 once", lambda: hub_fault("HEAD", HEAD, Refuse(500))),
    rare("head 429 once", lambda: hub_fault("HEAD", HEAD, Refuse(429))),
    rare(
        "head 500", lambda: hub_fault("HEAD", HEAD, Refuse(500), ALWAYS), "ConnectionError", ASKED
    ),
    rare("head 403", lambda: hub_fault("HEAD", HEAD, Refuse(403), ALWAYS), "PermissionError"),
    rare("head hangs up once", lambda: hub_fault("HEAD", HEAD, HangUp())),
    rare(
        "head without linked etag", lambda: hub_fault("HEAD", HEAD, header("X-Linked-ETag", None))
    ),
    case(
        "head without etag",
        lambda: hub_fault("HEAD", SMALL, header("ETag", None), ALWAYS),
        "ConnectionError",
        ASKED,
    ),
    rare(
        "head without commit",
        lambda: hub_fault("HEAD", HEAD, header("X-Repo-Commit", None), ALWAYS),
        "ConnectionError",
        ASKED,
    ),
    case(
        "head with a wrong size",
        lambda: hub_fault("HEAD", HEAD, header("X-Linked-Size", "12345"), ALWAYS),
        "ConnectionError",
        "should be of size 12345",
    ),
    rare(
        "head with a wrong size once", lambda: hub_fault("HEAD", HEAD, header("X-Linked-Size", "9"))
    ),
    case(
        "head with a wrong hash",
        lambda: hub_fault("HEAD", HEAD, header("X-Linked-ETag", f'"{"0" * 64}"'), ALWAYS),
        "ConnectionError",
        "model.safetensors of alice/dermsim came 4 times with another content",
    ),
    rare(
        "head with a wrong hash once",
        lambda: hub_fault("HEAD", HEAD, header("X-Linked-ETag", f'"{"0" * 64}"')),
    ),
    case(
        "redirect to nowhere",
        lambda: hub_fault("HEAD", HEAD, header("Location", NOWHERE), ALWAYS),
        "ConnectionError",
        ASKED,
    ),
    rare("redirect to nowhere once", lambda: hub_fault("HEAD", HEAD, header("Location", NOWHERE))),
    rare("small file 500 once", lambda: hub_fault("GET", SMALL, Refuse(500))),
    case("small file cut short once", lambda: hub_fault("GET", SMALL, CutShort())),
    rare(
        "small file cut short",
        lambda: hub_fault("GET", SMALL, CutShort(), ALWAYS),
        "ConnectionError",
        ASKED,
    ),
    rare("small file flipped once", lambda: hub_fault("GET", SMALL, flipped())),
    case("large file 500 once", lambda: storage_fault(Refuse(500))),
    rare("large file 500", lambda: storage_fault(Refuse(500), ALWAYS), "ConnectionError", "500"),
    rare(
        "large file 403", lambda: storage_fault(Refuse(403), ALWAYS), "PermissionError", "not let"
    ),
    rare("large file 404", lambda: storage_fault(Refuse(404), ALWAYS), "ConnectionError", "404"),
    rare("large file hangs up once", lambda: storage_fault(HangUp())),
    case("large file cut short once", lambda: storage_fault(CutShort())),
    rare("large file cut short thrice", lambda: storage_fault(CutShort(0.3), 3)),
    rare("large file reset once", lambda: storage_fault(CutShort(reset=True))),
    rare(
        "large file cut short", lambda: storage_fault(CutShort(0), ALWAYS), "ConnectionError", ASKED
    ),
    case(
        "large file reset", lambda: storage_fault(CutShort(reset=True), ALWAYS), "ConnectionError"
    ),
    rare("large file truncated once", lambda: storage_fault(truncated())),
    case(
        "large file truncated",
        lambda: storage_fault(truncated(), ALWAYS),
        "ConnectionError",
        "should be of size",
    ),
    rare("large file empty once", lambda: storage_fault(truncated(0))),
    case("large file flipped once", lambda: storage_fault(flipped())),
    case(
        "large file flipped",
        lambda: storage_fault(flipped(), ALWAYS),
        "ConnectionError",
        "model.safetensors of alice/dermsim came 4 times with another content than the Hub says",
    ),
    rare("every large file flipped once", lambda: storage_fault(flipped(), 5, path="/lfs/")),
    rare("every file cut short once", lambda: storage_fault(CutShort(), 5, path="/lfs/")),
]


@pytest.mark.parametrize(("make", "kind", "words"), DERMSIM)
def test_from_pretrained(hub, online, checkpoint, engine, photograph, tmp_path, make, kind, words):
    hub.publish(NAME, checkpoint)
    fault = make()
    hub.inject(fault)
    load = load_dermsim, NAME, photograph
    outcome = online.run(*load, cache_dir=tmp_path)
    assert fault.struck, "nothing went wrong"
    assert audit(tmp_path) == []
    if kind is None:
        assert outcome.unwrap()["fingerprint"] == engine.fingerprint
    else:
        check_error(outcome, kind, words)
        assert outcome.kinds[0] == kind
    hub.clear_faults()
    again = online.run(*load, cache_dir=tmp_path).unwrap()
    assert again["embedding"] == engine.embed(photograph).tobytes()
    assert audit(tmp_path) == []


def test_a_hub_that_is_down_does_not_matter_to_what_is_cached(
    hub, online, checkpoint, photograph, tmp_path
):
    hub.publish(NAME, checkpoint)
    load = load_dermsim, NAME, photograph
    first = online.run(*load, cache_dir=tmp_path).unwrap()
    hub.inject(Fault("GET", "/api/", Refuse(503), times=None))
    assert online.run(*load, cache_dir=tmp_path).unwrap() == first


def test_a_newer_commit_that_does_not_arrive_leaves_the_older_one(
    hub, online, checkpoint, second_checkpoint, engine, photograph, tmp_path
):
    older = hub.publish(NAME, checkpoint)
    load = load_dermsim, NAME, photograph
    online.run(*load, cache_dir=tmp_path).unwrap()
    hub.publish(NAME, second_checkpoint)
    hub.inject(storage_fault(CutShort(0), times=None))
    assert not online.run(*load, cache_dir=tmp_path).ok
    kept = online.run(*load, cache_dir=tmp_path, revision=older).unwrap()
    assert kept["fingerprint"] == engine.fingerprint
    assert audit(tmp_path) == []


# --- AutoModel, with trust_remote_code, where dermsim is not installed ----------------------------

CONFIG = r"/resolve/.*/config\.json"
UNREAD = "We couldn't connect to 'http://127.0.0.1:"
CODE = r"resolve-cache/.*/modeling_dermsim\.py"

AUTO = [
    rare("config 500 once", lambda: hub_fault("HEAD", CONFIG, Refuse(500))),
    case("config 500", lambda: hub_fault("HEAD", CONFIG, Refuse(500), ALWAYS), "OSError", UNREAD),
    rare("config 401", lambda: hub_fault("HEAD", CONFIG, Refuse(401), ALWAYS), "OSError", NAME),
    rare("config 403", lambda: hub_fault("HEAD", CONFIG, Refuse(403), ALWAYS), "OSError", UNREAD),
    rare("config 429 once", lambda: hub_fault("HEAD", CONFIG, Refuse(429))),
    rare("config hangs up once", lambda: hub_fault("HEAD", CONFIG, HangUp()), "OSError", NAME),
    case("code cut short once", lambda: hub_fault("GET", CODE, CutShort())),
    rare("code hangs up once", lambda: hub_fault("GET", CODE, HangUp()), "HTTPError"),
    rare("code cut short", lambda: hub_fault("GET", CODE, CutShort(), ALWAYS), "HTTPError"),
    case("weights cut short once", lambda: storage_fault(CutShort())),
    rare("weights cut short", lambda: storage_fault(CutShort(0), ALWAYS), "OSError", NAME),
    case("weights reset", lambda: storage_fault(CutShort(reset=True), ALWAYS), "OSError", NAME),
    case("weights truncated", lambda: storage_fault(truncated(), ALWAYS), "OSError", "size"),
    rare("weights 500", lambda: storage_fault(Refuse(500), ALWAYS), "OSError", "model.safetensors"),
]


@pytest.mark.parametrize(("make", "kind", "words"), AUTO)
def test_auto_model(hub, stranger, checkpoint, engine, photograph, tmp_path, make, kind, words):
    hub.publish(NAME, checkpoint)
    fault = make()
    hub.inject(fault)
    load = load_auto, NAME, photograph
    outcome = stranger.run(*load, cache_dir=tmp_path)
    assert fault.struck, "nothing went wrong"
    assert audit(tmp_path) == []
    if kind is None:
        assert outcome.ok, outcome.trace
    else:  # in the words of transformers
        assert kind in outcome.kinds, outcome.trace
        assert words in outcome.sentence
    hub.clear_faults()
    again = stranger.run(*load, cache_dir=tmp_path).unwrap()
    assert again["embedding"] == engine.embed(photograph).tobytes()
    assert audit(tmp_path) == []


# --- load_dataset --------------------------------------------------------------------------------

DATA = r"/api/datasets/"
ROWS = r"/lfs/.*filename=.*\.parquet"
UNREACHED = "is no folder here and could not be loaded from the Hugging Face Hub"

DATASET = [
    case("info 500 once", lambda: hub_fault("GET", DATA, Refuse(500))),
    rare("info 500", lambda: hub_fault("GET", DATA, Refuse(500), ALWAYS), "ConnectionError"),
    case("info 401", lambda: hub_fault("GET", DATA, Refuse(401), ALWAYS), "ConnectionError"),
    rare("info 403", lambda: hub_fault("GET", DATA, Refuse(403), ALWAYS), "ConnectionError"),
    rare("info 429", lambda: hub_fault("GET", DATA, Refuse(429), ALWAYS), "ConnectionError"),
    case("info hangs up", lambda: hub_fault("GET", DATA, HangUp(), ALWAYS), "ConnectionError"),
    rare("info truncated", lambda: hub_fault("GET", DATA, truncated(), ALWAYS), "ConnectionError"),
    rare("rows hang up once", lambda: storage_fault(HangUp(), path=ROWS)),
    case("rows cut short once", lambda: storage_fault(CutShort(), path=ROWS)),
    rare("rows cut short", lambda: storage_fault(CutShort(0), ALWAYS, ROWS), "ConnectionError"),
    case(
        "rows reset", lambda: storage_fault(CutShort(reset=True), ALWAYS, ROWS), "ConnectionError"
    ),
    case("rows truncated", lambda: storage_fault(truncated(), ALWAYS, ROWS), "ConnectionError"),
    rare("rows 500", lambda: storage_fault(Refuse(500), ALWAYS, ROWS), "ConnectionError"),
]


@pytest.fixture(scope="module")
def rows(synthetic):
    """Six rows of the synthetic data."""
    return synthetic["train"].select(range(6))


@pytest.fixture
def published(hub, rows, tmp_path, request):
    """Their data set on the Hub; each test has a name of its own, since datasets remembers."""
    name = f"alice/{request.node.callspec.id}" if hasattr(request.node, "callspec") else "alice/ham"
    folder = tmp_path / "data set"
    folder.mkdir()
    rows.to_parquet(folder / "train.parquet")
    hub.publish(name, folder, kind="datasets")
    return name


@pytest.mark.parametrize(("make", "kind", "words"), DATASET)
def test_load_ham10000(hub, online, rows, published, make, kind, words):
    fault = make()
    hub.inject(fault)
    outcome = online.run(load_ham, published)
    assert fault.struck, "nothing went wrong"
    assert audit(online.home / "hub") == []
    expected = sorted((row["image_id"], row["image"].tobytes()) for row in rows)
    if kind is None:
        assert outcome.unwrap() == expected
    else:
        check_error(outcome, kind, words)
        assert f"'{published}' {UNREACHED}" in outcome.sentence
    hub.clear_faults()
    assert online.run(load_ham, published).unwrap() == expected
    assert audit(online.home / "hub") == []
    left = [p.name for p in (online.home / "datasets").rglob("*incomplete*")]
    assert [name for name in left if not name.endswith(".lock")] == []
