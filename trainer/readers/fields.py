"""Reads the fields of a record: one function per type of value, whose errors name the line. Knows
no head.
"""

from __future__ import annotations

import json
import math
import re
from ast import literal_eval
from typing import Any

from engine.text.characters import forbidden_character
from trainer.errors import BadLine, MissingColumn
from trainer.readers.reader import Record

MAX_CHARS = 100_000
#: above this a float no longer represents one whole number
_MAX_EXACT = 2.0**53
#: the largest float32; squared errors of larger numbers would overflow
_LARGEST = 3.4e38
#: a tuple or set must hold quoted names, because `(1, 2)` may be a name itself
_LIST = re.compile(
    r"""\s*(?:\[[^\[\]]{0,10000}\]|\(['"][^()]{0,10000}\)|\{['"][^{}:]{0,10000}\}|\(\)|set\(\))\s*"""
)
#: NumPy prints no commas between values; Python would join the strings
_NUMPY = re.compile(r"""['"]\s+['"]|\[\s*-?\d+\.?\s+-?\d""")
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+")


def present(record: Record, column: str, usual: str) -> str:
    """The column, or the `usual` name for it (such as `tokens`) if the record only has that."""
    return usual if column not in record.fields and usual in record.fields else column


def field(record: Record, column: str) -> Any:
    if column not in record.fields:
        line = 0 if record.tabular else record.line
        raise MissingColumn(column, list(record.fields), line=line)
    return record.fields[column]


def text(record: Record, column: str) -> str:
    value = field(record, column)
    where = f"{record.place}: {column}"
    if not isinstance(value, str):
        raise BadLine(f"{where} must be text, not {short_repr(value)}.", line=record.line)
    if not value.strip():
        raise BadLine(f"{where} is empty.", line=record.line)
    return sane(value, where, record.line)


def sane(value: str, where: str, line: int) -> str:
    if len(value) > MAX_CHARS:
        raise BadLine(
            f"{where} is {len(value)} characters long; at most {MAX_CHARS} are read.", line=line
        )
    if character := forbidden_character(value):
        raise BadLine(f"{where} contains {character}; remove it.", line=line)
    return value


def strings(record: Record, column: str) -> tuple[str, ...]:
    where = f"{record.place}: {column}"
    value = parse_list(field(record, column), where, record.line)
    if not isinstance(value, list) or not value:
        raise BadLine(
            f"{where} must be a list of words, not {short_repr(value)}.", line=record.line
        )
    if numbers := [each for each in value if isinstance(each, int | float)]:
        raise BadLine(
            f"{where} contains the number {numbers[0]}; use words, and names of tags.",
            line=record.line,
        )
    if not all(isinstance(each, str) and each.strip() for each in value):
        raise BadLine(f"{where} must contain only words, none of them empty.", line=record.line)
    sane(" ".join(value), where, record.line)
    return tuple(value)


def parse_list(raw: Any, where: str, line: int) -> Any:
    """The list in a cell that holds one as text, in JSON or Python syntax (also a tuple or set);
    other cells unchanged.
    """
    if not isinstance(raw, str) or not _LIST.fullmatch(raw):
        return raw
    if _NUMPY.search(raw):
        raise BadLine(
            f"{where} is an array written as text, {short_repr(raw)}; write a JSON list.", line=line
        )
    for read in (json.loads, literal_eval):
        try:
            parsed = read(raw.strip())
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(parsed, list | tuple | set):
            return list(parsed)
    return raw


def name(raw: Any, where: str, line: int) -> str:
    """The name of a class label as callers will see it: true, 3, 3.0 (which is 3) and "spam" are
    labels; 0.5, NaN and null are not.
    """
    if isinstance(raw, bool):
        return "true" if raw else "false"
    if isinstance(raw, float) and math.isnan(raw):
        raise BadLine(f"{where} is NaN.", line=line)
    if isinstance(raw, float) and raw.is_integer() and abs(raw) <= _MAX_EXACT:
        # pandas writes whole numbers as floats if a column has missing values
        raw = int(raw)
    if isinstance(raw, int):
        return str(raw)
    if not isinstance(raw, str):
        raise BadLine(
            f"{where} must be a string, a whole number or a bool, not {short_repr(raw)}.", line=line
        )
    if not raw.strip():
        raise BadLine(f"{where} is empty.", line=line)
    return sane(raw.strip(), where, line)


def number(raw: Any, where: str, line: int) -> float:
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        raise BadLine(f"{where} must be a number, not {short_repr(raw)}.", line=line)
    try:
        if isinstance(raw, str) and "_" in raw:
            raise ValueError  # only Python accepts underscores between digits
        value = float(raw)
    except OverflowError:  # a whole number of more than 308 digits
        raise BadLine(
            f"{where} is {short_repr(raw)}; the largest allowed number is {_LARGEST:g}.", line=line
        ) from None
    except ValueError:
        comma = isinstance(raw, str) and _DECIMAL_COMMA.fullmatch(raw.strip())
        remedy = "; write decimals with a point and thousands without a comma" if comma else ""
        raise BadLine(
            f"{where} must be a number, not {short_repr(raw)}{remedy}.", line=line
        ) from None
    if not math.isfinite(value):
        raise BadLine(f"{where} is {value}; a finite number is needed.", line=line)
    if abs(value) > _LARGEST:
        raise BadLine(
            f"{where} is {value:g}; the largest allowed number is {_LARGEST:g}.", line=line
        )
    return value


def short_repr(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "…"
