"""Bytes to numbered lines of text. Owns encodings: UTF-8 with or without a byte order mark, UTF-16
with one; others are refused, naming line and byte. Knows no format.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import IO

from trainer.errors import BadEncoding, BadLine

#: no usable row is longer: a text has at most 100,000 characters
MAX_LINE_BYTES = 8 * 2**20
UTF8_MARK = b"\xef\xbb\xbf"
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def numbered_lines(content: bytes | IO[bytes]) -> Iterator[tuple[int, str]]:
    """Every line of UTF-8 text with its line end, counted from 1. Raises BadEncoding, and BadLine
    for a line that is too long.
    """
    file = io.BytesIO(content) if isinstance(content, bytes) else content
    number = 0
    # only "\n" ends a line: U+2028 and similar characters are legal inside a JSON string and a cell
    while raw := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(raw) > MAX_LINE_BYTES:
            raise BadLine(
                f"Line {number} is longer than {MAX_LINE_BYTES} bytes, the limit of a line.",
                line=number,
            )
        yield number, _decode(raw, number)


def whole_text(content: bytes) -> str:
    """A document of UTF-8 text that is not read by lines. Raises BadEncoding."""
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line_start = before.rfind(b"\n") + 1
        line = content[line_start : error.start + 20]
        number = before.count(b"\n") + 1
        raise BadEncoding(_not_utf8(line, error.start - line_start, number)) from None


def as_utf8(content: bytes) -> bytes:
    """Converts to UTF-8 without a byte order mark, with "\\n" as line ends. UTF-16 is recognised by
    its byte order mark, so nothing is guessed.
    """
    text = _decode_utf16(content) if content.startswith(UTF16_MARKS) else content
    text = text.removeprefix(UTF8_MARK)
    # old Macs, and Excel's "CSV (Macintosh)", end lines with a carriage return
    return text if b"\n" in text.rstrip() else text.replace(b"\r", b"\n")


def _decode_utf16(content: bytes) -> bytes:
    try:
        return content.decode("utf-16").encode()
    except UnicodeError as error:
        start = getattr(error, "start", 0)
        line = content[:start].decode("utf-16", "replace").count("\n") + 1
        raise BadEncoding(
            f"The file has a UTF-16 byte order mark, but byte {start}, on line {line}, is not "
            "UTF-16; save the file as UTF-8."
        ) from None


def _decode(raw: bytes, number: int) -> str:
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise BadEncoding(_not_utf8(raw, error.start, number)) from None
    if "\0" in text:
        kind = "seems to be UTF-16 without a byte order mark" if _is_utf16(raw) else "is not text"
        raise BadEncoding(
            f"The file {kind}: byte {raw.index(0) + 1} of line {number} is NUL. Save the file as "
            "UTF-8."
        )
    return text


def _is_utf16(raw: bytes) -> bool:
    """Whether one of the two bytes of most characters is NUL, and hardly ever the other."""
    first, second = raw[::2].count(0), raw[1::2].count(0)
    return max(first, second) * 3 > len(raw) and min(first, second) * 10 < len(raw)


def _not_utf8(raw: bytes, start: int, number: int) -> str:
    around = raw[max(0, start - 15) : start + 15].decode("cp1252", "replace").strip()
    return (
        f"The file is not UTF-8: byte {start + 1} of line {number}, {raw[start]:#04x}, is invalid; "
        f"in Windows-1252 the text would be {around!r}. Save the file as UTF-8."
    )
