"""What a loaded checkpoint says of where it looked: targets, pairs, many images, regions."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from refusals import refuses

from dermsim.core.bootstrap import Interval
from dermsim.core.checkpoint import EXPLANATIONS
from dermsim.core.explain_methods import METHODS, UNMEASURED, VANISHED
from dermsim.core.explain_worth import ExplanationWorth, MethodWorth
from dermsim.core.labels import CODES, LABEL2ID, MALIGNANT
from dermsim.data.synthetic import draw_lesion, draw_outline
from dermsim.engine import DermSim
from dermsim.engine.framing import Frame, cut_region


@pytest.fixture(scope="module")
def lesion():
    return draw_lesion("mel", seed=5)


@pytest.fixture(scope="module")
def bank(engine):
    pictures = [draw_lesion("vasc", seed=s) for s in range(3)]
    bank = engine.class_bank()
    return bank.enroll("clover", engine.embed(pictures, space=bank.space.name))


def same(one, other):
    return np.array_equal(one.values, other.values) and one.peak == other.peak


def test_the_methods_are_those_of_a_convolutional_network(engine):
    names = [method.name for method in engine.explanation_methods()]
    assert names == [name for name, method in METHODS.items() if not method.needs_attention]
    assert engine.explanation_stages()[-1] == "layer4"


# --- the method that did best --------------------------------------------------------------------


def figure(value):
    return Interval(value, value - 0.01, value + 0.01, 40)


def measured(engine, *ways):
    """By method and layer, the second better than the first and so on."""
    found = [
        MethodWorth(name, layer, figure(0.5), figure(0.1 * n), figure(0.2), figure(0.1 * n))
        for n, (name, layer) in enumerate(ways)
    ]
    return ExplanationWorth(engine.fingerprint, "drawings", "validation", tuple(found), 0.2)


def test_unmeasured_maps_are_the_usual_ones_and_say_so(engine, lesion):
    heatmap = engine.explain(lesion)
    assert engine.explanation_method() == heatmap.method == UNMEASURED
    assert engine.worth_of(heatmap).why == "not_measured"


def test_the_default_is_the_method_and_the_layer_that_did_best(engine, lesion, monkeypatch):
    at_last = engine.explain(lesion, method="layercam")
    monkeypatch.setattr(engine, "worth", measured(engine, ("gradcam", None), ("layercam", -2)))
    best = engine.explain(lesion)
    assert best.method == engine.explanation_method() == "layercam"
    assert same(best, engine.explain(lesion, method="layercam", layer=-2))
    assert not same(best, at_last)
    assert engine.analyze(lesion).heatmap.method == "layercam"
    assert engine.worth_of(best).figures.method == "layercam"
    assert engine.worth_of(best, layer=-2).verdict == "better"
    assert engine.worth_of(best, layer=-1).why == "other_layer"
    assert engine.worth_of(best, smooth=True).why == "smooth"
    assert engine.worth_of(engine.explain(lesion, method="hirescam")).why == "not_measured"


def test_a_likeness_is_explained_by_occlusion_where_its_gradient_vanishes(engine, lesion):
    own = engine.embed([lesion])[0]
    flat = engine.explain(lesion, like=own, method="gradcam")
    found = engine.explain(lesion, like=own)
    assert flat.peak <= VANISHED
    assert (flat.method, found.method) == ("gradcam", "occlusion")
    assert found.peak > flat.peak and found.target == "similarity"
    for heatmap in engine.explain_likeness(lesion, lesion):
        assert heatmap.method == "occlusion"
    assert {m.method for m in engine.explain_likeness(lesion, lesion, method="gradcam")} == {
        "gradcam"
    }


def test_where_it_does_not_vanish_the_method_is_kept(engine, lesion, monkeypatch):
    monkeypatch.setattr("dermsim.engine.explain.VANISHED", -1.0)
    assert engine.explain(lesion, like=engine.embed([lesion])[0]).method == UNMEASURED


def test_what_was_measured_is_kept_with_the_checkpoint(engine, lesion, monkeypatch, tmp_path):
    kept = measured(engine, ("gradcam", None), ("layercam", -2))
    monkeypatch.setattr(engine, "worth", kept)
    engine.save_pretrained(tmp_path / "c")
    assert DermSim.from_pretrained(tmp_path / "c").worth.to_dict() == kept.to_dict()
    monkeypatch.setattr(engine, "worth", None)
    engine.save_pretrained(tmp_path / "c")
    assert DermSim.from_pretrained(tmp_path / "c").worth is None


def test_a_damaged_file_of_figures_is_refused(engine, tmp_path):
    engine.save_pretrained(tmp_path / "c")
    (tmp_path / "c" / EXPLANATIONS).write_text("[]")
    with refuses("load.unusable"):
        DermSim.from_pretrained(tmp_path / "c")


def test_a_map_says_what_was_seen(engine):
    found = engine.explain(draw_lesion("mel", seed=5, size=(200, 100)))
    left, top, right, bottom = found.seen
    side = Frame.of(engine.processor).side((200, 100))
    assert (right - left, bottom - top) == (pytest.approx(side / 200), pytest.approx(side / 100))
    assert not found.values[:, : round(left * 200)].any()


# --- targets -------------------------------------------------------------------------------------


def test_a_diagnosis_is_explained_by_its_logit(engine, lesion):
    probabilities = engine.predict(lesion)[0].probabilities
    scores = {code: engine.explain(lesion, target=code).score for code in CODES}
    odds = np.array([scores[code] for code in CODES]) / engine.calibration.temperature
    expected = np.exp(odds) / np.exp(odds).sum()
    np.testing.assert_allclose(list(probabilities.values()), expected, atol=1e-5)


def test_malignancy_is_explained_by_its_calibrated_log_odds(engine, lesion):
    heatmap = engine.explain(lesion, target="malignancy")
    assert heatmap.target == "malignancy"
    malignancy = engine.predict(lesion)[0].malignancy
    expected = engine.calibration.temperature * np.log(malignancy / (1 - malignancy))
    assert heatmap.score == pytest.approx(expected, rel=1e-4)
    assert {engine.explain(lesion, target=code).target for code in MALIGNANT} == set(MALIGNANT)


@pytest.mark.parametrize("head", ["mean", "neighbors", "logistic"])
def test_an_enrolled_class_is_explained_by_its_score_but_for_the_bias(engine, lesion, head):
    bank = engine.class_bank()
    pictures = [draw_lesion("vasc", seed=s) for s in range(3)]
    taught = bank.enroll("clover", engine.embed(pictures, space=bank.space.name), head=head)
    heatmap = engine.explain(lesion, target="clover", bank=taught)
    assert heatmap.target == "clover"
    score = taught.scores(engine.embed(lesion, space=bank.space.name))[0, -1]
    expected = (score - taught.heads[0].bias) * taught.temperature
    assert heatmap.score == pytest.approx(expected, abs=1e-5)


def test_a_diagnosis_is_the_classifiers_whatever_the_bank(engine, lesion, bank):
    assert same(
        engine.explain(lesion, target="mel", bank=bank), engine.explain(lesion, target="mel")
    )


def test_likeness_to_a_picture_is_likeness_to_its_embedding(engine, lesion):
    other = draw_lesion("nv", seed=2)
    picture = engine.explain(lesion, like=other)
    embedding = engine.explain(lesion, like=engine.embed(other)[0])
    np.testing.assert_allclose(picture.values, embedding.values, atol=1e-4)
    expected = float(engine.embed(lesion)[0] @ engine.embed(other)[0])
    assert picture.score == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("method", ["gradcam", "scorecam"])
def test_likeness_is_painted_on_both(engine, lesion, method):
    other = draw_lesion("nv", seed=2, size=(120, 160))
    first, second = engine.explain_likeness(lesion, other, method=method)
    assert first.values.shape == (150, 200) and second.values.shape == (160, 120)
    assert first.score == pytest.approx(second.score, abs=1e-5)
    alone = engine.explain(lesion, like=other, method=method)
    back = engine.explain(other, like=lesion, method=method)
    np.testing.assert_allclose(first.values, alone.values, atol=1e-4)
    np.testing.assert_allclose(second.values, back.values, atol=1e-4)


# --- many images ---------------------------------------------------------------------------------


def test_many_are_explained_as_one_by_one(engine, synthetic):
    images = list(synthetic["test"]["image"])[:7]
    targets = ["mel", None, "malignancy", "nv", None, "mel", "vasc"]
    together = engine.explain_many(images, target=targets, batch_size=3)
    for image, target, heatmap in zip(images, targets, together, strict=True):
        alone = engine.explain(image, target=target)
        assert heatmap.target == alone.target
        np.testing.assert_allclose(heatmap.values, alone.values, atol=1e-3)
        assert heatmap.peak == pytest.approx(alone.peak, rel=1e-3)


def test_the_default_target_is_each_images_prediction(engine, synthetic):
    images = list(synthetic["test"]["image"])[:5]
    found = [heatmap.target for heatmap in engine.explain_many(images)]
    assert found == [prediction.label_name for prediction in engine.predict(images)]


def test_no_images_no_heatmaps(engine):
    assert engine.explain_many([]) == []


@pytest.mark.parametrize(("layer", "name"), [(-2, "layer3"), (0, "act1")])
def test_layers_by_number_and_by_name(engine, lesion, layer, name):
    assert engine.explanation_stages()[layer] == name
    by_number = engine.explain(lesion, target="nv", method="layercam", layer=layer)
    assert same(by_number, engine.explain(lesion, target="nv", method="layercam", layer=name))
    assert not same(by_number, engine.explain(lesion, target="nv", method="layercam"))


def test_smooth_maps_are_steadier(engine, lesion):
    def turned(smooth):
        options = {"target": "nv", "method": "layercam", "smooth": smooth}
        square = lesion.crop((25, 0, 175, 150))
        upright = engine.explain(square, **options).values
        around = engine.explain(square.rotate(180), **options).values
        return np.abs(upright - around[::-1, ::-1]).mean()

    assert turned(True) < 1e-3 < turned(False)


def test_thirty_two_threads_get_the_maps_of_one(engine, bank):
    """The maps of different pictures asked at once through one engine are bit for bit the same."""
    pictures = [draw_lesion(code, seed=seed) for seed in range(5) for code in CODES][:32]
    jobs = []
    for i, picture in enumerate(pictures):
        method = [m.name for m in engine.explanation_methods()][i % 7]
        target = (None, "mel", "malignancy", "clover")[i % 4]
        layer = (None, -2)[i % 2]
        jobs.append((picture, {"method": method, "target": target, "layer": layer, "bank": bank}))

    def run(job):
        heatmap = engine.explain(job[0], **job[1])
        return heatmap.values.tobytes(), heatmap.peak, heatmap.score, heatmap.target

    expected = [run(job) for job in jobs]
    with ThreadPoolExecutor(32) as pool:
        found = list(pool.map(run, jobs))
    assert found == expected
    assert not any(p.grad is not None for p in engine.model.parameters())
    assert not any(m._forward_hooks for m in engine.model.modules())
    assert not engine.model.training


# --- regions -------------------------------------------------------------------------------------


def test_a_region_is_searched_like_any_other_embedding(engine, lesion):
    outline = np.asarray(draw_outline("mel", seed=5))
    whole = np.ones_like(outline)
    embedded = engine.embed_regions([lesion, lesion], [outline, whole])
    assert embedded.shape == (2, 16) and embedded.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(embedded, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(embedded[1], engine.embed(lesion)[0], atol=1e-5)
    assert np.abs(embedded[0] - embedded[1]).max() > 1e-4
    found = engine.search(embedded, 3)
    assert [len(neighbors) for neighbors in found] == [3, 3]


def test_the_top_region_of_a_heatmap_is_a_region(engine, lesion):
    heatmap = engine.explain(lesion, method="eigencam")
    embedded = engine.embed_regions([lesion], [heatmap.top_region()])
    assert embedded.shape == (1, 16)


def test_regions_come_in_batches(engine, synthetic):
    images = list(synthetic["test"]["image"])[:5]
    regions = [np.random.default_rng(i).random((150, 200)) for i in range(5)]
    whole = engine.embed_regions(images, regions)
    np.testing.assert_allclose(
        whole, engine.embed_regions(images, regions, batch_size=2), atol=1e-5
    )


@pytest.mark.parametrize("size", [(200, 150), (150, 200), (200, 130), (90, 90), (400, 40)])
@pytest.mark.parametrize("seen", [1.0, 0.9])
def test_a_region_of_the_whole_frame_is_cut_where_the_heatmap_was_placed(size, seen):
    """The corners of the frame are seen, and what is beyond its edges is not the photograph's."""
    from dermsim.engine.framing import place_heatmap
    from dermsim.tasks.explain import Heatmap

    width, height = size
    y, x = np.mgrid[:height, :width]
    region = (x > 0.6 * width) & (y > 0.3 * height)
    frame = Frame(seen, whole=True)
    square = cut_region(region, size, side=64, frame=frame)
    assert square.shape == (64, 64) and square.dtype == np.float32
    visible = max(size) * seen / 2
    shown = (abs(x - width / 2) <= visible) & (abs(y - height / 2) <= visible)
    again = place_heatmap(Heatmap(square, 1.0, "t", "t"), size, frame).values
    assert again.shape == (height, width)
    assert (np.abs(again - (region & shown)) > 0.5).mean() < 0.03
    everywhere = cut_region(np.ones((height, width), bool), size, side=64, frame=frame)
    assert everywhere.mean() == pytest.approx(
        min(1, width / max(size) / seen) * min(1, height / max(size) / seen), abs=0.03
    )


