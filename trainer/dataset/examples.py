"""Turns records into checked examples of one head. Knows limits on the number of rows; no files,
splits or tokens.
"""

from __future__ import annotations

from collections.abc import Iterable

from trainer.errors import (
    AllDuplicates,
    BadDataset,
    BadLine,
    MissingColumn,
    TooFewRows,
    TooManyRows,
)
from trainer.heads import HEAD_DATA
from trainer.jobs.values import JobSpec
from trainer.readers.columns import suggest_column
from trainer.readers.example import Example
from trainer.readers.record import Record
from trainer.wording import count_of

MIN_ROWS = 20
MAX_ROWS = 500_000
#: a file with more errors usually has the wrong column, and a longer list would not help
MAX_ERRORS = 1000


def usable_examples(
    records: Iterable[Record | BadLine], spec: JobSpec
) -> tuple[list[Example], list[BadDataset]]:
    """The usable rows, and the errors of the others. Raises BadDataset for the file as a whole."""
    data, examples, errors = HEAD_DATA[spec.head], list[Example](), list[BadDataset]()
    for record in records:
        try:
            if isinstance(record, BadLine):
                raise record
            examples.append(data.example(record, spec))
        except BadLine as error:
            errors.append(error)
        except MissingColumn as error:
            errors.append(_with_suggestions(error, spec))
            if isinstance(record, Record) and record.tabular:  # no other row has the column
                return examples, errors
        if len(errors) >= MAX_ERRORS:
            return examples, errors
        if len(examples) > MAX_ROWS:
            raise TooManyRows(f"The file has more than {MAX_ROWS} rows; train on a sample of them.")
    if not examples and not errors:
        raise BadDataset("The file has no rows.")
    if examples:
        errors += _unlike(examples, spec.head)
    return examples, errors


def columns_of(spec: JobSpec) -> list[str]:
    """The names of the columns that the job reads."""
    named = [spec.text_column, spec.label_column, spec.text_pair_column]
    return [*filter(None, named), *HEAD_DATA[spec.head].usual_columns]


def _with_suggestions(error: MissingColumn, spec: JobSpec) -> MissingColumn:
    """The error with columns that may be meant, for all columns of the job that are not there."""
    names = {"text_column": spec.text_column, "label_column": spec.label_column}
    if spec.text_pair_column or error.column not in names.values():
        names["text_pair_column"] = spec.text_pair_column or error.column
    suggested: dict[str, str] = {}
    for field, name in names.items():
        used = {*names.values(), *suggested.values()}
        column = suggest_column(name, error.present, used) if name not in error.present else None
        if column is not None:
            suggested[field] = column
    return MissingColumn(error.column, error.present, line=error.line, suggested=suggested)


def _unlike(examples: list[Example], head: str) -> list[BadDataset]:
    try:
        HEAD_DATA[head].check_alike(examples)
    except BadDataset as error:
        return [error]
    return []


def check_trainable(examples: list[Example], head: str) -> None:
    """Raises BadDataset where a training file has too few rows or texts, or nothing to learn."""
    if len(examples) < MIN_ROWS:
        raise TooFewRows(
            f"The file has {len(examples)} usable rows; training needs at least {MIN_ROWS}.",
            rows=len(examples),
            minimum=MIN_ROWS,
        )
    HEAD_DATA[head].check(examples)
    num_texts = len({row.group for row in examples})
    if num_texts < MIN_ROWS:
        raise AllDuplicates(
            f"The {len(examples)} rows of the file have only "
            f"{count_of(num_texts, 'different text')}; training "
            f"needs at least {MIN_ROWS}."
        )


def labels_of(examples: list[Example], head: str) -> list[str]:
    """The labels of the head, in an order that does not depend on the order of rows; empty for
    heads without labels.
    """
    return HEAD_DATA[head].labels(examples)
