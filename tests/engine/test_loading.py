"""A folder that is not whole, not right or not of one piece is refused in one sentence."""

import json
import os
import shutil
import struct

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file, save_file

from dermsim import DermSim
from dermsim.core.checkpoint import PARTS
from dermsim.models import DermSimEnsembleConfig
from dermsim.tasks.classify import Calibration

WEIGHTS = "model.safetensors"
ARRAYS = ("detector.safetensors", "classes.safetensors", "gallery/embeddings.safetensors")
TABLES = ("atlas.parquet", "gallery/records.parquet")
JSON = ("preprocessor_config.json", "calibration.json", "gallery/gallery.json")


@pytest.fixture
def folder(checkpoint, tmp_path):
    return shutil.copytree(checkpoint, tmp_path / "copy")


def refusal(folder) -> str:
    """Load a folder that must be refused, and return the sentence."""
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        DermSim.from_pretrained(folder)
    said = str(caught.value)
    assert "\n" not in said
    assert said.endswith(".")
    assert str(folder) in said or folder.name in said
    return said


# --- safetensors ---------------------------------------------------------------------------------


def rewrite_header(path, change):
    """Write a safetensors file again with its JSON header changed by hand."""
    data = path.read_bytes()
    end = 8 + struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:end])
    change(header, header[next(name for name in header if name != "__metadata__")])
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[end:])


HEADERS = {
    "offsets beyond the file": lambda _, tensor: tensor.update(data_offsets=[0, 2**40]),
    "offsets that overlap": lambda _, tensor: tensor.update(data_offsets=[0, 0]),
    "negative shape": lambda _, tensor: tensor.update(shape=[-1]),
    "unknown type": lambda _, tensor: tensor.update(dtype="Q99"),
    "another type": lambda _, tensor: tensor.update(dtype="I16"),
    "a tensor without a place": lambda header, _: header.update(more={"dtype": "F32"}),
}


@pytest.mark.parametrize("name", [WEIGHTS, *ARRAYS])
@pytest.mark.parametrize("change", HEADERS)
def test_a_tampered_header_is_refused(folder, name, change):
    rewrite_header(folder / name, HEADERS[change])
    said = refusal(folder)
    assert "Error while deserializing header" in said
    assert "The encoder in" in said if name == WEIGHTS else name.rpartition("/")[2] in said


@pytest.mark.parametrize("name", [WEIGHTS, *ARRAYS])
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda data: b"", id="empty"),
        pytest.param(lambda data: data[:-1], id="cut short"),
        pytest.param(lambda data: data + b"x", id="too long"),
        pytest.param(lambda data: struct.pack("<Q", 2**62) + data[8:], id="endless header"),
        pytest.param(lambda data: data[:8] + b"\xff" * 20 + data[28:], id="header is no text"),
    ],
)
def test_damaged_bytes_are_refused(folder, name, change):
    path = folder / name
    path.write_bytes(change(path.read_bytes()))
    assert "Error while deserializing" in refusal(folder)


def test_a_header_that_swaps_two_tensors_is_refused(folder):
    def swap(header, _):
        first, second = "backbone.bn1.weight", "backbone.bn1.running_mean"
        header[first], header[second] = header[second], header[first]

    rewrite_header(folder / WEIGHTS, swap)
    assert "was made by encoder" in refusal(folder)


def test_a_single_wrong_bit_of_the_weights_is_refused(folder):
    path = folder / WEIGHTS
    data = bytearray(path.read_bytes())
    data[-9] ^= 64
    path.write_bytes(bytes(data))
    assert "was made by encoder" in refusal(folder)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.pop("classifier.bias"), "missing keys, such as classifier.bias"),
        (lambda t: t.update(surprise=torch.zeros(1)), "unexpected keys, such as surprise"),
        (
            lambda t: t.update({"classifier.bias": torch.zeros(9)}),
            "mismatched keys, such as classifier.bias of shape [9] in place of [7]",
        ),
    ],
)
def test_a_missing_extra_or_misshapen_tensor_is_named(folder, change, words):
    tensors = load_file(folder / WEIGHTS)
    change(tensors)
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    assert refusal(folder) == f"The weights in {folder} do not fit its config.json: {words}."


