"""A record's fields, one reader for each type of value, each naming the line it cannot use.

Knows no head.
"""

from __future__ import annotations

import json
import math
import re
from ast import literal_eval
from typing import Any

from trainer.errors import BadLine, MissingColumn
from trainer.readers.reader import Record

MAX_CHARS = 100_000
#: beyond it a float stands for several whole numbers
_MAX_EXACT = 2.0**53
#: of float32; errors are squared, which far larger numbers do not survive
_LARGEST = 3.4e38
#: a tuple or set is one of quoted names: `(1, 2)` may be a name itself
_LIST = re.compile(
    r"""\s*(?:\[[^\[\]]{0,10000}\]|\(['"][^()]{0,10000}\)|\{['"][^{}:]{0,10000}\}|\(\)|set\(\))\s*"""
)
#: what NumPy writes no comma between; of strings Python would make one
_NUMPY = re.compile(r"""['"]\s+['"]|\[\s*-?\d+\.?\s+-?\d""")
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+")


def present(record: Record, column: str, usual: str) -> str:
    """Tagging files commonly have `tokens` and `ner_tags`; they stand in for a column that is not
    there.
    """
    return usual if column not in record.fields and usual in record.fields else column


def field(record: Record, column: str) -> Any:
    if column not in record.fields:
        raise MissingColumn(column, list(record.fields), line=record.line)
    return record.fields[column]


def text(record: Record, column: str) -> str:
    value = field(record, column)
    where = f"{record.place}: {column}"
    if not isinstance(value, str):
        raise BadLine(f"{where} must be text, not {shown(value)}.", line=record.line)
    if not value.strip():
        raise BadLine(f"{where} is empty.", line=record.line)
    return sane(value, where, record.line)


def sane(value: str, where: str, line: int) -> str:
    if len(value) > MAX_CHARS:
        found = f"{len(value)} characters long; at most {MAX_CHARS} are read"
        raise BadLine(f"{where} is {found}.", line=line)
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise BadLine(
            f"{where} holds an unpaired surrogate, which is no character.", line=line
        ) from None
    if "\0" in value:
        raise BadLine(f"{where} holds a NUL character.", line=line)
    return value


def strings(record: Record, column: str) -> tuple[str, ...]:
    where = f"{record.place}: {column}"
    value = listed(field(record, column), where, record.line)
    if not isinstance(value, list) or not value:
        raise BadLine(f"{where} must be a list of words, not {shown(value)}.", line=record.line)
    if numbers := [each for each in value if isinstance(each, int | float)]:
        raise BadLine(
            f"{where} holds the number {numbers[0]}; write words, and tags by their names.",
            line=record.line,
        )
    if not all(isinstance(each, str) and each.strip() for each in value):
        raise BadLine(f"{where} must hold words only, none of them empty.", line=record.line)
    sane(" ".join(value), where, record.line)
    return tuple(value)


def listed(raw: Any, where: str, line: int) -> Any:
    """A cell that is a list written as text, by JSON or by Python (a tuple or set too), as that
    list.
    """
    if not isinstance(raw, str) or not _LIST.fullmatch(raw):
        return raw
    if _NUMPY.search(raw):
        raise BadLine(
            f"{where} is an array written as text, {shown(raw)}; write a JSON list.", line=line
        )
    for read in (json.loads, literal_eval):
        try:
            found = read(raw.strip())
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(found, list | tuple | set):
            return list(found)
    return raw


def name(raw: Any, where: str, line: int) -> str:
    """A class label as the name callers will read: true, 3, 3.0 (which is 3) and "spam" are labels;
    0.5, NaN and null are not.
    """
    if isinstance(raw, bool):
        return "true" if raw else "false"
    if isinstance(raw, float) and math.isnan(raw):
        raise BadLine(f"{where} is NaN.", line=line)
    if isinstance(raw, float) and raw.is_integer() and abs(raw) <= _MAX_EXACT:
        # pandas writes whole numbers so where a column has a gap
        raw = int(raw)
    if isinstance(raw, int):
        return str(raw)
    if not isinstance(raw, str):
        raise BadLine(
            f"{where} must be a string, a whole number or a bool, not {shown(raw)}.", line=line
        )
    if not raw.strip():
        raise BadLine(f"{where} is empty.", line=line)
    return sane(raw.strip(), where, line)


def number(raw: Any, where: str, line: int) -> float:
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        raise BadLine(f"{where} must be a number, not {shown(raw)}.", line=line)
    try:
        if isinstance(raw, str) and "_" in raw:
            raise ValueError  # Python's own way to write thousands
        value = float(raw)
    except OverflowError:  # a whole number of more than 308 digits
        raise BadLine(
            f"{where} is {shown(raw)}; a number is at most {_LARGEST:g}.", line=line
        ) from None
    except ValueError:
        comma = isinstance(raw, str) and _DECIMAL_COMMA.fullmatch(raw.strip())
        remedy = "; write decimals with a point and thousands without a comma" if comma else ""
        raise BadLine(f"{where} must be a number, not {shown(raw)}{remedy}.", line=line) from None
    if not math.isfinite(value):
        raise BadLine(f"{where} is {value}; a finite number is needed.", line=line)
    if abs(value) > _LARGEST:
        raise BadLine(f"{where} is {value:g}; a number is at most {_LARGEST:g}.", line=line)
    return value


def shown(value: Any) -> str:
    found = repr(value)
    return found if len(found) <= 40 else found[:37] + "…"
