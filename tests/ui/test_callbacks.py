import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from refusals import refuses

from dermsim.core.labels import CODES, LABELS, diagnosis
from dermsim.core.refused import Phrase
from dermsim.data.ham10000 import load_ham10000
from dermsim.data.synthetic import draw_lesion
from dermsim.ui import callbacks, explain_callbacks, operating_slider, opinions


@pytest.fixture(scope="module")
def lesion(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("pictures") / "lesion.png"
    draw_lesion("mel", seed=3, size=(200, 150)).save(path)
    return str(path)


@pytest.fixture(scope="module")
def five(tmp_path_factory) -> list[str]:
    folder = tmp_path_factory.mktemp("five")
    paths = [str(folder / f"{seed}.png") for seed in range(5)]
    for seed, path in enumerate(paths):
        draw_lesion("vasc", seed=seed, size=(120, 90)).save(path)
    return paths


# Without a picture, every tab says what will be there.


def test_without_a_picture_each_tab_explains_itself(engine):
    case = callbacks.classify(engine, None)
    assert (case.notice, case.summary, case.neighbors) == ("", "", ())
    assert all(item.name in case.verdict for item in LABELS)
    assert "past cases most like it" in callbacks.similar(engine, None, 5)
    assert "enrol a class" in callbacks.compare(engine, engine.class_bank(), None)


# With one.


def test_classify_shows_the_engines_answer(engine, lesion):
    case = callbacks.classify(engine, lesion)
    notice, page = case.notice, case.verdict
    answer = engine.predict([lesion])[0]
    name = f"<strong>{diagnosis(answer.label_name).name}.</strong>"
    assert (name in page) == (not answer.withheld)
    assert [n.image_id for n in case.neighbors] == [
        n.image_id for n in engine.search([lesion], explain_callbacks.CASES)[0]
    ]
    assert ("Unlike anything in training" in notice) == answer.is_outlier
    vote = engine.analyze(lesion, k=1, explain=None).vote
    assert "Trained on drawings" in notice
    if not answer.withheld:
        assert notice.endswith(opinions.undecided(answer, vote))
    assert ("ds-track-votes" in page) == (not answer.withheld)


def test_a_strange_picture_is_warned_of(engine, tmp_path):
    path = tmp_path / "stripes.png"
    stripes = np.tile(np.repeat([0, 255], 8), 12)[None, :, None]
    Image.fromarray(np.broadcast_to(stripes, (150, 192, 3)).astype(np.uint8)).save(path)
    assert engine.predict([path])[0].is_outlier
    assert "Unlike anything in training" in callbacks.classify(engine, str(path)).notice


def test_one_look_of_the_model_says_everything_above_the_tabs(engine, lesion, monkeypatch):
    looks = []
    encode = engine._encode
    monkeypatch.setattr(engine, "_encode", lambda *a, **o: looks.append(a) or encode(*a, **o))
    case = callbacks.classify(engine, lesion)
    assert len(looks) == 1
    assert "ds-summary" in case.summary and "ds-verdict" in case.verdict


def test_the_alert_line_is_drawn_where_the_visitor_put_it(engine, lesion):
    points = operating_slider.stops(engine.calibration)
    for stop in (0, len(points) - 1):
        case = callbacks.classify(engine, lesion, stop)
        malignancy = engine.predict([lesion])[0].malignancy
        word = "malignant" if malignancy >= points[stop].threshold else "benign"
        for page in (case.summary, case.verdict):
            assert f'is-{word}" data-malignancy' in page
        assert f"left:{points[stop].threshold:.1%}" in case.summary
    count, usual, panel, names = callbacks.points(engine)
    assert set(names) == set(engine.calibration.operating_points)
    assert count == len(points)
    assert points[usual] == engine.calibration.operating_point("balanced")
    assert panel == operating_slider.panel(engine)
    with refuses("operating_slider.no_stop", stop=9999):
        callbacks.classify(engine, lesion, 9999)


def test_programs_name_the_operating_point(engine, lesion):
    malignancy = engine.predict([lesion])[0].malignancy
    assert callbacks.classify_data(engine, lesion, "0")["is_malignant"]
    assert not callbacks.classify_data(engine, lesion, 1.0)["is_malignant"]
    threshold = engine.calibration.operating_point("sensitivity_95").threshold
    answer = callbacks.classify_data(engine, lesion, "sensitivity_95")
    assert answer["is_malignant"] == (malignancy >= threshold)
    with refuses("calibration.operating_point", name="strict"):
        callbacks.classify_data(engine, lesion, "strict")


def test_similar_cases_are_the_engines(engine, lesion):
    asked = []
    page = callbacks.similar(engine, lesion, 4, False, pictures=lambda i: asked.append(i))
    assert asked == [found.image_id for found in engine.search([lesion], k=4)[0]]
    assert "The 4 most similar" in page


def test_similar_cases_have_the_facts_that_were_chosen(engine, lesion):
    asked = []
    facts = (["nv", "mel"], [], [], [], 0, 100)
    page = callbacks.similar(engine, lesion, 4, True, *facts, pictures=lambda i: asked.append(i))
    expected = engine.gallery.search(
        engine.embed([lesion]), 4, where={"dx": ["nv", "mel"]}, one_per_lesion=True
    )[0]
    assert asked == [found.image_id for found in expected]
    chosen = sum(case["dx"] in ("nv", "mel") for case in engine.gallery.records)
    assert f"The 4 most similar of {chosen} past cases" in page
    assert "nearest of these past cases vote" in page
    cases = callbacks.similar_data(engine, lesion, 4, True, *facts)
    assert [case["image_id"] for case in cases] == asked
    nobody = ([], [], [], [], 99, 100)
    assert "No past case is like that" in callbacks.similar(engine, lesion, 4, True, *nobody)
    with refuses("filters.no_age"):
        callbacks.similar(engine, lesion, 4, True, [], [], [], [], 60, 20)


def test_a_lesion_is_shown_once_unless_asked(engine, lesion):
    several = callbacks.similar_data(engine, lesion, 24, False)
    once = callbacks.similar_data(engine, lesion, 24, True)
    assert len({case["lesion_id"] for case in several}) < len(several) == 24
    assert len({case["lesion_id"] for case in once}) == len(once) == 24


# Enrolment.


def test_enrolling_makes_a_new_bank_and_leaves_the_old(engine, five):
    bank = engine.class_bank()
    told = []
    taught = callbacks.enroll(
        engine, bank, " clover ", five, report=lambda share, text: told.append((share, text))
    )
    assert callbacks.own_classes(taught) == {"clover": 5}
    assert callbacks.own_classes(bank) == {}
    assert [share for share, _ in told] == [0, 0.2, 0.4, 0.6, 0.8]
    assert told[1][1] == "Reading picture 2 of 5"
    page = callbacks.compare(engine, taught, five[0])
    assert "yours" in page
    assert "yours" not in callbacks.compare(engine, bank, five[0])


def test_a_class_is_known_again_by_its_own_picture(engine, five):
    taught = callbacks.enroll(engine, engine.class_bank(), "clover", five[:1])
    probabilities = callbacks.compare_data(engine, taught, five[0])
    assert max(probabilities, key=probabilities.get) == "clover"
    assert sum(probabilities.values()) == pytest.approx(1)


def test_a_bank_survives_its_file(engine, five, tmp_path):
    taught = callbacks.enroll(engine, engine.class_bank(), "clover", five)
    path = callbacks.save_bank(taught, tmp_path)
    again = callbacks.load_bank(engine, str(path))
    assert callbacks.own_classes(again) == {"clover": 5}
    assert callbacks.compare_data(engine, again, five[0]) == pytest.approx(
        callbacks.compare_data(engine, taught, five[0])
    )
    assert callbacks.own_classes(callbacks.remove(again, "clover")) == {}


@pytest.mark.parametrize(
    ("name", "count", "sentence"),
    [
        ("", 1, "callbacks.no_name"),
        ("   ", 1, "callbacks.no_name"),
        (None, 1, "callbacks.no_name"),
        ("clover", 0, Phrase("callbacks.no_pictures", name="clover")),
        ("clover", 51, Phrase("callbacks.too_many", count=51)),
        ("mel", 1, Phrase("bank.class_exists", name="mel")),
        ("x" * 81, 1, Phrase("bank.long_name", most=80)),
    ],
)
def test_what_cannot_be_enrolled_is_refused(engine, five, name, count, sentence):
    pictures = [five[0]] * count
    with refuses(sentence):
        callbacks.enroll(engine, engine.class_bank(), name, pictures)


@pytest.mark.parametrize("name", [None, "", "mel", "never taught"])
def test_only_ones_own_classes_can_be_removed(engine, name):
    with refuses("callbacks.nothing_to_remove"):
        callbacks.remove(engine.class_bank(), name)


def test_a_file_that_is_no_bank_is_refused(engine, tmp_path):
    path = tmp_path / "notes.safetensors"
    path.write_text("hello")
    with refuses("storage.not_safetensors", name="notes.safetensors"):
        callbacks.load_bank(engine, str(path))


def test_a_bank_of_another_model_is_refused(engine, tmp_path):
    own = engine.class_bank()
    other = replace(own, fingerprint="another")
    with refuses("files.other_encoder", theirs="another"):
        callbacks.load_bank(engine, str(callbacks.save_bank(other, tmp_path)))


# Bad values and bad pictures.


@pytest.mark.parametrize("k", [0, 25, 2.5, -1, "six", None, float("nan")])
def test_a_number_of_cases_out_of_range_is_refused(engine, lesion, k):
    with refuses("answers.cases", most=24):
        callbacks.similar(engine, lesion, k)


def _damaged(folder, kind: str) -> str:
    """Write a picture that must be refused."""
    path = folder / f"{kind}.jpg"
    if kind == "text":
        path.write_text("not a picture")
    elif kind == "empty":
        path.touch()
    elif kind == "truncated":
        draw_lesion("nv", seed=0).save(path)
        path.write_bytes(path.read_bytes()[:2000])
    elif kind == "tiny":
        Image.new("RGB", (1, 1)).save(path)
    elif kind == "bomb":
        Image.new("1", (30_000, 30_000)).save(path, "PNG")
    return str(path)


REFUSALS = {
    "text": "images.not_an_image",
    "empty": "images.empty",
    "truncated": "pixels.truncated",
    "tiny": Phrase("images.too_small", name="tiny.jpg", width=1, height=1),
    "bomb": Phrase("images.too_large", width=30_000, height=30_000),
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_a_bad_picture_is_refused_everywhere_with_the_same_sentence(engine, tmp_path, kind):
    path = _damaged(tmp_path, kind)
    bank = engine.class_bank()
    for act in (
        lambda: callbacks.classify(engine, path),
        lambda: explain_callbacks.explain(engine, path),
        lambda: explain_callbacks.case_choices(engine, path),
        lambda: callbacks.similar(engine, path, 5),
        lambda: callbacks.compare(engine, bank, path),
        lambda: callbacks.enroll(engine, bank, "clover", [path]),
        lambda: callbacks.classify_data(engine, path),
    ):
        with refuses(REFUSALS[kind], name=f"{kind}.jpg") as refusal:
            act()
        assert "\n" not in str(refusal.value)
        assert str(tmp_path) not in str(refusal.value)


def _unusual(folder, kind: str) -> tuple[str, Image.Image]:
    """Write a picture that must be read; return it and what it shows."""
    plain = draw_lesion("mel", seed=5, size=(120, 90))
    path, shown = folder / f"{kind}.png", plain
    if kind == "cmyk":
        path = folder / "cmyk.jpg"
        plain.convert("CMYK").save(path, quality=95)
        shown = Image.open(path).convert("RGB")
    elif kind == "grey16":
        grey = np.asarray(plain.convert("L"))
        Image.fromarray(grey.astype(np.uint16) * 257).save(path)
        shown = Image.fromarray(grey).convert("RGB")
    elif kind == "rgba":
        plain.convert("RGBA").save(path)
    elif kind in ("palette", "animated"):
        path = folder / f"{kind}.gif"
        frame = plain.quantize()
        frame.save(path, save_all=kind == "animated", append_images=[Image.new("P", plain.size)])
        shown = frame.convert("RGB")
    elif kind == "rotated":
        exif = Image.Exif()
        exif[0x0112] = 6
        plain.rotate(90, expand=True).save(path, exif=exif)
    return str(path), shown


@pytest.mark.parametrize("kind", ["cmyk", "grey16", "rgba", "palette", "animated", "rotated"])
def test_an_unusual_picture_is_read_as_what_it_shows(engine, tmp_path, kind):
    path, shown = _unusual(tmp_path, kind)
    assert callbacks.classify(engine, path) == callbacks.classify(engine, shown)


# Endpoints and what is drawn at start.


def test_the_endpoints_answers_are_json(engine, lesion, five):
    bank = callbacks.enroll(engine, engine.class_bank(), "clover", five)
    drawn, facts = explain_callbacks.explain_data(engine, lesion, "nv", 0.6)
    answers = [
        callbacks.classify_data(engine, lesion),
        facts,
        callbacks.similar_data(engine, lesion, 3),
        callbacks.compare_data(engine, bank, lesion),
    ]
    first, _, cases, compared = json.loads(json.dumps(answers, allow_nan=False))
    assert sum(first["probabilities"].values()) == pytest.approx(1)
    assert "not a medical device" in first["disclaimer"]
    assert [case["image_id"] for case in cases]
    assert "clover" in compared
    assert drawn.size == (900, 675), "large enough for a smooth outline"


def test_the_endpoints_ask_for_a_picture(engine):
    for act in (
        lambda: callbacks.classify_data(engine, None),
        lambda: explain_callbacks.explain_data(engine, None, "", 0.6),
        lambda: callbacks.similar_data(engine, None, 5),
        lambda: callbacks.compare_data(engine, engine.class_bank(), None),
    ):
        with refuses("callbacks.no_picture"):
            act()


def test_the_examples_are_one_drawing_of_each(tmp_path):
    paths = callbacks.draw_examples(tmp_path)
    assert [path.rsplit("-", 1)[1] for path in paths] == [f"{code}.png" for code in CODES]
    assert all(Image.open(path).size == (400, 300) for path in paths)


def test_pictures_of_past_cases_come_from_a_data_set(tmp_path):
    with (tmp_path / "metadata.csv").open("w", newline="") as table:
        writer = csv.writer(table)
        writer.writerow(["file_name", "image_id", "lesion_id", "dx"])
        for row, color in enumerate(["#ff0000", "#00ff00"]):
            Image.new("RGB", (40, 30), color).save(tmp_path / f"{row}.png")
            writer.writerow([f"{row}.png", f"ISIC_{row}", f"HAM_{row}", "nv"])
    pictures = callbacks.dataset_pictures(load_ham10000(tmp_path))
    assert pictures("ISIC_1").getpixel((5, 5)) == (0, 255, 0)
    assert pictures("ISIC_9") is None
