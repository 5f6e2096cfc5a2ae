"""Formats that are recognised by their first bytes and refused, each with what to do instead."""

from __future__ import annotations

from trainer.errors import BadDataset

_COMPRESSED = "is compressed ({}); unpack it and upload the file inside"
_WORKBOOK = "is {}; save its sheet as CSV (UTF-8)"
_OTHER = "is {}; write its rows as JSON Lines, CSV or Parquet"
_BEGINNINGS: tuple[tuple[bytes, str], ...] = (
    (b"\x1f\x8b", _COMPRESSED.format("gzip")),
    (b"BZh91AY&SY", _COMPRESSED.format("bzip2")),
    (b"\xfd7zXZ\0", _COMPRESSED.format("xz")),
    (b"\x28\xb5\x2f\xfd", _COMPRESSED.format("Zstandard")),
    (b"7z\xbc\xaf\x27\x1c", _COMPRESSED.format("7-Zip")),
    (b"Rar!\x1a\x07", _COMPRESSED.format("RAR")),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", _WORKBOOK.format("an old Microsoft Office file (.xls)")),
    (b"PARE", "is an encrypted Parquet file; write it without encryption"),
    (b"ARROW1\0\0", _OTHER.format("an Arrow file")),
    (b"\xff\xff\xff\xff", _OTHER.format("an Arrow stream")),
    (b"Obj\x01", _OTHER.format("an Avro file")),
    (b"SQLite format 3\0", _OTHER.format("an SQLite database")),
    (b"\x89HDF\r\n\x1a\n", _OTHER.format("an HDF5 file")),
    (b"\x93NUMPY", _OTHER.format("a NumPy array")),
    (b"\x80\x04\x95", _OTHER.format("a Python pickle")),
    (b"\x80\x05\x95", _OTHER.format("a Python pickle")),
    (b"%PDF-", _OTHER.format("a PDF document")),
    (b"{\\rtf", "is a Rich Text document; save it as plain text (UTF-8)"),
    (b"version https://git-lfs", "is a Git LFS pointer and not the data; run `git lfs pull`"),
    (b"<!doctype html", "is a web page and not the data; download the file itself"),
    (b"<html", "is a web page and not the data; download the file itself"),
    (b"<?xml", _OTHER.format("an XML document")),
)
_ZIP = b"PK\x03\x04"


def refuse_other_formats(content: bytes, filename: str) -> None:
    """Raises BadDataset."""
    beginning = content[:64].lstrip().lower()
    for start, reason in _BEGINNINGS:
        if content.startswith(start) or (start[:1] == b"<" and beginning.startswith(start)):
            raise BadDataset(f"{filename} {reason}.")
    if content.startswith(_ZIP):
        raise BadDataset(f"{filename} {_zip_reason(content)}.")


def _zip_reason(content: bytes) -> str:
    if b"xl/workbook" in content:
        return _WORKBOOK.format("an Excel workbook")
    if b"opendocument.spreadsheet" in content:
        return _WORKBOOK.format("an OpenDocument spreadsheet")
    return _COMPRESSED.format("ZIP")
