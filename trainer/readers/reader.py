"""Bytes of an uploaded file to records with line numbers, by the format of the file. Knows formats,
not what a record means.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import PurePath

from trainer.errors import BadDataset, BadLine
from trainer.readers.conll import is_conll, read_conll
from trainer.readers.delimited import read_delimited
from trainer.readers.json_document import is_document, read_document
from trainer.readers.jsonl import read_jsonl
from trainer.readers.lines import as_utf8
from trainer.readers.not_text import refuse_other_formats
from trainer.readers.parquet import MARK, read_parquet
from trainer.readers.record import Notice, Record

__all__ = ["Record", "read_records", "read_rows"]


_JSON = ("jsonl", "json", "ndjson")


def read_records(content: bytes, filename: str) -> Iterator[Record]:
    """Raises BadDataset, which names the line where there is one."""
    for row in read_rows(content, filename):
        if isinstance(row, BadLine):
            raise row
        if isinstance(row, Record):
            yield row


def read_rows(content: bytes, filename: str) -> Iterator[Record | BadLine | Notice]:
    """Every row or its error, and notices about decisions of the reader. Raises BadDataset where no
    row can be read.
    """
    if content.startswith(MARK):
        return read_parquet(content)
    refuse_other_formats(content, filename)
    text = as_utf8(content)
    if not text or text.isspace():
        raise BadDataset(f"{filename} is empty; pass a file with labelled rows.")
    return _READERS[_format(text, filename)](text)


def _format(text: bytes, filename: str) -> str:
    """By the suffix of the name if only one format has it, else by the beginning of the file."""
    suffix = PurePath(filename).suffix.lower().lstrip(".")
    if suffix in ("conll", "conllu", "bio", "bioes", "iob", "iob1", "iob2"):
        return "conll"
    if suffix == "csv":
        return "delimited"
    if suffix not in _JSON and is_conll(text):
        return "conll"
    if suffix == "tsv":
        return "delimited"
    start = text[:4096].lstrip()[:1]
    if start in (b"[", b"{"):
        return "document" if is_document(text) else "jsonl"
    # a file that is named as JSON is read as JSON, so that an error names its first bad line
    return "jsonl" if suffix in _JSON else "delimited"


_READERS: dict[str, Callable[[bytes], Iterator[Record | BadLine | Notice]]] = {
    "conll": read_conll,
    "delimited": read_delimited,
    "document": read_document,
    "jsonl": read_jsonl,
}
