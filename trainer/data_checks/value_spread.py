"""Checks of labels that are numbers: outliers, and values that are really classes."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from trainer.data_checks.finding import Finding, Severity, samples
from trainer.data_checks.subject import Subject
from trainer.wording import count_of

_FAR = 10.0
_FEW_VALUES = 5


def far_values(subject: Subject) -> Iterator[Finding]:
    """Outliers by the median absolute deviation, which are likely typing errors."""
    if subject.spec.head != "regress":
        return
    values = [row.label for row in subject.examples if isinstance(row.label, float)]
    middle = statistics.median(values)
    spread = statistics.median(abs(value - middle) for value in values)
    far = [
        row
        for row in subject.examples
        if isinstance(row.label, float) and spread and abs(row.label - middle) > _FAR * spread
    ]
    if far:
        yield Finding(
            code="far_values",
            severity=Severity.WARNING,
            message=f"{count_of(len(far), 'label is', 'labels are')} far from the others; the "
            f"first is {far[0].label:g} on "
            f"line {far[0].line}. Half of all labels are within {spread:g} of {middle:g}. "
            "Correct those that are wrong.",
            count=len(far),
            samples=samples(subject.file, far),
            facts={"median": middle, "median_deviation": spread},
        )


def few_values(subject: Subject) -> Iterator[Finding]:
    if subject.spec.head != "regress":
        return
    values = sorted({row.label for row in subject.examples if isinstance(row.label, float)})
    if 1 < len(values) <= _FEW_VALUES:
        shown = ", ".join(f"{value:g}" for value in values)
        yield Finding(
            code="few_values",
            severity=Severity.INFO,
            message=f"The labels have only the values {shown}; the head classify may suit them "
            "better than regress.",
            count=len(values),
        )
