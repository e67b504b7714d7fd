"""`transformers.pipeline` on the released folder gives the engine's answers."""

import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import pipeline

from dermsim import DermSim
from dermsim.data.synthetic import draw_lesion
from dermsim.models import DermSimConfig, DermSimImageProcessor, DermSimModel
from dermsim.models.encoder import join_encoders, load_encoder, save_encoder

RELEASED = Path(__file__).parents[2] / "hub" / "dermsim-ham10000"
LESION = draw_lesion("mel", seed=1)
DEEP = Image.fromarray(np.asarray(LESION.convert("L")).astype(np.uint16) * 257)


@pytest.fixture(scope="module")
def engine():
    return DermSim.from_pretrained(RELEASED, device="cpu")


@pytest.fixture(scope="module")
def classify():
    return pipeline(
        "image-classification", model=str(RELEASED), trust_remote_code=True, device="cpu"
    )


@pytest.fixture(scope="module")
def extract():
    return pipeline(
        "image-feature-extraction", model=RELEASED, trust_remote_code=True, device="cpu"
    )


def by_label(answer) -> dict[str, float]:
    return {found["label"]: found["score"] for found in answer}


def png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


@pytest.mark.parametrize("image", [LESION, DEEP], ids=["8 bits", "16 bits"])
def test_its_probabilities_are_the_engines(classify, engine, image, tmp_path):
    image.save(tmp_path / "lesion.png")
    expected = engine.predict(image)[0].probabilities
    for source in (image, tmp_path / "lesion.png", str(tmp_path / "lesion.png"), png(image)):
        assert by_label(classify(source, top_k=7)) == pytest.approx(expected, abs=1e-6)


def test_an_array_has_the_probabilities_of_its_picture(classify, engine):
    expected = engine.predict(LESION)[0].probabilities
    tensor = torch.from_numpy(np.asarray(LESION).transpose(2, 0, 1).copy())
    for source in (np.asarray(LESION), tensor):
        assert by_label(classify(source, top_k=7)) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_lists_and_batches_are_answered_one_by_one(classify, engine, batch_size):
    images = [LESION, DEEP, draw_lesion("nv", seed=2)]
    answers = classify(images, batch_size=batch_size, top_k=7)
    for image, answer in zip(images, answers, strict=True):
        expected = engine.predict(image)[0].probabilities
        assert by_label(answer) == pytest.approx(expected, abs=1e-5)


def test_as_many_labels_as_are_asked_for_come_most_probable_first(classify, engine):
    expected = engine.predict(LESION)[0].probabilities
    first = sorted(expected, key=expected.__getitem__, reverse=True)
    for asked, given in ((1, 1), (3, 3), (100, 7)):
        assert [found["label"] for found in classify(LESION, top_k=asked)] == first[:given]
    assert len(classify(LESION)) == 5  # as transformers has it


def test_features_are_the_embedding(extract, engine):
    expected = engine.embed([LESION, DEEP])
    for row, image in zip(expected, (LESION, DEEP), strict=True):
        (found,) = extract(image)
        assert found == pytest.approx(row, abs=1e-6)
        assert extract(image, pool=True) == [found]
    tensors = extract([LESION, DEEP], batch_size=2, return_tensors=True)
    assert all(tensor.shape == (1, 128) for tensor in tensors)
    np.testing.assert_allclose(torch.cat(tensors), expected, atol=1e-6)


def test_options_reach_the_image_processor(extract):
    plain = extract(LESION, return_tensors=True)
    options = {"do_color_constancy": True}
    other = extract(LESION, return_tensors=True, image_processor_kwargs=options)
    assert 0.5 < float((plain * other).sum()) < 1 - 1e-4


def test_an_embedding_that_is_not_pooled_is_not_to_be_had(extract):
    with pytest.raises(ValueError, match="pool=False is not to be had"):
        extract(LESION, pool=False)


