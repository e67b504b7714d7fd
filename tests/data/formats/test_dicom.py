"""DICOM: every way to store a photograph, pydicom's own files, and what is refused."""

import io
import sys
import zlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_files import as_file, elements, jpeg_file
from PIL import Image, ImageCms
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate
from pydicom.pixels import apply_voi_lut
from pydicom.uid import (
    MPEG4HP41,
    DeflatedExplicitVRLittleEndian,
    EncapsulatedPDFStorage,
    ExplicitVRBigEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    RLELossless,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
    VLPhotographicImageStorage,
)
from refusals import refuses

from dermsim.core.refused import Phrase
from dermsim.data.formats.dicom import accepts
from dermsim.data.formats.dicom_decoders import encoded_size
from dermsim.data.images import read_image
from dermsim.data.synthetic import draw_lesion

PICTURE = draw_lesion("mel", seed=1, size=(48, 40))
RGB = np.asarray(PICTURE)
GREY = RGB[..., 1]
THREE = np.repeat(GREY[..., np.newaxis], 3, -1)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def shown(data, **options) -> np.ndarray:
    return np.asarray(read_image(data, **options)).astype(int)


def ours(name: str) -> Path:
    return Path(get_testdata_file(name, download=False))


# ---------------------------------------------------------------- transfer syntaxes


@pytest.mark.parametrize("kind", [VLPhotographicImageStorage, SecondaryCaptureImageStorage, None])
@pytest.mark.parametrize("syntax", [None, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_pixels_without_compression(syntax, kind):
    dataset = elements(RGB)
    if kind is not None:
        dataset.SOPClassUID = kind
    data = as_file(dataset, **({} if syntax is None else {"syntax": syntax}))
    assert accepts(data[:512])
    assert np.array_equal(shown(data), RGB)


@pytest.mark.parametrize("values", [GREY, GREY.astype(np.uint16) * 257], ids=["8", "16"])
def test_big_endian(values):
    swapped = values.astype(values.dtype.newbyteorder(">"))
    dataset = elements(swapped, colours="MONOCHROME2")
    assert np.array_equal(shown(as_file(dataset, syntax=ExplicitVRBigEndian)), THREE)


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
def test_lossless_compression(syntax):
    dataset = elements(RGB)
    dataset = pydicom.dcmread(io.BytesIO(as_file(dataset)))
    if syntax == JPEG2000Lossless:
        dataset.PhotometricInterpretation = "YBR_RCT"
    dataset.compress(syntax)
    assert np.array_equal(shown(as_file(dataset, syntax=syntax)), RGB)


def test_a_jpeg_of_a_camera():
    assert np.abs(shown(jpeg_file(PICTURE)) - RGB).mean() < 2


def test_a_jpeg_2000_file_with_boxes_is_read_as_the_code_stream_alone():
    stream = io.BytesIO()
    PICTURE.save(stream, "JPEG2000")
    for data in (
        stream.getvalue(),
        stream.getvalue()[stream.getvalue().index(b"\xff\x4f\xff\x51") :],
    ):
        assert encoded_size(data) == PICTURE.size
        dataset = elements(RGB, colours="YBR_RCT")
        dataset.PixelData = encapsulate([data])
        dataset["PixelData"].is_undefined_length = True
        assert np.array_equal(shown(as_file(dataset, syntax=JPEG2000Lossless)), RGB)


def test_without_preamble_or_file_meta_information():
    for syntax in (None, ImplicitVRLittleEndian):
        stream = io.BytesIO()
        options = {"implicit_vr": syntax is not None, "little_endian": True}
        elements(RGB).save_as(stream, **options)
        data = stream.getvalue()
        assert data[128:132] != b"DICM" and accepts(data[:512])
        assert np.array_equal(shown(data), RGB)


STRIPES = "SC_rgb_dcmtk_+eb+cr.dcm"


@pytest.mark.parametrize(
    "name",
    [
        "SC_rgb_dcmtk_+eb+cy+n1.dcm",
        "SC_rgb_dcmtk_+eb+cy+n2.dcm",
        "SC_rgb_dcmtk_+eb+cy+np.dcm",
        "SC_rgb_dcmtk_+eb+cy+s2.dcm",
        "SC_rgb_dcmtk_+eb+cy+s4.dcm",
        "SC_rgb_gdcm_KY.dcm",
        "SC_rgb_jls_lossy_line.dcm",
        "SC_rgb_jls_lossy_sample.dcm",
        "SC_rgb_jpeg_dcmtk.dcm",
        "SC_rgb_jpeg_gdcm.dcm",
        "SC_rgb_jpeg_lossy_gdcm.dcm",
        "SC_rgb_rle.dcm",
        "SC_rgb_rle_16bit.dcm",
        "SC_rgb_rle_16bit_2frame.dcm",
        "SC_rgb_rle_2frame.dcm",
        "SC_rgb_rle_32bit.dcm",
        "SC_rgb_rle_32bit_2frame.dcm",
        "SC_ybr_full_422_uncompressed.dcm",
    ],
)
def test_pydicom_s_stripes_have_the_same_colours_in_every_encoding(name):
    expected = shown(ours(STRIPES))
    assert expected[5, 50].tolist() == pytest.approx([255, 0, 0], abs=2)
    assert np.abs(shown(ours(name)) - expected).mean() < 4
    for row in (5, 25, 45, 95):  # the middles of red, green, blue, white
        assert np.abs(shown(ours(name))[row, 50] - expected[row, 50]).max() <= 6


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("examples_rgb_color.dcm", (320, 240)),
        ("examples_ybr_color.dcm", (320, 240)),
        ("examples_palette.dcm", (800, 350)),
        ("examples_jpeg2k.dcm", (640, 480)),
        ("GDCMJ2K_TextGBR.dcm", (400, 400)),
        ("image_dfl.dcm", (512, 512)),
        ("SC_jpeg_no_color_transform.dcm", (256, 256)),
        ("ExplVR_BigEnd.dcm", (80, 60)),
        ("JPGExtended.dcm", (256, 1024)),
        ("MR_small_jp2klossless.dcm", (64, 64)),
        ("MR_small_jpeg_ls_lossless.dcm", (64, 64)),
        ("JPEGLSNearLossless_16.dcm", (10, 50)),
    ],
)
def test_pydicom_s_other_pictures(name, size):
    assert read_image(ours(name), min_side=1).size == size


