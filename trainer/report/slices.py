"""Where the version does worst: the test rows cut by length, label, rare words, and each part's
metric beside the whole.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.report.resampling import intervals
from trainer.report.scores import scores_of

_WORD = re.compile(r"\w+")
#: smaller parts move by chance
_LEAST_ROWS = 8
_MOST = 12
#: a word is rare if at most so many training rows have it
_RARE = 1

Mask = NDArray[np.bool_]
Rows = Sequence[Mapping[str, Any]]


def slices(
    head: str, train: Rows, test: Rows, guesses: Sequence[Any], metric: str
) -> list[dict[str, Any]]:
    """Worst first: {"by", "slice", "rows", "value", "low", "high", "gap"}; the gap to the whole is
    above zero where the slice is worse.
    """
    truth = [row["label"] for row in test]
    whole = _valued(head, truth, guesses, metric)
    if whole is None:
        return []
    found = []
    for by, name, mask in _cuts(train, test):
        chosen = np.flatnonzero(mask).tolist()
        if not _LEAST_ROWS <= len(chosen) < len(test):
            continue
        value = _valued(head, [truth[i] for i in chosen], [guesses[i] for i in chosen], metric)
        if value is None:
            continue
        sign = 1 if value.pop("more_is_better") else -1
        gap = sign * (whole["value"] - value["value"])
        found.append({"by": by, "slice": name, "rows": len(chosen), **value, "gap": gap})
    return sorted(found, key=lambda each: -each["gap"])[:_MOST]


def _valued(
    head: str, truth: Sequence[Any], guesses: Sequence[Any], metric: str
) -> dict[str, Any] | None:
    for score in scores_of(head, truth, guesses):
        if score.name == metric and (value := intervals([score], len(truth)).get(metric)):
            return {**value, "more_is_better": score.more_is_better}
    return None


def _cuts(train: Rows, test: Rows) -> Iterator[tuple[str, str, Mask]]:
    yield from _by_length(test)
    yield from _by_label(test)
    yield from _by_rare_words(train, test)
    cut = np.array([row["truncated"] for row in test])
    yield "length", "cut at the limit", cut


def _by_length(test: Rows) -> Iterator[tuple[str, str, Mask]]:
    tokens = np.array([row["tokens"] for row in test])
    low, high = np.quantile(tokens, [1 / 3, 2 / 3]).astype(int).tolist()
    yield "length", f"up to {low} tokens", tokens <= low
    if low < high:
        yield "length", f"{low + 1} to {high} tokens", (tokens > low) & (tokens <= high)
    yield "length", f"over {high} tokens", tokens > high


def _by_label(test: Rows) -> Iterator[tuple[str, str, Mask]]:
    """Numbers by thirds, tags by the types a row has, answers by whether there is one."""
    labels = [row["label"] for row in test]
    if all(isinstance(label, float | int) for label in labels):
        values = np.asarray(labels, float)
        low, high = np.quantile(values, [1 / 3, 2 / 3]).tolist()
        if low < high:
            yield "label", f"up to {low:.3g}", values <= low
            yield "label", f"{low:.3g} to {high:.3g}", (values > low) & (values <= high)
            yield "label", f"over {high:.3g}", values > high
        return
    sets = [_kinds(row) for row in test]
    for name, _ in Counter(each for row in sets for each in row).most_common(_MOST):
        yield "label", name, np.array([name in row for row in sets])


def _kinds(row: Mapping[str, Any]) -> set[str]:
    label = row["label"]
    if row["words"]:
        return {tag[2:] for tag in label if tag != "O"} or {"no entity"}
    if row["both"][1] is not None and isinstance(label, list) and row["spans"]:
        return {"an answer" if label else "no answer"}
    if isinstance(label, list):
        return set(label) or {"no label"}
    return {label} if isinstance(label, str) and row["named"] else set()


def _by_rare_words(train: Rows, test: Rows) -> Iterator[tuple[str, str, Mask]]:
    seen = Counter(word for row in train for word in set(_words(row)))
    shares = []
    for row in test:
        words = _words(row)
        shares.append(sum(seen[word] <= _RARE for word in words) / max(1, len(words)))
    found = np.array(shares)
    limit = float(np.quantile(found, 0.75))
    yield "words", f"over {limit:.0%} of the words rare in training", found > limit
    yield "words", "no rare word", found == 0


def _words(row: Mapping[str, Any]) -> list[str]:
    words: list[str] = _WORD.findall(row["text"].casefold())
    return words
