"""ROUGE-1, ROUGE-2 and ROUGE-L: the words, pairs of words and words in order that texts share."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from trainer.metrics.metrics import f1_score

# rouge-score splits at everything but a to z; this splits other languages as it splits English
_WORD = re.compile(r"\w+")


def rouge(truth: Sequence[str], guesses: Sequence[str]) -> dict[str, float]:
    """The mean F1 over the rows of each."""
    rows = [
        (_WORD.findall(x.lower()), _WORD.findall(y.lower()))
        for x, y in zip(truth, guesses, strict=True)
    ]
    return {
        "rouge1": float(np.mean([_shared_ngrams(x, y, 1) for x, y in rows])),
        "rouge2": float(np.mean([_shared_ngrams(x, y, 2) for x, y in rows])),
        "rougeL": float(np.mean([_f1(_longest_common(x, y), len(x), len(y)) for x, y in rows])),
    }


def _shared_ngrams(truth: list[str], guess: list[str], length: int) -> float:
    left, right = (
        Counter(zip(*(words[i:] for i in range(length)), strict=False)) for words in (truth, guess)
    )
    return _f1((left & right).total(), left.total(), right.total())


def _longest_common(truth: list[str], guess: list[str]) -> int:
    """The length of their longest common subsequence."""
    best = [0] * (len(guess) + 1)
    for word in truth:
        before = 0
        for index, other in enumerate(guess):
            above = best[index + 1]
            best[index + 1] = before + 1 if word == other else max(above, best[index])
            before = above
    return best[-1]


def _f1(num_shared: int, num_true: int, num_predicted: int) -> float:
    return float(f1_score(num_shared, num_true, num_predicted)) if num_shared else 0.0
