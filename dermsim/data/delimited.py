"""Reads delimited text as spreadsheets save it: whatever its encoding, separator and blank rows.

What is found out is never guessed at silently: a text that is neither UTF-8 nor UTF-16 is read as
Windows-1252 with a warning, and what is no text at all is named for what it is.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

from dermsim.core.refused import Phrase, Refused

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "pipes"}
"""What may stand between two cells, and what it is called."""

_MARKS = {  # longest first: UTF-16's mark is the beginning of UTF-32's
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}

_NOT_TEXT = {
    b"\xd0\xcf\x11\xe0": "delimited.old_workbook",
    b"PK\x03\x04": "delimited.zip",
    b"PAR1": "delimited.parquet",
    b"\x1f\x8b": "delimited.gzip",
    b"\x89PNG": "delimited.picture",
    b"\xff\xd8\xff": "delimited.picture",
    b"%PDF": "delimited.pdf",
    b"version https://git-lfs": "delimited.lfs_pointer",
}

_HEADER_BYTES = 65_536

_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0e-\x1b\x7f]")


def read_delimited(path: Path) -> list[list[str]]:
    """Read the lines of a delimited text, the header first.

    Args:
        path: UTF-8 with or without a byte-order mark, UTF-16, UTF-32 or Windows-1252; commas,
            semicolons, tabs or pipes between the cells, or what a first line ``sep=;`` names.

    Returns:
        The cells of each line, stripped; lines without a word in them are left out. Every line is
        as long as the header.

    Raises:
        ValueError: If the file is no text, its quotes do not close, or a line has too many or too
            few cells.

    Warns:
        UserWarning: That the text was read as Windows-1252, because it is no Unicode.
    """
    text = decode_table(path.read_bytes(), path.name)
    separator, text = _separator(text)
    try:
        lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))
    except csv.Error as error:
        raise Refused(
            "delimited.separator",
            name=path.name,
            separator=Phrase(f"delimited.{SEPARATORS.get(separator, 'separators')}"),
            error=error,
        ) from error
    return list(squared(([_cell(cell) for cell in line] for line in lines), path.name))


def read_header(path: Path) -> list[str]:
    """Read the names of a table's columns and no more, so that a folder can be asked what it holds.

    Args:
        path: As for `read_delimited`.

    Returns:
        The first line that is not blank; nothing where the file is no text.
    """
    with path.open("rb") as stream:
        start = stream.read(_HEADER_BYTES)
    if any(start.startswith(sign) for sign in _NOT_TEXT):
        return []
    for encoding in (_encoding(start), "cp1252"):
        try:  # the last character may be cut
            text = codecs.getincrementaldecoder(encoding)().decode(start)
            break
        except UnicodeDecodeError:
            continue
    else:
        return []
    separator, text = _separator(text)
    try:
        lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        return next(([_cell(cell) for cell in line] for line in lines if any(line)), [])
    except csv.Error:
        return []


def squared(lines: Iterator[list[str]] | Sequence[list[str]], name: str) -> Iterator[list[str]]:
    """Leave blank lines out and make all others as long as the header.

    Args:
        lines: Cells, stripped; the first line that is not blank is the header.
        name: Of the file, for errors.

    Yields:
        The header, then the rows. Cells beyond the header's are dropped where they are empty.

    Raises:
        ValueError: If a row has more or fewer cells than the header has columns.
    """
    width, row = 0, -1
    for line in lines:
        if not any(line):
            continue
        if row < 0:
            while not line[-1]:  # deleted columns leave their separators behind
                line.pop()
            width = len(line)
        if any(line[width:]) or len(line) < width:
            key = "delimited.title" if width == 1 and row == 0 else "delimited.cells"
            raise Refused(key, row=row, name=name, count=len(line), width=width)
        yield line[:width]
        row += 1


def decode_table(data: bytes, name: str) -> str:
    """Turn the bytes of a table into text.

    Args:
        data: The whole file.
        name: Of the file, for errors and warnings.

    Raises:
        ValueError: If they are no text, named for what they are where that is known.

    Warns:
        UserWarning: That they were read as Windows-1252.
    """
    for start, key in _NOT_TEXT.items():
        if data.startswith(start):
            raise Refused(key, name=name)
    encoding = _encoding(data)
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        try:
            text = data.decode("cp1252")
        except UnicodeDecodeError as error:
            raise Refused(
                "delimited.encoding", name=name, reason=error.reason, start=error.start
            ) from error
        encoding = "cp1252"
    if found := _CONTROLS.search(text):
        raise Refused("delimited.control_character", name=name, found=found.group())
    if encoding == "cp1252":
        strange = next(sign for sign in text if ord(sign) > 127)
        warnings.warn(
            f"{name} is not UTF-8 and was read as Windows-1252, in which a letter is {strange!r}: "
            "save it as CSV UTF-8 if that is wrong",
            stacklevel=2,
        )
    return text


def _encoding(data: bytes) -> str:
    """Recognise Unicode by its mark, or UTF-16 without one by where its zeros are."""
    for mark, encoding in _MARKS.items():
        if data.startswith(mark):
            return encoding
    start = data[:1000]
    even, odd = start[0::2].count(0), start[1::2].count(0)
    if len(data) % 2 == 0 and max(even, odd) > len(start) // 4 and min(even, odd) == 0:
        return "utf-16-le" if odd else "utf-16-be"
    return "utf-8"


def _separator(text: str) -> tuple[str, str]:
    """Find out what separates the cells; a line that only says so is taken off the text."""
    text = text.lstrip("\ufeff\r\n")
    if found := re.match(r'"?sep=(.)\1*"?\1*[^\S\r\n]*(\r\n|\r|\n)', text, re.IGNORECASE):
        return found[1], text[found.end() :]
    header = re.sub(r'"[^"]*"', "", text.splitlines()[0] if text else "")
    return max(SEPARATORS, key=header.count), text


def _cell(text: str) -> str:
    """Strip blanks, and what has no width and is not seen."""
    return text.replace("\ufeff", "").replace("\u200b", "").strip()
