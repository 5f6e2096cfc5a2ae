"""Metrics of the test rows: those of `trainer.metrics`, and those that only a library has. Runs in
the child only.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from engine.heads.generate import parse_number
from trainer.heads import HEAD_DATA
from trainer.metrics.metrics import Metrics
from trainer.metrics.order import sort_metrics
from trainer.metrics.rouge import rouge


def compute_metrics(head: str, truth: Sequence[Any], guesses: Sequence[Any]) -> Metrics:
    """All metrics of a head. AUC and the correlations are the library's too: they differ from
    those of dev rows in the last digit.
    """
    metrics = HEAD_DATA[head].measure(truth, guesses)
    if not truth:
        return sort_metrics(metrics)
    add: dict[str, Callable[[Sequence[Any], Sequence[Any]], Metrics]] = {
        "classify": _score_labels,
        "regress": _score_values,
        "rerank": _score_relevance,
        "generate": _score_texts,
    }
    with warnings.catch_warnings():
        # constant answers, for which the libraries warn, have no correlation
        warnings.simplefilter("ignore")
        added = add[head](truth, guesses) if head in add else {}
    return sort_metrics(metrics | added)


def _score_labels(truth: Sequence[Any], guesses: Sequence[Any]) -> Metrics:
    from sklearn import metrics

    if not isinstance(truth[0], str):
        return {}
    return {"mcc": float(metrics.matthews_corrcoef(truth, guesses))}


def _score_values(truth: Sequence[float], guesses: Sequence[float]) -> Metrics:
    from scipy import stats
    from sklearn import metrics

    if len(set(truth)) < 2 or len(set(guesses)) < 2:
        return {}
    values = {
        "pearson": float(stats.pearsonr(truth, guesses).statistic),
        "spearman": float(stats.spearmanr(truth, guesses).statistic),
        "r2": float(metrics.r2_score(truth, guesses)),
    }
    return {name: value for name, value in values.items() if np.isfinite(value)}


def _score_relevance(truth: Sequence[float], guesses: Sequence[float]) -> Metrics:
    from sklearn import metrics

    relevant = np.asarray(truth) > 0.5
    if relevant.all() or not relevant.any():
        return {}
    return {
        "auc": float(metrics.roc_auc_score(relevant, guesses)),
        "average_precision": float(metrics.average_precision_score(relevant, guesses)),
    }


def _score_texts(truth: Sequence[str], guesses: Sequence[str]) -> Metrics:
    """Numbers are compared as numbers alone: their digits in common mean nothing."""
    if all(parse_number(text) is not None for text in truth):
        return {}
    import sacrebleu

    return {
        **rouge(truth, guesses),
        "bleu": float(sacrebleu.corpus_bleu(list(guesses), [list(truth)]).score),
        "chrf": float(sacrebleu.corpus_chrf(list(guesses), [list(truth)]).score),
    }
