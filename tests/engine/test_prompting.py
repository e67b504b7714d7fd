"""A checkpoint asked in words: search, zero-shot, and what is said of texts that cannot be."""

import json
import shutil

import numpy as np
import pytest
from refusals import refuses

from dermsim import DermSim
from dermsim.core.checkpoint import TEXT
from dermsim.data.synthetic import draw_lesion
from dermsim.engine import prompting
from dermsim.tasks.prompt import Wording, own_wording


@pytest.fixture(scope="module")
def lesion():
    return draw_lesion("mel", seed=5)


def slow_scores(engine, text):
    """The cosine of every past case with a text, both without the mean of their kind."""
    pictures = engine.gallery.embeddings.astype(np.float64)
    pictures -= pictures.mean(axis=0)
    pictures /= np.linalg.norm(pictures, axis=1, keepdims=True)
    query = engine.words.embed([text])[0] - engine.words.prompts.directions.prototypes.mean(axis=0)
    return pictures @ (query / np.linalg.norm(query))


def test_search_by_text_is_a_slow_loop(dual_engine):
    found = dual_engine.search_text("melanoma on the skin", 7)
    scores = slow_scores(dual_engine, "melanoma on the skin")
    order = np.argsort(-scores)[:7]
    names = dual_engine.gallery.records.values("image_id")
    assert [case.image_id for case in found.neighbors] == [names[row] for row in order]
    for case, row in zip(found.neighbors, order, strict=True):
        assert case.similarity == pytest.approx(scores[row], abs=1e-5)
        assert case.percentile == pytest.approx((scores < scores[row]).mean(), abs=1e-9)
    assert found.notes == () and json.dumps(found.to_dict())


def test_what_all_pictures_share_is_taken_off(dual_engine):
    """Without that, the same pictures would be nearest to every text."""
    texts = ("melanoma", "a mole", "hemangioma", "seborrheic keratosis")
    apart = {dual_engine.search_text(text, 1).neighbors[0].image_id for text in texts}
    assert len(apart) > 1


def test_a_string_that_is_no_picture_is_a_text(dual_engine, tmp_path, lesion):
    (cases,) = dual_engine.search("melanoma on the skin", 3)
    assert tuple(cases) == dual_engine.search_text("melanoma on the skin", 3).neighbors
    lesion.save(tmp_path / "melanoma.png")
    (by_picture,) = dual_engine.search(str(tmp_path / "melanoma.png"), 3)
    assert by_picture == dual_engine.search(lesion, 3)[0]
    with pytest.raises(OSError):
        dual_engine.search(str(tmp_path / "gone.png"), 3)
    long = "melanoma " * 100  # no system has a file of that name
    assert len(dual_engine.search(long.strip(), 2)[0]) == 2


def test_filters_hold_for_texts(dual_engine):
    found = dual_engine.search_text("a mole", 50, where={"dx": "nv"}, one_per_lesion=True)
    assert {case.dx for case in found.neighbors} == {"nv"}
    lesions = [case.lesion_id for case in found.neighbors]
    assert len(set(lesions)) == len(lesions)


def test_text_and_picture_are_joined_by_rank(dual_engine, lesion):
    found = dual_engine.search_text("a mole", 5, like=lesion)
    everything = len(dual_engine.gallery)
    by_text = [c.image_id for c in dual_engine.search_text("a mole", everything).neighbors]
    by_picture = [c.image_id for c in dual_engine.search(lesion, everything)[0]]
    points = {
        name: 1 / (60 + 1 + by_text.index(name)) + 1 / (60 + 1 + by_picture.index(name))
        for name in by_text
    }
    best = sorted(points.values(), reverse=True)[:5]
    assert [points[case.image_id] for case in found.neighbors] == pytest.approx(best)
    scores = dict(
        zip(
            dual_engine.gallery.records.values("image_id"),
            slow_scores(dual_engine, "a mole"),
            strict=True,
        )
    )
    for case in found.neighbors:
        assert case.similarity == pytest.approx(scores[case.image_id], abs=1e-5)


def test_a_picture_that_is_a_past_case_is_left_out(dual_engine, synthetic):
    row = synthetic["train"][0]
    found = dual_engine.search_text("a mole", len(dual_engine.gallery), like=row["image"])
    assert row["lesion_id"] not in {case.lesion_id for case in found.neighbors}


# --- zero-shot -----------------------------------------------------------------------------------


def test_zero_shot_by_the_diagnoses_needs_no_text_encoder(dual_checkpoint, lesion, tmp_path):
    folder = shutil.copytree(dual_checkpoint, tmp_path / "pictures")
    shutil.rmtree(folder / TEXT)
    engine, whole = (DermSim.from_pretrained(place) for place in (folder, dual_checkpoint))
    found = engine.zero_shot(lesion).found
    assert found.names == engine.known and not whole.words.loaded
    same = whole.zero_shot(lesion, own_wording()).found
    assert whole.words.loaded
    np.testing.assert_allclose(found.probabilities, same.probabilities, atol=1e-5)
    np.testing.assert_allclose(found.spread, same.spread, atol=1e-5)


