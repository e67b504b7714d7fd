"""TIFF: the picture of a file, whatever its depth, colours and pages.

Pillow decodes what it decodes right: 8 bits of the common colours. It takes the first page even
where that is a preview, leaves 16-bit WhiteIsZero as it is, drops the low bits of 16-bit colours
and does not know several others; there, tifffile decodes and the samples are interpreted here.
TIFF 6.0, https://www.itu.int/itudoc/itu-t/com16/tiff-fx/docs/tiff6.pdf.
"""

from __future__ import annotations

import struct
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from itertools import islice
from typing import IO, TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, TiffImagePlugin

from dermsim.data.depth_dermsim import PixelsError, float_to_8_bits, to_8_bits
from dermsim.data.formats.quiet import quietly
from dermsim.data.formats.registry import Check, Format, UnreadableError, check_frame
from dermsim.data.formats.samples import scale_to_8_bits

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPage

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, SEPARATED, YCBCR, CIELAB, ICCLAB = (
    *(0, 1, 2, 3),
    *(5, 6, 8, 9),
)
"""Values of PhotometricInterpretation."""

_CHANNELS = {
    WHITE_IS_ZERO: 1,
    BLACK_IS_ZERO: 1,
    RGB: 3,
    PALETTE: 1,
    SEPARATED: 4,
    YCBCR: 3,
    CIELAB: 3,
    ICCLAB: 3,
}
_RAW = (32803, 34892)
"""Photometric interpretations of what a sensor saw."""
_REDUCED, _MASK = 1, 4  # bits of NewSubfileType
_ORIENTATION, _MAX_SAMPLE, _ICC_PROFILE = 274, 281, 34675
_ASSOCIATED, _UNASSOCIATED = 1, 2  # of ExtraSamples
_UNSIGNED, _FLOAT = 1, 3  # of SampleFormat
_PAGES = 1000
"""Pages that are looked at."""


