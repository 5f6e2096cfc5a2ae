"""The metrics of each head that an interval is worth, as scores that can be resampled. Knows no
interval and no test. What a function of sums calls by one letter is a column of the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.heads.generate import parse_number
from engine.heads.tag_scheme import spans
from trainer.heads.generate import word_f1
from trainer.metrics.metrics import correlations, ranking
from trainer.metrics.squad import answering
from trainer.report.score import Floats, RankScore, Score, SumScore


def scores_of(head: str, truth: Sequence[Any], guesses: Sequence[Any]) -> list[Score]:
    """Those of a head that an interval is worth, the one that training follows first."""
    if head == "classify":
        return _several(truth, guesses) if isinstance(truth[0], list) else _labels(truth, guesses)
    if head == "embed":
        return _ranks(guesses) if truth[0] is None else _alike(truth, guesses)
    makers: dict[str, Callable[[Any, Any], list[Score]]] = {
        "regress": _values, "tag": _entities, "span": _answers,
        "rerank": _relevance, "generate": _texts,
    }  # fmt: skip
    return makers[head](truth, guesses)


def _labels(truth: Sequence[str], guesses: Sequence[str]) -> list[Score]:
    names = sorted(set(truth) | set(guesses))
    x, y = (
        np.array([[each == name for name in names] for each in s], float) for s in (truth, guesses)
    )
    right = (x * y).sum(1)
    counted = np.column_stack([right, np.ones(len(right)), x * y, x, y])
    num = len(names)

    def macro(sums: Floats) -> Floats:
        mean: Floats = np.nanmean(_f1(*_thirds(sums[..., 2:])), axis=-1)
        return mean

    def mcc(sums: Floats) -> Floats:
        hits, total = sums[..., 0], sums[..., 1]
        t, p = sums[..., 2 + num : 2 + 2 * num], sums[..., 2 + 2 * num :]
        spread = (total**2 - (t**2).sum(-1)) * (total**2 - (p**2).sum(-1))
        found: Floats = (hits * total - (t * p).sum(-1)) / np.sqrt(spread)
        return found

    return [
        _mean("accuracy", right),
        SumScore(name="macro_f1", columns_NK=counted, value=macro),
        SumScore(name="mcc", columns_NK=counted, value=mcc),
    ]


def _several(truth: Sequence[Sequence[str]], guesses: Sequence[Sequence[str]]) -> list[Score]:
    sides = zip(truth, guesses, strict=True)
    counts = [(len(set(t) & set(g)), len(set(t)), len(set(g))) for t, g in sides]
    exact = [set(t) == set(g) for t, g in zip(truth, guesses, strict=True)]
    return [_f1_score("micro_f1", counts), _mean("exact", exact)]


def _entities(truth: Sequence[Sequence[str]], guesses: Sequence[Sequence[str]]) -> list[Score]:
    sides = [(set(spans(t)), set(spans(g))) for t, g in zip(truth, guesses, strict=True)]
    return [_f1_score("f1", [(len(t & g), len(t), len(g)) for t, g in sides])]


def _values(truth: Sequence[float], guesses: Sequence[float]) -> list[Score]:
    x, y = np.asarray(truth, float), np.asarray(guesses, float)
    missed = np.column_stack([(x - y) ** 2, np.ones(len(x))])
    return [
        SumScore(name="rmse", columns_NK=missed, value=_root_mean, more_is_better=False),
        _pearson(x, y),
    ]


def _answers(truth: Sequence[Any], guesses: Sequence[str]) -> list[Score]:
    each = [
        answering([[answer[0] for answer in answers]], [guess])
        for answers, guess in zip(truth, guesses, strict=True)
    ]
    return [_mean(name, [row[name] for row in each]) for name in ("f1", "exact_match")]


def _ranks(guesses: Sequence[float]) -> list[Score]:
    return [
        _mean("accuracy", [rank == 1 for rank in guesses]),
        _mean("mrr", [1 / r for r in guesses]),
    ]


def _alike(truth: Sequence[float], guesses: Sequence[float]) -> list[Score]:
    x, y = np.asarray(truth, float), np.asarray(guesses, float)

    def spearman(t: Floats, g: Floats) -> float | None:
        found: float | None = correlations(t.tolist(), g.tolist())["spearman"]
        return found

    return [RankScore(name="spearman", truth_N=x, guesses_N=y, value=spearman), _pearson(x, y)]


def _relevance(truth: Sequence[float], guesses: Sequence[float]) -> list[Score]:
    x, y = np.asarray(truth, float), np.asarray(guesses, float)

    def auc(t: Floats, g: Floats) -> float | None:
        found: float | None = ranking(t.tolist(), g.tolist())["auc"]
        return found

    right = (x > 0.5) == (y > 0.5)
    return [RankScore(name="auc", truth_N=x, guesses_N=y, value=auc), _mean("accuracy", right)]


def _texts(truth: Sequence[str], guesses: Sequence[str]) -> list[Score]:
    pairs = [(t.strip(), g.strip()) for t, g in zip(truth, guesses, strict=True)]
    found: list[Score] = [
        _mean("exact_match", [t == g for t, g in pairs]),
        _mean("word_f1", [word_f1(t.split(), g.split()) for t, g in pairs]),
    ]
    numbers = [(parse_number(t), parse_number(g)) for t, g in pairs]
    wanted = np.array([np.nan if t is None else t for t, _ in numbers])
    if np.isnan(wanted).any() or len(set(wanted)) < 2:
        return found
    read = np.array([g is not None for _, g in numbers])
    missed = np.array([0.0 if g is None or t is None else (t - g) * (t - g) for t, g in numbers])
    return [_explained(wanted, missed, read), *found]


def _explained(wanted: Floats, missed: Floats, read: NDArray[np.bool_]) -> Score:
    # about their mean, so that large numbers lose no digits
    middle = wanted - wanted.mean()
    columns = np.column_stack([missed, middle, middle**2, ~read, np.ones(len(read))])

    def value(sums: Floats) -> Floats:
        lost, first, second, unread, total = (sums[..., k] for k in range(5))
        share = 1 - lost / (second - first**2 / total) - 2 * unread / total
        return np.maximum(-1.0, share)

    return SumScore(name="explained", columns_NK=columns, value=value)


def _pearson(x: Floats, y: Floats) -> Score:
    x, y = x - x.mean(), y - y.mean()
    columns = np.column_stack([x, y, x * x, y * y, x * y, np.ones(len(x))])

    def value(sums: Floats) -> Floats:
        a, b, aa, bb, ab, n = (sums[..., k] for k in range(6))
        return (ab - a * b / n) / np.sqrt((aa - a * a / n) * (bb - b * b / n))

    return SumScore(name="pearson", columns_NK=columns, value=value)


def _mean(name: str, values: Any) -> Score:
    each = np.asarray(values, float)
    columns = np.column_stack([each, np.ones(len(each))])
    return SumScore(name=name, columns_NK=columns, value=lambda s: s[..., 0] / s[..., 1])


def _f1_score(name: str, counts: Sequence[tuple[int, int, int]]) -> Score:
    columns = np.asarray(counts, float).reshape(-1, 3)

    def value(sums: Floats) -> Floats:
        found = _f1(sums[..., 0], sums[..., 1], sums[..., 2])
        return np.nan_to_num(found, nan=0.0)

    return SumScore(name=name, columns_NK=columns, value=value)


def _f1(hits: Floats, wanted: Floats, found: Floats) -> Floats:
    """NaN where neither side has any."""
    return 2 * hits / (wanted + found)


def _thirds(sums: Floats) -> tuple[Floats, Floats, Floats]:
    hits, wanted, found = np.split(sums, 3, axis=-1)
    return hits, wanted, found


def _root_mean(sums: Floats) -> Floats:
    return np.sqrt(sums[..., 0] / sums[..., 1])
