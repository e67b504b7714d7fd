"""Descriptions over REST and as a tool for assistants."""

import base64
import json

import anyio
import pytest

from dermsim.serve import Desk, Limits
from dermsim.serve.tools import build_tools


@pytest.fixture(scope="module")
def describing(open_client, concept_engine):
    return open_client(concept_engine)


def expected(engine, data, language):
    return json.loads(json.dumps(engine.describe(data, language=language).to_dict()))


def tool(engine, uploads):
    made = build_tools(Desk(lambda: engine, limits=Limits()), uploads=uploads)
    return next(own for own in made if own.__name__ == "describe")


@pytest.mark.parametrize("language", ["en", "es"])
def test_the_route_answers_as_the_engine(describing, concept_engine, lesion, language):
    sent = {"image": ("a.png", lesion)}
    answer = describing.post("/api/v1/describe", files=sent, data={"language": language})
    assert answer.status_code == 200
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
    answer = describing.post("/api/v1/describe", files=sent, data={"language": "fr"})
    assert answer.status_code == 422