def accepts(prefix: bytes) -> bool:
    """Say whether a file that begins like this is a TIFF or BigTIFF, and not DICOM as well."""
    known = prefix[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
    return known and prefix[128:132] != b"DICM"


def open_tiff(stream: IO[bytes], name: str, *, frame: int, check: Check) -> Image.Image:
    """Read the picture of a TIFF.

    Previews, masks and pages of less than half the pixels of the largest are not counted. Of
    several pictures the first is read, and a note says so.

    Args:
        stream: The file, at its beginning.
        name: What it is called in sentences.
        frame: Which of its pictures, from 0.
        check: Called with width and height before anything is decoded.

    Returns:
        An upright image, of mode L, LA, RGB, RGBA, CMYK or P, its colour profile in ``info``.

    Raises:
        UnreadableError: If `check` refuses it, there is no such frame, or nothing says how to
            show what is stored.
    """
    from tifffile import TiffFile

    data = stream.read()
    with quietly("tifffile"), TiffFile(BytesIO(data)) as file:
        pictures = _pictures(file, name)
        check_frame(frame, len(pictures), name)
        page = pictures[frame]
        check(page.imagewidth, page.imagelength)
        image = _Reader(name, data, file, page).read()
        if _ICC_PROFILE in page.tags and int(page.photometric) not in (CIELAB, ICCLAB):
            image.info["icc_profile"] = bytes(page.tags[_ICC_PROFILE].value)
        else:
            image.info.pop("icc_profile", None)
    if len(pictures) > 1:
        sentence = f"{name} has {len(pictures)} pages with pictures: number {frame} is read, from 0"
        warnings.warn(sentence, stacklevel=2)
    return image


def _pictures(file: TiffFile, name: str) -> list[TiffPage]:
    """List the pages that are pictures in their own right, in the order of the file."""
    pages = [page for page in _all_pages(file) if page.imagewidth and page.imagelength]
    sides = [side for page in pages for side in (page.imagewidth, page.imagelength)]
    if not all(isinstance(side, int) for side in sides):  # tifffile gives a tuple for such a tag
        raise UnreadableError("tiff.several_sizes", name=name)
    if any(int(page.photometric) in _RAW for page in pages):
        raise UnreadableError("tiff.unfinished", name=name)
    whole = [page for page in pages if not page.subfiletype & (_REDUCED | _MASK)] or pages
    if not whole:
        raise UnreadableError("tiff.no_picture", name=name)
    largest = max(page.imagewidth * page.imagelength for page in whole)
    return [page for page in whole if 2 * page.imagewidth * page.imagelength >= largest]


def _all_pages(file: TiffFile) -> Iterator[TiffPage]:
    for page in islice(file.pages, _PAGES):
        yield cast("TiffPage", page)  # frames come only to whom asks for them
        if page.pages is not None:
            yield from islice(cast("Iterator[TiffPage]", iter(page.pages)), _PAGES)


@dataclass
class _Reader:
    """Decodes one page."""

    name: str
    data: bytes
    file: TiffFile
    page: TiffPage

    def __post_init__(self) -> None:
        self.kind = int(self.page.photometric)
        self.bits = self.page.bitspersample
        self.samples = self.page.samplesperpixel
        self.format = self.page.sampleformat

    def read(self) -> Image.Image:
        """Decode with what does it right."""
        if self.kind not in _CHANNELS:
            raise UnreadableError("tiff.unknown_colours", name=self.name)
        if not _CHANNELS[self.kind] <= self.samples <= _CHANNELS[self.kind] + 4:
            raise UnreadableError("tiff.many_values", name=self.name, samples=self.samples)
        size = self.page.imagewidth * self.page.imagelength * self.samples
        if (
            self.kind == YCBCR
            and self.page.compression == 1
            and sum(self.page.databytecounts) < size
        ):
            raise UnreadableError("tiff.subsampled", name=self.name)
        if self._pillow_is_right():
            return self._by_pillow().copy()  # a plain image, that may outlive its file
        try:
            values = self.page.asarray(maxworkers=1)
        except ValueError as error:
            if "imagecodecs" not in str(error):
                raise
            return self._without_codecs()
        return self._upright(self._interpret(values))

    # -- by Pillow ----------------------------------------------------------------------------

    def _pillow_is_right(self) -> bool:
        if self.bits > 8 or self.format != _UNSIGNED or self.kind == ICCLAB:
            return False
        if self.file.is_bigtiff and self.file.byteorder == ">":
            return False
        if self.kind == WHITE_IS_ZERO and self.samples > 1:
            return False
        return self.kind != YCBCR or self.page.compression != 1

    def _by_pillow(self) -> Image.Image:
        """Open this page with Pillow, as if it were the first."""
        changed = bytearray(self.data)
        wide = self.file.is_bigtiff
        struct.pack_into(
            f"{self.file.byteorder}{'Q' if wide else 'I'}",
            changed,
            8 if wide else 4,
            self.page.offset,
        )
        # what follows the page is not wanted; Pillow would follow it to count the frames
        image = TiffImagePlugin.TiffImageFile(BytesIO(bytes(changed)), self.name)
        image.load()  # turned upright by Pillow
        return image

    def _without_codecs(self) -> Image.Image:
        """Read what Pillow can where tifffile lacks a decoder, or name the decoder."""
        compression = getattr(self.page.compression, "name", str(self.page.compression))
        refusal = UnreadableError(
            "tiff.needs_extra", name=self.name, bits=self.bits, compression=compression
        )
        try:
            image = self._by_pillow()
        except Exception as error:
            raise refusal from error
        values = np.asarray(image)
        if self.kind in (WHITE_IS_ZERO, BLACK_IS_ZERO) and values.dtype == np.uint16:
            return self._interpret(values)  # greys keep all their bits
        # of colours Pillow keeps the upper 8 bits of 16, which is enough if those are used
        if self.bits == 16 and values.dtype == np.uint8 and values[..., :3].max(initial=0) >= 16:
            return image.copy()
        raise refusal

    # -- by tifffile --------------------------------------------------------------------------

    def _interpret(self, values: npt.NDArray[Any]) -> Image.Image:
        """Make an image of the samples of a page."""
        if values.ndim == 3 and self.page.planarconfig == 2:
            values = np.moveaxis(values, 0, -1)
        if values.ndim == 2:
            values = values[..., np.newaxis]
        if values.ndim != 3 or values.shape[-1] != self.samples:
            raise UnreadableError("tiff.layers", name=self.name)
        if self.kind == PALETTE:
            raise UnreadableError("tiff.deep_palette", name=self.name)
        if self.kind in (CIELAB, ICCLAB):
            return self._lab(values)
        colours, alpha = self._split(values)
        if self.kind == WHITE_IS_ZERO:
            colours = 255 - colours
        if self.kind in (WHITE_IS_ZERO, BLACK_IS_ZERO):
            return _assemble(colours[..., 0], alpha, "L")
        if self.kind == YCBCR:
            return Image.fromarray(colours, "YCbCr").convert("RGB")
        return _assemble(colours, None if self.kind == SEPARATED else alpha, "RGB")

    def _split(
        self, values: npt.NDArray[Any]
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8] | None]:
        """Tell colours from opacity, scale both, and undo what opacity did to the colours."""
        count = _CHANNELS[self.kind]
        extra = [int(kind) for kind in self.page.extrasamples][: self.samples - count]
        kind = next((kind for kind in extra if kind in (_ASSOCIATED, _UNASSOCIATED)), None)
        if kind is None:
            return self._scaled(values[..., :count]), None
        opacity = values[..., count + extra.index(kind)]
        colours = self._scaled(values[..., :count], opacity)
        # it has as many bits as the colours, or more
        most = int(values.max(initial=0)) if self.format != _FLOAT else 0
        alpha = self._scaled(opacity) if self.bits != 16 else scale_to_8_bits(opacity, _even(most))
        if kind == _ASSOCIATED:
            divisor = np.maximum(alpha, 1)[..., np.newaxis].astype(np.float32)
            colours = np.minimum(colours * (255 / divisor) + 0.5, 255).astype(np.uint8)
        return colours, alpha

    def _scaled(
        self, values: npt.NDArray[Any], alpha: npt.NDArray[Any] | None = None
    ) -> npt.NDArray[np.uint8]:
        """Scale to 8 bits by what the file says of the depth, or what the samples say."""
        if values.dtype.kind == "b":
            return values.astype(np.uint8) * np.uint8(255)
        if self.format == _FLOAT:
            return _or_refuse(float_to_8_bits, values, self.name)
        if values.size and values.min() < 0:
            raise UnreadableError("tiff.negative", name=self.name)
        if self.bits < 16:
            return scale_to_8_bits(values, self.bits)
        stated = self.page.tags.get(_MAX_SAMPLE)
        most = int(np.max(stated.value)) if stated else 0
        if 255 < most < 65535 and values.max(initial=0) <= most:
            return scale_to_8_bits(values, most.bit_length())
        return _or_refuse(to_8_bits, values, self.name, alpha=alpha)

    def _lab(self, values: npt.NDArray[Any]) -> Image.Image:
        if self.bits not in (8, 16) or self.format == _FLOAT:
            raise UnreadableError("tiff.unknown_lab", name=self.name)
        unsigned = values[..., :3].astype(np.int64) & ((1 << self.bits) - 1)
        lab = (unsigned >> (self.bits - 8)).astype(np.uint8)
        if self.kind == ICCLAB:  # a and b from 0, where CIELab has them signed
            lab[..., 1:] ^= 128
        return Image.frombytes("LAB", lab.shape[1::-1], np.ascontiguousarray(lab).tobytes())

    def _upright(self, image: Image.Image) -> Image.Image:
        tag = self.page.tags.get(_ORIENTATION)
        image.getexif()[_ORIENTATION] = tag.value if tag else 1
        return ImageOps.exif_transpose(image)


def _or_refuse(
    scale: Callable[..., npt.NDArray[np.uint8]], *values: Any, **options: Any
) -> npt.NDArray[np.uint8]:
    """Scale; what is refused is no damage."""
    try:
        return scale(*values, **options)
    except PixelsError as error:
        raise UnreadableError(f"pixels.{error.kind}", **error.values) from error


def _even(most: int) -> int:
    """Return the least even number of bits, from 8 on, that holds a value."""
    return max(8, most.bit_length() + most.bit_length() % 2)


def _assemble(
    colours: npt.NDArray[np.uint8], alpha: npt.NDArray[np.uint8] | None, mode: str
) -> Image.Image:
    """Make an image of colours and, if there is one, an opacity."""
    if colours.ndim == 3 and colours.shape[-1] == 4:
        mode = "CMYK"
    image = Image.fromarray(np.ascontiguousarray(colours), mode)
    if alpha is not None:
        image.putalpha(Image.fromarray(np.ascontiguousarray(alpha)))
    return image


FORMAT = Format("TIFF", accepts, open_tiff, weight=lambda prefix: 4)
