"""The metrics of each head as scores that can be resampled, for intervals and tests. Each is the
metric of `trainer.metrics` as a function of sums over rows; tests hold the two against each other.
One letter in such a function is the sum of a column.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.heads.generate import parse_number
from engine.heads.tag_scheme import spans
from trainer.metrics.metrics import correlations, f1_score, ranking, word_f1
from trainer.metrics.squad import answering
from trainer.report.score import Floats, RankScore, Score, SumScore


def build_scores(head: str, truth: Sequence[Any], guesses: Sequence[Any]) -> list[Score]:
    """The head's metrics that have an interval; the main one first."""
    if head == "classify":
        is_multi_label = isinstance(truth[0], list)
        return (
            _build_label_list_scores(truth, guesses)
            if is_multi_label
            else _build_label_scores(truth, guesses)
        )
    if head == "embed":
        return (
            _build_rank_scores(guesses)
            if truth[0] is None
            else _build_similarity_scores(truth, guesses)
        )
    builders: dict[str, Callable[[Any, Any], list[Score]]] = {
        "regress": _build_value_scores,
        "tag": _build_entity_scores,
        "span": _build_answer_scores,
        "rerank": _build_relevance_scores,
        "generate": _build_text_scores,
    }
    return builders[head](truth, guesses)


def _build_label_scores(truth: Sequence[str], guesses: Sequence[str]) -> list[Score]:
    names = sorted(set(truth) | set(guesses))
    x, y = (
        np.array([[label == name for name in names] for label in side], float)
        for side in (truth, guesses)
    )
    right = (x * y).sum(1)
    columns = np.column_stack([right, np.ones(len(right)), x * y, x, y])
    num = len(names)

    def macro_f1(sums: Floats) -> Floats:
        mean: Floats = np.nanmean(f1_score(*np.split(sums[..., 2:], 3, axis=-1)), axis=-1)
        return mean

    def mcc(sums: Floats) -> Floats:
        hits, total = sums[..., 0], sums[..., 1]
        t, p = sums[..., 2 + num : 2 + 2 * num], sums[..., 2 + 2 * num :]
        spread = (total**2 - (t**2).sum(-1)) * (total**2 - (p**2).sum(-1))
        coefficient: Floats = (hits * total - (t * p).sum(-1)) / np.sqrt(spread)
        return coefficient

    return [
        _build_mean("accuracy", right),
        SumScore(name="macro_f1", columns_NK=columns, value=macro_f1),
        SumScore(name="mcc", columns_NK=columns, value=mcc),
    ]


def _build_label_list_scores(
    truth: Sequence[Sequence[str]], guesses: Sequence[Sequence[str]]
) -> list[Score]:
    rows = [(set(t), set(g)) for t, g in zip(truth, guesses, strict=True)]
    return [_build_f1("micro_f1", rows), _build_mean("exact", [t == g for t, g in rows])]


def _build_entity_scores(
    truth: Sequence[Sequence[str]], guesses: Sequence[Sequence[str]]
) -> list[Score]:
    rows = [(set(spans(t)), set(spans(g))) for t, g in zip(truth, guesses, strict=True)]
    return [_build_f1("f1", rows)]


def _build_value_scores(truth: Sequence[float], guesses: Sequence[float]) -> list[Score]:
    x, y = np.asarray(truth, float), np.asarray(guesses, float)
    columns = np.column_stack([(x - y) ** 2, np.ones(len(x))])
    rmse = SumScore(name="rmse", columns_NK=columns, value=_root_mean, more_is_better=False)
    return [rmse, _build_pearson(x, y)]


def _build_answer_scores(truth: Sequence[Any], guesses: Sequence[str]) -> list[Score]:
    rows = [
        answering([[answer[0] for answer in answers]], [guess])
        for answers, guess in zip(truth, guesses, strict=True)
    ]
    return [_build_mean(name, [row[name] for row in rows]) for name in ("f1", "exact_match")]


