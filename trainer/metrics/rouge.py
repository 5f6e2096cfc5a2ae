"""ROUGE-1, ROUGE-2 and ROUGE-L: how many words, neighbours and words in order two texts share."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

# as ROUGE cuts English, and every other language too: its own knows a to z only
_WORD = re.compile(r"\w+")


def rouge(truth: Sequence[str], guesses: Sequence[str]) -> dict[str, float]:
    """The mean F1 over the rows of each."""
    rows = [
        (_WORD.findall(x.lower()), _WORD.findall(y.lower()))
        for x, y in zip(truth, guesses, strict=True)
    ]
    return {
        "rouge1": float(np.mean([_shared_runs(x, y, 1) for x, y in rows])),
        "rouge2": float(np.mean([_shared_runs(x, y, 2) for x, y in rows])),
        "rougeL": float(np.mean([_f1(_in_order(x, y), len(x), len(y)) for x, y in rows])),
    }


def _shared_runs(wanted: list[str], found: list[str], length: int) -> float:
    left, right = (
        Counter(zip(*(words[i:] for i in range(length)), strict=False)) for words in (wanted, found)
    )
    return _f1((left & right).total(), left.total(), right.total())


def _in_order(wanted: list[str], found: list[str]) -> int:
    """How long their longest common subsequence is."""
    best = [0] * (len(found) + 1)
    for word in wanted:
        before = 0
        for at, other in enumerate(found):
            above = best[at + 1]
            best[at + 1] = before + 1 if word == other else max(above, best[at])
            before = above
    return best[-1]


def _f1(shared: int, num_wanted: int, num_found: int) -> float:
    return 2 * shared / (num_wanted + num_found) if shared else 0.0
