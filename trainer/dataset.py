"""Records to checked examples of one head. Knows how many are too few or too many; no files, splits
or tokens.
"""

from __future__ import annotations

from collections.abc import Iterable

from trainer.errors import BadDataset, TooFewRows, TooManyRows
from trainer.example import Example
from trainer.heads import HEAD_DATA
from trainer.table import Record
from trainer.values import JobSpec

MIN_ROWS = 20
MAX_ROWS = 500_000


def read_examples(records: Iterable[Record], spec: JobSpec) -> list[Example]:
    """Every record, checked. Raises BadDataset, naming the first line that cannot be used."""
    data, examples = HEAD_DATA[spec.head], list[Example]()
    for record in records:
        examples.append(data.example(record, spec))
        if len(examples) > MAX_ROWS:
            raise TooManyRows(f"The file has more than {MAX_ROWS} rows; train on a sample of them.")
    if not examples:
        raise BadDataset("The file has no rows.")
    data.check_alike(examples)
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
    HEAD_DATA[head].check(examples)


def labels_of(examples: list[Example], head: str) -> list[str]:
    """The labels of a head, in an order that does not depend on the order of rows. Empty for heads
    without labels.
    """
    return HEAD_DATA[head].labels(examples)
