"""Words that pictures are compared with, their vectors, and what is said by them."""

import numpy as np
import pytest
from refusals import refuses

from dermsim.core.labels import CODES
from dermsim.tasks.prompt import (
    ARRAYS,
    JSON,
    Directions,
    Prompts,
    Wording,
    center_rows,
    make_directions,
    negated,
    own_wording,
    read_wording,
    zero_shot,
)


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def embed(texts):
    """A vector for each text, the same every time."""
    return np.stack(
        [
            np.random.default_rng(list(text.encode())).normal(size=6).astype(np.float32)
            for text in texts
        ]
    )


def test_the_own_words():
    own = own_wording()
    assert tuple(own.names) == CODES and len(own.templates) == 8
    benign = [t for t in own.templates if "cancer" in t]
    assert benign == []


def test_directions_are_a_slow_loop():
    wording = Wording(("a {}", "{} seen", "of {}"), {"mel": ("x", "y"), "nv": ("z",)})
    found = make_directions(wording, embed)
    for place, synonyms in enumerate(wording.names.values()):
        each = []
        for synonym in synonyms:
            sentences = unit(embed([t.replace("{}", synonym) for t in wording.templates]))
            each.append(unit(sentences.mean(axis=0)))
        np.testing.assert_allclose(found.prototypes[place], unit(np.mean(each, axis=0)), atol=1e-6)
        for number, template in enumerate(wording.templates):
            rows = unit(embed([template.replace("{}", s) for s in synonyms]))
            expected = unit(rows.mean(axis=0))
            np.testing.assert_allclose(found.by_template[number, place], expected, atol=1e-6)


def test_zero_shot_is_a_slow_loop():
    directions = make_directions(own_wording(["mole", "wart", "freckle"]), embed)
    pictures, past = unit(embed(["one", "two"])), unit(embed([f"case {n}" for n in range(50)]))
    found = zero_shot(pictures, directions, scale=20.0, past=past)
    for n, picture in enumerate(pictures):
        powers = [np.exp(20 * float(picture @ p)) for p in directions.prototypes]
        np.testing.assert_allclose(
            found.probabilities[n], np.array(powers) / sum(powers), atol=1e-5
        )
        for c, prototype in enumerate(directions.prototypes):
            below = sum(float(case @ prototype) < float(picture @ prototype) for case in past)
            assert found.percentiles[n, c] == pytest.approx(below / 50)
            each = []
            for template in directions.by_template:
                risen = np.exp(20 * (template @ picture))
                each.append(risen[c] / risen.sum())
            assert found.spread[n, c] == pytest.approx([min(each), max(each)], abs=1e-5)


def test_of_one_prompt_there_is_no_softmax():
    directions = make_directions(own_wording(["mole"]), embed)
    found = zero_shot(unit(embed(["one"])), directions, scale=20.0, past=unit(embed(["a", "b"])))
    assert found.probabilities is None
    low, high = found.spread[0, 0]
    assert low <= high <= 1 and found.similarities.shape == (1, 1)


def test_centred_rows_are_unit_and_lack_the_mean():
    rows = unit(embed([str(n) for n in range(9)]))
    found = center_rows(rows, rows.mean(axis=0))
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(center_rows(rows[:1], rows[0]), np.zeros((1, 6)))


@pytest.mark.parametrize(
    "text", ["no melanoma", "without a network", "NOT benign", "absence of veil", "sin melanoma"]
)
def test_negations(text):
    assert negated(text)


@pytest.mark.parametrize("text", ["nodular melanoma", "notched border", "nonagon", "blue veil"])
def test_words_that_only_look_like_it(text):
    assert not negated(text)


def test_words_of_one_s_own(tmp_path):
    path = tmp_path / "words.toml"
    path.write_text('templates = ["{} here"]\n[names]\nhair = ["hairs", "hair"]\nink = "ink"\n')
    found = read_wording(path)
    assert found == Wording(("{} here",), {"hair": ("hairs", "hair"), "ink": ("ink",)})
    path.write_text('[names]\nhair = ["hairs"]\n')
    assert read_wording(path).templates == own_wording().templates


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("names = 3", "prompts.no_names"),
        ("[names]", "prompts.count"),
        ("[names]\nx = []", "prompts.no_words"),
        ("[names]\nx = [1]", "prompts.no_list"),
        ('templates = ["none"]\n[names]\nx = "y"', "prompts.template"),
        ('templates = []\n[names]\nx = "y"', "prompts.count"),
        ('[names]\nx = "y"\nz = " Y "', "prompts.twice"),
        ('[names]\nx = " "', "prompts.empty"),
        ('[names]\nx = "a\\u0007b"', "prompts.control"),
        (f'[names]\nx = "{"y" * 2001}"', "prompts.too_long"),
        ('more = 1\n[names]\nx = "y"', "prompts.key"),
        ("[names", "prompts.no_toml"),
    ],
)
def test_words_that_are_none(tmp_path, text, key):
    path = tmp_path / "words.toml"
    path.write_text(text)
    with refuses(key):
        read_wording(path)


def test_no_file_of_words(tmp_path):
    with refuses("storage.no_file", FileNotFoundError):
        read_wording(tmp_path / "gone.toml")


def test_two_prompts_that_are_the_same_and_too_many():
    with refuses("prompts.twice", text="Mole"):
        own_wording(["mole", "Mole"])
    with refuses("prompts.count", count=65):
        own_wording([f"prompt {n}" for n in range(65)])


# --- the part of a checkpoint --------------------------------------------------------------------


@pytest.fixture
def saved(tmp_path):
    wording = own_wording()
    Prompts(wording, make_directions(wording, embed), "0" * 16).save(tmp_path)
    return tmp_path


def test_what_is_written_is_read(saved):
    found = Prompts.load(saved, dim=6)
    expected = make_directions(own_wording(), embed)
    assert found.wording == own_wording() and found.text == "0" * 16
    np.testing.assert_array_equal(found.directions.prototypes, expected.prototypes)
    np.testing.assert_array_equal(found.directions.by_template, expected.by_template)
    assert found.directions.center == pytest.approx(expected.prototypes.mean(axis=0))


def test_a_checkpoint_of_pictures_alone_has_none(tmp_path):
    assert Prompts.load(tmp_path, dim=6) is None


def test_one_file_of_the_two(saved):
    (saved / ARRAYS).unlink()
    with refuses("storage.no_file", FileNotFoundError):
        Prompts.load(saved, dim=6)


def test_of_another_width(saved):
    with refuses("prompts.array", array="prototypes"):
        Prompts.load(saved, dim=7)


def test_of_another_text_encoder(saved):
    import json

    values = json.loads((saved / JSON).read_text())
    (saved / JSON).write_text(json.dumps({**values, "text": "1" * 16}))
    with refuses("prompts.parts"):
        Prompts.load(saved, dim=6)


def test_numbers_that_are_none(saved):
    wording = own_wording()
    made = make_directions(wording, embed)
    spoiled = Directions(made.names, made.prototypes * np.nan, made.by_template)
    Prompts(wording, spoiled, "0" * 16).save(saved)
    with refuses("prompts.array"):
        Prompts.load(saved, dim=6)
