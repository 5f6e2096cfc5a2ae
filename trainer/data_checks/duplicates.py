"""Checks on rows that say the same: of one file, and of a training and a judging file."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterator

from trainer.data_checks.finding import MAX_SAMPLES, Finding, Severity, sample, samples
from trainer.data_checks.subject import Subject
from trainer.readers.example import Example


def exact_duplicates(subject: Subject) -> Iterator[Finding]:
    """But for case and spaces."""
    repeats = [row for group in _groups(subject.examples) for row in group[1:]]
    if repeats:
        yield Finding(
            code="exact_duplicates",
            severity=Severity.WARNING,
            message=f"{len(repeats)} rows repeat the text of another; repeats are kept in one "
            "split.",
            count=len(repeats),
            samples=samples(subject.file, repeats),
        )


def conflicting_duplicates(subject: Subject) -> Iterator[Finding]:
    """The same text with different labels: at least one of them is wrong, or the text is not
    enough.
    """
    if subject.generates:
        return  # a prompt may well have several good answers
    least = _least_conflict(subject.examples)
    torn = [group for group in _groups(subject.examples) if _is_torn(group, least)]
    if torn:
        shown = [
            sample(subject.file, row, f"{_said(row)}: {row.text}")
            for group in torn
            for row in group
        ]
        yield Finding(
            code="conflicting_duplicates",
            severity=Severity.WARNING,
            message=f"{len(torn)} texts occur with different labels.",
            count=len(torn),
            samples=tuple(shown[:MAX_SAMPLES]),
            facts={"rows": sum(map(len, torn))},
        )


def leaked_rows(subject: Subject) -> Iterator[Finding]:
    """Training rows whose text the dev or test file has; the split leaves them out."""
    for part, given in (("test", subject.test), ("dev", subject.dev)):
        judged = {row.group for row in given or ()}
        leaked = [row for row in subject.examples if row.group in judged]
        if leaked:
            yield Finding(
                code="exact_leak",
                severity=Severity.WARNING,
                message=f"{len(leaked)} training rows were left out: the {part} file "
                f"{subject.file_of(part)} has their text.",
                count=len(leaked),
                samples=samples(subject.file, leaked),
                facts={"part": part},
            )
    yield from _leaked_dev_rows(subject)


def _leaked_dev_rows(subject: Subject) -> Iterator[Finding]:
    if subject.dev is None or subject.split is None:
        return
    judged = {row.group for row in subject.split.test}
    leaked = [row for row in subject.dev if row.group in judged]
    if leaked:
        yield Finding(
            code="exact_leak",
            severity=Severity.WARNING,
            message=f"{len(leaked)} dev rows were left out: the test rows have their text.",
            count=len(leaked),
            samples=samples(subject.file_of("dev"), leaked),
            facts={"part": "dev"},
        )


def repeated_judging_rows(subject: Subject) -> Iterator[Finding]:
    """Given dev and test rows are taken as they are: one that repeats counts more than once."""
    for part, given in (("test", subject.test), ("dev", subject.dev)):
        counts = Counter(row.group for row in given or ())
        repeats = sum(counts.values()) - len(counts)
        if repeats:
            yield Finding(
                code="repeated_judging_rows",
                severity=Severity.WARNING,
                message=f"{repeats} rows of the {part} file {subject.file_of(part)} repeat another "
                "and count once more each.",
                count=repeats,
                facts={"part": part},
            )


def _least_conflict(rows: list[Example]) -> float:
    """Two people who score a text rarely give the same number; half a deviation is no slip."""
    values = [row.label for row in rows if isinstance(row.label, float)]
    return statistics.pstdev(values) / 2 if values else 0.0


def _is_torn(group: list[Example], least: float) -> bool:
    labels = {row.label for row in group}
    values = [label for label in labels if isinstance(label, float)]
    if len(values) == len(labels):
        return max(values) - min(values) > least
    return len(labels) > 1


def _said(row: Example) -> str:
    label = row.label
    return " ".join(map(str, label)) if isinstance(label, tuple) else str(label)


def _groups(rows: list[Example]) -> list[list[Example]]:
    groups: defaultdict[str, list[Example]] = defaultdict(list)
    for row in rows:
        groups[row.group].append(row)
    return list(groups.values())