def test_a_mark_at_the_side_is_found_where_it_is(engine):
    """Pixels, heatmap and region of one processor agree on where something is."""
    from dermsim.engine.framing import place_heatmap
    from dermsim.tasks.explain import Heatmap

    processor = replace(engine.processor, size={"longest_edge": 64})
    photograph = Image.new("RGB", (120, 80), "white")
    photograph.paste("black", (96, 20, 120, 44))
    pixels = processor(photograph, return_tensors="np").pixel_values[0, 0]
    dark = (pixels < pixels.max() - 1).astype(np.float32)
    frame = Frame.of(processor)
    assert frame == Frame(1.0, whole=True)
    assert Frame.of(engine.processor) == Frame(1.0, whole=False)
    found = place_heatmap(Heatmap(dark, 1.0, "t", "t"), photograph.size, frame).values > 0.5
    truth = np.asarray(photograph)[..., 0] == 0
    assert (found & truth).sum() / (found | truth).sum() > 0.9


@pytest.mark.parametrize("size", [(200, 150), (150, 200), (90, 90)])
def test_a_region_is_cut_where_the_heatmap_was_placed(engine, size):
    """What the encoder sees of a region goes back to where it was."""
    from dermsim.engine.framing import place_heatmap
    from dermsim.tasks.explain import Heatmap

    width, height = size
    y, x = np.mgrid[:height, :width]
    region = np.hypot(x - width / 2, y - height / 2) < min(size) / 3
    square = cut_region(region, size, side=64, frame=Frame(0.9))
    assert square.shape == (64, 64) and square.dtype == np.float32
    again = place_heatmap(Heatmap(square, 1.0, "t", "t"), size, Frame(0.9)).values
    assert (np.abs(again - region) > 0.5).mean() < 0.02


