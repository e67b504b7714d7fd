"""The case report: what it says, in which order, and that it is a document by itself."""

import base64
import io
import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from itertools import pairwise
from types import SimpleNamespace

import pytest
from PIL import Image
from refusals import refuses

from dermsim.core.bootstrap import Interval
from dermsim.core.labels import CODES, DISCLAIMER, LABELS
from dermsim.core.language import LANGUAGES, written
from dermsim.core.refused import Phrase
from dermsim.core.version import __version__
from dermsim.data.synthetic import draw_lesion
from dermsim.tasks.classify import OperatingPoint, Reached
from dermsim.tasks.retrieve import Neighbor
from dermsim.ui import operating_slider
from dermsim.ui.case_page import case_html
from dermsim.ui.case_report import examine, origin_of
from dermsim.ui.i18n import say
from dermsim.ui.render import percent
from dermsim.ui.report_callbacks import report_at, report_data, report_link

WHEN = datetime(2026, 5, 17, 9, 30, tzinfo=UTC)
VOID = {"meta", "img", "br", "wbr", "line", "rect"}


class Outline(HTMLParser):
    """Checks that tags close, and collects what is asked about them."""

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.headings = [], [], []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and re.fullmatch("h[1-6]", self.open[-1]):
            self.headings.append((int(self.open[-1][1]), data))

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def picture():
    return draw_lesion("mel", seed=1, size=(320, 240))


@pytest.fixture(scope="module")
def report(engine, picture):
    return examine(engine, picture, name="lesion.png", model="tiny", when=WHEN)