def test_the_same_scan_in_every_encoding():
    names = ["implicit", "bigendian", "expb", "RLE", "jp2klossless", "jpeg_ls_lossless", "padded"]
    expected = shown(ours("MR_small.dcm"))
    for name in names:
        assert np.array_equal(shown(ours(f"MR_small_{name}.dcm")), expected), name


def test_a_palette_is_looked_up_as_pydicom_does():
    dataset = pydicom.dcmread(ours("examples_palette.dcm"))
    expected = pydicom.pixels.apply_color_lut(dataset.pixel_array, dataset)
    found = shown(ours("examples_palette.dcm"))
    assert np.abs(found - expected / 257).max() <= 1


def test_a_palette_of_more_than_256_colours_of_8_bits():
    places = (GREY.astype(np.uint16) * 2) + 300
    table = np.arange(512) // 2
    dataset = elements(places, colours="PALETTE COLOR", bits=12)
    for colour in ("Red", "Green", "Blue"):
        setattr(dataset, f"{colour}PaletteColorLookupTableDescriptor", [512, 300, 8])
        setattr(dataset, f"{colour}PaletteColorLookupTableData", table.astype(np.uint8).tobytes())
    assert np.array_equal(shown(as_file(dataset)), THREE)


# ---------------------------------------------------------------- samples and colours


def test_planes():
    dataset = elements(RGB, PlanarConfiguration=1)
    dataset.PixelData = np.moveaxis(RGB, -1, 0).tobytes()
    assert np.array_equal(shown(as_file(dataset)), RGB)


