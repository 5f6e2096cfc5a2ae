"""Checks of the tokens that the base makes of texts, on a sample of the rows of a large file."""

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
from trainer.wording import count_of

_MAX_ROWS = 1000
_MAX_CHARS = 20_000
_UNKNOWN_SHARE = 0.01
_FEW_BYTES = 2.5
_CUT_SHARE = 0.05
_WINDOWED_HEADS = ("tag", "span")


@dataclass(frozen=True, slots=True, kw_only=True)
class _TokenizedRow:
    """The numbers of tokens of one row."""

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
    tokenized = [_tokenize(row, subject.tokenizer, prompter) for row in rows]
    yield from _lengths(subject, subject.tokenizer, tokenized)
    yield from _unknown(subject, tokenized)
    yield from _pieces(tokenized)


def _lengths(
    subject: Subject, tokenizer: Tokenizer, tokenized: list[_TokenizedRow]
) -> Iterator[Finding]:
    limit = min(subject.spec.settings.max_tokens or tokenizer.max_tokens, tokenizer.max_tokens)
    longer = [
        each.row
        for each in tokenized
        if each.tokens > limit and not _fits_in_windows(each.row, subject, tokenizer)
    ]
    if longer:
        share = len(longer) / len(tokenized)
        yield Finding(
            code="truncated",
            severity=Severity.WARNING if share >= _CUT_SHARE else Severity.INFO,
            message=f"{len(longer)} of {len(tokenized)} rows examined ({share:.1%}) "
            f"{'is' if len(longer) == 1 else 'are'} longer than {limit} tokens and will be "
            f"truncated. {_at_serving(limit, tokenizer)}",
            count=len(longer),
            samples=samples(subject.file, longer),
            facts={"share": round(share, 4), "max_tokens": limit},
        )
    lengths = sorted(each.tokens for each in tokenized)
    half, most = lengths[len(lengths) // 2], lengths[len(lengths) * 95 // 100]
    yield Finding(
        code="row_tokens",
        severity=Severity.INFO,
        message=f"Half of the rows have at most {half} tokens, and 95 % have at most {most}; the "
        f"limit is {limit}.",
        count=len(tokenized),
        facts={"median": half, "p95": most, "max": lengths[-1], "limit": limit},
    )


def _at_serving(limit: int, tokenizer: Tokenizer) -> str:
    """What becomes of texts of that length after the training, and what to do about it."""
    if limit < tokenizer.max_tokens:
        return f"If their ends matter, raise max_tokens, up to the base's {tokenizer.max_tokens}."
    return (
        "When served, texts of that length are refused unless the call sets `truncate`. If their "
        "ends matter, shorten them or use a base with a longer context."
    )


def _fits_in_windows(row: Example, subject: Subject, tokenizer: Tokenizer) -> bool:
    """Whether windows hold all of the row; they cannot if its question leaves no room."""
    if subject.spec.head not in _WINDOWED_HEADS:
        return False
    settings = subject.spec.settings
    windows = Windows(tokens=settings.row_tokens, stride=settings.stride)
    return not tokenizer.encode(row.text, row.pair, windows=windows).truncated


def _unknown(subject: Subject, tokenized: list[_TokenizedRow]) -> Iterator[Finding]:
    num, total = (
        sum(each.unknown for each in tokenized),
        sum(each.text_tokens for each in tokenized),
    )
    if total and num / total >= _UNKNOWN_SHARE:
        ordered = sorted(tokenized, key=lambda row: -row.unknown)
        rows = [each.row for each in ordered if each.unknown]
        yield Finding(
            code="unknown_tokens",
            severity=Severity.WARNING,
            message=f"{num / total:.1%} of the tokens are not in the base's vocabulary, so the "
            "base cannot read these words; another base may know them.",
            count=len(rows),
            samples=samples(subject.file, rows),
            facts={"share": round(num / total, 4)},
        )


def rewritten_answers(file: str, rows: Sequence[tuple[Example, str]]) -> Iterator[Finding]:
    """Answers that a version of this base cannot generate exactly as the rows have them."""
    if not rows:
        return
    row, written = rows[0]
    yield Finding(
        code="rewritten_answers",
        severity=Severity.WARNING,
        message=f"{count_of(len(rows), 'answer changes', 'answers change')} when encoded and "
        "decoded with the base's vocabulary, end token or chat template; the changed form is "
        f"trained and compared. The answer of line {row.line} becomes {crop(written)!r}.",
        count=len(rows),
        samples=samples(file, (each for each, _ in rows)),
    )


def no_base_finding(unchecked: Sequence[str]) -> Finding:
    """What a check without a base leaves out; `unchecked` was chosen and depends on the base."""
    left_out = f", and {', '.join(unchecked)} could not be checked" if unchecked else ""
    return Finding(
        code="no_base",
        severity=Severity.WARNING if unchecked else Severity.INFO,
        message=f"Without a base the rows were not tokenized{left_out}; `--server` "
        "checks with the base of the server, as a training does.",
        facts={"unchecked": [*unchecked]},
    )


def _pieces(tokenized: list[_TokenizedRow]) -> Iterator[Finding]:
    """A vocabulary for another language splits words into many short tokens."""
    num_bytes, num = (
        sum(each.bytes for each in tokenized),
        sum(each.text_tokens for each in tokenized),
    )
    if num and num_bytes / num < _FEW_BYTES:
        yield Finding(
            code="poor_fit",
            severity=Severity.WARNING,
            message=f"A token holds only {num_bytes / num:.1f} bytes of text on average: the "
            "base's vocabulary does not suit these texts, and another base may do better.",
            count=len(tokenized),
            facts={"bytes_per_token": round(num_bytes / num, 3)},
        )


def _prompter(subject: Subject) -> Prompter | None:
    """Adds prompt and end token to rows of generation tasks; None for other tasks."""
    if subject.info is None or subject.tokenizer is None or not subject.generates:
        return None
    return Prompter(subject.info, subject.tokenizer)


def _tokenize(row: Example, tokenizer: Tokenizer, prompter: Prompter | None) -> _TokenizedRow:
    """Counts the tokens of a row, of a very long text only those of its beginning."""
    whole = row.text if row.pair is None else f"{row.text}\n{row.pair}"
    if isinstance(row.label, str) and (row.turns or prompter):
        whole = f"{whole}\n{row.label}"
    text = whole[:_MAX_CHARS]
    ids = tokenizer.ids(text, special=False)
    unknown = ids.count(tokenizer.unknown) if tokenizer.unknown is not None else 0
    return _TokenizedRow(
        row=row,
        tokens=len(_lesson(row, prompter) if prompter else ids),
        text_tokens=len(ids),
        unknown=unknown,
        bytes=len(text.encode()),
    )


def _lesson(row: Example, prompter: Prompter) -> list[int]:
    """The tokens of prompt and answer; empty for a row that is refused anyway."""
    try:
        return prompt_completions(row, {"format": "auto"}, prompter)[-1].ids
    except BadRow:
        return []


def _spread(examples: list[Example]) -> list[Example]:
    """Rows evenly spread over the file, because its end may differ from its beginning."""
    stride = max(1, -(-len(examples) // _MAX_ROWS))
    return examples[::stride]
