"""Picture files as nobody should send them: every format and mode, then broken in many ways."""

import functools
import io
import random
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pillow_heif
import pillow_jxl
import tifffile
from dicom_files import as_file, elements, jpeg_file
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian

from dermsim.data.synthetic import draw_lesion

pillow_heif.register_heif_opener()
assert pillow_jxl  # registers a writer, too

SIZE = (64, 48)
SIDES = (0, 1, 15, 16, 65, 7000, 50_001, 65_535, 2**31 - 1, 2**32 - 1)
"""Widths and heights that are declared instead of the true ones."""

WORDS = (b"\x00\x00", b"\xff\xff", b"\x7f\xff", b"\x80\x00", b"\xff\xd8", b"II", b"MM")
"""Bytes that mean something to one decoder or another."""


@functools.cache
def seeds() -> dict[str, bytes]:
    """Return whole files, by format and mode."""
    photograph = draw_lesion("mel", seed=1, size=SIZE)
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    exif[0x010E] = "a lesion"
    frames = [photograph.rotate(angle).convert("P") for angle in (0, 90, 180)]
    several = {"save_all": True, "append_images": frames[1:]}
    grey16 = Image.fromarray(np.asarray(photograph.convert("L"), np.uint16) * 257)
    real = Image.fromarray(np.asarray(photograph.convert("L"), np.float32))
    alpha = photograph.convert("RGBA")
    alpha.putalpha(128)
    plans = [
        ("JPEG", photograph, {"quality": 80}),
        ("JPEG", photograph, {"progressive": True, "exif": exif}),
        ("JPEG", photograph.convert("CMYK"), {}),
        ("JPEG", photograph.convert("L"), {"dpi": (72, 72)}),
        ("PNG", photograph, {"exif": exif}),
        ("PNG", alpha, {}),
        ("PNG", photograph.convert("P"), {"transparency": 0}),
        ("PNG", photograph.convert("1"), {}),
        ("PNG", photograph.convert("LA"), {}),
        ("PNG", grey16, {}),
        ("PNG", frames[0], several),
        ("WEBP", photograph, {"exif": exif}),
        ("WEBP", alpha, {"lossless": True}),
        ("WEBP", frames[0].convert("RGB"), {"save_all": True, "append_images": [photograph]}),
        ("TIFF", photograph, {"compression": "tiff_lzw"}),
        ("TIFF", photograph, {"compression": "jpeg"}),
        ("TIFF", photograph.convert("CMYK"), {"compression": "tiff_deflate"}),
        ("TIFF", grey16, {}),
        ("TIFF", real, {}),
        ("TIFF", Image.frombytes("LAB", SIZE, photograph.tobytes()), {}),
        ("TIFF", photograph, {"save_all": True, "append_images": [photograph], "exif": exif}),
        ("BMP", photograph, {}),
        ("BMP", photograph.convert("P"), {}),
        ("BMP", photograph.convert("1"), {}),
        ("GIF", frames[0], {}),
        ("GIF", frames[0], {**several, "disposal": 2}),
        ("HEIF", photograph, {"quality": 60, "exif": exif}),
        ("HEIF", alpha, {"quality": 60, "save_all": True, "append_images": [photograph]}),
        ("AVIF", photograph, {"quality": 60, "exif": exif}),
        ("AVIF", alpha, {"save_all": True, "append_images": [alpha.rotate(180)]}),
        ("JPEG2000", photograph, {"irreversible": True, "quality_layers": [20]}),
        ("JPEG2000", grey16, {"no_jp2": True}),
        ("JXL", photograph, {"quality": 80, "exif": exif.tobytes()}),
        ("JXL", alpha, {"lossless": True}),
    ]
    found = {}
    for number, (kind, image, options) in enumerate(plans):
        stream = io.BytesIO()
        image.save(stream, kind, **options)
        found[f"{number:02d} {kind} {image.mode}"] = stream.getvalue()
    others = {**_tiffs(photograph), **_dicoms(photograph)}
    found |= {f"{len(found) + n:02d} {name}": data for n, (name, data) in enumerate(others.items())}
    return found


def _tiffs(photograph: Image.Image) -> dict[str, bytes]:
    """TIFFs of the kinds that Pillow does not write."""
    values = np.asarray(photograph)
    deep, planes = values.astype(np.uint16) * 257, np.moveaxis(values, -1, 0)
    grey = deep[..., 1]
    plans: dict[str, tuple[np.ndarray, dict[str, object]]] = {
        "deep": (deep, {"photometric": "rgb", "compression": "zlib", "predictor": True}),
        "planes": (planes, {"photometric": "rgb", "planarconfig": "separate"}),
        "white": (grey, {"photometric": "miniswhite", "compression": "lzw"}),
        "big": (deep, {"photometric": "rgb", "bigtiff": True, "byteorder": ">", "tile": (16, 16)}),
        "real": (grey / np.float32(65535), {"photometric": "minisblack"}),
        "zstd": (values, {"photometric": "rgb", "compression": "zstd"}),
    }
    found = {}
    for name, (array, options) in plans.items():
        stream = io.BytesIO()
        tifffile.imwrite(stream, array, metadata=None, **options)
        found[f"TIFF {name}"] = stream.getvalue()
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as writer:
        writer.write(values[::2, ::2], photometric="rgb", subfiletype=1, subifds=1)
        writer.write(deep, photometric="rgb", subfiletype=0)
    return {**found, "TIFF below": stream.getvalue()}


