"""Which labels are taken for which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

#: rows of the matrix at most; the commonest labels have theirs
MAX_LABELS = 20
_MOST_PAIRS = 10


def confusion(truth: Sequence[Any], guesses: Sequence[Any]) -> dict[str, Any] | None:
    """Counts with the truth down and the answers across, and the commonest mistakes. None where
    answers are no single labels.
    """
    if not truth or not all(isinstance(each, str) for each in [*truth, *guesses]):
        return None
    pairs = Counter(zip(truth, guesses, strict=True))
    common = Counter([*truth, *guesses]).most_common()
    labels = sorted(name for name, _ in common[:MAX_LABELS])
    wrong = [(pair, num) for pair, num in pairs.most_common() if pair[0] != pair[1]]
    return {
        "labels": labels,
        "counts": [[pairs[t, g] for g in labels] for t in labels],
        "left_out": len(common) - len(labels),
        "mistakes": [{"label": t, "answer": g, "rows": num} for (t, g), num in wrong[:_MOST_PAIRS]],
    }
