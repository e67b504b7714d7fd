"""Every refusal is a problem of RFC 9457, and none tells more than it should."""

import logging

import pytest
from problems import problem, small
from refusals import refuses

from dermsim.serve.errors import BusyError


@pytest.mark.parametrize("path", ["predict", "embed", "similar", "enroll"])
@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "Picture 2 is empty"),
        (b"Dear doctor", "Picture 2 is not an image: expected one of JPEG"),
        (small(8, 8), "Picture 2 is 8 x 8 pixels, too small"),
        (small(300, 300)[:300], "Picture 2 is truncated or damaged"),
    ],
)
def test_a_picture_that_cannot_be_read_is_named(client, lesion, path, data, words):
    sent = [("images", ("a.png", lesion)), ("images", ("b.png", data))]
    answer = client.post(f"/api/v1/{path}", files=sent, data={"name": "clover"})
    problem(answer, 422, words)


@pytest.mark.parametrize(
    ("path", "sent", "words"),
    [
        ("predict", {"operating_point": "best"}, "operating_point: input should be"),
        ("predict", {"operating_point": "1.2"}, "operating_point: input should be"),
        ("predict", {"operating_point": "nan"}, "operating_point: input should be"),
        ("predict", {"age": "121"}, "age: input should be less than or equal to 120"),
        ("predict", {"age": "nan"}, "age: input should be a finite number"),
        ("predict", {"sex": "robot"}, "Sex is 'robot', but must be one of"),
        ("predict", {"age": "50"}, "this model takes none"),
        ("embed", {"space": "outer"}, "space: input should be"),
        ("similar", {"k": "0"}, "k: input should be greater than or equal to 1"),
        ("similar", {"k": "101"}, "k: input should be less than or equal to 100"),
        ("similar", {"k": "many"}, "k: input should be a valid integer"),
        ("similar", {"dx": "clover"}, "Unknown dx 'clover'"),
        ("similar", {"dx": ["mel"] * 21}, "dx: list should have at most 20 items"),
        ("similar", {"age_min": "60", "age_max": "50"}, "No case is at least 60 and at most 50"),
        ("explain", {"target": "clover"}, "Unknown dx 'clover'"),
        ("explain", {"method": "guess"}, "method: input should be 'gradcam'"),
        ("explain", {"method": "rollout"}, "no global attention"),
        ("explain", {"layer": "../etc"}, "Layer must be the number of a stage"),
        ("explain", {"layer": "99"}, "There is no layer 99"),
        ("explain", {"opacity": "1.5"}, "opacity: input should be less than or equal to 1"),
        ("explain", {"smooth": "perhaps"}, "smooth: input should be a valid boolean"),
        ("enroll", {}, "name is missing"),
        ("enroll", {"name": "mel"}, "already a class 'mel'"),
        ("enroll", {"name": "two\nlines"}, "A class name must be one line"),
        ("enroll", {"name": "clover", "head": "guess"}, "head: input should be"),
    ],
)
def test_bad_values_are_refused_with_a_sentence(client, lesion, path, sent, words):
    name = "image" if path == "explain" else "images"
    problem(client.post(f"/api/v1/{path}", files={name: lesion}, data=sent), 422, words)


def test_two_questions_at_once_are_refused(client, lesion):
    files = {"image": lesion, "like": lesion}
    answer = client.post("/api/v1/explain", files=files, data={"target": "mel"})
    problem(answer, 422, "ask one at a time")


@pytest.mark.parametrize("path", ["predict", "embed", "similar", "explain", "enroll"])
def test_no_picture_is_refused(client, path):
    answer = client.post(f"/api/v1/{path}", files={"else": b"x"}, data={"name": "clover"})
    problem(answer, 422, "is missing")


@pytest.mark.parametrize("path", ["predict", "embed", "similar", "explain", "enroll"])
@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded", None])
def test_what_is_no_form_is_refused(client, path, kind):
    headers = {"content-type": kind} if kind else {}
    answer = client.post(f"/api/v1/{path}", content=b"{}", headers=headers)
    problem(answer, 415, "send multipart/form-data")


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b""),
        ("multipart/form-data; boundary=x", b"nonsense"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data\r\n\r\n1\r\n"),
        ("multipart/form-data; boundary=" + "x" * 3000, b"--x"),
    ],
)
def test_a_broken_form_is_refused(client, kind, body):
    answer = client.post("/api/v1/predict", content=body, headers={"content-type": kind})
    problem(answer, 400, "The form cannot be read")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"nonsense", "The bank is damaged"),
        (b"", "The bank is damaged"),
        (b"\x02\x00\x00\x00\x00\x00\x00\x00{}", "The header of the bank has the keys"),
    ],
)
def test_a_damaged_bank_is_refused(client, lesion, data, words):
    files = {"images": lesion, "bank": ("bank.safetensors", data)}
    problem(client.post("/api/v1/predict", files=files), 422, words)
    problem(client.post("/api/v1/enroll", files=files, data={"name": "clover"}), 422, words)


