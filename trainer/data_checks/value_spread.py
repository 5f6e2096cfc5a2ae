"""Checks on labels that are numbers."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from trainer.data_checks.finding import Finding, Severity, samples
from trainer.data_checks.subject import Subject

_FAR = 10.0
_FEW_VALUES = 5


def far_values(subject: Subject) -> Iterator[Finding]:
    """So far from the middle that a typing error is likelier, by the median deviation."""
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
            message=f"{len(far)} labels are far from the others, the first {far[0].label:g} on "
            f"line {far[0].line}; half of all are within {spread:g} of {middle:g}.",
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
            message=f"The labels are only {shown}; a classify head may suit them better.",
            count=len(values),
        )
