"""Checks of class names: misspellings, variants, joined labels, missing values, and imbalance."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from trainer.data_checks.finding import Finding, Sample, Severity, samples
from trainer.data_checks.spelling import MISSING_WORDS, difference, number_value, spelling_key
from trainer.data_checks.subject import Subject
from trainer.readers.example import Example
from trainer.wording import count_of

#: a misspelling has at most this share of the rows of the intended name, or this few rows
_RARE_SHARE = 0.1
_RARE_ROWS = 3
_RARER = 5
_UNEQUAL = 10
_MISSING = MISSING_WORDS | {"<na>", "?", "-", "undefined", "unknown"}
#: separators of several labels in one cell, those first that are least likely within a name
_JOINING = "\n\t|;,/+&# "
#: those that names hardly ever contain
_ONLY_JOINING = "\n\t|;"


def label_typos(subject: Subject) -> Iterator[Finding]:
    """`postive` beside many `positive`."""
    counts = subject.rows_per_class()
    for rare, meant in _misspelt(counts):
        yield Finding(
            code="label_typo",
            severity=Severity.WARNING,
            message=f"The {subject.class_word} {rare!r} ({count_of(counts[rare], 'row')}) may be "
            f"a misspelling of {meant!r} ({count_of(counts[meant], 'row')}); if it is, correct "
            "these rows.",
            count=counts[rare],
            samples=_with_class(subject, rare),
            facts={"label": rare, "meant": meant},
        )


def label_variants(subject: Subject) -> Iterator[Finding]:
    """Names that differ only in case, spaces, punctuation or the form of their letters."""
    counts = subject.rows_per_class()
    by_key: defaultdict[str, list[str]] = defaultdict(list)
    for name in counts:
        by_key[spelling_key(name)].append(name)
    for key, names in by_key.items():
        if len(names) > 1 and key:
            ordered = sorted(names, key=lambda name: (-counts[name], name))
            variants = " and ".join(
                f"{name!r} ({count_of(counts[name], 'row')})" for name in ordered
            )
            yield Finding(
                code="label_variants",
                severity=Severity.WARNING,
                message=f"The {subject.class_word}s {variants} {difference(names)}; each is "
                "trained as a class of its own. If they mean the same, write them alike.",
                count=sum(counts[name] for name in ordered[1:]),
                samples=_with_class(subject, ordered[-1]),
                facts={"labels": ordered},
            )


def joined_labels(subject: Subject) -> Iterator[Finding]:
    """`a|b` beside `a` and `b`: several labels in one cell."""
    if subject.spec.head != "classify":
        return
    counts = subject.rows_per_class()
    parts = {name: split for name in counts if len(split := _parts(name)) > 1}
    uses = Counter(part for name in counts for part in set(_parts(name)))
    joined = [
        name
        for name in parts
        if all(uses[part] > 1 for part in parts[name])
        or any(mark in name for mark in _ONLY_JOINING)
    ]
    if joined:
        listed = json.dumps(parts[joined[0]], ensure_ascii=False)
        several = len(joined) > 1
        these = (
            f"{len(joined)} labels, such as {joined[0]!r},"
            if several
            else f"The label {joined[0]!r}"
        )
        yield Finding(
            code="joined_labels",
            severity=Severity.WARNING,
            message=f"{these} may join several labels; each is trained as one class of its own. If "
            f"a row may have several labels, write a list in every row: {listed}.",
            count=sum(counts[name] for name in joined),
            samples=_with_class(subject, joined[0]),
            facts={"labels": sorted(joined)},
        )


def several_labels(subject: Subject) -> Iterator[Finding]:
    """That the labels are lists, which a file of cells does not show at first sight."""
    lists = [row.label for row in subject.examples if isinstance(row.label, tuple)]
    if subject.spec.head == "classify" and len(lists) == len(subject.examples):
        mean, num_empty = sum(map(len, lists)) / len(lists), lists.count(())
        empty = (
            f" {count_of(num_empty, 'row has', 'rows have')} an empty list." if num_empty else ""
        )
        yield Finding(
            code="multi_label",
            severity=Severity.INFO,
            message="Every row has a list of labels, so a multi-label head is trained; a row has "
            f"{mean:.1f} labels on average.{empty}",
            count=len(lists),
            facts={"empty": num_empty},
        )


def nothing_labels(subject: Subject) -> Iterator[Finding]:
    """Words that tables contain where a label is missing."""
    counts = subject.rows_per_class()
    for name in sorted(counts):
        if name.casefold() in _MISSING:
            yield Finding(
                code="label_like_missing",
                severity=Severity.WARNING,
                message=f"{count_of(counts[name], 'row has', 'rows have')} the "
                f"{subject.class_word} {name!r}; if it "
                "stands for a missing label, leave these rows out.",
                count=counts[name],
                samples=_with_class(subject, name),
                facts={"label": name},
            )


def class_balance(subject: Subject) -> Iterator[Finding]:
    """The distribution of rows over classes, with a warning where it is very uneven."""
    counts = subject.rows_per_class()
    if len(counts) < 2:
        return
    (most, num_most), (least, num_least) = _extremes(counts)
    unequal = num_most >= _UNEQUAL * num_least
    advice = " `class_weights: balanced` weights the classes equally." if unequal else ""
    yield Finding(
        code="class_imbalance" if unequal else "class_balance",
        severity=Severity.WARNING if unequal else Severity.INFO,
        message=f"Of {len(counts)} {subject.class_word}s, {most!r} has the most rows ({num_most}) "
        f"and {least!r} the fewest ({num_least}).{advice}",
        count=len(counts),
        facts={"rows": dict(counts.most_common())},
    )


def _misspelt(counts: Counter[str]) -> Iterator[tuple[str, str]]:
    """(rare, meant) pairs."""
    for rare, num in counts.items():
        frequent = [
            name
            for name, others in counts.items()
            if others >= _RARER * num and num <= max(_RARE_ROWS, _RARE_SHARE * others)
        ]
        likely = [name for name in frequent if _near(rare, name)]
        if likely:
            yield rare, max(likely, key=counts.__getitem__)


def _near(rare: str, name: str) -> bool:
    """At most one slip in names of four letters or more, two in names of eight or more. Numbers are
    never misspelt.
    """
    left, right = rare.casefold(), name.casefold()
    most = 2 if min(len(left), len(right)) >= 8 else 1
    if min(len(left), len(right)) < 4 or abs(len(left) - len(right)) > most:
        return False
    if number_value(rare) is not None or _digits(left) != _digits(right):
        return False
    if spelling_key(rare) == spelling_key(name):
        return False
    return (left[0] == right[0] or left[-1] == right[-1]) and _slips(left, right) <= most


def _slips(left: str, right: str) -> int:
    """Letters deleted, inserted, changed or transposed (optimal string alignment distance)."""
    before: list[int] = []
    above = list(range(len(right) + 1))
    for i, a in enumerate(left, start=1):
        row = [i]
        for j, b in enumerate(right, start=1):
            best = min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (a != b))
            if i > 1 and j > 1 and a == right[j - 2] and left[i - 2] == b:
                best = min(best, before[j - 2] + 1)
            row.append(best)
        before, above = above, row
    return above[-1]


def _extremes(counts: Counter[str]) -> tuple[tuple[str, int], tuple[str, int]]:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ordered[0], ordered[-1]


def _with_class(subject: Subject, name: str) -> tuple[Sample, ...]:
    return samples(subject.file, _rows_with(subject, name))


def _rows_with(subject: Subject, name: str) -> Iterable[Example]:
    return (row for row in subject.examples if name in subject.classes(row))


def _parts(name: str) -> list[str]:
    """The parts of a name, split at the first of the separators that it has, without the brackets
    of a list.
    """
    if number_value(name) is not None:
        return [name]
    if name.startswith("[") and name.endswith("]"):
        name = name[1:-1]
    mark = next((mark for mark in _JOINING if mark in name), None)
    return [part.strip() for part in name.split(mark) if part.strip()] if mark else [name]


def _digits(name: str) -> str:
    return re.sub(r"\D+", "", name)
