"""The numbers that rows are drawn with: each follows from a seed and a place in the text alone.

SplitMix64 over a counter (Steele, Lea, Flood 2014): no generator has a state that a batch, an
order or a row read again could change.
"""

from __future__ import annotations

_WORD = 2**64 - 1
_GOLDEN = 0x9E3779B97F4A7C15
#: fewer bits than a float64 has, so that a share of a total always stays below the total
_BITS = 52


def uniform(seed: int, position: int) -> float:
    """In [0, 1). The seed is mixed first, so that neighbouring seeds share no stretch of draws."""
    return (_mixed(_mixed(seed) + position * _GOLDEN) >> (64 - _BITS)) * 2.0**-_BITS


def _mixed(word: int) -> int:
    word = (word + _GOLDEN) & _WORD
    word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
    word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & _WORD
    return word ^ (word >> 31)