class TestRefusals:
    def test_names(self, engine, lesion, bank):
        with refuses(
            "engine_explain.target",
            name="wart",
            choices=["akiec", "bcc", "bkl", "df", "mel", "nv", "vasc", "malignancy"],
        ):
            engine.explain(lesion, target="wart")
        with refuses(
            "engine_explain.target",
            choices=["akiec", "bcc", "bkl", "df", "mel", "nv", "vasc", "malignancy", "clover"],
        ):
            engine.explain(lesion, target="wart", bank=bank)
        with refuses("maps.method", method="guesswork"):
            engine.explain(lesion, method="guesswork")
        with refuses("opening.no_such_layer", layer="layer9", kind="ResNet"):
            engine.explain(lesion, layer="layer9")
        with refuses("opening.no_attention", names=["ResNet"]):
            engine.explain(lesion, method="rollout")

    def test_two_questions_at_once(self, engine, lesion):
        with refuses("engine_explain.target_and_like"):
            engine.explain(lesion, target="mel", like=lesion)

    def test_targets_for_each(self, engine, lesion):
        with refuses("engine_explain.targets", images_count=2, named_count=1):
            engine.explain_many([lesion, lesion], target=["mel"])

    def test_an_embedding_of_another_encoder(self, engine, lesion):
        with refuses("targets.embedding_dimensions", count=3, dimensions=16):
            engine.explain(lesion, like=np.ones(3))

    def test_regions(self, engine, lesion):
        good = np.ones((150, 200), dtype=bool)
        with refuses("engine_explain.regions", images_count=1, regions_count=2):
            engine.embed_regions([lesion], [good, good])
        with refuses("framing.region_shape", shape=[200, 150], width=200, height=150):
            engine.embed_regions([lesion], [good.T])
        with refuses("framing.region_values"):
            engine.embed_regions([lesion], [2.0 * good])
        rim = np.zeros((150, 200), dtype=bool)
        rim[:, :20] = True  # beyond the square that the encoder sees
        with refuses("explain_regions.empty", number=1):
            engine.embed_regions([lesion, lesion], [good, rim])
        with refuses("engine_explain.no_image"):
            engine.embed_regions([], [])


def test_the_columns_that_count_as_malignant_are_the_labels():
    assert {CODES[LABEL2ID[code]] for code in MALIGNANT} == {"akiec", "bcc", "mel"}