def test_a_bank_of_another_encoder_is_refused(client, second_checkpoint, lesion):
    bank = (second_checkpoint / "classes.safetensors").read_bytes()
    files = {"images": lesion, "bank": ("bank.safetensors", bank)}
    problem(client.post("/api/v1/predict", files=files), 422, "was made by encoder")


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_bank_that_no_probabilities_come_of_is_refused(client, engine, lesion):
    from dermsim.core.storage import pack_arrays, unpack_arrays

    arrays, facts = unpack_arrays(engine.class_bank().to_bytes(), name="the bank")
    data = pack_arrays(arrays, facts={**facts, "temperature": 1e-310})
    files = {"images": lesion, "bank": ("bank.safetensors", data)}
    problem(client.post("/api/v1/predict", files=files), 422, "hold NaN or infinity")
    answer = client.post("/api/v1/enroll", files=files, data={"name": "clover"})
    assert answer.status_code == 422


# --- addresses, methods, tokens ------------------------------------------------------------------


@pytest.mark.parametrize("path", ["", "/nowhere", "/v1", "/v2/predict", "/v1/predict/", "/docs"])
def test_an_unknown_address_is_a_problem(client, path):
    answer = client.get(f"/api{path}", follow_redirects=True)
    problem(answer, 404, "There is nothing at this address")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("GET", "v1/predict", "POST"), ("POST", "health", "GET"), ("DELETE", "model_info", "GET")],
)
def test_another_method_is_a_problem_that_names_the_right_one(client, method, path, allowed):
    answer = client.request(method, f"/api/{path}")
    problem(answer, 405, "does not take that method")
    assert answer.headers["allow"] == allowed


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Basic s3cret-of-the-clinic"},
        {"Authorization": "s3cret-of-the-clinic"},
        {"Authorization": "Bearer s3cre"},
        {"Authorization": "Bearer \xff"},
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "model_info"), ("POST", "v1/predict"), ("GET", "nowhere"), ("GET", "v1/health")],
)
def test_a_token_is_asked_for(open_client, engine, headers, method, path):
    client = open_client(engine, token="s3cret-of-the-clinic")
    raw = {name: value.encode("latin-1") for name, value in headers.items()}
    answer = client.request(method, f"/api/{path}", headers=raw)
    problem(answer, 401, "asks for its token")
    assert answer.headers["www-authenticate"] == "Bearer"


def test_who_knows_the_token_is_let_in(open_client, engine, lesion):
    client = open_client(engine, token="s3cret-of-the-clinic")
    headers = {"Authorization": "bearer s3cret-of-the-clinic"}
    answer = client.post("/api/v1/predict", files={"images": lesion}, headers=headers)
    assert answer.status_code == 200
    assert client.get("/api/health").status_code == 200
    document = client.get("/api/openapi.json").json()
    assert document["components"]["securitySchemes"]["HTTPBearer"]["scheme"] == "bearer"


@pytest.mark.parametrize("token", ["", "a b", "naïve", "a\nb"])
def test_what_no_header_can_hold_is_no_token(open_client, engine, token):
    with refuses("logins.characters"):
        open_client(engine, token=token)


# --- loading, overload, faults -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "health"), ("GET", "model_info"), ("POST", "v1/predict")]
)
def test_while_the_checkpoint_loads_programs_are_told_to_come_back(
    open_client, lesion, method, path
):
    client = open_client(None)
    files = {"images": lesion} if method == "POST" else None
    answer = client.request(method, f"/api/{path}", files=files)
    problem(answer, 503, "still loading")
    assert int(answer.headers["retry-after"]) > 0


def test_overload_is_a_problem_that_says_when_to_come_back(client, engine, lesion, monkeypatch):
    def busy(*values, **options):
        raise BusyError("limits.busy")

    monkeypatch.setattr(type(engine), "embed", busy)
    answer = client.post("/api/v1/embed", files={"images": lesion})
    problem(answer, 503, "too many requests")
    assert int(answer.headers["retry-after"]) > 0


def test_a_fault_is_told_and_logged_without_what_was_sent(
    client, engine, lesion, monkeypatch, caplog
):
    def fail(*values, **options):
        raise RuntimeError("secret-patient.png at 0xdeadbeef")

    monkeypatch.setattr(type(engine), "embed", fail)
    with caplog.at_level(logging.DEBUG):
        answer = client.post("/api/v1/embed", files={"images": ("secret-patient.png", lesion)})
    problem(answer, 500, "The server failed to answer")
    assert "secret" not in answer.text
    assert "RuntimeError in " in caplog.text
    assert "secret" not in caplog.text