def test_ybr_full():
    values = np.asarray(PICTURE.convert("YCbCr"))
    assert np.abs(shown(as_file(elements(values, colours="YBR_FULL"))) - RGB).max() <= 3


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
@pytest.mark.parametrize("colours", ["RGB", "MONOCHROME2", "MONOCHROME1"])
def test_bits_stored_count_and_not_those_allocated(bits, colours):
    top = (1 << bits) - 1
    values = np.rint((RGB if colours == "RGB" else GREY) / 255 * top).astype(np.uint16)
    expected = RGB if colours == "RGB" else 255 - THREE if colours == "MONOCHROME1" else THREE
    found = shown(as_file(elements(values, colours=colours, bits=bits)))
    assert np.abs(found - expected).max() <= 1


def test_twelve_bits_at_the_upper_end_and_rubbish_below():
    values = (GREY.astype(np.uint16) * 16) << 4
    rubbish = values | np.random.default_rng(0).integers(0, 16, values.shape, dtype=np.uint16)
    dataset = elements(rubbish, colours="MONOCHROME2", bits=12, HighBit=15)
    assert np.abs(shown(as_file(dataset)) - THREE).max() <= 1


def test_rubbish_above_the_bits_that_are_stored():
    values = (GREY.astype(np.uint16) * 16) | 0xA000
    found = shown(as_file(elements(values, colours="MONOCHROME2", bits=12)))
    assert np.abs(found - THREE).max() <= 1


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize("signed", [False, True])
def test_a_window_of_greys_is_pydicom_s(function, signed):
    values = (GREY.astype(np.int16) - 100) if signed else GREY.astype(np.uint16)
    dataset = elements(
        values,
        colours="MONOCHROME2",
        RescaleSlope=2,
        RescaleIntercept=-20,
        WindowCenter=[60, 1],
        WindowWidth=[90, 1],
        VOILUTFunction=function,
    )
    least, most = (-(2**15), 2**15 - 1) if signed else (0, 2**16 - 1)
    least, most = least * 2 - 20, most * 2 - 20
    windowed = apply_voi_lut(values.astype(np.float64) * 2 - 20, dataset)
    expected = np.clip((windowed - least) / (most - least), 0, 1) * 255
    assert np.abs(shown(as_file(dataset))[..., 0] - expected).max() <= 1
    inverted = elements(values, colours="MONOCHROME1")
    for keyword in ("RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth"):
        setattr(inverted, keyword, dataset.get(keyword))
    inverted.VOILUTFunction = function
    assert np.abs(shown(as_file(inverted))[..., 0] - (255 - expected)).max() <= 1


def test_a_table_of_greys():
    item = pydicom.Dataset()
    item.LUTDescriptor, item.LUTData = [256, 0, 16], (np.arange(255, -1, -1) * 257).tolist()
    dataset = elements(GREY, colours="MONOCHROME2", VOILUTSequence=[item])
    item.add_new("LUTData", "US", item.LUTData)
    assert np.abs(shown(as_file(dataset)) - (255 - THREE)).max() <= 1


@pytest.mark.parametrize("place", ["picture", "optical path"])
def test_the_colour_profile_is_passed_on(place):
    from dermsim.data.formats.dicom import open_dicom

    item = pydicom.Dataset()
    item.ICCProfile = SRGB
    others = {"ICCProfile": SRGB} if place == "picture" else {"OpticalPathSequence": [item]}
    stream = io.BytesIO(as_file(elements(RGB, **others)))
    image = open_dicom(stream, "x", frame=0, check=lambda width, height: None)
    assert image.info["icc_profile"].rstrip(b"\0") == SRGB.rstrip(b"\0")


# ---------------------------------------------------------------- frames


