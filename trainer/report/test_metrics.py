"""Metrics of test rows by the libraries that everybody compares with. Runs in the child only; what
the front door computes itself (`trainer.metrics.metrics`) must agree, and a test holds it to that.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from engine.heads.generate import parse_number
from trainer.heads import HEAD_DATA
from trainer.metrics.metrics import Metrics
from trainer.metrics.rouge import rouge


def compute_metrics(head: str, truth: Sequence[Any], guesses: Sequence[Any]) -> Metrics:
    """All metrics of a head; those that have no library are our own."""
    own = HEAD_DATA[head].measure(truth, guesses)
    if not truth:
        return own
    by_library: dict[str, Callable[[Sequence[Any], Sequence[Any]], Metrics]] = {
        "classify": _several if isinstance(truth[0], list) else _labels,
        "regress": _values,
        "rerank": _relevance,
        "generate": _texts,
    }
    with warnings.catch_warnings():
        # a class without rows, a constant: each has its value below
        warnings.simplefilter("ignore")
        return own | (by_library[head](truth, guesses) if head in by_library else {})


def _labels(truth: Sequence[str], guesses: Sequence[str]) -> Metrics:
    from sklearn import metrics

    names = sorted(set(truth) | set(guesses))
    each = metrics.f1_score(truth, guesses, labels=names, average=None, zero_division=0.0)
    return {
        "accuracy": float(metrics.accuracy_score(truth, guesses)),
        "macro_f1": float(metrics.f1_score(truth, guesses, average="macro", zero_division=0.0)),
        "micro_f1": float(metrics.f1_score(truth, guesses, average="micro", zero_division=0.0)),
        "mcc": float(metrics.matthews_corrcoef(truth, guesses)),
        "f1_per_class": dict(zip(names, map(float, each), strict=True)),
    }


def _several(truth: Sequence[Sequence[str]], guesses: Sequence[Sequence[str]]) -> Metrics:
    from sklearn import metrics

    names = sorted({name for row in [*truth, *guesses] for name in row})
    if not names:
        return {}
    x, y = (
        np.array([[name in row for name in names] for row in rows]) for rows in (truth, guesses)
    )
    each = metrics.f1_score(x, y, average=None, zero_division=0.0)
    return {
        "micro_f1": float(metrics.f1_score(x, y, average="micro", zero_division=0.0)),
        "macro_f1": float(metrics.f1_score(x, y, average="macro", zero_division=0.0)),
        "exact": float(metrics.accuracy_score(x, y)),
        "f1_per_label": dict(zip(names, map(float, each), strict=True)),
    }


def _values(truth: Sequence[float], guesses: Sequence[float]) -> Metrics:
    from scipy import stats
    from sklearn import metrics

    found: Metrics = {
        "rmse": float(metrics.root_mean_squared_error(truth, guesses)),
        "mae": float(metrics.mean_absolute_error(truth, guesses)),
    }
    if len(set(truth)) > 1 and len(set(guesses)) > 1:
        found["pearson"] = float(stats.pearsonr(truth, guesses).statistic)
        found["spearman"] = float(stats.spearmanr(truth, guesses).statistic)
        found["r2"] = float(metrics.r2_score(truth, guesses))
    return {name: value for name, value in found.items() if np.isfinite(value)}


def _relevance(truth: Sequence[float], guesses: Sequence[float]) -> Metrics:
    from sklearn import metrics

    relevant = np.asarray(truth) > 0.5
    if relevant.all() or not relevant.any():
        return {}
    return {
        "auc": float(metrics.roc_auc_score(relevant, guesses)),
        "average_precision": float(metrics.average_precision_score(relevant, guesses)),
    }


def _texts(truth: Sequence[str], guesses: Sequence[str]) -> Metrics:
    """Numbers are judged as numbers: how alike they are written says nothing."""
    if all(parse_number(text) is not None for text in truth):
        return {}
    import sacrebleu

    return {
        **rouge(truth, guesses),
        "bleu": float(sacrebleu.corpus_bleu(list(guesses), [list(truth)]).score),
        "chrf": float(sacrebleu.corpus_chrf(list(guesses), [list(truth)]).score),
    }
