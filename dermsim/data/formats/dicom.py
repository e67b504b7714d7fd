"""DICOM: photographs as hospitals keep them (https://dicom.nema.org/medical/dicom/current).

Dermoscopic Photography, VL Photographic, Secondary Capture and whatever else holds a picture. Only
the elements that describe the picture are read: name, number, dates and identifiers of the patient
are passed over in the file and never come into memory, so that no message can repeat them.
"""

from __future__ import annotations

import warnings
from typing import IO, TYPE_CHECKING

from PIL import Image

from dermsim.core.refused import Phrase, Refused
from dermsim.data.formats.extras import require_for
from dermsim.data.formats.quiet import quietly
from dermsim.data.formats.registry import Check, Format, UnreadableError, check_frame

if TYPE_CHECKING:
    from pydicom import Dataset

_MAGIC = b"DICM"
_PREAMBLE = 128
_VRS = frozenset((b"AE", b"AS", b"CS", b"DA", b"LO", b"OB", b"SH", b"TM", b"UI", b"UL", b"UN"))
_FIRST_GROUPS = (b"\x02\x00", b"\x08\x00", b"\x00\x08")
_LONGEST = 256
"""Bytes of the first element of a file without a preamble, which is a short one."""

_NO_PHOTOGRAPHS = {
    "1.2.840.10008.5.1.4.1.1.66.4": "dicom.segmentation",
    "1.2.840.10008.5.1.4.1.1.66.7": "dicom.segmentation",
    "1.2.840.10008.5.1.4.1.1.30": "dicom.parametric_map",
    "1.2.840.10008.5.1.4.1.1.481.2": "dicom.radiation_dose",
}
_ICC_PROFILE = "ICCProfile"


def accepts(prefix: bytes) -> bool:
    """Say whether a file that begins like this is DICOM, with its preamble or without."""
    if prefix[_PREAMBLE : _PREAMBLE + 4] == _MAGIC:
        return True
    if prefix[:2] not in _FIRST_GROUPS or len(prefix) < 16:
        return False
    if prefix[4:6] in _VRS:
        return True
    # implicit: four bytes of length, even and not long
    return prefix[3] == 0 and int.from_bytes(prefix[4:8], "little") in range(0, _LONGEST, 2)


def open_dicom(stream: IO[bytes], name: str, *, frame: int, check: Check) -> Image.Image:
    """Read a picture of a DICOM file; see `Opener`.

    Returns:
        A decoded picture of mode L or RGB, its colour profile in ``info``.
    """
    require_for(name, "DICOM", package="pydicom", extra="dicom")
    require_for(name, "DICOM", package="pylibjpeg", extra="dicom")
    from dermsim.data.formats.dicom_elements import read_elements
    from dermsim.data.formats.dicom_pixels import decode

    try:
        with quietly("pydicom"):
            elements = read_elements(stream.read(), name)
            _check_kind(elements, name)
            check(int(elements.Columns), int(elements.Rows))
            check_frame(frame, int(elements.get("NumberOfFrames") or 1), name)
            image = decode(elements, frame, name)
            if profile := _profile(elements):
                image.info["icc_profile"] = profile
            burned_in = elements.get("BurnedInAnnotation") == "YES"
    except UnreadableError:
        raise
    except Exception as error:  # whatever pydicom says may quote the file
        raise UnreadableError("dicom.damaged", name=name) from error
    if burned_in:
        sentence = f"{name} has text burned into its picture: see that it names nobody"
        warnings.warn(sentence, stacklevel=2)
    return image


def _check_kind(elements: Dataset, name: str) -> None:
    """Refuse what holds no photograph."""
    if "SOPClassUID" not in elements and "PixelData" not in elements:
        raise Refused("dicom.nothing")
    key = _NO_PHOTOGRAPHS.get(str(elements.get("SOPClassUID", "")))
    what = Phrase(key) if key else None if "PixelData" in elements else _kind(elements)
    if what is not None:
        raise UnreadableError("dicom.no_photograph", name=name, what=what)


def _kind(elements: Dataset) -> Phrase | str:
    """Say what a file without pixels holds, by its class if the standard has it."""
    from pydicom.uid import UID

    uid = UID(str(elements.get("SOPClassUID", "")))
    if uid.type != "SOP Class":  # not in the standard, so that its name is the number itself
        return Phrase("dicom.own_kind")
    return uid.name.removesuffix(" Storage")


def _profile(elements: Dataset) -> bytes | None:
    """Return the colour profile, which some keep with the optical path."""
    paths = elements.get("OpticalPathSequence") or []
    for place in (elements, *paths):
        if place.get(_ICC_PROFILE):
            return bytes(place.get(_ICC_PROFILE))
    return None


FORMAT = Format("DICOM", accepts, open_dicom, weight=lambda prefix: 4)
