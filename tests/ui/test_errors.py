"""What the library refuses, as a visitor reads it in Spanish; each refusal is raised for real."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from dicom_files import as_file, elements
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders import JPEGLosslessSV1Decoder
from pydicom.uid import (
    MPEG4HP41,
    UID,
    ExplicitVRLittleEndian,
    JPEGLosslessSV1,
    SegmentationStorage,
)
from refusals import refuses

from dermsim.core.labels import CODES
from dermsim.core.refused import Keyed, say
from dermsim.core.storage import read_arrays, save_arrays
from dermsim.data.images import read_image
from dermsim.tasks.enroll import ClassBank
from dermsim.ui import (
    atlas_callbacks,
    callbacks,
    explain_callbacks,
    filters,
    operating_slider,
)
from dermsim.ui.tabs import wiring


@pytest.fixture
def bank() -> ClassBank:
    vectors = np.eye(8, dtype=np.float32)[:7]
    return ClassBank.from_classes(CODES, vectors, [1] * 7, 0.1, fingerprint="ours")


def written(folder, name: str, data: bytes) -> str:
    (folder / name).write_bytes(data)
    return str(folder / name)


def picture(folder, name: str, size: tuple[int, int], mode: str = "RGB") -> str:
    Image.new(mode, size).save(folder / name)
    return str(folder / name)


def truncated(folder) -> str:
    whole = picture(folder, "whole.png", (200, 200))
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), dtype=np.uint8)
    Image.fromarray(noise).save(whole)
    with open(whole, "rb") as stream:
        return written(folder, "half.png", stream.read()[:20_000])


def deep(folder) -> str:
    Image.fromarray(np.full((64, 64), 70_000, np.int32)).save(folder / "deep.tif")
    return str(folder / "deep.tif")


def other_encoders(folder, bank) -> str:
    bank.enroll("clover", np.eye(8)[7:]).save(folder / "theirs.safetensors")
    return str(folder / "theirs.safetensors")


def no_bank(folder, bank) -> str:
    path = other_encoders(folder, bank)
    arrays, facts = read_arrays(path)
    save_arrays(path, arrays, facts={**facts, "fingerprint": "mine", "old_names": "x"})
    return path


def other_header(folder, bank) -> str:
    path = folder / "other.safetensors"
    save_arrays(path, {"x": np.zeros(3)}, facts={"names": ["a"]})
    return str(path)


def dicom(folder, syntax=ExplicitVRLittleEndian, **others) -> str:
    dataset = elements(np.full((40, 40, 3), 99, np.uint8), **others)
    if syntax.is_compressed:
        dataset.PixelData = encapsulate([bytes(20)])
        dataset["PixelData"].is_undefined_length = True
    return written(folder, "clinic.dcm", as_file(dataset, syntax=syntax))


def cut_dicom(folder) -> str:
    path = dicom(folder)
    with open(path, "rb") as stream:
        return written(folder, "cut.dcm", stream.read()[:1000])


def without(package: str, write) -> Callable[[Path], str]:
    """Write a file that is not read without a package, and take the package away for this test."""
    return lambda folder: ABSENT.append(package) or write(folder)


ABSENT: list[str] = []


@pytest.fixture(autouse=True)
def _present_again():
    yield
    ABSENT.clear()


def tiff(folder, values, photometric) -> str:
    tifffile.imwrite(folder / "scan.tif", values, photometric=photometric)
    return str(folder / "scan.tif")


GREY = np.full((40, 40), 99, np.int16)

IMAGES = {
    "extras.needs_extra": without("pydicom", dicom),
    "dicom.damaged": cut_dicom,
    "dicom.no_photograph": lambda folder: dicom(folder, SOPClassUID=SegmentationStorage),
    "dicom_decoders.video": lambda folder: dicom(folder, syntax=MPEG4HP41),
    "dicom_decoders.compression": lambda folder: dicom(
        folder, syntax=UID("1.2.840.10008.1.2.4.94")
    ),
    "dicom_decoders.needs_gpl": lambda folder: dicom(folder, syntax=JPEGLosslessSV1),
    "dicom_pixels.colours": lambda folder: dicom(folder, colours="HSV"),
    "tiff.unfinished": lambda folder: tiff(folder, GREY.astype(np.uint16), 32803),
    "tiff.many_values": lambda folder: tiff(folder, np.zeros((40, 40, 9), np.uint8), "rgb"),
    "tiff.negative": lambda folder: tiff(folder, GREY - 100, "minisblack"),
    "images.not_an_image": lambda folder: written(folder, "letter.jpg", b"Dear doctor"),
    "images.empty": lambda folder: written(folder, "nothing.jpg", b""),
    "images.damaged": lambda folder: written(folder, "stub.png", b"\x89PNG\r\n\x1a\n" + b"\0" * 40),
    "pixels.truncated": truncated,
    "images.too_large": lambda folder: picture(folder, "wall.png", (20_000, 9_000), "1"),
    "images.too_small": lambda folder: picture(folder, "dot.png", (3, 3)),
    "pixels.too_many_bits": deep,
}

ACTS = {
    "wiring.not_uploaded": lambda bank: wiring._uploaded("/etc/hostname.png"),
    "callbacks.no_picture": lambda bank: explain_callbacks.explain_data(None, None, "mel", 1),
    "callbacks.no_name": lambda bank: callbacks.enroll(None, bank, " ", ["a.png"]),
    "callbacks.no_pictures": lambda bank: callbacks.enroll(None, bank, "clover", []),
    "callbacks.too_many": lambda bank: callbacks.enroll(None, bank, "clover", ["a.png"] * 99),
    "bank.class_exists": lambda bank: bank.enroll("mel", np.eye(8)[7:]),
    "bank.class_exists_as": lambda bank: bank.enroll("Melanoma", np.eye(8)[7:]),
    "bank.long_name": lambda bank: bank.enroll("x" * 999, np.eye(8)[7:]),
    "callbacks.nothing_to_remove": lambda bank: callbacks.remove(bank, "mel"),
    "answers.cases": lambda bank: callbacks.similar(None, "a.png", 99),
    "filters.age": lambda bank: filters.where([[], [], [], []], -1, 50),
    "filters.no_age": lambda bank: filters.where([[], [], [], []], 60, 50),
    "heatmaps.opacity": lambda bank: explain_callbacks.blend(
        explain_callbacks.Explanation((), (), ()), 7
    ),
}

FILES = {
    "files.other_encoder": other_encoders,
    "files.no_bank_because": no_bank,
    "storage.keys": other_header,
    "storage.not_safetensors": lambda folder, bank: written(
        folder, "x.safetensors", b"Dear doctor"
    ),
}

LOADED = {
    "callbacks.bank_too_large": lambda folder: written(folder, "x.safetensors", bytes(16_000_001)),
}

ON_THE_MAP = {
    "atlas_callbacks.no_color": lambda engine: atlas_callbacks.draw(engine, "umap", "age", None),
    "atlas_callbacks.no_list": lambda engine: atlas_callbacks.listed(engine, "age", []),
    "atlas_callbacks.no_case": lambda engine: atlas_callbacks.case_panel(engine, 10**6),
    "operating_slider.no_stop": lambda engine: operating_slider.point_at(engine.calibration, 10**6),
    "searching.no_lesion": lambda engine: engine.check_lesions(["HAM_9"]),
    "explain_callbacks.no_past_case": lambda engine: explain_callbacks.compare(
        engine, "a.png", "SYN_x"
    ),
}


def check(said: object) -> str:
    """Spanish has its own words for a refusal."""
    assert isinstance(said, Keyed)
    spanish = say(said, "es")
    assert spanish not in (str(said), said.key)
    return spanish


@pytest.mark.parametrize("key", IMAGES)
def test_a_picture_is_refused_in_spanish(key, tmp_path, monkeypatch):
    path = IMAGES[key](tmp_path)
    for package in ABSENT:
        monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr(JPEGLosslessSV1Decoder, "_available", {})
    with refuses(key) as refused:
        read_image(path)
    assert path.rsplit("/", 1)[1] in check(refused.value)


@pytest.mark.parametrize("key", ACTS)
def test_an_act_is_refused_in_spanish(key, bank):
    with refuses(key) as refused:
        ACTS[key](bank)
    check(refused.value)


@pytest.mark.parametrize("key", FILES)
def test_a_file_of_classes_is_refused_in_spanish(key, bank, tmp_path):
    with refuses(key) as refused:
        ClassBank.load(FILES[key](tmp_path, bank), fingerprint="mine")
    check(refused.value)


@pytest.mark.parametrize("key", LOADED)
def test_the_page_refuses_a_file_of_classes_in_spanish(key, engine, tmp_path):
    with refuses(key) as refused:
        callbacks.load_bank(engine, LOADED[key](tmp_path))
    check(refused.value)


@pytest.mark.parametrize("key", ON_THE_MAP)
def test_the_map_refuses_in_spanish(key, engine):
    with refuses(key) as refused:
        ON_THE_MAP[key](engine)
    check(refused.value)


def test_a_picture_without_a_name_is_called_so_in_both_languages():
    with refuses("images.empty") as refused:
        read_image(b"")
    assert str(refused.value) == "the image is empty (0 bytes): pass an image file"
    assert say(refused.value, "es").startswith("el archivo está vacío")


def test_what_has_no_key_is_said_in_english():
    assert say(ValueError("The moon is full."), "es") == "The moon is full."
    assert say("The moon is full.", "es") == "The moon is full."
