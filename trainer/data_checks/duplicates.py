"""Checks for rows with the same text: within one file, and between training, dev and test rows."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterator

from trainer.data_checks.finding import MAX_SAMPLES, Finding, Severity, sample, samples
from trainer.data_checks.subject import Subject
from trainer.readers.example import Example
from trainer.wording import count_of


def exact_duplicates(subject: Subject) -> Iterator[Finding]:
    """Texts that are equal except for case and spaces."""
    repeats = [row for group in _groups(subject.examples) for row in group[1:]]
    if repeats:
        yield Finding(
            code="exact_duplicates",
            severity=Severity.WARNING,
            message=f"{count_of(len(repeats), 'row repeats', 'rows repeat')} the text of another "
            "row; rows with the same text go to the same part of the split. Delete those that are "
            "repeated by mistake.",
            count=len(repeats),
            samples=samples(subject.file, repeats),
        )


def conflicting_duplicates(subject: Subject) -> Iterator[Finding]:
    """The same text with different labels: a label is wrong, or the text does not determine it."""
    if subject.generates:
        return  # a prompt may well have several good answers
    least = _least_conflict(subject.examples)
    conflicts = [group for group in _groups(subject.examples) if _is_conflict(group, least)]
    if conflicts:
        shown = [
            sample(subject.file, row, f"{_label_text(row)}: {row.text}")
            for group in conflicts
            for row in group
        ]
        yield Finding(
            code="conflicting_duplicates",
            severity=Severity.WARNING,
            message=f"{count_of(len(conflicts), 'text occurs', 'texts occur')} with different "
            "labels; decide on one label for each, or delete them.",
            count=len(conflicts),
            samples=tuple(shown[:MAX_SAMPLES]),
            facts={"rows": sum(map(len, conflicts))},
        )


def leaked_rows(subject: Subject) -> Iterator[Finding]:
    """Training rows whose text is also in the dev or test file; the split leaves them out."""
    for part, rows in (("test", subject.test), ("dev", subject.dev)):
        judged = {row.group for row in rows or ()}
        leaked = [row for row in subject.examples if row.group in judged]
        if leaked:
            yield Finding(
                code="exact_leak",
                severity=Severity.WARNING,
                message=f"{count_of(len(leaked), 'training row was', 'training rows were')} left "
                f"out, because the {part} file {subject.file_of(part)} has the same text.",
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
            message=f"{count_of(len(leaked), 'dev row was', 'dev rows were')} left out, because "
            "the test rows have the same text.",
            count=len(leaked),
            samples=samples(subject.file_of("dev"), leaked),
            facts={"part": "dev"},
        )


def repeated_judging_rows(subject: Subject) -> Iterator[Finding]:
    """Uploaded dev and test rows are used unchanged, so a repeated row counts more than once."""
    for part, rows in (("test", subject.test), ("dev", subject.dev)):
        counts = Counter(row.group for row in rows or ())
        repeats = sum(counts.values()) - len(counts)
        if repeats:
            yield Finding(
                code="repeated_judging_rows",
                severity=Severity.WARNING,
                message=f"{count_of(repeats, 'row')} of the {part} file {subject.file_of(part)} "
                f"{'repeats' if repeats == 1 else 'repeat'} another row of it, so a text counts "
                "more than once in the metrics; delete the repeated rows.",
                count=repeats,
                facts={"part": part},
            )


def _least_conflict(rows: list[Example]) -> float:
    """How far apart scores of one text must be for a conflict: half a standard deviation, because
    two people rarely give the same number.
    """
    values = [row.label for row in rows if isinstance(row.label, float)]
    return statistics.pstdev(values) / 2 if values else 0.0


def _is_conflict(group: list[Example], least: float) -> bool:
    labels = {row.label for row in group}
    values = [label for label in labels if isinstance(label, float)]
    if len(values) == len(labels):
        return max(values) - min(values) > least
    return len(labels) > 1


def _label_text(row: Example) -> str:
    label = row.label
    return " ".join(map(str, label)) if isinstance(label, tuple) else str(label)


def _groups(rows: list[Example]) -> list[list[Example]]:
    groups: defaultdict[str, list[Example]] = defaultdict(list)
    for row in rows:
        groups[row.group].append(row)
    return list(groups.values())