def test_the_report_is_what_the_engine_says(engine, picture, report):
    (alone,) = engine.predict(picture)
    assert report.prediction.probabilities == pytest.approx(alone.probabilities, abs=1e-6)
    assert report.vote == pytest.approx(engine.gallery.vote(engine.embed(picture))[0], abs=1e-5)
    found = engine.gallery.search(engine.embed(picture), 6, one_per_lesion=True)[0]
    assert [case.image_id for case in report.neighbors] == [case.image_id for case in found]
    heatmap = engine.explain(picture, target=alone.label_name)
    assert report.heatmap.peak == pytest.approx(heatmap.peak, rel=1e-3)
    assert report.point == engine.calibration.operating_points["balanced"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_figure_is_in_it(report, language):
    html = case_html(report, language=language)
    text = re.sub(r"<[^>]+>", " ", html)
    for code in CODES:
        assert f"<code>{code}</code>" in html
    for case in report.neighbors:
        assert case.image_id in text
    assert report.origin.fingerprint in text and report.origin.digest in text
    assert "tiny" in text and __version__ in text
    assert "2026-05-17 09:30 UTC" in text
    assert "Grad-CAM" in text
    for reached in report.reached:
        for share in (reached.sensitivity, reached.specificity):
            for figure in (share.value, share.low, share.high):
                assert written(f"{figure * 100:.1f}", language) in text
    assert report.reached  # the tiny checkpoint was measured
    assert say(
        "report.likeness_place", language, share=percent(report.neighbors[0].percentile)
    ) in (text)
    assert "Apache-2.0" in text  # of drawn data


def test_the_disclaimer_is_first_and_last(report):
    html = case_html(report)
    assert html.count(DISCLAIMER) == 2
    assert html.index(DISCLAIMER) < html.index("<img") < html.rindex(DISCLAIMER)
    assert case_html(report, language="es").count("no un producto sanitario") == 2


def test_what_is_strange_is_said_before_any_label(report):
    strange = replace(report, prediction=replace(report.prediction, is_outlier=True))
    body = case_html(strange).split("<body>")[1]
    names = [body.index(item.name) for item in LABELS if item.name in body]
    assert body.index("Unlike anything in training") < min(names)
    familiar = replace(report, prediction=replace(report.prediction, is_outlier=False))
    assert "Unlike anything in training" not in case_html(familiar)
    assert "not unlike those of training" in case_html(familiar)


def test_it_needs_nothing_but_itself(report):
    html = case_html(report)
    page = Outline(html)
    assert {name for name, _ in page.tags} & {"script", "link", "iframe", "a", "form"} == set()
    sources = [attributes["src"] for attributes in page.all("img")]
    assert len(sources) == 2 and all(src.startswith("data:image/jpeg") for src in sources)
    assert "url(" not in html and "@import" not in html
    (policy,) = [m for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    assert policy["content"].startswith("default-src 'none'")


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_can_be_read_aloud(report, language):
    page = Outline(case_html(report, language=language))
    assert page.all("html") == [{"lang": language}]
    assert all(len(image["alt"]) > 20 for image in page.all("img"))
    levels = [level for level, _ in page.headings]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert all(header.get("scope") in ("col", "row") for header in page.all("th"))


def test_no_metadata_of_the_picture_goes_along(engine, tmp_path):
    exif = Image.Exif()
    exif[0x010E] = "the patient's name"
    path = tmp_path / "a.jpg"
    draw_lesion("nv", seed=2).save(path, exif=exif, comment=b"the patient's name")
    html = case_html(examine(engine, path))
    for encoded in re.findall(r"base64,([\w+/=]+)", html):
        data = base64.b64decode(encoded)
        assert b"patient" not in data
        with Image.open(io.BytesIO(data)) as shown:
            assert not shown.getexif() and "comment" not in shown.info


def test_nothing_that_came_from_outside_is_markup(report):
    evil = '<script>alert(1)</script>"&'
    case = Neighbor(evil, None, "mel", 0.5, {"sex": evil, "localization": evil, "dx_type": evil})
    spoilt = replace(
        report,
        name=evil,
        neighbors=(case,),
        origin=replace(report.origin, model=evil, fingerprint=evil, data=evil),
    )
    for language in LANGUAGES:
        html = case_html(spoilt, language=language)
        assert "<script" not in html
        Outline(html)


def test_malignancy_follows_the_operating_point(report):
    for threshold, kind in ((0.0, "malignant"), (1.0, "benign")):
        point = replace(report.point, threshold=threshold)
        assert f"Reads as {kind}" in case_html(replace(report, point=point))


def test_a_point_of_the_readers_own_is_said_to_be_one(engine, picture):
    point = OperatingPoint(threshold=0.0, sensitivity=1.0, specificity=0.0)
    own = examine(engine, picture, point=point)
    assert own.point == point and own.verdict == "malignant"
    assert "“chosen by the reader”" in case_html(own)
    assert "«elegido por quien lee»" in case_html(own, language="es")


def test_what_a_point_reached_elsewhere_is_told_or_that_nobody_knows(report):
    share = Interval(0.853, 0.795, 0.911, 244)
    other = Interval(0.6, 0.55, 0.65, 1374)
    reached = tuple(
        Reached(origin, name, 0.2, share, other)
        for origin, name in (("held_out", "HAM10000"), ("elsewhere", "ISIC 2017"))
    )
    known = case_html(replace(report, reached=reached)).replace("\u00a0", " ")
    assert (
        "On held-out lesions of HAM10000 it caught 85.3 % (95 % interval 79.5 % to 91.1 %)" in known
    )
    assert "In other clinics (ISIC 2017) it caught" in known and "of 1,374 benign ones" in known
    assert "was not measured" in case_html(replace(report, reached=()))


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_withheld_verdict_is_in_no_part_of_the_report(report, language):
    prediction = replace(report.prediction, quality=("no_lesion",))
    html = case_html(replace(report, prediction=prediction), language=language)
    body = html.split("<body>")[1]
    assert say("quality.no_lesion_text", language) in body
    assert body.index(say("quality.withheld", language)) < min(
        body.index(name) for item in LABELS if (name := item.named(language)) in body
    )
    for key in ("report.reads_benign", "report.reads_malignant", "report.agree"):
        assert say(key, language) not in body
    assert "card is-" not in body
    assert "alibr" not in body
    Outline(html)


def test_a_training_photograph_is_never_called_another_patients(engine, synthetic):
    row = synthetic["train"][3]
    found = examine(engine, row["image"])
    assert found.prediction.recognised.image_id == row["image_id"]
    assert row["lesion_id"] not in {case.lesion_id for case in found.neighbors}
    html = case_html(found)
    table = html[html.index("similar of") :]
    assert "The model learned from this photograph" in html
    assert row["image_id"] not in table


def test_a_map_without_evidence_is_said_to_be_one(report):
    empty = replace(report.heatmap, peak=0.0, values=report.heatmap.values * 0)
    assert "Nothing in this picture speaks for" in case_html(replace(report, heatmap=empty))


@pytest.mark.parametrize(
    ("layer", "words"), [(None, "where the model's heads begin"), (-2, "layer layer3")]
)
def test_the_layer_is_named(engine, picture, layer, words):
    html = case_html(examine(engine, picture, layer=layer))
    assert words in html.replace("&#x27;", "'")


def test_the_data_are_named_by_what_they_are(engine):
    origin = origin_of(engine)
    records = engine.gallery.records
    assert (origin.data, origin.cases, origin.licence) == ("synthetic", len(records), "apache-2.0")
    assert origin.lesions == len(set(records.values("lesion_id")))
    assert re.fullmatch("[0-9a-f]{16}", origin.digest)
    fewer = engine.gallery.remove(image_ids=[str(records[0]["image_id"])])
    shorter = SimpleNamespace(gallery=fewer, fingerprint="x", model=engine.model)
    assert origin_of(shorter).digest != origin.digest


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"k": 0}, Phrase("answers.cases", k=0, most=24)),
        ({"point": "best"}, Phrase("case_report.operating_point", point="best")),
        ({"method": "magic"}, Phrase("maps.method", method="magic")),
        ({"layer": 99}, Phrase("opening.no_such_layer", layer=99)),
    ],
)
def test_bad_options_are_refused(engine, picture, options, sentence):
    with refuses(sentence):
        examine(engine, picture, **options)


