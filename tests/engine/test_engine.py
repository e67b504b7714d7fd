"""One checkpoint folder, loaded as a user does, asked everything."""

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from copy import copy as shallow_copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from refusals import refuses
from safetensors.torch import load_file, save_file

from dermsim import DermSim, Facts
from dermsim.core.labels import CODES
from dermsim.core.refused import Phrase
from dermsim.data.facts import encode_facts, facts_of
from dermsim.data.splits import without
from dermsim.data.synthetic import draw_lesion
from dermsim.engine.results import Recognised
from dermsim.models.encode import encode, fingerprint
from dermsim.tasks.classify import Calibration
from dermsim.tasks.detect import OutlierDetector
from dermsim.tasks.retrieve import Gallery


@pytest.fixture(scope="module")
def lesion() -> Image.Image:
    return draw_lesion("mel", seed=5)


def test_predict_one_or_many(engine, lesion, tmp_path):
    path = tmp_path / "lesion.png"
    lesion.save(path)
    (alone,) = engine.predict(lesion)
    several = engine.predict([lesion, path, path.read_bytes(), str(path)])
    assert len(several) == 4
    for other in several:
        assert other.label_name == alone.label_name
        assert list(other.probabilities.values()) == pytest.approx(
            list(alone.probabilities.values()), abs=1e-5
        )


def test_a_prediction_is_consistent(engine, lesion):
    (prediction,) = engine.predict(lesion)
    assert prediction.label_name == CODES[prediction.label]
    assert prediction.label_name == max(
        prediction.probabilities, key=prediction.probabilities.__getitem__
    )
    assert sum(prediction.probabilities.values()) == pytest.approx(1)
    assert prediction.prediction_set[0] == prediction.label_name
    malignant = sum(prediction.probabilities[code] for code in ("akiec", "bcc", "mel"))
    assert prediction.malignancy == pytest.approx(malignant)
    threshold = engine.calibration.operating_points["balanced"].threshold
    assert prediction.is_malignant == (prediction.malignancy >= threshold)
    assert prediction.is_outlier == (prediction.ood_score > engine.detector.threshold)
    json.dumps(prediction.to_dict())


def test_malignant_begins_where_it_is_asked_to(engine, informed_engine, lesion):
    (usual,) = engine.predict(lesion)
    for point in ("balanced", "sensitivity_95", 0, usual.malignancy, 1.0):
        (found,) = engine.predict(lesion, operating_point=point)
        called = usual.malignancy >= engine.calibration.operating_point(point).threshold
        threshold = engine.calibration.threshold(point)
        assert found == replace(usual, is_malignant=called, threshold=threshold)
        assert engine.analyze(lesion, explain=None, operating_point=point).prediction == found
    facts = Facts(age=60)
    (told,) = informed_engine.predict(lesion, facts=facts, operating_point="sensitivity_95")
    threshold = informed_engine.calibration_facts.operating_point("sensitivity_95").threshold
    assert told.is_malignant == (told.malignancy >= threshold)
    with refuses("calibration.operating_point", name="strict"):
        engine.predict(lesion, operating_point="strict")
    with refuses("operating.threshold", threshold=2):
        engine.analyze(lesion, operating_point=2)


