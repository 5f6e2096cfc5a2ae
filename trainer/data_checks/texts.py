"""Checks of the characters of texts: wrong decoding, missing values, markup, no words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from trainer.data_checks.finding import Finding, Severity, samples
from trainer.data_checks.spelling import MISSING_WORDS
from trainer.data_checks.subject import Subject
from trainer.readers.example import Example

#: what accented letters, quotes and dashes become when UTF-8 is read as Windows-1252
_MOJIBAKE = re.compile(r"Ã[\x80-\xbf©¨ª«¬­®¯°±²³´µ¶·¸¹º¼½¾¿]|â€[™œ\x9d“”˜¦¢]|Â[\xa0-\xbf]|\ufffd")
_MARKUP = re.compile(r"</?(?:p|br|div|span|a|b|i|li|ul|td|tr)\b[^>]*>|&(?:amp|lt|gt|quot|nbsp);")
_WORD = re.compile(r"\w")
_MISSING = MISSING_WORDS | {"[deleted]", "[removed]"}


def wrongly_decoded(subject: Subject) -> Iterator[Finding]:
    yield from _find_rows(
        subject,
        lambda row: _MOJIBAKE.search(row.text) is not None,
        code="wrongly_decoded",
        severity=Severity.WARNING,
        sentence="{n} rows contain characters that were decoded with a wrong encoding before the "
        "upload, such as Ã© for é, or replacement characters; export the file again as UTF-8.",
    )


def nothing_texts(subject: Subject) -> Iterator[Finding]:
    """Words that tables and crawlers put where a text is missing."""
    yield from _find_rows(
        subject,
        lambda row: row.text.strip().casefold() in _MISSING,
        code="text_like_missing",
        severity=Severity.WARNING,
        sentence="{n} rows have a text such as 'nan' or '[deleted]', which stands for a missing "
        "text; leave them out.",
    )


def wordless_texts(subject: Subject) -> Iterator[Finding]:
    yield from _find_rows(
        subject,
        lambda row: _WORD.search(row.text) is None,
        code="no_words",
        severity=Severity.INFO,
        sentence="{n} rows have a text without any letter or digit.",
    )


def markup(subject: Subject) -> Iterator[Finding]:
    yield from _find_rows(
        subject,
        lambda row: _MARKUP.search(row.text) is not None,
        code="markup",
        severity=Severity.INFO,
        sentence="{n} rows contain HTML tags or entities; send texts in the same form when "
        "predicting, or strip the markup from both.",
    )


def _find_rows(
    subject: Subject,
    matches: Callable[[Example], bool],
    *,
    code: str,
    severity: Severity,
    sentence: str,
) -> Iterator[Finding]:
    rows = [row for row in subject.examples if matches(row)]
    if rows:
        yield Finding(
            code=code,
            severity=severity,
            message=sentence.format(n=len(rows)),
            count=len(rows),
            samples=samples(subject.file, rows),
            facts={"share": _share(rows, subject)},
        )


def _share(rows: list[Example], subject: Subject) -> float:
    return round(len(rows) / len(subject.examples), 4)
