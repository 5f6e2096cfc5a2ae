"""What extracted answers are worth, as SQuAD counts it: exact match and F1 over words. Pure."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

from trainer.metrics.metrics import Metrics

_PUNCTUATION = set(string.punctuation)


def answering(truth: Sequence[Sequence[str]], guesses: Sequence[str]) -> Metrics:
    """Against the best of each question's answers; none and "" are the same answer."""
    wanted = [list(answers) or [""] for answers in truth]
    pairs = list(zip(wanted, guesses, strict=True))
    exact = [max(_words(a) == _words(guess) for a in answers) for answers, guess in pairs]
    f1 = [max(_f1(_words(a), _words(guess)) for a in answers) for answers, guess in pairs]
    num = max(1, len(pairs))
    return {"exact_match": sum(exact) / num, "f1": sum(f1) / num}


def _words(answer: str) -> list[str]:
    """Without case, punctuation and articles."""
    kept = "".join(c for c in answer.lower() if c not in _PUNCTUATION)
    return re.sub(r"\b(a|an|the)\b", " ", kept).split()


def _f1(wanted: list[str], found: list[str]) -> float:
    if not wanted or not found:
        return float(wanted == found)
    common = sum((Counter(wanted) & Counter(found)).values())
    return 2 * common / (len(wanted) + len(found))
