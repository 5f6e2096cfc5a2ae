"""Checks of the number of rows: in all, of each class, and of the dev rows."""

from __future__ import annotations

from collections.abc import Iterator

from trainer.data_checks.finding import Finding, Severity, samples
from trainer.data_checks.subject import Subject
from trainer.wording import count_of

FEW_ROWS = 50
FEW_PER_CLASS = 8
_FEW_DEV_ROWS = 20
_MORE_DEV_ROWS = "raise dev_share, or pass dev rows as a file of their own"


def few_rows(subject: Subject) -> Iterator[Finding]:
    num = len(subject.examples)
    if num < FEW_ROWS:
        yield Finding(
            code="few_rows",
            severity=Severity.WARNING,
            message=f"There {'is' if num == 1 else 'are'} only {count_of(num, 'row')}: metrics "
            "will be noisy, and more rows would "
            "improve the results most.",
            count=num,
        )


def rare_classes(subject: Subject) -> Iterator[Finding]:
    counts = subject.rows_per_class()
    rare = sorted((name for name in counts if counts[name] < FEW_PER_CLASS), key=counts.__getitem__)
    if rare:
        shown = ", ".join(f"{name!r} ({counts[name]})" for name in rare[:5])
        rows = (row for row in subject.examples if set(rare) & set(subject.classes(row)))
        yield Finding(
            code="few_per_class",
            severity=Severity.WARNING,
            message=f"{len(rare)} of {len(counts)} {subject.class_word}s "
            f"{'has' if len(rare) == 1 else 'have'} fewer than "
            f"{FEW_PER_CLASS} rows: {shown}; add rows with them, or merge them with others.",
            count=len(rare),
            samples=samples(subject.file, rows),
            facts={"rows": {name: counts[name] for name in rare}},
        )


def few_dev_rows(subject: Subject) -> Iterator[Finding]:
    if subject.split is None or len(subject.split.dev) >= _FEW_DEV_ROWS:
        return
    num = len(subject.split.dev)
    message = (
        f"The best epoch is chosen on only {count_of(num, 'dev row')}, so the choice is noisy; "
        f"{_MORE_DEV_ROWS}."
    )
    if not num:
        message = (
            "There are no dev rows, so the last epoch is published instead of the best one; "
            f"{_MORE_DEV_ROWS}."
        )
    yield Finding(code="few_dev_rows", severity=Severity.WARNING, message=message, count=num)
