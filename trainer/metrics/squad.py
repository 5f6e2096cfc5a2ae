"""Metrics of extracted answers, as SQuAD counts them: exact match and F1 over words."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence

from trainer.metrics.metrics import Metrics, word_f1

_PUNCTUATION = set(string.punctuation)


def answering(truth: Sequence[Sequence[str]], guesses: Sequence[str]) -> Metrics:
    """Each guess scores against the best of its question's answers; no answer is the answer ""."""
    answers = [[_words(answer) for answer in row] or [[]] for row in truth]
    pairs = list(zip(answers, map(_words, guesses), strict=True))
    exact = [max(answer == guess for answer in row) for row, guess in pairs]
    f1 = [max(word_f1(answer, guess) for answer in row) for row, guess in pairs]
    num = max(1, len(pairs))
    return {"exact_match": sum(exact) / num, "f1": sum(f1) / num}


def _words(answer: str) -> list[str]:
    """Without case, punctuation and articles."""
    letters = "".join(c for c in answer.lower() if c not in _PUNCTUATION)
    return re.sub(r"\b(a|an|the)\b", " ", letters).split()
