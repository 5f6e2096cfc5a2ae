"""Bytes to numbered lines of text. Owns encodings: UTF-8 with or without its mark, UTF-16 with its
mark; whatever else is refused with its line and byte. Knows no format.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import IO

from trainer.errors import BadEncoding, BadLine

#: no row that could be used is longer: a text has at most 100,000 characters
MAX_LINE_BYTES = 8 * 2**20
UTF8_MARK = b"\xef\xbb\xbf"
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def numbered_lines(content: bytes | IO[bytes]) -> Iterator[tuple[int, str]]:
    """Every line of UTF-8 with its end, counted from 1. Raises BadEncoding, and BadLine for one
    that is too long.
    """
    file = io.BytesIO(content) if isinstance(content, bytes) else content
    number = 0
    # only "\n" ends a line: U+2028 and friends are legal inside a JSON string and a cell
    while raw := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(raw) > MAX_LINE_BYTES:
            raise BadLine(
                f"Line {number} is longer than {MAX_LINE_BYTES} bytes; no row may be.", line=number
            )
        yield number, _decoded(raw, number)


def whole_text(content: bytes) -> str:
    """A document of UTF-8 that is no list of lines. Raises BadEncoding."""
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line_start = before.rfind(b"\n") + 1
        line = content[line_start : error.start + 20]
        number = before.count(b"\n") + 1
        raise BadEncoding(_not_utf8(line, error.start - line_start, number)) from None


def as_utf8(content: bytes) -> bytes:
    """Without its mark, and with "\\n" at the ends of lines. UTF-16 says of itself what it is, so
    reading it guesses nothing.
    """
    text = _decoded_utf16(content) if content.startswith(UTF16_MARKS) else content
    text = text.removeprefix(UTF8_MARK)
    # what old Macs, and Excel's "CSV (Macintosh)", end lines with
    return text if b"\n" in text.rstrip() else text.replace(b"\r", b"\n")


def _decoded_utf16(content: bytes) -> bytes:
    try:
        return content.decode("utf-16").encode()
    except UnicodeError as error:
        start = getattr(error, "start", 0)
        line = content[:start].decode("utf-16", "replace").count("\n") + 1
        raise BadEncoding(
            f"The file begins as UTF-16, and byte {start} on line {line} is none; save it as UTF-8."
        ) from None


def _decoded(raw: bytes, number: int) -> str:
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise BadEncoding(_not_utf8(raw, error.start, number)) from None
    if "\0" in text:
        what = "is UTF-16 without its mark" if raw.count(0) * 3 > len(raw) else "is not text"
        raise BadEncoding(
            f"The file {what}: line {number} holds a NUL byte, its byte {raw.index(0) + 1}; save "
            "it as UTF-8."
        )
    return text


def _not_utf8(raw: bytes, start: int, number: int) -> str:
    around = raw[max(0, start - 15) : start + 15].decode("cp1252", "replace").strip()
    return (
        f"The file is not UTF-8: byte {raw[start]:#04x} on line {number} (its byte {start + 1}) "
        f"cannot be read; as Windows-1252 it would be {around!r}. Save the file as UTF-8."
    )
