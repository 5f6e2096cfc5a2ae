"""Checks on the letters of texts: wrongly decoded, standing for nothing, without a word."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from trainer.data_checks.finding import Finding, Severity, samples
from trainer.data_checks.spelling import MISSING_WORDS
from trainer.data_checks.subject import Subject
from trainer.readers.example import Example

#: UTF-8 read as Windows-1252: what is left of accented letters, quotes and dashes
_MOJIBAKE = re.compile(r"Ã[\x80-\xbf©¨ª«¬­®¯°±²³´µ¶·¸¹º¼½¾¿]|â€[™œ\x9d“”˜¦¢]|Â[\xa0-\xbf]|\ufffd")
_MARKUP = re.compile(r"</?(?:p|br|div|span|a|b|i|li|ul|td|tr)\b[^>]*>|&(?:amp|lt|gt|quot|nbsp);")
_WORD = re.compile(r"\w")
_MISSING = MISSING_WORDS | {"[deleted]", "[removed]"}


def wrongly_decoded(subject: Subject) -> Iterator[Finding]:
    yield from _found(
        subject,
        lambda row: _MOJIBAKE.search(row.text) is not None,
        code="wrongly_decoded",
        severity=Severity.WARNING,
        sentence="{n} rows hold letters that were decoded wrongly on their way here, such as Ã© "
        "for é, or replacement characters.",
    )


def nothing_texts(subject: Subject) -> Iterator[Finding]:
    """What tables and crawlers write where a text is missing."""
    yield from _found(
        subject,
        lambda row: row.text.strip().casefold() in _MISSING,
        code="text_like_missing",
        severity=Severity.WARNING,
        sentence="{n} rows have a text such as 'nan' or '[deleted]', which stands for none.",
    )


def wordless_texts(subject: Subject) -> Iterator[Finding]:
    yield from _found(
        subject,
        lambda row: _WORD.search(row.text) is None,
        code="no_words",
        severity=Severity.INFO,
        sentence="{n} rows hold neither a letter nor a digit.",
    )


def markup(subject: Subject) -> Iterator[Finding]:
    yield from _found(
        subject,
        lambda row: _MARKUP.search(row.text) is not None,
        code="markup",
        severity=Severity.INFO,
        sentence="{n} rows hold HTML tags or entities; serve texts the same way, or strip them "
        "from both.",
    )


def _found(
    subject: Subject,
    is_so: Callable[[Example], bool],
    *,
    code: str,
    severity: Severity,
    sentence: str,
) -> Iterator[Finding]:
    rows = [row for row in subject.examples if is_so(row)]
    if rows:
        yield Finding(
            code=code, severity=severity, message=sentence.format(n=len(rows)), count=len(rows),
            samples=samples(subject.file, rows), facts={"share": _share(rows, subject)},
        )  # fmt: skip


def _share(rows: list[Example], subject: Subject) -> float:
    return round(len(rows) / len(subject.examples), 4)