def _build_rank_scores(guesses: Sequence[float]) -> list[Score]:
    return [
        _build_mean("accuracy", [rank == 1 for rank in guesses]),
        _build_mean("mrr", [1 / rank for rank in guesses]),
    ]


def _build_similarity_scores(truth: Sequence[float], guesses: Sequence[float]) -> list[Score]:
    x, y = np.asarray(truth, float), np.asarray(guesses, float)

    def spearman(t: Floats, g: Floats) -> float | None:
        value: float | None = correlations(t.tolist(), g.tolist())["spearman"]
        return value

    return [
        RankScore(name="spearman", truth_N=x, guesses_N=y, value=spearman),
        _build_pearson(x, y),
    ]


def _build_relevance_scores(truth: Sequence[float], guesses: Sequence[float]) -> list[Score]:
    x, y = np.asarray(truth, float), np.asarray(guesses, float)

    def auc(t: Floats, g: Floats) -> float | None:
        value: float | None = ranking(t.tolist(), g.tolist())["auc"]
        return value

    right = (x > 0.5) == (y > 0.5)
    return [
        RankScore(name="auc", truth_N=x, guesses_N=y, value=auc),
        _build_mean("accuracy", right),
    ]


def _build_text_scores(truth: Sequence[str], guesses: Sequence[str]) -> list[Score]:
    pairs = [(t.strip(), g.strip()) for t, g in zip(truth, guesses, strict=True)]
    scores: list[Score] = [
        _build_mean("exact_match", [t == g for t, g in pairs]),
        _build_mean("word_f1", [word_f1(t.split(), g.split()) for t, g in pairs]),
    ]
    numbers = [(parse_number(t), parse_number(g)) for t, g in pairs]
    values = np.array([np.nan if t is None else t for t, _ in numbers])
    if np.isnan(values).any() or len(set(values)) < 2:
        return scores
    is_read = np.array([g is not None for _, g in numbers])
    errors = np.array([0.0 if g is None or t is None else (t - g) * (t - g) for t, g in numbers])
    return [_build_explained_variance(values, errors, is_read), *scores]


def _build_explained_variance(values: Floats, errors: Floats, is_read: NDArray[np.bool_]) -> Score:
    # about their mean, so that large numbers lose no digits
    centred = values - values.mean()
    columns = np.column_stack([errors, centred, centred**2, ~is_read, np.ones(len(is_read))])

    def value(sums: Floats) -> Floats:
        error, first, second, unread, total = (sums[..., k] for k in range(5))
        share = 1 - error / (second - first**2 / total) - 2 * unread / total
        return np.maximum(-1.0, share)

    return SumScore(name="explained", columns_NK=columns, value=value)


def _build_pearson(x: Floats, y: Floats) -> Score:
    x, y = x - x.mean(), y - y.mean()
    columns = np.column_stack([x, y, x * x, y * y, x * y, np.ones(len(x))])

    def value(sums: Floats) -> Floats:
        a, b, aa, bb, ab, n = (sums[..., k] for k in range(6))
        return (ab - a * b / n) / np.sqrt((aa - a * a / n) * (bb - b * b / n))

    return SumScore(name="pearson", columns_NK=columns, value=value)


def _build_mean(name: str, values: Any) -> Score:
    rows = np.asarray(values, float)
    columns = np.column_stack([rows, np.ones(len(rows))])
    return SumScore(name=name, columns_NK=columns, value=lambda s: s[..., 0] / s[..., 1])


def _build_f1(name: str, rows: Sequence[tuple[set[Any], set[Any]]]) -> Score:
    counts = [(len(t & g), len(t), len(g)) for t, g in rows]
    columns = np.asarray(counts, float).reshape(-1, 3)

    def value(sums: Floats) -> Floats:
        f1: Floats = np.nan_to_num(f1_score(sums[..., 0], sums[..., 1], sums[..., 2]), nan=0.0)
        return f1

    return SumScore(name=name, columns_NK=columns, value=value)


def _root_mean(sums: Floats) -> Floats:
    return np.sqrt(sums[..., 0] / sums[..., 1])
