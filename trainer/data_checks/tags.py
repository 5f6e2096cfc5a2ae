"""Checks on the tags of words: BIO and BIOES as they should follow each other."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from trainer.data_checks.finding import MAX_SAMPLES, Finding, Sample, Severity
from trainer.data_checks.subject import Subject
from trainer.readers.example import Example

_WINDOW = 2
#: of so many words that occur tagged, and at least so often, some are not tagged elsewhere
_OFTEN = 4


def broken_tags(subject: Subject) -> Iterator[Finding]:
    """An entity that begins nowhere, or that does not end as BIOES ends them."""
    if subject.spec.head != "tag":
        return
    ends = any(tag[0] in "ES" for row in subject.examples for tag in _tags(row))
    found = [(row, at) for row in subject.examples for at in _broken(_tags(row), ends=ends)]
    if found:
        scheme = "BIOES" if ends else "BIO"
        row, at = found[0]
        yield Finding(
            code="bio_violation",
            severity=Severity.WARNING,
            message=f"{len(found)} tags break {scheme}, the first {_tags(row)[at]} after "
            f"{_tags(row)[at - 1] if at else 'the beginning'} on {row.words[at]!r}; an entity that "
            f"begins nowhere is read as beginning there.{_advice(subject, len(found))}",
            count=len(found),
            samples=tuple(_shown(subject.file, *each) for each in found[:MAX_SAMPLES]),
            facts={"scheme": scheme, "rows": len({row.line for row, _ in found})},
        )


def mixed_schemes(subject: Subject) -> Iterator[Finding]:
    """Single words as B- in one row and S- in another: half of the file is BIO, half BIOES."""
    if subject.spec.head != "tag":
        return
    alone: defaultdict[str, list[Example]] = defaultdict(list)
    for row in subject.examples:
        for prefix in {tag[0] for tag, following in _pairs(_tags(row)) if _alone(tag, following)}:
            alone[prefix].append(row)
    if alone["B"] and alone["S"]:
        rarer = min("BS", key=lambda prefix: len(alone[prefix]))
        yield Finding(
            code="mixed_tag_schemes",
            severity=Severity.WARNING,
            message=f"Entities of one word begin with S- in {len(alone['S'])} rows, as in BIOES, "
            f"and with B- in {len(alone['B'])}, as in BIO; write one of them.",
            count=len(alone[rarer]),
            samples=tuple(
                Sample(file=subject.file, line=row.line, text=" ".join(_tags(row)))
                for row in alone[rarer][:MAX_SAMPLES]
            ),
        )


def untagged_words(subject: Subject) -> Iterator[Finding]:
    """Words that are an entity nearly everywhere and nothing in a few places."""
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
    torn = [w for w, n in tagged.items() if n >= _OFTEN and 0 < len(plain[w]) * _OFTEN <= n]
    if torn:
        shown = ", ".join(f"{w!r} ({tagged[w]} times, not {len(plain[w])})" for w in torn[:3])
        yield Finding(
            code="untagged_words",
            severity=Severity.INFO,
            message=f"{len(torn)} words are nearly always part of an entity, and sometimes not: "
            f"{shown}.",
            count=len(torn),
            samples=tuple(
                Sample(file=subject.file, line=plain[w][0].line, text=w) for w in torn[:MAX_SAMPLES]
            ),
        )


def _broken(tags: Sequence[str], *, ends: bool) -> Iterator[int]:
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
    """In IOB1 nearly every entity begins with I-."""
    entities = sum(len(subject.classes(row)) for row in subject.examples)
    return " The file seems to be IOB1." if num_broken > 2 * entities else ""


def _alone(tag: str, following: str) -> bool:
    return tag[0] == "S" or (tag[0] == "B" and following[0] not in "IE")


def _pairs(tags: Sequence[str]) -> Iterator[tuple[str, str]]:
    return zip(tags, [*tags[1:], "O"], strict=True)


def _shown(file: str, row: Example, at: int) -> Sample:
    near = range(max(0, at - _WINDOW), min(len(row.words), at + _WINDOW + 1))
    text = " ".join(f"{row.words[i]}/{_tags(row)[i]}" for i in near)
    return Sample(file=file, line=row.line, text=text)


def _tags(row: Example) -> tuple[str, ...]:
    assert isinstance(row.label, tuple)
    return row.label