def test_embeddings_are_unit_rows_whatever_the_batch(engine, synthetic):
    images = list(synthetic["test"]["image"])[:7]
    whole, pieces = engine.embed(images), engine.embed(images, batch_size=2)
    assert whole.shape == (7, 16)
    assert whole.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(whole, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(whole, pieces, atol=1e-5)


def test_a_bank_compares_pooled_features(engine, synthetic):
    images = list(synthetic["test"]["image"])[:3]
    assert engine.class_bank().space.name == "pooled_features"
    assert engine.embed(images, space="pooled_features").shape == (3, engine.class_bank().dim)
    with refuses("dermsim.space", space="pixels", spaces=["pooled_features", "embeddings"]):
        engine.embed(images, space="pixels")


def test_a_photograph_of_the_gallery_is_recognised_and_left_out_with_its_lesion(engine, synthetic):
    row = synthetic["train"][3]
    itself = engine.search(engine.embed(row["image"]), 1)[0][0]  # an embedding cannot tell
    assert itself.image_id == row["image_id"]
    assert itself.similarity == pytest.approx(1, abs=1e-5)
    assert itself.facts["sex"] == row["sex"]
    changed = row["image"].resize((400, 300))
    for picture in (row["image"], changed):
        (found,) = engine.similar_cases(picture, 3)
        assert found.recognised == Recognised(
            row["image_id"], row["lesion_id"], CODES[row["dx"]], learned=True
        )
        assert row["lesion_id"] not in {case.lesion_id for case in found.neighbors}
        assert list(found.neighbors) == engine.search(picture, 3)[0]
        told = engine.analyze(picture, k=3, explain=None)
        assert told.prediction.recognised == found.recognised
        assert told.neighbors == found.neighbors
        assert told.vote == pytest.approx(found.vote)
        ((prediction, vote),) = engine.predict_and_vote([picture])
        assert prediction.recognised == found.recognised
        assert vote == pytest.approx(found.vote)
        assert "a training photograph" in prediction.notice
    own = [{row["lesion_id"]}]
    votes = engine.gallery.vote(engine.embed(row["image"]), exclude_lesion_ids=own)
    assert engine.vote(row["image"])[0] == pytest.approx(votes[0])


def test_a_photograph_whose_lesion_is_not_known_is_left_out_by_itself(engine, synthetic):
    row, records = synthetic["train"][3], [dict(case) for case in engine.gallery.records]
    for case in records:
        case["lesion_id"] = None
    hashes, rows = engine.gallery.records.hashes
    assert list(rows) == list(range(len(records)))  # every one was looked at
    before = engine.gallery
    engine.gallery = Gallery.build(
        before.embeddings, records, fingerprint=engine.fingerprint, hashes=hashes
    )
    try:
        (found,) = engine.similar_cases(row["image"], 5)
    finally:
        engine.gallery = before
    assert found.recognised.image_id == row["image_id"]
    assert found.recognised.lesion_id is None
    assert not found.recognised.learned  # these are not the cases that it came with
    assert row["image_id"] not in {case.image_id for case in found.neighbors}


def test_a_new_photograph_is_not_taken_for_a_past_case(engine, synthetic):
    new = synthetic["test"]["image"][:20]
    assert [found.recognised for found in engine.predict(list(new))] == [None] * len(new)


def test_a_lesion_to_leave_out_must_be_one_of_the_past_cases(engine):
    with refuses("searching.no_lesion", lesion="HAM_9"):
        engine.check_lesions(["HAM_9"])
    some = engine.gallery.records[0]["lesion_id"]
    assert engine.check_lesions([some]) == (some,)


def test_a_likeness_says_where_it_stands_among_pairs_of_one_diagnosis(engine, lesion):
    scale = engine.pair_scale
    for case in engine.search(lesion, 5)[0]:
        assert case.percentile == scale.standing(case.similarity).same


def test_search_takes_embeddings_too(engine, lesion):
    assert engine.search(engine.embed(lesion), 4) == engine.search(lesion, 4)


def test_filters_reach_the_gallery(engine, lesion):
    found = engine.search(lesion, 5, where={"dx": "vasc"})[0]
    assert {neighbor.dx for neighbor in found} == {"vasc"}


def test_analyze_agrees_with_its_parts(engine, lesion):
    shots = engine.embed([draw_lesion("vasc", seed=1)], space="pooled_features")
    bank = engine.class_bank().enroll("ulcer", shots)
    analysis = engine.analyze(lesion, k=3, target="nv", bank=bank)
    assert analysis.prediction == engine.predict(lesion)[0]
    assert list(analysis.neighbors) == engine.search(lesion, 3)[0]
    np.testing.assert_array_equal(
        analysis.heatmap.values, engine.explain(lesion, target="nv").values
    )
    assert analysis.enrolled.keys() == {*CODES, "ulcer"}
    asked = engine.embed(lesion, space=bank.space.name)
    assert analysis.enrolled == pytest.approx(bank.predict(asked)[0])
    low, high = engine.atlas.coordinates.min(axis=0), engine.atlas.coordinates.max(axis=0)
    assert (low <= analysis.position).all()
    assert (analysis.position <= high).all()
    json.dumps(analysis.to_dict())


def test_analyze_without_extras(engine, lesion):
    analysis = engine.analyze(lesion, explain=None)
    assert analysis.heatmap is None
    assert analysis.enrolled is None
    assert len(analysis.neighbors) == 5


@pytest.mark.parametrize("size", [(200, 150), (150, 200), (90, 90)])
def test_a_heatmap_lies_on_the_part_the_encoder_saw(engine, size):
    photograph = draw_lesion("bkl", seed=2).resize(size)
    heatmap = engine.explain(photograph, method="eigencam")
    assert heatmap.values.shape == (size[1], size[0])
    assert heatmap.values.dtype == np.float32
    assert 0 <= heatmap.values.min() <= heatmap.values.max() <= 1
    margin = (max(size) - min(size)) // 2
    columns = np.flatnonzero(heatmap.values.any(axis=0))
    if size[0] > size[1]:
        assert columns.min() >= margin
        assert columns.max() < size[0] - margin


def test_explaining_the_default_target_explains_the_prediction(engine, lesion):
    assert engine.explain(lesion).target == engine.predict(lesion)[0].label_name


def test_likeness_to_another_case_can_be_explained(engine, lesion):
    heatmap = engine.explain(lesion, like=draw_lesion("mel", seed=6))
    assert heatmap.target == "similarity"
    assert heatmap.peak >= 0


def test_explaining_refuses_nonsense(engine, lesion):
    with refuses("engine_explain.target", name="wart"):
        engine.explain(lesion, target="wart")
    with refuses("engine_explain.target_and_like"):
        engine.explain(lesion, target="mel", like=lesion)
    with refuses("maps.method", method="guesswork"):
        engine.explain(lesion, method="guesswork")


def test_no_image_is_refused(engine):
    with refuses("engine_explain.no_image"):
        engine.predict([])


def test_threads_get_the_answers_of_one(engine):
    lesions = [draw_lesion(code, seed=9) for code in CODES]

    def answer(image):
        return engine.predict(image)[0], engine.embed(image), engine.explain(image).values

    alone = [answer(image) for image in lesions]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(answer, lesions * 3))
    for (prediction, embedding, heatmap), expected in zip(found, alone * 3, strict=True):
        # they share forward passes, which rounds; heatmaps are drawn apart
        assert prediction.probabilities == pytest.approx(expected[0].probabilities, abs=1e-6)
        assert prediction.ood_score == pytest.approx(expected[0].ood_score, rel=1e-5)
        np.testing.assert_allclose(embedding, expected[1], atol=1e-6)
        assert np.array_equal(heatmap, expected[2])