def _dicoms(photograph: Image.Image) -> dict[str, bytes]:
    """DICOM in the encodings that a hospital's programs write, pydicom's own files among them."""
    values = np.asarray(photograph)
    window = {"WindowCenter": 900, "WindowWidth": 1500, "RescaleSlope": 2, "RescaleIntercept": -5}
    grey = values[..., 1].astype(np.uint16) * 8
    deflated = DeflatedExplicitVRLittleEndian
    found = {
        "DICOM": as_file(elements(values)),
        "DICOM implicit": as_file(elements(values), syntax=ImplicitVRLittleEndian),
        "DICOM deflated": as_file(elements(values), syntax=deflated),
        "DICOM window": as_file(elements(grey, colours="MONOCHROME1", bits=12, **window)),
        "DICOM JPEG": jpeg_file(photograph),
    }
    for name in ("rle_2frame", "gdcm_KY", "jls_lossy_line", "jpeg_gdcm"):
        path = get_testdata_file(f"SC_rgb_{name}.dcm", download=False)
        found[f"DICOM {name}"] = Path(path).read_bytes()
    return found


def hostile_pictures(count: int, *, seed: int) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the bytes of `count` files, each broken in one to three ways."""
    rng = random.Random(seed)
    files = seeds()
    names = list(files)
    for number in range(count):
        name = names[number % len(names)]
        data, told = files[name], []
        for _ in range(rng.choice((1, 1, 2, 3))):
            change = rng.choice(CHANGES)
            data = change(data, rng, files[rng.choice(names)])
            told.append(change.__name__)
        yield f"{number} {name} {'+'.join(told)}", data


def truncate(data: bytes, rng: random.Random, other: bytes) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def flip_bits(data: bytes, rng: random.Random, other: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 2, 8, 64)) if changed else 0):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def flip_header(data: bytes, rng: random.Random, other: bytes) -> bytes:
    """Flip bits where formats say what they are: in the first hundred bytes."""
    return flip_bits(data[:100], rng, other) + data[100:]


def overwrite(data: bytes, rng: random.Random, other: bytes) -> bytes:
    place, word = rng.randrange(len(data) + 1), rng.choice(WORDS)
    return data[:place] + word + data[place + len(word) :]


def cut_out(data: bytes, rng: random.Random, other: bytes) -> bytes:
    start = rng.randrange(len(data) + 1)
    return data[:start] + data[start + rng.randrange(1, 200) :]


def repeat_part(data: bytes, rng: random.Random, other: bytes) -> bytes:
    start = rng.randrange(len(data) + 1)
    part = data[start : start + rng.randrange(1, 200)]
    return data[:start] + part * rng.choice((2, 50)) + data[start:]


def insert_noise(data: bytes, rng: random.Random, other: bytes) -> bytes:
    place = rng.randrange(len(data) + 1)
    return data[:place] + rng.randbytes(rng.randrange(1, 300)) + data[place:]


def splice(data: bytes, rng: random.Random, other: bytes) -> bytes:
    """Begin as one file and go on as another."""
    place = rng.randrange(min(len(data), len(other)) + 1)
    return data[:place] + other[place:]


def polyglot(data: bytes, rng: random.Random, other: bytes) -> bytes:
    """Be a picture and something else."""
    foreign = rng.choice(
        (b"%PDF-1.7\n", b"PK\x03\x04", b"<svg/>", b"<script>", b"#!/bin/sh\n", other)
    )
    return rng.choice((data + foreign, foreign + data, data[:12] + foreign + data[12:]))


def noise_after_magic(data: bytes, rng: random.Random, other: bytes) -> bytes:
    return data[: rng.choice((4, 8, 12, 16, 26))] + rng.randbytes(rng.randrange(2000))


def declare_size(data: bytes, rng: random.Random, other: bytes) -> bytes:
    """Declare another width and height than there are pixels for, where the format keeps them."""
    wide, high = rng.choice(SIDES), rng.choice(SIDES)
    if data.startswith(b"\x89PNG") and len(data) > 33:
        header = b"IHDR" + struct.pack(">II", wide, high) + data[24:29]
        return data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]
    if data.startswith(b"GIF8"):
        size = struct.pack("<HH", wide & 0xFFFF, high & 0xFFFF)
        return data[:6] + size + data[10:]
    if data.startswith(b"BM"):
        return data[:18] + struct.pack("<II", wide, high) + data[26:]
    true = struct.pack("<H", SIZE[0]), struct.pack(">H", SIZE[0])
    return data.replace(true[rng.randrange(2)], struct.pack(">H", wide & 0xFFFF), 1)


CHANGES: tuple[Callable[[bytes, random.Random, bytes], bytes], ...] = (
    truncate,
    flip_bits,
    flip_header,
    overwrite,
    cut_out,
    repeat_part,
    insert_noise,
    splice,
    polyglot,
    noise_after_magic,
    declare_size,
)
