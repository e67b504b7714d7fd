import json
import re
from html import unescape

import numpy as np
import pytest
from PIL import Image
from refusals import refuses

from dermsim.core.refused import Phrase
from dermsim.data.synthetic import draw_lesion
from dermsim.engine import DermSim
from dermsim.engine.explain import Explaining
from dermsim.tasks.retrieve import PairScale, Standing
from dermsim.ui import compare_callbacks, explain_callbacks, likeness, operating_slider
from dermsim.ui.render import percent


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("two")
    for code in ("mel", "nv"):
        draw_lesion(code, seed=3, size=(200, 150)).save(folder / f"{code}.png")
    return str(folder / "mel.png"), str(folder / "nv.png")


@pytest.fixture(scope="module")
def case(engine) -> str:
    return str(engine.gallery.records[5]["image_id"])


def test_without_two_pictures_the_tab_explains_itself(engine, two, case):
    nothing = compare_callbacks.ComparisonView(None, compare_callbacks.nothing_compared(), "", "")
    for image, other, chosen in [(None, None, None), (two[0], None, ""), (None, two[1], case)]:
        found = compare_callbacks.compare(engine, image, other, chosen)
        assert (found.explanation, found.words, found.first, found.second) == (
            nothing.explanation,
            nothing.words,
            "",
            "",
        )
    assert compare_callbacks.paint(None, True) == (None, None)


def test_two_pictures_are_as_alike_as_their_embeddings(engine, two):
    found = compare_callbacks.compare(engine, *two)
    first, second = engine.embed(list(two))
    assert f'<p class="ds-figure">{first @ second:.2f}</p>' in found.words
    for page, answer in zip((found.first, found.second), engine.predict(list(two)), strict=True):
        assert f'data-malignancy="{answer.malignancy!r}"' in page
    assert "Your picture" in found.first and "The second picture" in found.second


def test_the_maps_are_those_of_the_likeness(engine, two):
    found = compare_callbacks.compare(engine, *two)
    expected = engine.explain_likeness(*two)
    for kept, whole in zip(found.explanation.heatmaps, expected, strict=True):
        assert kept.target == "similarity"
        assert (kept.score, kept.peak) == (whole.score, whole.peak)
    painted, plain = (
        compare_callbacks.paint(found.explanation, True),
        compare_callbacks.paint(found.explanation, False),
    )
    for drawn, bare in zip(painted, plain, strict=True):
        assert drawn.size == bare.size
    assert any(np.any(np.asarray(a) != np.asarray(b)) for a, b in zip(painted, plain, strict=True))


def test_a_past_case_without_a_picture_is_compared_by_its_embedding(engine, two, case):
    found = compare_callbacks.compare(engine, two[0], None, case)
    cosine = float(engine.embed([two[0]])[0] @ engine.gallery.embeddings[5])
    assert f'<p class="ds-figure">{cosine:.2f}</p>' in found.words
    assert len(found.explanation.pictures) == 1
    assert compare_callbacks.paint(found.explanation, True)[1] is None
    assert case in found.second and "no picture of this case here" in found.second
    assert "data-malignancy" not in found.second


def test_a_past_case_with_a_picture_is_said_to_have_been_learned(engine, two, case):
    drawing = draw_lesion("bkl", seed=1, size=(120, 90))
    found = compare_callbacks.compare(engine, two[0], None, case, pictures=lambda _: drawing)
    assert "trained on this case" in found.second and "data-malignancy" in found.second
    assert compare_callbacks.paint(found.explanation, True)[1] is not None


def test_an_uploaded_picture_goes_before_a_chosen_case(engine, two, case):
    assert (
        compare_callbacks.compare(engine, *two, case).words
        == compare_callbacks.compare(engine, *two).words
    )


def test_the_chosen_line_is_drawn_in_both(engine, two):
    last = len(operating_slider.stops(engine.calibration)) - 1
    found = compare_callbacks.compare(engine, *two, stop=last)
    for page, path in ((found.first, two[0]), (found.second, two[1])):
        threshold = operating_slider.point_at(engine.calibration, last).threshold
        (answer,) = engine.predict([path])
        word = "malignant" if answer.malignancy >= threshold else "benign"
        assert f"ds-cell-risk is-{word}" in page


def test_a_picture_beside_itself_is_one_and_the_same(engine, two):
    words = compare_callbacks.compare(engine, two[0], two[0]).words
    assert "one and the same picture" in words
    assert "nothing is painted" in words


