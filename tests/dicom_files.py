"""Makes DICOM files for tests: photographs as hospitals keep them, with every kind of element."""

import io

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DermoscopicPhotographyImageStorage,
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
)

UID = "1.2.826.0.1.3680043.8.498.1"
"""Begins the identifiers that these files have."""


def elements(values, *, colours="RGB", bits=None, **others) -> Dataset:
    """Describe a picture.

    Args:
        values: ``([frames,] rows, columns[, 3])`` unsigned or signed; what the samples are.
        colours: Photometric interpretation.
        bits: Bits stored; by default those allocated.
        others: Further elements, by keyword.
    """
    several = values.ndim == 4 or (values.ndim == 3 and values.shape[-1] != 3)
    frame = values[0] if several else values
    allocated = values.dtype.itemsize * 8
    dataset = Dataset()
    dataset.SOPClassUID = DermoscopicPhotographyImageStorage
    dataset.SOPInstanceUID = f"{UID}.1"
    dataset.Rows, dataset.Columns = frame.shape[:2]
    dataset.SamplesPerPixel = 3 if frame.ndim == 3 else 1
    if frame.ndim == 3:
        dataset.PlanarConfiguration = 0
    dataset.PhotometricInterpretation = colours
    dataset.BitsAllocated = allocated
    dataset.BitsStored = bits or allocated
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(values.dtype.kind == "i")
    if several:
        dataset.NumberOfFrames = len(values)
    pixels = values.tobytes()
    dataset.add_new(
        "PixelData", "OW" if allocated > 8 else "OB", pixels + b"\0" * (len(pixels) % 2)
    )
    for keyword, value in others.items():
        setattr(dataset, keyword, value)
    return dataset


def as_file(dataset, *, syntax=ExplicitVRLittleEndian) -> bytes:
    """Write a file of a transfer syntax; its pixels are to be encoded already."""
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID", "")
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.get("SOPInstanceUID", "")
    stream = io.BytesIO()
    options = {}
    if not syntax.is_transfer_syntax:  # one of a maker's own
        options = {"little_endian": True, "implicit_vr": False}
    dataset.save_as(stream, enforce_file_format=True, **options)
    return stream.getvalue()


def jpeg_file(image: Image.Image, **others) -> bytes:
    """Write a photograph as most cameras' software does: a JPEG in a DICOM file."""
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=95, subsampling="4:4:4")
    dataset = elements(np.asarray(image), colours="YBR_FULL", **others)
    dataset.PixelData = encapsulate([stream.getvalue()])
    dataset["PixelData"].is_undefined_length = True
    dataset.LossyImageCompression = "01"
    return as_file(dataset, syntax=JPEGBaseline8Bit)
