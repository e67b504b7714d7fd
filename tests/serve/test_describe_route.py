"""Descriptions over REST and as a tool for assistants."""

import base64
import json

import anyio
import pytest

from dermsim.core.language import LANGUAGES
from dermsim.serve import Desk, Limits
from dermsim.serve.tools import build_tools


@pytest.fixture(scope="module")
def describing(open_client, concept_engine):
    return open_client(concept_engine)


def expected(engine, data, language):
    return json.loads(json.dumps(engine.describe(data, language=language).to_dict()))


def tool(engine, uploads, name="describe"):
    made = build_tools(Desk(lambda: engine, limits=Limits()), uploads=uploads)
    return next(own for own in made if own.__name__ == name)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_route_answers_as_the_engine(describing, concept_engine, lesion, language):
    sent = {"image": ("a.png", lesion)}
    answer = describing.post("/api/v1/describe", files=sent, data={"language": language})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told["fingerprint"] == concept_engine.fingerprint
    own = expected(concept_engine, lesion, language)
    assert told["text"] == own["text"] and told["language"] == language
    assert [s["fact"] for s in told["sentences"]] == [s["fact"] for s in own["sentences"]]
    assert told["concepts"].keys() == own.get("concepts", {}).keys()


def test_the_tool_answers_as_the_route(describing, concept_engine, lesion, tmp_path):
    uri = "data:image/png;base64," + base64.b64encode(lesion).decode()

    async def ask():
        return await tool(concept_engine, tmp_path)(image=uri)

    told = describing.post("/api/v1/describe", files={"image": ("a.png", lesion)}).json()
    assert json.loads(json.dumps(anyio.run(ask)))["text"] == told["text"]


def test_a_checkpoint_without_heads_refuses(client, engine, lesion, tmp_path):
    answer = client.post("/api/v1/describe", files={"image": ("a.png", lesion)})
    assert answer.status_code == 422
    assert "This checkpoint has no concept heads" in answer.json()["detail"]


def test_an_unknown_language_is_refused(describing, lesion):
    sent = {"image": ("a.png", lesion)}
    answer = describing.post("/api/v1/describe", files=sent, data={"language": "xx"})
    assert answer.status_code == 422


# -- search by concept -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def condition(concept_engine) -> tuple[str, set[str]]:
    """A concept with a state, and the cases that have it."""
    part = concept_engine.concepts_part()
    head = next(head for head in part.usable.heads if head.present)
    return f"{part.name_of(head)}=present", set(part.cases.matching(head, "present"))


def similar(client, picture, **sent):
    return client.post("/api/v1/similar", files={"images": ("a.png", picture)}, data=sent)


def test_similar_keeps_to_the_concepts_asked_for(describing, lesion, condition):
    asked, allowed = condition
    answer = similar(describing, lesion, concept=asked, k="100")
    assert answer.status_code == 200, answer.text
    cases = [case["image_id"] for case in answer.json()["results"][0]["neighbors"]]
    assert len(cases) == min(100, len(allowed)) and set(cases) <= allowed


def test_of_one_concept_any_state_will_do(describing, concept_engine, lesion):
    part = concept_engine.concepts_part()
    head = next(head for head in part.usable.heads if head.present and head.absent)
    name = part.name_of(head)
    states = {state: set(part.cases.matching(head, state)) for state in ("present", "absent")}
    asked = [f"{name}={state}" for state in states]
    answer = similar(describing, lesion, concept=asked, k="100").json()
    cases = {case["image_id"] for case in answer["results"][0]["neighbors"]}
    assert cases <= states["present"] | states["absent"]
    assert len(cases) == min(100, len(states["present"] | states["absent"]))


def test_the_tool_keeps_to_a_concept(concept_engine, lesion, tmp_path, condition):
    asked, allowed = condition
    uri = "data:image/png;base64," + base64.b64encode(lesion).decode()

    async def ask():
        return await tool(concept_engine, tmp_path, "similar")(image=uri, k=4, concept=asked)

    told = anyio.run(ask)
    assert told["neighbors"] and {case["image_id"] for case in told["neighbors"]} <= allowed


@pytest.mark.parametrize(
    ("concept", "message"),
    [
        ("streaks", "asked for with its state"),
        ("=present", "asked for with its state"),
        ("clover=present", "There is no concept 'clover'"),
        ("ruler=present", "No usable concept head is called"),
        ("pigment_network=perhaps", "A concept is present or absent, not 'perhaps'"),
    ],
)
def test_what_no_case_can_be_asked_for_is_refused(describing, lesion, concept, message):
    answer = similar(describing, lesion, concept=concept)
    assert answer.status_code == 422
    assert message in answer.json()["detail"]


def test_a_state_that_is_never_said_is_refused(describing, concept_engine, lesion):
    part = concept_engine.concepts_part()
    head = next(head for head in part.usable.heads if head.present is None)
    answer = similar(describing, lesion, concept=f"{part.name_of(head)}=present")
    assert answer.status_code == 422
    assert "is never said to be present" in answer.json()["detail"]


def test_concepts_that_no_case_has_together_are_refused(
    describing, concept_engine, lesion, monkeypatch, condition
):
    monkeypatch.setattr(type(concept_engine.concept_part.cases), "matching", lambda *_: [])
    answer = similar(describing, lesion, concept=condition[0])
    assert answer.status_code == 422
    assert "No case of the gallery has these concepts" in answer.json()["detail"]


def test_cases_that_nobody_looked_through_are_refused(client, lesion):
    answer = similar(client, lesion, concept="streaks=present")
    assert answer.status_code == 422
    assert "were not looked through for concepts" in answer.json()["detail"]
