"""What the routes answer is what the engine answers."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from dermsim.core.bootstrap import Interval
from dermsim.core.explain_methods import METHODS
from dermsim.core.explain_worth import ExplanationWorth, MethodWorth
from dermsim.core.labels import CODES, DISCLAIMER
from dermsim.engine.answers import strength


def files(*pictures):
    return [("images", (f"{n}.png", data)) for n, data in enumerate(pictures)]


def picture(text) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(text)))


def test_predict_answers_as_the_engine_in_the_order_sent(client, engine, lesion, other):
    answer = client.post("/api/v1/predict", files=files(other, lesion, other))
    assert answer.status_code == 200
    told = answer.json()
    assert told["fingerprint"] == engine.fingerprint and told["disclaimer"] == DISCLAIMER
    expected = engine.predict([other, lesion, other])
    assert len(told["results"]) == 3
    for result, prediction in zip(told["results"], expected, strict=True):
        plain = json.loads(json.dumps(prediction.to_dict()))
        assert result["probabilities"] == pytest.approx(plain.pop("probabilities"))
        listing = plain.pop("listing")
        assert [row["code"] for row in result["listing"]] == [row["code"] for row in listing]
        for name in ("malignancy", "ood_score", "entropy"):
            assert result[name] == pytest.approx(plain.pop(name))
        assert {name: result[name] for name in plain} == plain
        assert result["enrolled"] is None
    assert told["results"][0]["ood_score"] != told["results"][1]["ood_score"]


@pytest.mark.parametrize("point", ["balanced", "sensitivity_95"])
def test_predict_decides_at_the_operating_point(client, engine, lesion, other, point):
    sent = {"operating_point": point}
    told = client.post("/api/v1/predict", files=files(lesion, other), data=sent).json()
    fitted = engine.calibration.operating_points[point]
    for result in told["results"]:
        told_point = result["operating_point"]
        assert (told_point["name"], told_point["threshold"]) == (point, fitted.threshold)
        assert told_point["validation"] == {
            "sensitivity": fitted.sensitivity,
            "specificity": fitted.specificity,
        }
        expected = [one.to_dict() for one in engine.reached_at(fitted.threshold)]
        assert told_point["reached"] == expected and expected
        assert result["is_malignant"] == (result["malignancy"] >= fitted.threshold)
        side = "malignant" if result["is_malignant"] else "benign"
        assert result["verdict"] == ("withheld" if result["withheld"] else side)


@pytest.mark.parametrize("threshold", [0, 0.3, 1])
def test_predict_decides_at_a_threshold(client, engine, lesion, other, threshold):
    sent = {"operating_point": str(threshold)}
    told = client.post("/api/v1/predict", files=files(lesion, other), data=sent).json()
    fitted = engine.calibration.operating_point(threshold)
    for result in told["results"]:
        told_point = result["operating_point"]
        assert (told_point["name"], told_point["threshold"]) == (None, threshold)
        assert told_point["validation"]["sensitivity"] == fitted.sensitivity
        assert result["is_malignant"] == (result["malignancy"] >= threshold)


def test_a_threshold_that_has_a_name_is_called_by_it(client, engine, lesion):
    threshold = engine.calibration.operating_points["balanced"].threshold
    sent = {"operating_point": repr(threshold)}
    told = client.post("/api/v1/predict", files=files(lesion), data=sent).json()
    assert told["results"][0]["operating_point"]["name"] == "balanced"


def test_facts_of_the_patient_change_the_answer(open_client, informed_engine, lesion):
    from dermsim.data.facts import Facts

    client = open_client(informed_engine)
    sent = {"age": "70", "sex": "male", "site": "face"}
    told = client.post("/api/v1/predict", files=files(lesion), data=sent).json()["results"][0]
    expected = informed_engine.predict([lesion], facts=Facts(70, "male", "face"))[0]
    assert told["probabilities"] == pytest.approx(expected.probabilities)
    points = informed_engine.calibration_facts.operating_points
    assert told["operating_point"]["threshold"] == points["balanced"].threshold
    without = client.post("/api/v1/predict", files=files(lesion)).json()["results"][0]
    assert without["probabilities"] != told["probabilities"]


@pytest.mark.parametrize("space", ["embeddings", "pooled_features"])
def test_embed_answers_as_the_engine(client, engine, lesion, other, space):
    told = client.post("/api/v1/embed", files=files(lesion, other), data={"space": space}).json()
    expected = engine.embed([lesion, other], space=space)
    np.testing.assert_allclose(told["embeddings"], expected, rtol=1e-5, atol=1e-6)
    assert (told["space"], told["dim"]) == (space, expected.shape[1])


def test_similar_answers_as_the_engine(client, engine, lesion, other):
    told = client.post("/api/v1/similar", files=files(lesion, other), data={"k": "3"}).json()
    for result, found in zip(
        told["results"], engine.similar_cases([lesion, other], 3), strict=True
    ):
        cases, vote = found.neighbors, found.vote
        assert [case["percentile"] for case in result["neighbors"]] == [
            pytest.approx(c.percentile, abs=0.01) for c in cases
        ]
        assert [case["image_id"] for case in result["neighbors"]] == [c.image_id for c in cases]
        assert [case["facts"] for case in result["neighbors"]] == [c.facts for c in cases]
        assert result["vote"] == pytest.approx(vote)


def test_a_photograph_of_the_gallery_is_recognised_and_lesions_are_left_out(
    client, engine, synthetic, lesion
):
    row = synthetic["train"][3]
    stream = io.BytesIO()
    row["image"].save(stream, "PNG")
    for route in ("predict", "similar"):
        told = client.post(f"/api/v1/{route}", files=files(stream.getvalue())).json()
        known = told["results"][0]["recognised"]
        assert (known["image_id"], known["learned"]) == (row["image_id"], True)
        assert told["trained_on"] == "drawings"
    own = row["lesion_id"]
    assert own not in {case["lesion_id"] for case in told["results"][0]["neighbors"]}
    first = client.post("/api/v1/similar", files=files(lesion), data={"k": "1"}).json()
    nearest = first["results"][0]["neighbors"][0]["lesion_id"]
    sent = {"k": "5", "exclude_lesion": [nearest]}
    others = client.post("/api/v1/similar", files=files(lesion), data=sent).json()
    assert nearest not in {case["lesion_id"] for case in others["results"][0]["neighbors"]}
    for route in ("predict", "similar"):
        sent = {"exclude_lesion": ["HAM_9"]}
        answer = client.post(f"/api/v1/{route}", files=files(lesion), data=sent)
        assert answer.status_code == 422
        assert "There is no lesion 'HAM_9' among the past cases" in answer.json()["detail"]


def test_similar_keeps_to_the_facts_asked_for(client, engine, lesion):
    sent = {"k": "50", "dx": ["Melanoma", "nv"], "sex": "female", "age_min": "30", "age_max": "70"}
    told = client.post("/api/v1/similar", files=files(lesion), data=sent).json()
    found = told["results"][0]["neighbors"]
    fitting = [
        record["image_id"]
        for record in engine.gallery.records
        if record["dx"] in ("mel", "nv")
        and record["sex"] == "female"
        and record["age"] is not None
        and 30 <= record["age"] <= 70
    ]
    assert 0 < len(fitting) < 50
    assert sorted(case["image_id"] for case in found) == sorted(fitting)


def test_similar_shows_each_lesion_once(client, engine, lesion):
    def lesions(**sent) -> list[str]:
        told = client.post("/api/v1/similar", files=files(lesion), data={"k": "100", **sent})
        return [case["lesion_id"] for case in told.json()["results"][0]["neighbors"]]

    assert len(set(lesions())) < 100
    thinned = lesions(one_per_lesion="true")
    assert len(set(thinned)) == len(thinned) > 0


def test_similar_with_a_filter_that_no_case_can_fit_says_the_values(client, lesion):
    answer = client.post("/api/v1/similar", files=files(lesion), data={"sex": "clover"})
    assert answer.status_code == 422
    told = answer.json()["detail"]
    assert "clover" in told and "female" in told and "male" in told


def test_explain_paints_and_gives_the_values(client, engine, lesion):
    sent = {"target": "Dermatofibroma", "outline": "true"}
    told = client.post("/api/v1/explain", files={"image": lesion}, data=sent).json()
    own, asked = engine.explain_many([lesion, lesion], target=[None, "df"])
    assert (told["target"], told["method"]) == ("df", "gradcam")
    assert told["worth"]["verdict"] is None, "a checkpoint that was not measured says so"
    assert told["worth"]["not_measured"] == "not_measured"
    assert told["score"] == pytest.approx(asked.score, rel=1e-4)
    [drawn] = told["maps"]
    assert drawn["peak"] == pytest.approx(asked.peak, rel=1e-4)
    assert drawn["strength"] == pytest.approx(strength(asked, own), rel=1e-4)
    painted, values = picture(drawn["overlay"]), picture(drawn["values"])
    assert painted.size == values.size == (drawn["width"], drawn["height"]) == (120, 90)
    np.testing.assert_allclose(np.asarray(values) / 65535, asked.values, atol=1e-3)
    region = asked.top_region()
    if drawn["strongest_part"] is None:
        assert not region.any()
    else:
        columns = np.flatnonzero(region.any(axis=0)) / region.shape[1]
        assert drawn["strongest_part"]["left"] == pytest.approx(columns[0])


PLAIN = {"other_layer": False, "smooth": False, "likeness": False}


def test_explain_says_what_was_measured(client, engine, lesion, monkeypatch):
    share, gain = Interval(0.5, 0.4, 0.6, 40), Interval(-0.1, -0.2, -0.05, 40)
    figures = MethodWorth("layercam", -2, share, gain, share, gain)
    kept = ExplanationWorth(engine.fingerprint, "drawings", "validation", (figures,), 0.2)
    monkeypatch.setattr(engine, "worth", kept)
    told = client.post("/api/v1/explain", files={"image": lesion}).json()
    assert told["method"] == "layercam", "the one that did best"
    assert told["worth"] == {**kept.shown("layercam", **PLAIN).to_dict(), "not_measured": None}
    assert client.get("/api/model_info").json()["default_method"] == "layercam"
    sent = {"method": "layercam", "smooth": "true"}
    told = client.post("/api/v1/explain", files={"image": lesion}, data=sent).json()
    assert (told["worth"]["verdict"], told["worth"]["not_measured"]) == (None, "smooth")


def test_explain_finds_the_strongest_part(client, engine, lesion):
    told = client.post("/api/v1/explain", files={"image": lesion}).json()
    rows, columns = engine.explain(lesion).top_region().nonzero()
    assert told["maps"][0]["strongest_part"] == {
        "left": pytest.approx(columns.min() / 120),
        "top": pytest.approx(rows.min() / 90),
        "right": pytest.approx((columns.max() + 1) / 120),
        "bottom": pytest.approx((rows.max() + 1) / 90),
    }


def test_explain_likeness_is_shown_on_both(client, engine, lesion, other):
    told = client.post("/api/v1/explain", files={"image": lesion, "like": other}).json()
    first, second = engine.explain_likeness(lesion, other)
    assert told["target"] == "similarity"
    assert told["score"] == pytest.approx(first.score, rel=1e-4)
    assert [drawn["peak"] for drawn in told["maps"]] == pytest.approx(
        [first.peak, second.peak], rel=1e-3
    )
    assert [(drawn["width"], drawn["height"]) for drawn in told["maps"]] == [(120, 90), (90, 120)]


def test_a_large_picture_is_explained_on_a_smaller_one(client):
    stream = io.BytesIO()
    Image.new("RGB", (2000, 1500), "peru").save(stream, "JPEG")
    told = client.post("/api/v1/explain", files={"image": stream.getvalue()}).json()
    assert (told["maps"][0]["width"], told["maps"][0]["height"]) == (1024, 768)


def test_layer_and_smoothing_reach_the_engine(client, engine, lesion):
    sent = {"method": "layercam", "layer": "0", "smooth": "true"}
    told = client.post("/api/v1/explain", files={"image": lesion}, data=sent).json()
    expected = engine.explain(lesion, method="layercam", layer=0, smooth=True)
    assert told["maps"][0]["peak"] == pytest.approx(expected.peak, rel=1e-3)


def test_a_bank_goes_in_and_a_bank_comes_out(client, engine, lesion, other):
    first = client.post("/api/v1/enroll", files=files(lesion), data={"name": "clover"}).json()
    bank = ("bank", ("bank.safetensors", base64.b64decode(first["bank"])))
    both = client.post("/api/v1/enroll", files=[*files(other), bank], data={"name": "fern"}).json()
    new = {own["name"]: own["pictures"] for own in both["classes"] if own["enrolled"]}
    assert new == {"clover": 1, "fern": 1}
    assert {own["name"] for own in both["classes"] if not own["enrolled"]} <= set(CODES)
    assert both["report"]["images"] > 0
    bank = ("bank", ("bank.safetensors", base64.b64decode(both["bank"])))
    told = client.post("/api/v1/predict", files=[*files(lesion), bank]).json()
    known = engine.class_bank()
    known = known.enroll("clover", engine.embed([lesion], space=known.space.name))
    known = known.enroll("fern", engine.embed([other], space=known.space.name))
    expected = known.predict(engine.embed([lesion], space=known.space.name))[0]
    assert told["results"][0]["enrolled"] == pytest.approx(expected)
    sent = {"target": "fern"}
    shown = client.post("/api/v1/explain", files=[("image", lesion), bank], data=sent).json()
    assert shown["target"] == "fern"
    # the server has kept nothing of all this
    again = client.post("/api/v1/enroll", files=files(lesion), data={"name": "fern"}).json()
    assert [own["name"] for own in again["classes"] if own["enrolled"]] == ["fern"]


def test_model_info_says_what_may_be_asked(client, engine):
    told = client.get("/api/model_info").json()
    assert [d["code"] for d in told["diagnoses"]] == list(CODES)
    assert told["cases"] == len(engine.gallery)
    assert told["embedding_dim"] == engine.gallery.dim
    assert set(told["methods"]) <= set(METHODS) and "gradcam" in told["methods"]
    assert {p["name"] for p in told["operating_points"]} == {"balanced", "sensitivity_95"}
    assert told["limits"]["request_bytes"] == 50_000_000
    assert told["takes_facts"] is False


def test_health_says_that_all_is_well(client):
    from dermsim.core.version import __version__

    assert client.get("/api/health").json() == {"status": "ok", "version": __version__}


def test_every_route_names_its_refusals_and_fields(client):
    document = client.get("/api/openapi.json").json()
    assert document["servers"] == [{"url": "/api"}]
    assert set(document["paths"]) == {
        "/health",
        "/model_info",
        "/v1/predict",
        "/v1/embed",
        "/v1/similar",
        "/v1/explain",
        "/v1/enroll",
        "/v1/describe",
    }
    for path, methods in document["paths"].items():
        for route in methods.values():
            assert route["description"]
            refused = {status for status in route["responses"] if status != "200"}
            posts = {"400", "401", "413", "415", "422", "500", "503"}
            assert refused == {"/health": {"503"}, "/model_info": {"401", "503"}}.get(path, posts)
            for status in refused:
                kind = route["responses"][status]["content"]["application/problem+json"]
                assert kind["schema"] == {"$ref": "#/components/schemas/Problem"}
    schemas = document["components"]["schemas"]
    assert "Problem" in schemas and "HTTPValidationError" not in schemas
    for name, schema in schemas.items():
        if not name.startswith("Body_"):
            for part, facts in schema["properties"].items():
                assert "description" in facts or "$ref" in facts, f"{name}.{part}"