def test_zero_shot_by_names_of_one_s_own(dual_engine, lesion):
    asked = dual_engine.zero_shot([lesion, lesion], own_wording(["a mole", "melanoma"]))
    assert asked.found.probabilities.shape == (2, 2)
    np.testing.assert_allclose(asked.found.probabilities.sum(axis=1), 1, atol=1e-6)
    rows = asked.rows(0)
    assert [row["name"] for row in rows] == sorted(
        ["a mole", "melanoma"],
        key=lambda name: -next(row["probability"] for row in rows if row["name"] == name),
    )
    for row in rows:
        low, high = row["spread"]
        assert 0 <= low <= high <= 1


def test_one_name_has_a_cosine_and_its_place_among_past_cases(dual_engine, lesion):
    (row,) = dual_engine.zero_shot(lesion, own_wording(["melanoma"])).rows(0)
    assert row["probability"] is None and 0 <= row["percentile"] <= 1
    assert -1 <= row["similarity"] <= 1


# --- texts that cannot be asked, and what is said of others --------------------------------------


def keys(notes):
    return [note.key for note in notes]


def test_a_negation_is_answered_with_a_note(dual_engine):
    found = dual_engine.search_text("no melanoma", 2)
    assert keys(found.notes) == ["words_of.negation"] and len(found.neighbors) == 2


def test_words_that_are_not_read_are_named(dual_engine):
    found = dual_engine.search_text(" ".join(["a"] * 46 + ["dermatofibroma"]), 2)
    assert keys(found.notes) == ["text_tower.lost"]
    assert found.notes[0].values["lost"].endswith("dermatofibroma")


def test_words_of_another_script(dual_engine):
    found = dual_engine.search_text("melanoma дом", 2)
    assert keys(found.notes) == ["text_tower.unknown"]
    values = found.notes[0].values
    assert 0 < values["unknown"] < values["count"]
    with refuses("text_tower.all_unknown"):
        dual_engine.search_text("меланома", 2)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("", "prompts.empty"),
        ("  ", "prompts.empty"),
        ("a\x07b", "prompts.control"),
        ("x" * 2001, "prompts.too_long"),
    ],
)
def test_texts_that_are_none(dual_engine, text, key):
    with refuses(key):
        dual_engine.search_text(text)
    with refuses(key):
        dual_engine.zero_shot(draw_lesion("nv", seed=1), Wording(("{}",), {"x": (text,)}))


def test_no_cases(dual_engine):
    with refuses("gallery.k", k=0):
        dual_engine.search_text("a mole", 0)


def test_a_text_that_says_what_all_say(dual_engine, monkeypatch):
    center = dual_engine.words.prompts.directions.center
    monkeypatch.setattr(dual_engine.words, "embed", lambda texts: center[None])
    with refuses("words_of.says_nothing", text="a new one"):
        dual_engine.search_text("a new one")


def test_a_checkpoint_of_pictures_alone(engine, lesion):
    for ask in (engine.search_text, engine.search):
        with refuses("words_of.pictures_alone"):
            ask("blue-white veil")
    with refuses("words_of.pictures_alone"):
        engine.zero_shot(lesion)


def test_a_checkpoint_without_its_text_encoder(dual_checkpoint, tmp_path):
    folder = shutil.copytree(dual_checkpoint, tmp_path / "pictures")
    shutil.rmtree(folder / TEXT)
    with refuses("words_of.no_text") as caught:
        DermSim.from_pretrained(folder).search_text("a mole")
    assert "melanoma" in caught.value.values["known"]


def test_the_text_encoder_of_another_checkpoint(dual_checkpoint, tmp_path):
    folder = shutil.copytree(dual_checkpoint, tmp_path / "copy")
    path = folder / TEXT / "config.json"
    path.write_text(path.read_text().replace("}", "} ", 1))
    with refuses("words_of.other_text", folder="text"):
        DermSim.from_pretrained(folder).search_text("a mole")


def test_a_text_is_asked_once(dual_checkpoint, monkeypatch):
    engine = DermSim.from_pretrained(dual_checkpoint)
    first = engine.search_text("a mole", 3)
    tower = engine.words.tower()
    monkeypatch.setattr(type(tower), "embed", lambda *_: pytest.fail("asked again"))
    assert engine.search_text("a mole", 3) == first


def test_only_so_many_texts_are_kept(dual_engine, monkeypatch):
    monkeypatch.setattr("dermsim.engine.words.KEPT", 3)
    rows = dual_engine.words.embed([f"a mole {n}" for n in range(5)])
    assert len(rows) == 5 and len(dual_engine.words._vectors) == 3
    for number in range(5):
        dual_engine.search_text(f"a mole {number}", 1)
    assert len(dual_engine.words._queries) == 3


def test_names_of_files_and_texts(tmp_path):
    (tmp_path / "veil").write_bytes(b"")
    assert prompting.text_of(str(tmp_path / "veil")) is None
    assert prompting.text_of("lesion.jpg") is None
    assert prompting.text_of(b"blue veil") is None
    assert prompting.text_of("blue veil\0") == "blue veil\0"
