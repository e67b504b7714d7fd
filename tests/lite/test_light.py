"""A checkpoint asked without torch: the same answers, and what it cannot do is refused."""

import shutil
import subprocess
import sys

import numpy as np
import onnx
import pytest
from refusals import refuses

from dermsim.data.facts import Facts
from dermsim.data.images import read_image
from dermsim.engine import answers
from dermsim.lite import LightDermSim

BLOCKED = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {
            "torch", "torchvision", "timm", "transformers", "accelerate", "gradio", "datasets",
            "pandas", "scipy", "sklearn", "cv2", "umap", "huggingface_hub", "pydantic",
        }:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Blocked())
"""


@pytest.fixture(scope="module")
def pictures(synthetic):
    return [read_image(row["image"]) for row in synthetic["test"].select(range(12))]


def test_it_says_what_the_checkpoint_says(light, engine, pictures):
    ours, theirs = answers.classify(light, pictures), answers.classify(engine, pictures)
    for one, other in zip(ours, theirs, strict=True):
        one, other = one.to_dict(), other.to_dict()
        for name in ("label_name", "verdict", "prediction_set", "is_outlier", "withheld", "agrees"):
            assert one[name] == other[name], name
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-4)
    cosines = (light.embed(pictures) * engine.embed(pictures)).sum(axis=1)
    assert cosines.min() >= 0.9999


def test_it_finds_the_same_cases(light, engine, pictures):
    for one, other in zip(
        answers.similar(light, pictures, k=3), answers.similar(engine, pictures, k=3), strict=True
    ):
        assert [case.image_id for case in one.neighbors] == [c.image_id for c in other.neighbors]
        assert one.vote == pytest.approx(other.vote, abs=1e-4)


def test_a_past_case_is_recognised(light, synthetic):
    row = synthetic["train"][0]
    (found,) = light.predict(row["image"])
    assert found.recognised is not None and found.recognised.image_id == row["image_id"]


def test_a_class_is_enrolled(light, engine, pictures):
    ours = answers.teach(light, pictures[:3], name="new")
    theirs = answers.teach(engine, pictures[:3], name="new")
    ours_of, theirs_of = (
        answers.compare(one, pictures[3:], bank=bank)
        for one, bank in ((light, ours), (engine, theirs))
    )
    for one, other in zip(ours_of, theirs_of, strict=True):
        assert one == pytest.approx(other, abs=1e-3)


def test_how_many_go_together_changes_nothing(light, pictures):
    together = light.encoder(pictures, looks=True)
    alone = light.encoder(iter(pictures), batch_size=1, looks=True)
    np.testing.assert_allclose(together.embeddings, alone.embeddings, atol=1e-6)
    np.testing.assert_array_equal(together.looks.hashes, alone.looks.hashes)


def test_what_it_cannot_do_is_refused(light, exported, checkpoint, pictures):
    with refuses("lite.facts"):
        light.predict(pictures[:1], facts=Facts(age=40))
    with refuses("engine_explain.no_image"):
        light.predict([])
    with refuses("lite.precision", precision="fp16"):
        LightDermSim.from_pretrained(exported, precision="fp16")
    with refuses("lite.no_file", FileNotFoundError, path=exported / "onnx" / "model_int8.onnx"):
        LightDermSim.from_pretrained(exported, precision="int8")
    with refuses("lite.no_file", FileNotFoundError):
        LightDermSim.from_pretrained(checkpoint)


def test_a_damaged_file_is_refused(exported, tmp_path):
    folder = shutil.copytree(exported, tmp_path / "copy")
    path = folder / "onnx" / "model.onnx"
    good = path.read_bytes()
    for bad in (b"", b"no graph", good[: len(good) // 2]):
        path.write_bytes(bad)
        with refuses("lite.damaged", path=path):
            LightDermSim.from_pretrained(folder)
    model = onnx.load_from_string(good)
    del model.metadata_props[:]
    onnx.save(model, path)
    with refuses("lite.damaged", path=path):
        LightDermSim.from_pretrained(folder)


def test_the_encoder_of_another_checkpoint_is_refused(exported, sibling_checkpoint, tmp_path):
    folder = shutil.copytree(sibling_checkpoint, tmp_path / "copy")
    shutil.copytree(exported / "onnx", folder / "onnx")
    with refuses("load.unusable", folder=folder):
        LightDermSim.from_pretrained(folder)


def test_it_needs_no_torch(exported, synthetic, tmp_path):
    """Nor transformers, Gradio, datasets, pandas, SciPy or OpenCV: none can be imported here."""
    for place in range(2):
        synthetic["test"][place]["image"].save(tmp_path / f"{place}.png")
    program = f"""import contextlib, io, json
{BLOCKED}
from dermsim.cli.main import main

folder, model = {str(tmp_path)!r}, {str(exported)!r}
from dermsim.engine.answers import teach
from dermsim.lite import LightDermSim

bank = teach(LightDermSim.from_pretrained(model), [folder + "/0.png"], name="new")
bank.save(folder + "/bank.safetensors")
rows = folder + "/rows.csv"
assert main(["classify", folder, "--model", model, "-o", rows]) == 0
for options in (["classify", "--bank", folder + "/bank.safetensors"], ["similar", "-k", "2"]):
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        assert main([options[0], folder, *options[1:], "--model", model, "--json"]) == 0
    assert len(json.loads(said.getvalue())["results"]) == 2
assert main(["classify", folder, "--model", model, "--backend", "torch"]) == 2
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "torch" in done.stderr.splitlines()[-1]
    assert len((tmp_path / "rows.csv").read_text().splitlines()) == 3