def test_another_language_is_refused(engine, report):
    with refuses("document.language", language="xx", languages=LANGUAGES):
        case_html(report, language="xx")
    with refuses("document.language", language="xx"):
        report_data(engine, None, "xx")


def test_the_page_links_to_a_report_that_no_server_keeps(engine, tmp_path):
    path = tmp_path / 'my "lesion" <1>.png'
    draw_lesion("nv", seed=2).save(path)
    html = report_link(engine, str(path), language="es")
    (link,) = Outline(html).all("a")
    assert link["download"] == "dermsim-my-lesion-1.html"
    head, data = link["href"].split(",")
    assert head == "data:text/html;charset=utf-8;base64"
    document = base64.b64decode(data).decode("utf-8")
    assert '<html lang="es">' in document and "<img" in document
    assert report_data(engine, str(path), "en").startswith("<!DOCTYPE html>")


def test_a_picture_without_a_name_is_called_the_picture(engine, tmp_path):
    draw_lesion("nv", seed=2).save(tmp_path / "a.png")
    html = report_link(engine, (tmp_path / "a.png").read_bytes())
    (link,) = Outline(html).all("a")
    assert link["download"] == "dermsim-case.html"
    document = base64.b64decode(link["href"].split(",")[1]).decode("utf-8")
    assert "<strong>The picture</strong>" in document


def test_the_page_links_to_a_report_with_the_chosen_alert_line(engine, tmp_path):
    path = tmp_path / "a.png"
    draw_lesion("nv", seed=2).save(path)
    presets, points = (
        operating_slider.presets(engine.calibration),
        operating_slider.stops(engine.calibration),
    )
    chosen = next(stop for stop in range(len(points)) if stop not in presets.values())
    names = {operating_slider.USUAL: "balanced", chosen: "chosen"}
    names |= {presets[name]: name for name in reversed(presets)}
    for stop, name in names.items():
        (link,) = Outline(report_at(engine, str(path), stop)).all("a")
        document = base64.b64decode(link["href"].split(",")[1]).decode("utf-8")
        assert f"“{say(f'report.point_{name}')}”" in document
        threshold = operating_slider.point_at(engine.calibration, stop).threshold
        assert f"left:{threshold:.1%}" in document
    with refuses("operating_slider.no_stop", stop=9999):
        report_at(engine, str(path), 9999)


def test_no_picture_no_report(engine):
    with refuses("callbacks.no_picture"):
        report_link(engine, None)
