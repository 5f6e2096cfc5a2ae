"""Checks of tag sequences: violations of BIO and BIOES, mixed schemes, and untagged words."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from trainer.data_checks.finding import MAX_SAMPLES, Finding, Sample, Severity
from trainer.data_checks.subject import Subject
from trainer.readers.example import Example
from trainer.wording import count_of

_WINDOW = 2
#: a word must occur tagged at least this often, and untagged at most this many times less
_OFTEN = 4


def broken_tags(subject: Subject) -> Iterator[Finding]:
    """Entities without a beginning, or, in BIOES, without an end."""
    if subject.spec.head != "tag":
        return
    ends = any(tag[0] in "ES" for row in subject.examples for tag in _tags(row))
    violations = [
        (row, at) for row in subject.examples for at in _find_violations(_tags(row), ends=ends)
    ]
    if violations:
        scheme = "BIOES" if ends else "BIO"
        row, at = violations[0]
        yield Finding(
            code="bio_violation",
            severity=Severity.WARNING,
            message=f"{count_of(len(violations), 'tag violates', 'tags violate')} {scheme}; the "
            f"first is {_tags(row)[at]} of {row.words[at]!r}, after "
            f"{_tags(row)[at - 1] if at else 'the beginning'}. An entity "
            f"without a B- tag is read as beginning at its first tag."
            f"{_advice(subject, len(violations))}",
            count=len(violations),
            samples=tuple(_sample_around(subject.file, *each) for each in violations[:MAX_SAMPLES]),
            facts={"scheme": scheme, "rows": len({row.line for row, _ in violations})},
        )


def mixed_schemes(subject: Subject) -> Iterator[Finding]:
    """Entities of one word that are B- in some rows and S- in others: the file mixes BIO and
    BIOES.
    """
    if subject.spec.head != "tag":
        return
    alone: defaultdict[str, list[Example]] = defaultdict(list)
    for row in subject.examples:
        for prefix in {
            tag[0] for tag, following in _pairs(_tags(row)) if _is_alone(tag, following)
        }:
            alone[prefix].append(row)
    if alone["B"] and alone["S"]:
        rarer = min("BS", key=lambda prefix: len(alone[prefix]))
        yield Finding(
            code="mixed_tag_schemes",
            severity=Severity.WARNING,
            message=f"Entities of one word begin with S- in {count_of(len(alone['S']), 'row')}, "
            f"as in BIOES, and with B- in {len(alone['B'])}, as in BIO; use one scheme for "
            "all rows.",
            count=len(alone[rarer]),
            samples=tuple(
                Sample(file=subject.file, line=row.line, text=" ".join(_tags(row)))
                for row in alone[rarer][:MAX_SAMPLES]
            ),
        )


def untagged_words(subject: Subject) -> Iterator[Finding]:
    """Words that are nearly always part of an entity, but untagged in a few places."""
    if subject.spec.head != "tag":
        return
    tagged: Counter[str] = Counter()
    plain: defaultdict[str, list[Example]] = defaultdict(list)
    for row in subject.examples:
        for word, tag in zip(row.words, _tags(row), strict=True):
            if tag != "O":
                tagged[word] += 1
            elif word[:1].isalpha():
                plain[word].append(row)
    inconsistent = [w for w, n in tagged.items() if n >= _OFTEN and 0 < len(plain[w]) * _OFTEN <= n]
    if inconsistent:
        shown = ", ".join(
            f"{w!r} (tagged {tagged[w]} times, untagged {len(plain[w])})" for w in inconsistent[:3]
        )
        yield Finding(
            code="untagged_words",
            severity=Severity.INFO,
            message=f"{count_of(len(inconsistent), 'word is', 'words are')} nearly always part of "
            f"an entity, but sometimes untagged: {shown}.",
            count=len(inconsistent),
            samples=tuple(
                Sample(file=subject.file, line=plain[w][0].line, text=w)
                for w in inconsistent[:MAX_SAMPLES]
            ),
        )


def _find_violations(tags: Sequence[str], *, ends: bool) -> Iterator[int]:
    before = "O"
    for at, tag in enumerate(tags):
        is_open, continues = before[0] in "BI", tag[0] in "IE"
        follows = is_open and before[2:] == tag[2:]
        if (continues and not follows) or (ends and is_open and not continues):
            yield at
        before = tag
    if ends and before[0] in "BI":
        yield len(tags) - 1


def _advice(subject: Subject, num_broken: int) -> str:
    """A hint where the file seems to be IOB1, in which nearly every entity begins with I-."""
    entities = sum(len(subject.classes(row)) for row in subject.examples)
    return " The file seems to be IOB1." if num_broken > 2 * entities else ""


def _is_alone(tag: str, following: str) -> bool:
    return tag[0] == "S" or (tag[0] == "B" and following[0] not in "IE")


def _pairs(tags: Sequence[str]) -> Iterator[tuple[str, str]]:
    return zip(tags, [*tags[1:], "O"], strict=True)


def _sample_around(file: str, row: Example, at: int) -> Sample:
    near = range(max(0, at - _WINDOW), min(len(row.words), at + _WINDOW + 1))
    text = " ".join(f"{row.words[i]}/{_tags(row)[i]}" for i in near)
    return Sample(file=file, line=row.line, text=text)


def _tags(row: Example) -> tuple[str, ...]:
    assert isinstance(row.label, tuple)
    return row.label