def test_it_speaks_spanish(engine, two, case):
    found = compare_callbacks.compare(engine, two[0], None, case, language="es")
    assert "Parecido" in found.words and "Likeness" not in found.words
    assert "El caso anterior" in found.second


def test_the_endpoint_answers_with_the_same_in_json(engine, two, case):
    first, second, facts = compare_callbacks.compare_data(engine, *two)
    assert isinstance(first, Image.Image) and isinstance(second, Image.Image)
    again = json.loads(json.dumps(facts, allow_nan=False))
    a, b = engine.embed(list(two))
    assert again["likeness"] == pytest.approx(float(a @ b), abs=1e-5)
    standing = compare_callbacks.scale_of(engine.gallery).standing(again["likeness"])
    assert again["more_alike_than"] == {"same": standing.same, "different": standing.different}
    assert [p["label_name"] for p in again["predictions"]] == [
        p.label_name for p in engine.predict(list(two))
    ]
    assert again["case"] is None and "not a medical device" in again["disclaimer"]
    _, nothing, facts = compare_callbacks.compare_data(engine, two[0], None, case)
    assert nothing is None and facts["case"]["image_id"] == case
    assert len(facts["predictions"]) == 1


def test_bad_input_is_refused_with_a_sentence(engine, two, tmp_path):
    letter = tmp_path / "letter.jpg"
    letter.write_text("Dear doctor")
    for act, sentence in (
        (lambda: compare_callbacks.compare_data(engine, None, two[1]), "callbacks.no_picture"),
        (
            lambda: compare_callbacks.compare_data(engine, two[0], None),
            "compare_callbacks.no_second",
        ),
        (
            lambda: compare_callbacks.compare(engine, two[0], None, "ISIC_x"),
            Phrase("explain_callbacks.no_past_case", name="ISIC_x"),
        ),
        (
            lambda: compare_callbacks.compare(engine, two[0], str(letter)),
            Phrase("images.not_an_image", name="letter.jpg"),
        ),
        (
            lambda: compare_callbacks.compare(engine, *two, stop=-7),
            Phrase("operating_slider.no_stop", stop=-7),
        ),
    ):
        with refuses(sentence):
            act()


def test_the_pairs_are_drawn_once_for_a_gallery(engine, monkeypatch):
    first = compare_callbacks.scale_of(engine.gallery)
    monkeypatch.setattr(PairScale, "of", None)
    assert compare_callbacks.scale_of(engine.gallery) is first


def test_the_cases_to_choose_are_the_nearest(engine, two):
    nearest = engine.search([two[0]], 3)[0]
    offered = explain_callbacks.named_cases(nearest)
    assert [case for _, case in offered] == [case.image_id for case in nearest]
    assert offered[0][0].startswith("1. ")
    share = unescape(percent(nearest[0].percentile))
    assert offered[0][0].endswith(f", more alike than {share} of pairs with one diagnosis")


def test_pictures_are_read_by_the_engine_once_each(engine, two, monkeypatch):
    """Two pictures cost one batch for the predictions and one for the maps."""
    calls = []
    for name, owner in (("predict", DermSim), ("explain_likeness", Explaining)):
        real = getattr(owner, name)

        def counted(self, *values, _name=name, _real=real, **options):
            calls.append(_name)
            return _real(self, *values, **options)

        monkeypatch.setattr(owner, name, counted)
    compare_callbacks.compare(engine, *two)
    assert sorted(calls) == ["explain_likeness", "predict"]


# In words.


@pytest.mark.parametrize(
    ("similarity", "standing", "words"),
    [
        (0.99999, Standing(0.9, 1.0), "one and the same"),
        (0.9, Standing(0.5, 0.95), "Very alike"),
        (0.9, Standing(0.49, 0.95), "rarely are so"),
        (0.5, Standing(0.1, 0.5), "Somewhat alike"),
        (0.1, Standing(0.0, 0.49), "Hardly alike"),
    ],
)
def test_a_likeness_is_put_into_words_by_where_it_stands(similarity, standing, words):
    assert words in likeness.words(similarity, standing)


def test_a_likeness_is_marked_among_the_pairs():
    half = np.linspace(0, 1, 50, dtype=np.float32)
    scale = PairScale(half, half - 1)
    page = likeness.panel(0.5, scale, 1234)
    assert "left:75.00%" in page
    assert "1,234 past cases" in page
    assert "50" in page and page.count("<path") == 2
    assert re.search(r'role="img" aria-label="Likeness 0\.500', page)
    assert "left:100.00%" in likeness.panel(1.5, scale, 1234)
