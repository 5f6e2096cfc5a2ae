"""Checks on what the base's tokenizer makes of the texts. Looks at a sample of a large file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from engine.errors import BadRow
from engine.text.prompts import Prompter
from engine.text.tokenizer import Tokenizer
from engine.text.windows import Windows
from trainer.data_checks.finding import Finding, Severity, crop, samples
from trainer.data_checks.subject import Subject
from trainer.dataset.prompt_rows import prompt_completions
from trainer.readers.example import Example

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
    #: of the whole row, and of its text alone
    tokens: int
    text_tokens: int
    unknown: int
    bytes: int


def token_findings(subject: Subject) -> Iterator[Finding]:
    if subject.tokenizer is None or not subject.examples:
        return
    rows = _spread(subject.examples)
    prompter = _prompter(subject)
    read = [_read(row, subject.tokenizer, prompter) for row in rows]
    yield from _lengths(subject, subject.tokenizer, read)
    yield from _unknown(subject, read)
    yield from _pieces(read)


def _lengths(subject: Subject, tokenizer: Tokenizer, read: list[_Read]) -> Iterator[Finding]:
    limit = min(subject.spec.settings.max_tokens or tokenizer.max_tokens, tokenizer.max_tokens)
    longer = [
        each.row
        for each in read
        if each.tokens > limit and not _fits_in_windows(each.row, subject, tokenizer)
    ]
    if longer:
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


def _fits_in_windows(row: Example, subject: Subject, tokenizer: Tokenizer) -> bool:
    """Not where a question leaves its context no room."""
    if subject.spec.head not in _READ_IN_WINDOWS:
        return False
    settings = subject.spec.settings
    windows = Windows(tokens=settings.row_tokens, stride=settings.stride)
    return not tokenizer.encode(row.text, row.pair, windows=windows).truncated


def _unknown(subject: Subject, read: list[_Read]) -> Iterator[Finding]:
    num, total = sum(each.unknown for each in read), sum(each.text_tokens for each in read)
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


def rewritten_answers(file: str, rows: Sequence[tuple[Example, str]]) -> Iterator[Finding]:
    """What a version of this base can never write as its rows have it."""
    if not rows:
        return
    row, written = rows[0]
    yield Finding(
        code="rewritten_answers",
        severity=Severity.WARNING,
        message=f"{len(rows)} answers read otherwise once the base has written them, and are "
        f"learned and compared so: its vocabulary, its end token or its chat template changes "
        f"them. That of line {row.line} becomes {crop(written)!r}.",
        count=len(rows),
        samples=samples(file, (each for each, _ in rows)),
    )


def _pieces(read: list[_Read]) -> Iterator[Finding]:
    """A vocabulary that was made for another language spells texts out."""
    num_bytes, num = sum(each.bytes for each in read), sum(each.text_tokens for each in read)
    if num and num_bytes / num < _FEW_BYTES:
        yield Finding(
            code="poor_fit",
            severity=Severity.WARNING,
            message=f"A token stands for {num_bytes / num:.1f} bytes of text on average; the "
            "base's vocabulary hardly knows these words, and another base may do better.",
            count=len(read),
            facts={"bytes_per_token": round(num_bytes / num, 3)},
        )


def _prompter(subject: Subject) -> Prompter | None:
    """What puts a prompt around a text and an end behind its answer, where a base writes them."""
    if subject.info is None or subject.tokenizer is None or not subject.generates:
        return None
    return Prompter(subject.info, subject.tokenizer)


def _read(row: Example, tokenizer: Tokenizer, prompter: Prompter | None) -> _Read:
    """Of a very long text the beginning tells enough."""
    said = row.text if row.pair is None else f"{row.text}\n{row.pair}"
    if isinstance(row.label, str) and (row.turns or prompter):
        said = f"{said}\n{row.label}"
    text = said[:_MAX_CHARS]
    ids = tokenizer.ids(text, special=False)
    unknown = ids.count(tokenizer.unknown) if tokenizer.unknown is not None else 0
    return _Read(
        row=row,
        tokens=len(_lesson(row, prompter) if prompter else ids),
        text_tokens=len(ids),
        unknown=unknown,
        bytes=len(text.encode()),
    )


def _lesson(row: Example, prompter: Prompter) -> list[int]:
    """Prompt and answer; nothing of a row that is refused anyway."""
    try:
        return prompt_completions(row, {"format": "auto"}, prompter)[-1].ids
    except BadRow:
        return []


def _spread(examples: list[Example]) -> list[Example]:
    """Evenly over the file: its end may be unlike its beginning."""
    stride = max(1, -(-len(examples) // _MAX_ROWS))
    return examples[::stride]