# --- JSON and Parquet ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["config.json", *JSON])
@pytest.mark.parametrize("content", ["", "{", "[]", "null", "3", '"x"', "[" * 100_000, "\udcff"])
def test_json_that_is_none_or_no_object_is_refused(folder, name, content):
    (folder / name).write_bytes(content.encode(errors="surrogateescape"))
    refusal(folder)


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("kept", [0, 20, -30])
def test_a_damaged_table_is_refused(folder, name, kept):
    path = folder / name
    path.write_bytes(path.read_bytes()[:kept])
    assert f"{path.name} is damaged or not Parquet" in refusal(folder)


@pytest.mark.parametrize("name", [*ARRAYS, *TABLES, *JSON[1:]])
def test_a_file_that_is_a_folder_is_refused(folder, name):
    (folder / name).unlink()
    (folder / name).mkdir()
    assert refusal(folder) == f"there is no file {folder / name}."


# --- configuration -------------------------------------------------------------------------------


def edit(path, **values):
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.mark.parametrize("value", [2, 0, "1", None, [1], True, 1.5])
def test_a_folder_of_a_later_dermsim_is_refused(folder, value):
    edit(folder / "config.json", checkpoint_format=value)
    assert refusal(folder) == (
        f"{folder} has checkpoint_format {value!r}, and this dermsim reads formats up to 1: "
        "install a later one (pip install -U dermsim)."
    )


def test_a_folder_that_does_not_say_its_format_is_refused(folder):
    config = json.loads((folder / "config.json").read_text())
    assert config.pop("checkpoint_format") == 1
    (folder / "config.json").write_text(json.dumps(config))
    assert refusal(folder) == (
        f"{folder} is not a dermsim checkpoint: its config.json names no checkpoint_format. "
        "Write the folder with DermSim.save_pretrained."
    )


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"model_type": "bert"}, "the model_type 'bert', which is not one of dermsim"),
        ({"backbone": "no_such_net"}, "timm has no backbone 'no_such_net'"),
        ({"backbone": 5}, "a value in config.json or preprocessor_config.json is not of the kind"),
        ({"backbone_kwargs": [1]}, "is not of the kind it must be"),
        ({"embed_dim": "x"}, "is not of the kind it must be"),
        ({"embed_dim": 17}, "such as projector.2.bias of shape [16] in place of [17]"),
        ({"drop_rate": 2}, "drop_rate is 2, but must be in [0, 1)"),
        ({"facts_dim": 3}, "facts_dim is 3, but must be the number of facts_columns"),
        ({"dtype": "zzz"}, "is not of the kind it must be"),
        ({"backbone": "hf-hub:someone/other"}, "timm has no backbone 'hf-hub:someone/other'"),
        ({"backbone": "local-dir:/tmp"}, "timm has no backbone 'local-dir:/tmp'"),
        ({"backbone_kwargs": {"pretrained": True}}, "backbone_kwargs names 'pretrained', but may"),
        ({"backbone_kwargs": {"checkpoint_path": "/a"}}, "backbone_kwargs names 'checkpoint_path'"),
        ({"backbone_kwargs": {"pretrained_cfg": {}}}, "backbone_kwargs names 'pretrained_cfg'"),
        ({"backbone_kwargs": {"img_size": "x"}}, "backbone_kwargs sets img_size to 'x', but it"),
        ({"backbone_kwargs": {"depths": [1, {}]}}, "backbone_kwargs sets depths to"),
        ({"backbone_kwargs": {"embed_dim": 10**9}}, "backbone_kwargs sets embed_dim to"),
        ({"embed_dim": 10**9}, "embed_dim, image_size, facts_dim and the number of classes are at"),
        ({"id2label": {n: "nv" for n in range(70_000)}}, "the number of classes are at most 65536"),
    ],
)
def test_a_configuration_of_something_else_is_refused(folder, values, words):
    edit(folder / "config.json", **values)
    assert words in refusal(folder)


def test_classes_in_another_order_are_refused(folder):
    names = ["nv", "mel", "bkl", "df", "bcc", "akiec", "vasc"]
    edit(folder / "config.json", id2label=dict(enumerate(names)), label2id={})
    assert "names the classes nv, mel, bkl, df, bcc, akiec, vasc, and dermsim" in refusal(folder)