def test_saving_and_loading_changes_nothing(engine, lesion, tmp_path):
    engine.save_pretrained(tmp_path / "again")
    again = DermSim.from_pretrained(tmp_path / "again")
    assert again.fingerprint == engine.fingerprint
    assert again.calibration == engine.calibration
    assert np.array_equal(again.embed(lesion), engine.embed(lesion))
    assert again.search(lesion, 5) == engine.search(lesion, 5)
    assert again.predict(lesion) == engine.predict(lesion)


def test_a_failed_save_leaves_the_old_folder_whole(engine, tmp_path, monkeypatch):
    engine.save_pretrained(tmp_path / "kept")
    monkeypatch.setattr(type(engine.atlas), "save", _disk_full)
    with refuses("atomic.not_writable", OSError, reason="No space left on device"):
        engine.save_pretrained(tmp_path / "kept")
    assert DermSim.from_pretrained(tmp_path / "kept").fingerprint == engine.fingerprint


def _disk_full(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_the_fingerprint_follows_weights_and_processing(engine):
    model, processor = engine.model, engine.processor
    before = fingerprint(model, processor)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state["projector.0.bias"][0] += 1e-3
    other = type(model)(model.config)
    other.load_state_dict(state)
    assert fingerprint(other, processor) != before
    resized = type(processor)(**{**processor.to_dict(), "size": {"shortest_edge": 72}})
    assert fingerprint(model, resized) != before
    assert fingerprint(model, processor) == before


# --- facts about the patient ---------------------------------------------------------------------

FACTS = Facts(age=75, sex="male", localization="face")


def test_facts_change_the_prediction_and_nothing_of_the_picture(informed_engine, lesion):
    untold = informed_engine.analyze(lesion, target="mel")
    told = informed_engine.analyze(lesion, target="mel", facts=FACTS)
    assert told.prediction.probabilities != untold.prediction.probabilities
    assert told.prediction.ood_score == untold.prediction.ood_score
    assert (told.neighbors, told.position) == (untold.neighbors, untold.position)
    np.testing.assert_array_equal(told.heatmap.values, untold.heatmap.values)


@pytest.mark.parametrize("method", ["energy", "vim"])
def test_facts_do_not_make_an_image_stranger(informed_engine, synthetic, lesion, method):
    """Nor less strange, even where strangeness is read off the logits."""
    images, labels = list(synthetic["train"]["image"]), synthetic["train"]["dx"]
    seen = encode(informed_engine.model, informed_engine.processor, images)
    seen = replace(seen, logits=seen.logits + 10)  # ViM wants some of them above 0
    detector = OutlierDetector.fit(seen, labels, validation=seen, method=method)
    told = shallow_copy(informed_engine)
    told.detector = detector
    with_facts, untold = told.predict(lesion, facts=FACTS)[0], told.predict(lesion)[0]
    assert with_facts.probabilities != untold.probabilities
    assert with_facts.ood_score == pytest.approx(untold.ood_score, rel=1e-4)


def test_facts_help_on_lesions_never_seen(informed_engine, synthetic):
    test = synthetic["test"]
    images, facts = list(test["image"]), facts_of(test)

    def right(known):
        found = informed_engine.predict(images, facts=known)
        return np.mean([p.label == dx for p, dx in zip(found, test["dx"], strict=True)])

    assert right(facts) > right(None) + 0.05


def test_predicted_probabilities_by_hand(informed_engine, lesion):
    (told,) = informed_engine.predict(lesion, facts=FACTS)
    model, processor = informed_engine.model, informed_engine.processor
    pixel_values = processor(lesion, return_tensors="pt").pixel_values
    with torch.inference_mode():
        output = model(pixel_values, facts=torch.from_numpy(encode_facts([FACTS])))
    calibration = informed_engine.calibration_facts
    assert calibration.temperature != informed_engine.calibration.temperature
    expected = torch.softmax(output.logits[0].double() / calibration.temperature, dim=0)
    assert list(told.probabilities.values()) == pytest.approx(expected.tolist(), abs=1e-5)
    threshold = calibration.operating_points["balanced"].threshold
    assert told.is_malignant == (told.malignancy >= threshold)


def test_each_image_is_read_with_the_calibration_of_its_like(informed_engine, lesion):
    facts = [None, FACTS, Facts(), Facts(age=75)]
    found = informed_engine.predict([lesion] * 4, facts=facts)
    plain = informed_engine.predict([lesion] * 4)  # as many: batches of one round differently
    assert (found[0], found[2]) == (plain[0], plain[2])
    assert found[1] != plain[1] and found[3] != plain[3] and found[1] != found[3]
    assert found[1].probabilities == pytest.approx(
        informed_engine.predict(lesion, facts=FACTS)[0].probabilities, abs=1e-5
    )


def test_the_explained_diagnosis_is_the_predicted_one(informed_engine, lesion):
    labels = set()
    for facts in (None, FACTS, Facts(10, "female", "foot")):
        analysis = informed_engine.analyze(lesion, facts=facts)
        assert analysis.heatmap.target == analysis.prediction.label_name
        labels.add(analysis.heatmap.target)
    assert len(labels) > 1


def test_both_calibrations_are_saved_and_loaded(informed_engine, informed_checkpoint, lesion):
    kept = Calibration.load(informed_checkpoint / "calibration_facts.json")
    assert kept == informed_engine.calibration_facts != informed_engine.calibration
    assert Calibration.load(informed_checkpoint / "calibration.json") == informed_engine.calibration


def test_an_encoder_without_facts_has_one_calibration(engine, checkpoint):
    assert engine.calibration_facts is None
    assert not (checkpoint / "calibration_facts.json").exists()


@pytest.mark.parametrize("facts", [FACTS, [FACTS], [None]])
def test_facts_for_an_encoder_that_takes_none_are_refused(engine, lesion, facts):
    with refuses("encode.no_facts"):
        engine.predict(lesion, facts=facts)


def test_analyze_refuses_them_too(engine, lesion):
    with refuses("encode.no_facts"):
        engine.analyze(lesion, facts=FACTS)


def test_facts_of_one_patient_are_not_those_of_several_images(informed_engine, lesion):
    with refuses("encode.few_facts", count=1):
        informed_engine.predict([lesion, lesion], facts=FACTS)


def test_a_folder_that_lost_its_second_calibration_is_refused(informed_checkpoint, tmp_path):
    folder = shutil.copytree(informed_checkpoint, tmp_path / "copy")
    (folder / "calibration_facts.json").unlink()
    with refuses(
        "storage.no_file", FileNotFoundError, source=tmp_path / "copy" / "calibration_facts.json"
    ):
        DermSim.from_pretrained(folder)


def test_a_calibration_that_does_not_belong_is_refused(engine, informed_engine):
    def rebuilt(source, calibration_facts):
        names = ("calibration", "detector", "gallery", "classes", "atlas")
        parts = {name: getattr(source, name) for name in names}
        return DermSim(source.model, source.processor, calibration_facts=calibration_facts, **parts)

    with refuses("dermsim.calibration_facts"):
        rebuilt(informed_engine, None)
    with refuses("dermsim.calibration_facts"):
        rebuilt(engine, engine.calibration)


# --- folders that are not right ------------------------------------------------------------------


@pytest.fixture
def copy(checkpoint, tmp_path):
    return shutil.copytree(checkpoint, tmp_path / "copy")


@pytest.mark.parametrize("part", ["model.safetensors", "calibration.json", "gallery"])
def test_a_missing_part_is_named(copy, part):
    path = copy / part
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with refuses("core_checkpoint.lacks_files", FileNotFoundError, missing=[part]):
        DermSim.from_pretrained(copy)


def test_a_name_that_is_neither_folder_nor_model_is_one_sentence():
    with refuses("downloads.no_hub_name", FileNotFoundError, name="a b/c d/e"):
        DermSim.from_pretrained("a b/c d/e")


def test_without_network_an_unknown_model_is_one_sentence():
    with refuses("downloads.hub_not_asked", ConnectionError, name="nobody/nothing"):
        DermSim.from_pretrained("nobody/nothing")


def test_truncated_weights_are_refused(copy):
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with refuses("encoder.unreadable"):
        DermSim.from_pretrained(copy)


@pytest.mark.parametrize("change", ["missing", "extra"])
def test_missing_and_extra_tensors_are_refused(copy, change):
    tensors = load_file(copy / "model.safetensors")
    if change == "missing":
        del tensors["classifier.bias"]
    else:
        tensors["surprise"] = torch.zeros(1)
    save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
    with refuses("encoder.misfit"):
        DermSim.from_pretrained(copy)


def test_another_encoders_gallery_is_refused(copy):
    tensors = load_file(copy / "model.safetensors")
    tensors["classifier.bias"] += 1
    save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
    with refuses("load.unusable", error="detector.other_encoder"):
        DermSim.from_pretrained(copy)


# --- without dermsim -----------------------------------------------------------------------------

STRANGER = """
import json
import sys
sys.modules["dermsim"] = None  # as if it were not installed
import torch
from PIL import Image
from transformers import (
    AutoImageProcessor, AutoModel, AutoModelForImageClassification, pipeline,
)

def ask(folder, path):
    processor = AutoImageProcessor.from_pretrained(folder, trust_remote_code=True)
    model = AutoModel.from_pretrained(folder, trust_remote_code=True)
    classifier = AutoModelForImageClassification.from_pretrained(folder, trust_remote_code=True)
    inputs = processor(Image.open(path), return_tensors="pt")
    answer = {}
    with torch.inference_mode():
        output = model(**inputs)
        answer["embedding"] = output.embeddings[0].tolist()
        if model.config.facts_dim:
            zeros = torch.zeros(1, len(model.config.facts_columns))
            assert torch.equal(model(**inputs, facts=zeros).logits, output.logits)
            assert not torch.equal(model(**inputs, facts=zeros + 1).logits, output.logits)
            sex = zeros.clone()
            sex[0, model.config.facts_columns.index("sex:male")] = 1
            answer["male"] = classifier(**inputs, facts=sex).logits[0].softmax(0).tolist()
            answer["unknown"] = classifier(**inputs, facts=zeros).logits[0].softmax(0).tolist()
    pipes = (
        pipeline("image-classification", model=folder, trust_remote_code=True),
        pipeline("image-classification", model=classifier, image_processor=processor),
    )
    answer["pipelines"] = [
        {found["label"]: found["score"] for found in pipe(path, top_k=7)} for pipe in pipes
    ]
    extract = pipeline("image-feature-extraction", model=folder, trust_remote_code=True)
    answer["extracted"] = extract(path)
    return answer

path, *folders = sys.argv[1:]
print(json.dumps([ask(folder, path) for folder in folders]))
"""


@pytest.fixture(scope="module")
def elsewhere(checkpoint, informed_checkpoint, lesion, tmp_path_factory):
    """What one process without dermsim says of a picture, asking each folder in turn."""
    folder = tmp_path_factory.mktemp("elsewhere")
    lesion.save(folder / "lesion.png")
    (folder / "stranger.py").write_text(STRANGER)
    done = subprocess.run(
        [sys.executable, "stranger.py", "lesion.png", checkpoint, informed_checkpoint],
        capture_output=True,
        text=True,
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    plain, informed = json.loads(done.stdout.strip().splitlines()[-1])
    return {"": plain, "informed_": informed}


@pytest.mark.parametrize("kind", ["", "informed_"])
def test_auto_classes_open_the_folder_where_dermsim_is_not(kind, request, lesion, elsewhere):
    engine, answer = request.getfixturevalue(f"{kind}engine"), elsewhere[kind]
    assert answer["embedding"] == pytest.approx(engine.embed(lesion)[0], abs=1e-6)
    assert answer["extracted"] == [answer["embedding"]]
    expected = engine.predict(lesion)[0].probabilities
    for found in answer["pipelines"]:
        assert found == pytest.approx(expected, abs=1e-5)
    if kind:
        told = engine.predict(lesion, facts=Facts(sex="male"))[0].probabilities
        assert answer["male"] == pytest.approx(list(told.values()), abs=1e-5)
        assert answer["unknown"] == pytest.approx(list(expected.values()), abs=1e-5)


def test_a_folder_whose_temperatures_differ_is_refused(copy, informed_checkpoint, tmp_path):
    shutil.copytree(informed_checkpoint, tmp_path / "informed")
    for folder, kind in ((copy, "calibration"), (tmp_path / "informed", "calibration_facts")):
        name = kind.replace("calibration", "calibration_temperature")
        path = folder / "config.json"
        config = json.loads(path.read_text())
        assert config[name] == json.loads((folder / f"{kind}.json").read_text())["temperature"]
        path.write_text(json.dumps({**config, name: 0.5}))
        error = Phrase("load.calibration", told=0.5, kind=kind)
        with refuses("load.unusable", error=error):
            DermSim.from_pretrained(folder)


def test_the_nearest_cases_vote_on_images_and_embeddings(engine):
    images = [draw_lesion("mel", seed=4), draw_lesion("nv", seed=2)]
    embeddings = engine.embed(images)
    assert engine.vote(embeddings) == engine.gallery.vote(embeddings)
    seen = [found.recognised for found in engine.similar_cases(images)]
    for found, plain, known in zip(engine.vote(images), engine.vote(embeddings), seen, strict=True):
        assert (found == pytest.approx(plain)) == (known is None)
    where = {"dx": ["mel", "nv"]}
    assert engine.vote(embeddings, where=where) == engine.gallery.vote(embeddings, where=where)
    assert engine.analyze(images[0], explain=None).vote == engine.vote(images[0])[0]


def test_one_photograph_of_a_lesion_is_found_where_one_is_asked_for(engine):
    query = engine.embed(draw_lesion("nv", seed=2))
    found = engine.search(query, 30, one_per_lesion=True)[0]
    plain = engine.gallery.search(query, 30, one_per_lesion=True)[0]
    assert [replace(case, percentile=None) for case in found] == plain
    assert len({case.lesion_id for case in found}) == len(found)
    assert found != engine.search(query, 30)[0]


def test_an_encoder_says_what_it_was_trained_with(engine, synthetic):
    assert engine.known == CODES
    parts = {name: without(synthetic[name], ["df", "akiec"]) for name in ("train", "validation")}
    fitted = DermSim.fit(engine.model, engine.processor, **parts)
    assert fitted.known == ("bcc", "bkl", "mel", "nv", "vasc")
