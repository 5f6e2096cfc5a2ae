"""Where the version is worst: the parts of the test rows, by length, label and rare words, on which
the main metric is worse than on all of them. The part that costs most comes first.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypedDict

import numpy as np
from numpy.typing import NDArray

from trainer.report.report_input import EvidenceRow
from trainer.report.resampling import Interval, compute_intervals
from trainer.report.scores import build_scores

_WORD = re.compile(r"\w+")
#: the metric of fewer rows varies too much by chance
_LEAST_ROWS = 8
_MOST = 12
#: a smaller gap is an error of rounding
_NO_GAP = 1e-9
#: a word is rare if at most so many training rows have it
_RARE = 1

Mask = NDArray[np.bool_]
Rows = Sequence[EvidenceRow]


class Slice(TypedDict):
    """A part of the test rows."""

    #: what it is cut by: "length", "label" or "words"
    by: str
    #: the rows that it has, in words
    slice: str
    rows: int
    #: the main metric on these rows, with its bootstrap interval
    value: float
    low: float
    high: float
    #: by how much the metric is worse than that of all rows; above zero
    gap: float
    #: rows times gap: of an accuracy, how many rows more are wrong than on average
    harm: float


def score_slices(
    head: str, train: Rows, test: Rows, guesses: Sequence[Any], metric: str, unit: str = "tokens"
) -> list[Slice]:
    """Those that are worse than all rows together, the largest harm first. `unit` is what lengths
    count; without training rows no word is rare.
    """
    truth = [row["label"] for row in test]
    whole = _measure(head, truth, guesses, metric)
    if whole is None:
        return []
    slices: list[Slice] = []
    for by, name, mask in _cut(train, test, unit):
        chosen = np.flatnonzero(mask).tolist()
        if not _LEAST_ROWS <= len(chosen) < len(test):
            continue
        part = _measure(head, [truth[i] for i in chosen], [guesses[i] for i in chosen], metric)
        if part is None:
            continue
        sign = 1 if part.more_is_better else -1
        gap = sign * (whole.interval["value"] - part.interval["value"])
        if gap > _NO_GAP:
            slices.append(
                {
                    "by": by,
                    "slice": name,
                    "rows": len(chosen),
                    **part.interval,
                    "gap": gap,
                    "harm": len(chosen) * gap,
                }
            )
    return sorted(slices, key=lambda part: -part["harm"])[:_MOST]


class _Measured(NamedTuple):
    interval: Interval
    more_is_better: bool


def _measure(
    head: str, truth: Sequence[Any], guesses: Sequence[Any], metric: str
) -> _Measured | None:
    """None where the metric has no value on these rows."""
    for score in build_scores(head, truth, guesses):
        if score.name == metric:
            interval = compute_intervals([score], len(truth)).get(metric)
            return interval and _Measured(interval, score.more_is_better)
    return None


def _cut(train: Rows, test: Rows, unit: str) -> Iterator[tuple[str, str, Mask]]:
    yield from _by_length(test, unit)
    yield from _by_label(test)
    if train:
        yield from _by_rare_words(train, test)
    is_cut = np.array([row["truncated"] for row in test])
    yield "length", "cut at the limit", is_cut


def _by_length(test: Rows, unit: str) -> Iterator[tuple[str, str, Mask]]:
    tokens = np.array([row["tokens"] for row in test])
    low, high = np.quantile(tokens, [1 / 3, 2 / 3]).astype(int).tolist()
    yield "length", f"up to {low} {unit}", tokens <= low
    if low < high:
        yield "length", f"{low + 1} to {high} {unit}", (tokens > low) & (tokens <= high)
    yield "length", f"over {high} {unit}", tokens > high


def _by_label(test: Rows) -> Iterator[tuple[str, str, Mask]]:
    """Numbers by thirds, tags by the types of a row, spans by whether there is an answer."""
    labels = [row["label"] for row in test]
    if all(isinstance(label, float | int) for label in labels):
        values = np.asarray(labels, float)
        low, high = np.quantile(values, [1 / 3, 2 / 3]).tolist()
        if low < high:
            yield "label", f"up to {low:.3g}", values <= low
            yield "label", f"{low:.3g} to {high:.3g}", (values > low) & (values <= high)
            yield "label", f"over {high:.3g}", values > high
        return
    sets = [_list_label_names(row) for row in test]
    for name, _ in Counter(name for row in sets for name in row).most_common(_MOST):
        yield "label", name, np.array([name in row for row in sets])


def _list_label_names(row: EvidenceRow) -> set[str]:
    label = row["label"]
    if row["words"]:
        return {tag[2:] for tag in label if tag != "O"} or {"no entity"}
    if row["both"][1] is not None and isinstance(label, list) and row["spans"]:
        return {"an answer" if label else "no answer"}
    if isinstance(label, list):
        return set(label) or {"no label"}
    return {label} if isinstance(label, str) and row["named"] else set()


def _by_rare_words(train: Rows, test: Rows) -> Iterator[tuple[str, str, Mask]]:
    seen = Counter(word for row in train for word in set(_split_words(row)))
    shares = []
    for row in test:
        words = _split_words(row)
        shares.append(sum(seen[word] <= _RARE for word in words) / max(1, len(words)))
    rare_share = np.array(shares)
    limit = float(np.quantile(rare_share, 0.75))
    yield "words", f"over {100 * limit:.0f} % of the words rare in training", rare_share > limit
    yield "words", "no rare word", rare_share == 0


def _split_words(row: EvidenceRow) -> list[str]:
    words: list[str] = _WORD.findall(row["text"].casefold())
    return words