def test_a_picture_that_cannot_be_read_is_one_sentence(classify, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no image at .*absent\.png: check the path"):
        classify(str(tmp_path / "absent.png"))
    with pytest.raises(ValueError, match="the image is not a picture in JPEG"):
        classify(b"no picture at all")


def test_code_is_not_run_unasked():
    with pytest.raises(ValueError, match="trust_remote_code=True"):
        pipeline("image-classification", model=str(RELEASED), device="cpu")


def test_an_ensembles_batches_are_answered_one_by_one(tmp_path):
    members = [DermSimModel(DermSimConfig(backbone="test_resnet", image_size=64)) for _ in range(2)]
    side = {"height": 64, "width": 64}
    processor = DermSimImageProcessor(size={"shortest_edge": 64}, crop_size=side)
    folder = tmp_path / "ensemble"
    save_encoder(join_encoders(members), processor, folder, temperature=0.1)
    options = {"model": str(folder), "trust_remote_code": True, "device": "cpu", "batch_size": 3}
    images = [LESION, DEEP, draw_lesion("nv", seed=2)]
    model, preparation = load_encoder(folder)
    with torch.inference_mode():
        seen = model(
            DermSimImageProcessor(**preparation.to_dict())(images, return_tensors="pt").pixel_values
        )
    probabilities = (seen.logits / 0.1).softmax(dim=1)
    answers = pipeline("image-classification", **options)(images, top_k=7)
    for row, answer in zip(probabilities.tolist(), answers, strict=True):
        scores = by_label(answer)
        assert [scores[model.config.id2label[i]] for i in range(7)] == pytest.approx(row, abs=1e-5)
    features = pipeline("image-feature-extraction", **options)(images)
    np.testing.assert_allclose(np.concatenate(features), seen.embeddings, atol=1e-5)


STRANGER = """
import sys
sys.modules["dermsim"] = None  # as if it were not installed
import numpy as np
from transformers import AutoImageProcessor, pipeline
folder, path, again, out = sys.argv[1:]
options = {"trust_remote_code": True, "device": "cpu"}
classify = pipeline("image-classification", model=folder, **options)
extract = pipeline("image-feature-extraction", model=folder, **options)
assert type(classify.model).__module__.startswith("transformers_modules."), type(classify.model)
classify.save_pretrained(again)  # what is saved again has all its code
anew = pipeline("image-classification", model=again, **options)
assert anew(path) == classify(path)
scores = {found["label"]: found["score"] for found in anew(path, top_k=7)}
pixels = AutoImageProcessor.from_pretrained(folder, trust_remote_code=True)(path)["pixel_values"]
np.savez(out, pixels=pixels, embedding=extract(path)[0], scores=[scores[k] for k in sorted(scores)])
"""


@pytest.mark.slow
def test_all_of_it_works_where_dermsim_is_not(engine, tmp_path):
    shutil.copytree(RELEASED, tmp_path / "model")  # not beside the package
    exif = Image.Exif()
    exif[0x0112] = 6
    DEEP.save(tmp_path / "deep.png", exif=exif)
    (tmp_path / "stranger.py").write_text(STRANGER)
    names = ["stranger.py", "model", "deep.png", "again", "out.npz"]
    done = subprocess.run(
        [sys.executable, *names],
        cwd=tmp_path,
        env={**os.environ, "HF_MODULES_CACHE": str(tmp_path / "modules"), "PYTHONPATH": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = np.load(tmp_path / "out.npz")
    path = tmp_path / "deep.png"
    probabilities = engine.predict(path)[0].probabilities
    assert found["scores"] == pytest.approx(
        [probabilities[k] for k in sorted(probabilities)], abs=1e-6
    )
    assert found["embedding"] == pytest.approx(engine.embed(path)[0], abs=1e-6)
    image = Image.open(path).transpose(Image.Transpose.ROTATE_270)
    grey = Image.fromarray((np.asarray(image) // 257).astype(np.uint8)).convert("RGB")
    np.testing.assert_array_equal(found["pixels"], engine.processor(grey)["pixel_values"])
