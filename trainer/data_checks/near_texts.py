"""Which texts share most of their words. Pure: an exact similarity join over sets of words, with a
limit on comparisons.

Two sets whose overlap is at least a share `t` of their union must share one of their rarest words:
of a set of n words, one of its n − ⌈t·n⌉ + 1 rarest (the prefix filter of all-pairs joins).
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from unicodedata import normalize

_ADDRESS = re.compile(r"https?://\S+|www\.\S+|@\w+")
_WORD = re.compile(r"\w+")
#: of a longer text only this many words are compared
_MAX_WORDS = 200
#: texts of fewer words are alike by accident
_MIN_WORDS = 4
_MAX_COMPARISONS = 2_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Texts by their places in the two lists, and the share of all their words that both have."""

    query: int
    match: int
    overlap: float


def near_texts(queries: Sequence[str], among: Sequence[str], least: float) -> list[Pair]:
    """For each query the most similar text, where its overlap is at least `least`."""
    sets = [_words(text) for text in among]
    rarity = Counter(word for words in sets for word in words)
    index: defaultdict[str, list[int]] = defaultdict(list)
    for place, words in enumerate(sets):
        for word in _rarest(words, rarity, least):
            index[word].append(place)
    pairs, left = [], _MAX_COMPARISONS
    for query, text in enumerate(queries):
        words = _words(text)
        places = {p for word in _rarest(words, rarity, least) for p in index.get(word, ())}
        left -= len(places)
        if left < 0:
            break
        if (best := _most_alike(words, sets, places)) and best[0] >= least:
            pairs.append(Pair(query=query, match=best[1], overlap=best[0]))
    return pairs


def _most_alike(
    words: frozenset[str], sets: Sequence[frozenset[str]], places: set[int]
) -> tuple[float, int] | None:
    """The first of the most similar, so that the result does not depend on the order of a set."""
    best, num = (-1.0, 0), len(words)
    for place in places:
        other = sets[place]
        num_common = len(words & other)
        # their union is not made: this is where a large file's check spends its time
        best = max(best, (num_common / (num + len(other) - num_common), -place))
    return (best[0], -best[1]) if places else None


def _words(text: str) -> frozenset[str]:
    """Without addresses and user names, which differ where the rest of a text was copied."""
    words = _WORD.findall(_ADDRESS.sub(" ", normalize("NFC", text.casefold())))[:_MAX_WORDS]
    return frozenset(words) if len(words) >= _MIN_WORDS else frozenset()


def _rarest(words: frozenset[str], rarity: Counter[str], least: float) -> list[str]:
    num = len(words) - math.ceil(least * len(words)) + 1 if words else 0
    return sorted(words, key=lambda word: (rarity[word], word))[:num]