def test_one_of_several_frames():
    frames = np.stack([RGB, 255 - RGB, RGB // 2])
    data = as_file(elements(frames))
    for number, frame in enumerate(frames):
        assert np.array_equal(shown(data, frame=number), frame)
    with refuses("formats_registry.no_frame", count=3, last=2, frame=3):
        read_image(data, frame=3)
    with refuses("formats_registry.one_frame", frame=1):
        read_image(as_file(elements(RGB)), frame=1)


def test_one_of_several_compressed_frames():
    name = ours("SC_rgb_rle_2frame.dcm")
    assert np.abs(shown(name) + shown(name, frame=1) - 255).max() <= 1


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("test-SR.dcm", Phrase("dicom.no_photograph", what="Comprehensive SR")),
        ("rtplan.dcm", Phrase("dicom.no_photograph", what="RT Plan")),
        ("liver_1frame.dcm", Phrase("dicom.no_photograph", what="dicom.segmentation")),
        ("rtdose.dcm", Phrase("dicom.no_photograph", what="dicom.radiation_dose")),
        ("waveform_ecg.dcm", Phrase("dicom.no_photograph", what="12-lead ECG Waveform")),
        ("MR_truncated.dcm", "dicom.damaged"),
        ("meta_missing_tsyntax.dcm", "dicom.damaged"),
    ],
)
def test_what_holds_no_photograph_is_refused_in_one_sentence(name, words):
    with refuses(words) as refusal:
        read_image(ours(name))
    assert str(refusal.value).startswith(f"{name} is a ")


def test_documents_and_kinds_of_one_s_own_are_refused_without_their_number():
    document = pydicom.Dataset()
    document.SOPClassUID, document.EncapsulatedDocument = EncapsulatedPDFStorage, b"%PDF-1.7"
    document.SOPInstanceUID = "1.2.826.0.1.3680043.8.498.5"
    with refuses("dicom.no_photograph", what="Encapsulated PDF"):
        read_image(as_file(document))
    document.SOPClassUID = "1.2.826.0.1.3680043.8.498.7"
    with refuses("dicom.no_photograph", what="dicom.own_kind"):
        read_image(as_file(document))
    with refuses("dicom.no_photograph", what="dicom.segmentation"):
        read_image(as_file(elements(GREY, colours="MONOCHROME2", SOPClassUID=SegmentationStorage)))


@pytest.mark.parametrize(
    ("syntax", "words"),
    [
        (MPEG4HP41, "dicom_decoders.video"),
        ("1.2.840.10008.1.2.4.94", Phrase("dicom_decoders.compression", kind="JPIP Referenced")),
        ("1.2.826.0.1.3680043.8.498.9", "dicom_decoders.own_compression"),
    ],
)
def test_compressions_that_nothing_reads(syntax, words):
    dataset = elements(RGB)
    dataset.PixelData = encapsulate([b"\0" * 20])
    dataset["PixelData"].is_undefined_length = True
    with refuses(words) as refusal:
        read_image(as_file(dataset, syntax=pydicom.uid.UID(syntax)))
    assert "1.2.8" not in str(refusal.value)


def test_colours_that_nobody_uses():
    with refuses("dicom_pixels.colours"):
        read_image(as_file(elements(RGB, colours="HSV")))


@pytest.mark.parametrize("package", ["pydicom", "pylibjpeg"])
def test_without_the_extra_the_format_is_named_and_what_installs_it(monkeypatch, tmp_path, package):
    path = tmp_path / "lesion"
    path.write_bytes(as_file(elements(RGB)))
    monkeypatch.setitem(sys.modules, package, None)
    with refuses("extras.needs_extra", name="lesion", kind="DICOM"):
        read_image(path)


def test_without_the_decoder_that_is_not_part_of_the_extra(monkeypatch):
    from pydicom.pixels.decoders import JPEGLosslessSV1Decoder

    monkeypatch.setattr(JPEGLosslessSV1Decoder, "_available", {})
    with refuses("dicom_decoders.needs_gpl", kind="JPEG Lossless"):
        read_image(ours("SC_rgb_jpeg_gdcm.dcm"))
    assert pydicom.dcmread(ours("SC_rgb_jpeg_gdcm.dcm")).file_meta.TransferSyntaxUID == (
        JPEGLosslessSV1
    )


