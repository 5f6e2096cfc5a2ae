"""Compares what an exported model says with what the server says. Knows no model and no layout."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any

#: by the precision that the server computes in, of numbers up to 1, and of larger ones in relation
_LIMITS = {"float32": 1e-3}
_COARSE = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class TextParity:
    """One text: the largest difference of a number, or what is no number and differs."""

    text: str
    num_numbers: int
    largest: float
    other: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """All texts, and the difference up to which an export is accepted."""

    texts: Sequence[TextParity]
    limit: float

    @property
    def largest(self) -> float:
        return max(each.largest for each in self.texts)

    @property
    def num_numbers(self) -> int:
        return sum(each.num_numbers for each in self.texts)

    @property
    def holds(self) -> bool:
        """Not where no number was compared: a tagger that finds nothing says nothing."""
        differs = any(each.other or not each.largest <= self.limit for each in self.texts)
        return self.num_numbers > 0 and not differs

    def to_dict(self) -> dict[str, Any]:
        return {
            "holds": self.holds, "largest": self.largest, "limit": self.limit,
            "texts": len(self.texts), "numbers": self.num_numbers,
        }  # fmt: skip


def compare_answers(
    texts: Sequence[str], served: Sequence[Any], exported: Sequence[Any], dtype: str
) -> Parity:
    """Answers as JSON, in the order of the texts."""
    rows = zip(texts, served, exported, strict=True)
    return Parity(
        texts=[_compare(text, theirs, ours) for text, theirs, ours in rows],
        limit=_LIMITS.get(dtype, _COARSE),
    )


def _compare(text: str, served: Any, exported: Any) -> TextParity:
    numbers = []
    other = ""
    for path, theirs, ours in _pairs("", served, exported):
        if _is_number(theirs) and _is_number(ours):
            distance = abs(theirs - ours) / max(1.0, abs(theirs))
            numbers.append(distance if isfinite(distance) else inf)
        elif theirs != ours:
            other = other or f"{path or 'answer'}: {theirs!r} here, {ours!r} exported"
    return TextParity(
        text=text, num_numbers=len(numbers), largest=max(numbers, default=0.0), other=other
    )


def _pairs(path: str, served: Any, exported: Any) -> Iterator[tuple[str, Any, Any]]:
    """The leaves of both; where their shapes differ, the parts that do."""
    theirs, ours = _parts(served), _parts(exported)
    if theirs is None or ours is None or theirs.keys() != ours.keys():
        yield path, served, exported
        return
    for name, value in theirs.items():
        yield from _pairs(f"{path}.{name}".removeprefix("."), value, ours[name])


def _parts(value: Any) -> dict[Any, Any] | None:
    """Of an object or a list, by name or place."""
    if isinstance(value, Mapping):
        return dict(value)
    return dict(enumerate(value)) if isinstance(value, list) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