@pytest.mark.parametrize(
    "values",
    [{"size": {"shortest_edge": 72}}, {"image_mean": [0.5, 0.5, 0.5]}, {"resample": 2}],
)
def test_another_way_to_prepare_pictures_is_refused(folder, values):
    edit(folder / "preprocessor_config.json", **values)
    assert "was made by encoder" in refusal(folder)


# --- parts of two folders ------------------------------------------------------------------------


def test_the_gallery_of_another_encoder_is_refused(folder, second_checkpoint):
    shutil.rmtree(folder / "gallery")
    shutil.copytree(second_checkpoint / "gallery", folder / "gallery")
    assert "this gallery was made by encoder" in refusal(folder)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("classes.safetensors", "classes.safetensors was made by encoder"),
        ("detector.safetensors", "detector.safetensors was made by encoder"),
        ("atlas.parquet", "atlas.parquet was made by another encoder: its embedding of"),
        ("model.safetensors", "do not fit its config.json"),
    ],
)
def test_a_part_of_another_encoder_is_refused(folder, second_checkpoint, name, words):
    shutil.copy(second_checkpoint / name, folder / name)
    assert words in refusal(folder)


def test_an_atlas_of_other_dimensions_is_refused(folder):
    table = pq.read_table(folder / "atlas.parquet")
    vectors = np.stack(table["embedding"].to_numpy())[:, :8]
    narrow = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), 8)
    changed = table.set_column(3, "embedding", narrow)
    pq.write_table(changed, folder / "atlas.parquet")
    said = refusal(folder)
    assert "its embeddings have 8 dimensions, and the gallery's 16" in said


def test_an_atlas_of_other_cases_is_taken(folder):
    table = pq.read_table(folder / "atlas.parquet")
    names = pa.array([f"other {row}" for row in range(len(table))])
    pq.write_table(table.set_column(0, "image_id", names), folder / "atlas.parquet")
    assert len(DermSim.from_pretrained(folder).atlas) == len(table)


def test_nothing_is_asked_or_opened_for_a_stranger_s_configuration(folder, tmp_path, monkeypatch):
    """Neither a weight file by its path nor a model on the Hub, whatever config.json says."""
    import timm

    secret = tmp_path / "weights.pth"
    secret.write_bytes(b"whatever it is")
    made = []
    monkeypatch.setattr(timm, "create_model", lambda *_, **options: made.append(options))
    edit(folder / "config.json", backbone_kwargs={"checkpoint_path": str(secret)})
    assert "backbone_kwargs names 'checkpoint_path'" in refusal(folder)
    assert made == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
@pytest.mark.parametrize("part", [*PARTS, "gallery/gallery.json", "gallery/records.parquet"])
def test_a_pipe_is_refused_and_not_waited_for(folder, part):
    if (folder / part).is_dir():
        shutil.rmtree(folder / part)
    else:
        (folder / part).unlink()
    os.mkfifo(folder / part)
    assert "there is no file" in refusal(folder)


def test_a_configuration_without_end_is_refused(folder):
    with (folder / "config.json").open("a") as file:
        file.write(" " * 2**20)
    assert "config.json has" in refusal(folder) and "are read at most" in refusal(folder)


def test_an_ensemble_without_end_is_refused():
    with pytest.raises(ValueError, match="at most 64 members, got 65"):
        DermSimEnsembleConfig(members=[{"backbone": "test_resnet"}] * 65)


def test_a_folder_replaced_while_it_is_read_is_read_again(
    folder, checkpoint, sibling_checkpoint, monkeypatch
):
    """Between two parts another process puts another checkpoint in the place of this one."""
    sibling = DermSim.from_pretrained(sibling_checkpoint)
    load, met = Calibration.load, []

    def load_calibration(path):
        if not met:
            met.append(1)
            sibling.save_pretrained(folder)
        return load(path)

    monkeypatch.setattr(Calibration, "load", load_calibration)
    assert DermSim.from_pretrained(folder).fingerprint == sibling.fingerprint


def test_a_folder_that_a_killed_writer_moved_aside_is_found(folder):
    scratch = folder.parent / f".{folder.name}.a1b2c3d4.saving"
    scratch.mkdir()
    folder.rename(scratch / "old")
    assert DermSim.from_pretrained(folder).gallery.dim == 16
