"""The check for dev and test rows that nearly repeat a training row, so that scores on them are too
high.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from trainer.data_checks.finding import MAX_SAMPLES, Finding, Sample, Severity, crop
from trainer.data_checks.near_texts import Pair, near_texts
from trainer.data_checks.subject import Subject
from trainer.readers.example import Example

#: from this share of common words on, texts are near duplicates where no base can compare them
_SAME_WORDS = 0.8
#: from this share on, the base compares their embeddings, which must have at least this cosine
_MAYBE_WORDS = 0.5
_SAME_MEANING = 0.9
_MAX_CANDIDATES = 1000
#: a check that a caller waits for skips larger files; a running job compares all rows
_MAX_ROWS = 50_000
_MANY = 0.05


def near_leaks(subject: Subject) -> Iterator[Finding]:
    """Compares test rows, and dev rows, with the training rows."""
    if subject.split is None:
        return
    if subject.likeness is None and len(subject.split.train) > _MAX_ROWS:
        return
    for part in ("test", "dev"):
        rows: list[Example] = getattr(subject.split, part)
        pairs = _near(rows, subject.split.train, subject)
        if pairs:
            yield _finding(subject, part, rows, pairs)


def _near(rows: Sequence[Example], train: Sequence[Example], subject: Subject) -> list[Pair]:
    texts, among = [_text(row) for row in rows], [_text(row) for row in train]
    if subject.likeness is None:
        return near_texts(texts, among, _SAME_WORDS)
    maybe = near_texts(texts, among, _MAYBE_WORDS)
    # the most similar first, so that the limit leaves out the least similar
    candidates = sorted(maybe, key=lambda pair: -pair.overlap)[:_MAX_CANDIDATES]
    if not candidates:
        return []
    likeness = subject.likeness([(texts[pair.query], among[pair.match]) for pair in candidates])
    return [
        pair
        for pair, alike in zip(candidates, likeness, strict=True)
        if alike >= _SAME_MEANING or pair.overlap == 1.0
    ]


def _finding(subject: Subject, part: str, rows: list[Example], pairs: list[Pair]) -> Finding:
    assert subject.split is not None
    train, share = subject.split.train, len(pairs) / len(rows)
    how = "by their words" if subject.likeness is None else "by their words and embeddings"
    shown = [
        Sample(
            file=subject.file_of(part),
            line=rows[pair.query].line,
            text=f"{crop(rows[pair.query].text)} ~ line {train[pair.match].line}: "
            f"{crop(train[pair.match].text)}",
        )
        for pair in pairs[:MAX_SAMPLES]
    ]
    return Finding(
        code="near_leak",
        severity=Severity.WARNING if share >= _MANY else Severity.INFO,
        message=f"{len(pairs)} of {len(rows)} {part} rows ({share:.1%}) nearly "
        f"{'repeats' if len(pairs) == 1 else 'repeat'} a training row, {how}; scores on these "
        "rows are likely too high. Delete them, or use rows of another source.",
        count=len(pairs),
        samples=tuple(shown),
        facts={"part": part, "share": round(share, 4)},
    )


def _text(row: Example) -> str:
    return row.text if row.pair is None else f"{row.text} {row.pair}"
