"""The table of checks, and the one loop over it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from trainer.data_checks.duplicates import (
    conflicting_duplicates,
    exact_duplicates,
    leaked_rows,
    repeated_judging_rows,
)
from trainer.data_checks.few_rows import few_dev_rows, few_rows, rare_classes
from trainer.data_checks.finding import Finding, Severity
from trainer.data_checks.labels import (
    class_balance,
    joined_labels,
    label_typos,
    label_variants,
    nothing_labels,
    several_labels,
)
from trainer.data_checks.leaks import near_leaks
from trainer.data_checks.subject import Subject
from trainer.data_checks.tags import broken_tags, mixed_schemes, untagged_words
from trainer.data_checks.texts import markup, nothing_texts, wordless_texts, wrongly_decoded
from trainer.data_checks.tokens import token_findings
from trainer.data_checks.value_spread import far_values, few_values

Check = Callable[[Subject], Iterator[Finding]]

CHECKS: tuple[Check, ...] = (
    few_rows,
    rare_classes,
    few_dev_rows,
    label_typos,
    label_variants,
    joined_labels,
    several_labels,
    nothing_labels,
    class_balance,
    exact_duplicates,
    conflicting_duplicates,
    leaked_rows,
    repeated_judging_rows,
    near_leaks,
    broken_tags,
    mixed_schemes,
    untagged_words,
    far_values,
    few_values,
    wrongly_decoded,
    nothing_texts,
    wordless_texts,
    markup,
    token_findings,
)

_ORDER = list(Severity)


def run_checks(subject: Subject) -> list[Finding]:
    """The findings of all checks, the most severe first."""
    findings = [finding for check in CHECKS for finding in check(subject)]
    return sorted(findings, key=lambda finding: _ORDER.index(finding.severity))
