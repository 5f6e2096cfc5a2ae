"""Records to checked examples of one head. Knows columns and labels; no files, splits or tokens."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from trainer.errors import (
    BadDataset,
    BadLine,
    MissingColumn,
    OneClass,
    TooFewRows,
    TooManyClasses,
    TooManyRows,
)
from trainer.table import Record
from trainer.values import JobSpec

MIN_ROWS = 20
MAX_ROWS = 500_000
MAX_CHARS = 100_000
MAX_CLASSES = 1000

Label = str | float | tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One labelled row. A tagging row has `words` and as many tags; any other has `text` and
    perhaps `pair`.
    """

    line: int
    text: str
    label: Label
    pair: str | None = None
    words: tuple[str, ...] = ()

    @property
    def group(self) -> str:
        """The same for texts that differ only in case and spaces: they must stay in one split."""
        return "\0".join(" ".join(part.casefold().split()) for part in (self.text, self.pair or ""))


def read_examples(records: Iterable[Record], spec: JobSpec) -> list[Example]:
    """Every record, checked. Raises BadDataset, naming the first line that cannot be used."""
    examples: list[Example] = []
    for example in _examples(records, spec):
        examples.append(example)
        if len(examples) > MAX_ROWS:
            raise TooManyRows(f"The file has more than {MAX_ROWS} rows; train on a sample of them.")
    if not examples:
        raise BadDataset("The file has no rows.")
    return examples


def check_trainable(examples: list[Example], head: str) -> None:
    """What a whole training file must have for its head: enough rows, and more than one thing to
    tell apart.
    """
    if len(examples) < MIN_ROWS:
        raise TooFewRows(
            f"The file has {len(examples)} rows; training needs at least {MIN_ROWS}.",
            rows=len(examples), minimum=MIN_ROWS,
        )  # fmt: skip
    {"classify": _check_classes, "regress": _check_spread, "tag": _check_tags}[head](examples)


def labels_of(examples: list[Example], head: str) -> list[str]:
    """The labels of a head, in an order that does not depend on the order of rows. Empty for
    regress.
    """
    if head == "classify":
        return sorted({str(example.label) for example in examples})
    if head == "tag":
        types = sorted({tag[2:] for tag in _tags(examples) if tag != "O"})
        return ["O", *(prefix + name for name in types for prefix in ("B-", "I-"))]
    return []


def _examples(records: Iterable[Record], spec: JobSpec) -> Iterator[Example]:
    if spec.head != "tag":
        return (_text_example(record, spec) for record in records)
    return (_tag_example(record, spec) for record in records)


def _text_example(record: Record, spec: JobSpec) -> Example:
    text = _text(record, spec.text_column)
    pair = _text(record, spec.text_pair_column) if spec.text_pair_column else None
    raw = _field(record, spec.label_column)
    where = f"Line {record.line}: {spec.label_column}"
    label = (
        _number(raw, where, record.line)
        if spec.head == "regress"
        else _name(raw, where, record.line)
    )
    return Example(line=record.line, text=text, pair=pair, label=label)


def _tag_example(record: Record, spec: JobSpec) -> Example:
    words = _strings(record, _present(record, spec.text_column, "tokens"))
    tags = _strings(record, _present(record, spec.label_column, "ner_tags"))
    if len(words) != len(tags):
        found = f"{len(words)} tokens and {len(tags)} tags"
        raise BadLine(f"Line {record.line} has {found}; they must be as many.", line=record.line)
    bad = [tag for tag in tags if tag != "O" and (tag[:2] not in ("B-", "I-") or len(tag) < 3)]
    if bad:
        raise BadLine(
            f"Line {record.line}: the tag {bad[0]!r} is not O, B-… or I-….", line=record.line
        )
    return Example(line=record.line, text=" ".join(words), words=words, label=tags)


def _present(record: Record, column: str, usual: str) -> str:
    """Tagging files commonly have `tokens` and `ner_tags`; they stand in for a column that is not
    there.
    """
    return usual if column not in record.fields and usual in record.fields else column


def _field(record: Record, column: str) -> Any:
    if column not in record.fields:
        raise MissingColumn(column, list(record.fields), line=record.line)
    return record.fields[column]


def _text(record: Record, column: str) -> str:
    value = _field(record, column)
    where = f"Line {record.line}: {column}"
    if not isinstance(value, str):
        raise BadLine(f"{where} must be text, not {_shown(value)}.", line=record.line)
    if not value.strip():
        raise BadLine(f"{where} is empty.", line=record.line)
    return _sane(value, where, record.line)


def _sane(value: str, where: str, line: int) -> str:
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


def _strings(record: Record, column: str) -> tuple[str, ...]:
    value = _field(record, column)
    where = f"Line {record.line}: {column}"
    if not isinstance(value, list) or not value:
        raise BadLine(f"{where} must be a list of words, not {_shown(value)}.", line=record.line)
    if not all(isinstance(each, str) and each.strip() for each in value):
        raise BadLine(f"{where} must hold words only, none of them empty.", line=record.line)
    _sane(" ".join(value), where, record.line)
    return tuple(value)


def _name(raw: Any, where: str, line: int) -> str:
    """A class label as the name callers will read: true, 3 and "spam" are labels; 0.5, NaN and null
    are not.
    """
    if isinstance(raw, bool):
        return "true" if raw else "false"
    if isinstance(raw, float) and math.isnan(raw):
        raise BadLine(f"{where} is NaN.", line=line)
    if isinstance(raw, int):
        return str(raw)
    if not isinstance(raw, str):
        raise BadLine(
            f"{where} must be a string, a whole number or a bool, not {_shown(raw)}.", line=line
        )
    if not raw.strip():
        raise BadLine(f"{where} is empty.", line=line)
    return _sane(raw.strip(), where, line)


def _number(raw: Any, where: str, line: int) -> float:
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        raise BadLine(f"{where} must be a number, not {_shown(raw)}.", line=line)
    try:
        value = float(raw)
    except (ValueError, OverflowError):
        raise BadLine(f"{where} must be a number, not {_shown(raw)}.", line=line) from None
    if not math.isfinite(value):
        raise BadLine(f"{where} is {value}; a finite number is needed.", line=line)
    return value


def _shown(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 40 else shown[:37] + "…"


def _check_classes(examples: list[Example]) -> None:
    counts = Counter(example.label for example in examples)
    if len(counts) < 2:
        raise OneClass(f"All rows carry the label {examples[0].label!r}; at least 2 are needed.")
    if len(counts) > MAX_CLASSES or len(counts) > len(examples) / 2:
        found = f"{len(counts)} distinct labels in {len(examples)} rows"
        raise TooManyClasses(
            f"There are {found}; is this a regress task, or the wrong label column?"
        )


def _check_spread(examples: list[Example]) -> None:
    if len({example.label for example in examples}) < 2:
        raise OneClass(
            f"All rows carry the value {examples[0].label!r}; there is nothing to learn."
        )


def _check_tags(examples: list[Example]) -> None:
    if all(tag == "O" for tag in _tags(examples)):
        raise OneClass(f"All tags of all {len(examples)} rows are O; there is nothing to learn.")


def _tags(examples: list[Example]) -> Iterator[str]:
    for example in examples:
        assert isinstance(example.label, tuple)
        yield from example.label
