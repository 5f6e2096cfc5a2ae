"""Converts between tags (BIO and BIOES) and spans. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_BEGINS, _ENDS = "BS", "ES"


def problem(labels: Iterable[str]) -> str | None:
    """Why these are the tags of no scheme that is known."""
    named = list(labels)
    bad = [tag for tag in named if tag != "O" and not is_tag(tag)]
    if bad or "O" not in named:
        return (
            f"tag labels must be O, B-… and I-… (BIO), and E-… and S-… in BIOES; these are {named}"
        )
    return None


def is_tag(tag: str) -> bool:
    return tag == "O" or (tag[:1] in tuple("BIES") and tag[1:2] == "-" and len(tag) > 2)


def all_labels(tags: Iterable[str]) -> list[str]:
    """Every tag of the scheme that the tags of a data set are written in, for each of its types."""
    seen = set(tags) - {"O"}
    prefixes = "BIES" if any(tag[0] in "ES" for tag in seen) else "BI"
    types = sorted({tag[2:] for tag in seen})
    return ["O", *(f"{prefix}-{name}" for name in types for prefix in prefixes)]


def spread(tag: str, num_words: int) -> list[str]:
    """The tags of the words that one tagged word is made of."""
    if tag == "O" or num_words <= 1:
        return [tag] * num_words
    first, last = "B" if tag[0] in _BEGINS else "I", "E" if tag[0] in _ENDS else "I"
    return [f"{prefix}{tag[1:]}" for prefix in (first, *"I" * (num_words - 2), last)]


def spans(tags: Sequence[str]) -> list[tuple[str, int, int]]:
    """(type, first, last + 1). What continues nothing of its type begins an entity, as conlleval
    reads it.
    """
    entities: list[tuple[str, int, int]] = []
    open_type: str | None = None
    for position, tag in enumerate(tags):
        prefix, name = tag[0], tag[2:]
        if tag == "O":
            open_type = None
            continue
        if prefix not in _BEGINS and name == open_type:
            entities[-1] = (name, entities[-1][1], position + 1)
        else:
            entities.append((name, position, position + 1))
        open_type = None if prefix in _ENDS else name
    return entities
