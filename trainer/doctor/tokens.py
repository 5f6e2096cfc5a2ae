"""Checks on what the base's tokenizer makes of the texts. Looks at a sample of a large file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from engine.tokenizer import Tokenizer
from trainer.doctor.finding import Finding, Severity, samples
from trainer.doctor.subject import Subject
from trainer.example import Example

_MAX_ROWS = 1000
_MAX_CHARS = 20_000
_UNKNOWN_SHARE = 0.01
_FEW_BYTES = 2.5
_CUT_SHARE = 0.05
_READ_IN_WINDOWS = ("tag", "span")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """One row as the tokenizer reads it."""

    row: Example
    tokens: int
    unknown: int
    bytes: int


def token_findings(subject: Subject) -> Iterator[Finding]:
    if subject.tokenizer is None or not subject.examples:
        return
    rows = _spread(subject.examples)
    read = [_read(row, subject.tokenizer) for row in rows]
    yield from _lengths(subject, subject.tokenizer, read)
    yield from _unknown(subject, read)
    yield from _pieces(read)


def _lengths(subject: Subject, tokenizer: Tokenizer, read: list[_Read]) -> Iterator[Finding]:
    limit = min(subject.spec.settings.max_tokens or tokenizer.max_tokens, tokenizer.max_tokens)
    longer = [each.row for each in read if each.tokens > limit]
    if longer and subject.spec.head not in _READ_IN_WINDOWS:
        share = len(longer) / len(read)
        yield Finding(
            code="truncated",
            severity=Severity.WARNING if share >= _CUT_SHARE else Severity.INFO,
            message=f"{len(longer)} of {len(read)} rows looked at ({share:.1%}) are longer than "
            f"{limit} tokens and will be cut.",
            count=len(longer),
            samples=samples(subject.file, longer),
            facts={"share": round(share, 4), "max_tokens": limit},
        )
    lengths = sorted(each.tokens for each in read)
    half, most = lengths[len(lengths) // 2], lengths[len(lengths) * 95 // 100]
    yield Finding(
        code="row_tokens",
        severity=Severity.INFO,
        message=f"Half of the rows have at most {half} tokens, 95 % at most {most}; the base reads "
        f"{limit}.",
        count=len(read),
        facts={"median": half, "p95": most, "max": lengths[-1], "limit": limit},
    )


def _unknown(subject: Subject, read: list[_Read]) -> Iterator[Finding]:
    num, total = sum(each.unknown for each in read), sum(each.tokens for each in read)
    if total and num / total >= _UNKNOWN_SHARE:
        rows = [each.row for each in sorted(read, key=lambda each: -each.unknown) if each.unknown]
        yield Finding(
            code="unknown_tokens",
            severity=Severity.WARNING,
            message=f"{num / total:.1%} of the tokens are unknown to the base's vocabulary: it "
            "does not see what is written there.",
            count=len(rows),
            samples=samples(subject.file, rows),
            facts={"share": round(num / total, 4)},
        )


def _pieces(read: list[_Read]) -> Iterator[Finding]:
    """A vocabulary that was made for another language spells texts out."""
    num_bytes, num = sum(each.bytes for each in read), sum(each.tokens for each in read)
    if num and num_bytes / num < _FEW_BYTES:
        yield Finding(
            code="poor_fit",
            severity=Severity.WARNING,
            message=f"A token stands for {num_bytes / num:.1f} bytes of text on average; the "
            "base's vocabulary hardly knows these words, and another base may do better.",
            count=len(read),
            facts={"bytes_per_token": round(num_bytes / num, 3)},
        )


def _read(row: Example, tokenizer: Tokenizer) -> _Read:
    """Of a very long text the beginning tells enough."""
    said = row.text if row.pair is None else f"{row.text}\n{row.pair}"
    if isinstance(row.label, str) and row.turns:
        said = f"{said}\n{row.label}"
    text = said[:_MAX_CHARS]
    ids = tokenizer.ids(text, special=False)
    unknown = ids.count(tokenizer.unknown) if tokenizer.unknown is not None else 0
    return _Read(row=row, tokens=len(ids), unknown=unknown, bytes=len(text.encode()))


def _spread(examples: list[Example]) -> list[Example]:
    """Evenly over the file: its end may be unlike its beginning."""
    stride = max(1, -(-len(examples) // _MAX_ROWS))
    return examples[::stride]