def test_without_a_decoder_of_the_extra(monkeypatch):
    from pydicom.pixels.decoders import RLELosslessDecoder

    monkeypatch.setattr(RLELosslessDecoder, "_available", {})
    with refuses("dicom_decoders.needs_extra", kind="RLE Lossless"):
        read_image(ours("SC_rgb_rle.dcm"))


# ---------------------------------------------------------------- hostile files


def never(*arguments, **options):
    raise AssertionError("decoded")


def test_the_size_is_checked_before_anything_is_decoded(monkeypatch):
    monkeypatch.setattr(pydicom.pixels.decoders.base.Decoder, "as_array", never)
    with refuses("images.too_large", width=48, height=40):
        read_image(jpeg_file(PICTURE), max_pixels=1000)


@pytest.mark.parametrize(
    ("syntax", "kind"), [(JPEGBaseline8Bit, "JPEG"), (JPEG2000Lossless, "JPEG2000")]
)
def test_a_large_picture_in_a_small_frame_is_not_decoded(monkeypatch, syntax, kind):
    monkeypatch.setattr(pydicom.pixels.decoders.base.Decoder, "as_array", never)
    stream = io.BytesIO()
    Image.new("RGB", (2000, 1000)).save(stream, kind)
    dataset = elements(RGB)
    dataset.PixelData = encapsulate([stream.getvalue()])
    dataset["PixelData"].is_undefined_length = True
    with refuses("dicom.damaged"):
        read_image(as_file(dataset, syntax=syntax))


def test_what_inflates_without_end_is_stopped(monkeypatch):
    monkeypatch.setattr("dermsim.data.formats.dicom_elements._INFLATED", 2**20)
    monkeypatch.setattr(zlib, "decompress", never)
    data = as_file(elements(np.zeros((1000, 1000), np.uint8), colours="MONOCHROME2"))
    small = as_file(
        elements(np.zeros((1200, 1000), np.uint8), colours="MONOCHROME2"),
        syntax=DeflatedExplicitVRLittleEndian,
    )
    assert read_image(data).size == (1000, 1000) and len(small) < 10_000
    with refuses("dicom_elements.inflates", inflated=1):
        read_image(small)


@pytest.mark.parametrize("part", [140, 300, 0.5, 0.9])
@pytest.mark.parametrize("write", [jpeg_file, lambda image: as_file(elements(np.asarray(image)))])
def test_what_is_cut_is_refused_in_one_sentence(write, part):
    data = write(PICTURE)
    cut = data[: part if part > 1 else int(len(data) * part)]
    with refuses("dicom.damaged"):
        read_image(cut)


def test_sizes_of_code_streams():
    for kind in ("JPEG", "JPEG2000"):
        stream = io.BytesIO()
        Image.new("RGB", (300, 200)).save(stream, kind)
        assert encoded_size(stream.getvalue()) == (300, 200)
    assert HTJ2KLossless  # its code streams begin like those of JPEG 2000
    for junk in (b"", b"\xff\xd8", b"\xff\xd8\xff\xd9" + b"\0" * 20, b"GIF89a"):
        with refuses("dicom_decoders.no_size"):
            encoded_size(junk)


def test_what_begins_otherwise_is_no_dicom():
    for junk in (
        b"",
        b"\x08\x00",
        b"\x08\x00" + b"\xff" * 30,
        b"\x02\x00\x00\x00abcd" + b"\0" * 30,
    ):
        assert not accepts(junk)


def test_a_file_that_is_a_tiff_and_dicom_at_once_is_dicom():
    assert ours("examples_rgb_color.dcm").read_bytes()[:4] == b"II*\0"
    assert read_image(ours("examples_rgb_color.dcm")).size == (320, 240)
