"""Formats that are recognised by their first bytes and refused, each with what to do instead."""

from __future__ import annotations

from pathlib import PurePath

from trainer.errors import BadDataset

_ROWS = "pass labelled rows as JSON Lines, CSV or Parquet"
_UNPACK = "is compressed with {}; unpack it and pass the file inside"
_SHEET = "is {}; export the sheet as CSV (UTF-8) and pass that file"
_OTHER = f"is {{}}; {_ROWS}"
_IMAGE = f"is {{}} image and holds no rows; {_ROWS}"
_PAGE = "is a web page and not the data; download the file itself and pass that"
_OLD_OFFICE = "an old Microsoft Office file (.xls, .doc)"
_BEGINNINGS: tuple[tuple[bytes, str], ...] = (
    (b"\x1f\x8b", _UNPACK.format("gzip")),
    (b"BZh91AY&SY", _UNPACK.format("bzip2")),
    (b"\xfd7zXZ\0", _UNPACK.format("xz")),
    (b"\x28\xb5\x2f\xfd", _UNPACK.format("Zstandard")),
    (b"7z\xbc\xaf\x27\x1c", _UNPACK.format("7-Zip")),
    (b"Rar!\x1a\x07", _UNPACK.format("RAR")),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", _SHEET.format(_OLD_OFFICE)),
    (b"ARROW1\0\0", _OTHER.format("an Arrow file")),
    (b"\xff\xff\xff\xff", _OTHER.format("an Arrow stream")),
    (b"Obj\x01", _OTHER.format("an Avro file")),
    (b"SQLite format 3\0", _OTHER.format("an SQLite database")),
    (b"\x89HDF\r\n\x1a\n", _OTHER.format("an HDF5 file")),
    (b"\x93NUMPY", _OTHER.format("a NumPy array")),
    (b"\x80\x02", _OTHER.format("a Python pickle")),
    (b"\x80\x03", _OTHER.format("a Python pickle")),
    (b"\x80\x04\x95", _OTHER.format("a Python pickle")),
    (b"\x80\x05\x95", _OTHER.format("a Python pickle")),
    (b"%PDF-", _OTHER.format("a PDF document")),
    (b"\x7fELF", _OTHER.format("a program")),
    (b"\x89PNG\r\n\x1a\n", _IMAGE.format("a PNG")),
    (b"\xff\xd8\xff", _IMAGE.format("a JPEG")),
    (b"GIF87a", _IMAGE.format("a GIF")),
    (b"GIF89a", _IMAGE.format("a GIF")),
    (b"II*\0", _IMAGE.format("a TIFF")),
    (b"MM\0*", _IMAGE.format("a TIFF")),
    (b"{\\rtf", "is a Rich Text document; save it as plain text (UTF-8) and pass that file"),
    (b"version https://git-lfs", "is a Git LFS pointer and not the data; run `git lfs pull`"),
    (b"<!doctype html", _PAGE),
    (b"<html", _PAGE),
    (b"<?xml", _OTHER.format("an XML document")),
)
#: a mark that text may have too, at its place: the place, itself, the reason
_INNER: tuple[tuple[int, bytes, str], ...] = (
    (0, b"PARE", "is an encrypted Parquet file; write it without encryption"),
    (8, b"WEBP", _IMAGE.format("a WebP")),
    (8, b"WAVE", _OTHER.format("a WAV recording")),
    (4, b"ftyp", _OTHER.format("a video or an HEIC image")),
    (257, b"ustar", "is a tar archive; unpack it and pass the file inside"),
)
#: of a file, of an archive without files, and of a part of an archive
_ZIP = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
#: what names of files in a ZIP archive show
_IN_ZIP: tuple[tuple[bytes, str], ...] = (
    (b"xl/", _SHEET.format("an Excel workbook")),
    (b"opendocument.spreadsheet", _SHEET.format("an OpenDocument spreadsheet")),
    (b"word/", _OTHER.format("a Word document")),
    (b"ppt/", _OTHER.format("a PowerPoint presentation")),
    (b"opendocument", _OTHER.format("an OpenDocument document")),
    (b".npy", _OTHER.format("an archive of NumPy arrays")),
)
#: the names of the first files of an archive are within so many bytes
_ZIP_BYTES = 2**16
_EXCEL = (".xls", ".xlsx", ".xlsm", ".xlsb")


def refuse_other_formats(beginning: bytes, filename: str) -> None:
    """Raises BadDataset. `beginning` are the first bytes of the file, or all of them."""
    if reason := _reason(beginning, PurePath(filename).suffix.lower()):
        raise BadDataset(f"{filename} {reason}.")


def _reason(beginning: bytes, suffix: str) -> str | None:
    if beginning.startswith(_ZIP):
        names = beginning[:_ZIP_BYTES]
        workbook = _SHEET.format("an Excel workbook") if suffix in _EXCEL else None
        archive = "is a ZIP archive; unpack it and pass the file inside"
        return next((reason for name, reason in _IN_ZIP if name in names), workbook or archive)
    start = beginning[:64].lstrip().lower()
    for mark, reason in _BEGINNINGS:
        if beginning.startswith(mark) or (mark[:1] == b"<" and start.startswith(mark)):
            return reason
    # text has no such byte, and may have the letters of a mark at that place
    if b"\0" not in beginning[:512]:
        return None
    return next((why for at, mark, why in _INNER if beginning[at:].startswith(mark)), None)
