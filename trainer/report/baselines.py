"""The rivals of an adapter: what models without the base answer to the test rows. Runs in the child
of `trainer.report`; judges nothing.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

import numpy as np

from engine.heads.generate import parse_number

Rows = list[dict[str, Any]]
#: "test": what the best of them answers to the test rows; "majority": what guessing alike every
#: time does; others by their own names
Answers = dict[str, list[Any]]

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")
_WORD = r"(?u)\w+|[^\w\s]"
#: the first is taken where nothing chooses
_LOGISTIC_C = (10.0, 1.0, 100.0)
_RIDGE_ALPHA = (1.0, 0.1, 10.0)
#: the cosines of so many MiB of rows at a time
_WORKING_MIB = 64
#: a number is written with at most so many decimals
_MOST_DECIMALS = 12


def baseline_answers(head: str, train: Rows, dev: Rows, test: Rows) -> Answers:
    """By the name of each rival."""
    compare: dict[str, Callable[[Rows, Rows, Rows], Answers]] = {
        "classify": _several if isinstance(test[0]["label"], list) else _logistic,
        "regress": _ridge,
        "tag": _usual_tags,
        "rerank": _cosines,
        "embed": _cosines if test[0]["label"] is not None else _partners,
        "generate": _written,
        "span": _sentences,
    }
    return compare[head](train, dev, test)


def _logistic(train: Rows, dev: Rows, test: Rows) -> Answers:
    from sklearn.linear_model import LogisticRegression

    labels = _labels(train)
    models = [LogisticRegression(max_iter=1000, C=strength) for strength in _LOGISTIC_C]
    majority = Counter(sorted(labels)).most_common(1)[0][0]
    answers = [str(answer) for answer in _fitted(models, train, dev, test)]
    return {"test": answers, "majority": [majority] * len(test)}


def _several(train: Rows, dev: Rows, test: Rows) -> Answers:
    """A yes or no for each label; the majority has the labels that most rows have."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    del dev
    words = TfidfVectorizer(ngram_range=(1, 2), token_pattern=_WORD)
    counted, asked = words.fit_transform(_texts(train)), words.transform(_texts(test))
    answers: list[list[str]] = [[] for _ in test]
    majority: list[str] = []
    for label in sorted({label for row in train for label in row["label"]}):
        has = [label in row["label"] for row in train]
        majority += [label] if sum(has) * 2 >= len(has) else []
        if len(set(has)) == 1:
            said = [has[0]] * len(test)
        else:
            model = LogisticRegression(max_iter=1000, C=_LOGISTIC_C[0])
            said = [bool(yes) for yes in model.fit(counted, has).predict(asked)]
        for answer, yes in zip(answers, said, strict=True):
            answer += [label] if yes else []
    return {"test": answers, "majority": [majority] * len(test)}


def _cosines(train: Rows, dev: Rows, test: Rows) -> Answers:
    """How many of its rarer words a pair shares; constant, nothing is told apart."""
    del dev
    left, right = _weighed(train, test)
    cosines = np.asarray(left.multiply(right).sum(axis=1)).ravel()
    return {"test": [float(cosine) for cosine in cosines], "majority": [0.0] * len(test)}


def _partners(train: Rows, dev: Rows, test: Rows) -> Answers:
    from trainer.heads.embed import partner_ranks

    del dev
    left, right = _weighed(train, test)
    ranks = partner_ranks(left, right)
    return {"test": ranks, "majority": [(len(test) + 1) / 2] * len(test)}


def _weighed(train: Rows, test: Rows) -> tuple[Any, Any]:
    from sklearn.feature_extraction.text import TfidfVectorizer

    words = TfidfVectorizer(token_pattern=_WORD)
    words.fit([text for row in train for text in row["both"]])
    return tuple(words.transform([row["both"][side] for row in test]) for side in (0, 1))


def _ridge(train: Rows, dev: Rows, test: Rows) -> Answers:
    from sklearn.linear_model import Ridge

    values = _labels(train)
    models = [Ridge(alpha=penalty) for penalty in _RIDGE_ALPHA]
    answers = [float(answer) for answer in _fitted(models, train, dev, test)]
    return {"test": answers, "majority": [sum(values) / len(values)] * len(test)}


def _sentences(train: Rows, dev: Rows, test: Rows) -> Answers:
    """The sentence of the context that shares the most and rarest words with the question; and no
    answer at all.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    del dev
    words = TfidfVectorizer(token_pattern=_WORD)
    words.fit([text for row in train for text in row["both"]])
    answers = []
    for row in test:
        question, context = row["both"]
        sentences = [each.strip() for each in _SENTENCE_END.split(context) if each.strip()]
        alike = words.transform(sentences or [context]) @ words.transform([question]).T
        answers.append((sentences or [context])[int(np.asarray(alike.todense()).argmax())])
    return {"test": answers, "majority": [""] * len(test)}


def _written(train: Rows, dev: Rows, test: Rows) -> Answers:
    """The completion of the most alike training row, and what needs no training at all: the input
    itself, the usual completion. Numbers are also predicted as numbers.
    """
    usual = Counter(sorted(_labels(train))).most_common(1)[0][0]
    answers: Answers = {
        "test": _nearest(train, test, usual),
        "majority": [usual] * len(test),
        "copy": [row["asked"] for row in test],
    }
    if all(parse_number(label) is not None for label in _labels(train)):
        decimals = min(_MOST_DECIMALS, max(_decimals(label) for label in _labels(train)))
        found = _ridge(_numbers(train), _numbers(dev), test)["test"]
        # plus nothing: -0.2 rounds to -0.0, which is written -0
        answers["ridge"] = [f"{round(value, decimals) + 0.0:.{decimals}f}" for value in found]
    return answers


def _nearest(train: Rows, test: Rows, usual: str) -> list[str]:
    """A text that shares no word with any training row gets the usual completion."""
    from sklearn import config_context
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.neighbors import NearestNeighbors

    words = TfidfVectorizer(ngram_range=(1, 2), token_pattern=_WORD)
    counted, labels = words.fit_transform(_texts(train)), _labels(train)
    near = NearestNeighbors(n_neighbors=1, metric="cosine").fit(counted)
    with config_context(working_memory=_WORKING_MIB):
        distances, rows = near.kneighbors(words.transform(_texts(test)))
    return [
        usual if distance >= 1 else labels[row]
        for distance, row in zip(distances[:, 0], rows[:, 0], strict=True)
    ]


def _numbers(rows: Rows) -> Rows:
    read = [(row, parse_number(row["label"])) for row in rows]
    return [row | {"label": number} for row, number in read if number is not None]


def _decimals(label: str) -> int:
    exponent = Decimal(label.strip()).as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _fitted(models: list[Any], train: Rows, dev: Rows, test: Rows) -> Iterable[Any]:
    """The answers of the model that does best on the dev rows: they choose here as they choose the
    adapter's epoch. Without dev rows the first model is taken.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    words = TfidfVectorizer(ngram_range=(1, 2), token_pattern=_WORD)
    counted = words.fit_transform(_texts(train))
    for model in models[: None if dev else 1]:
        model.fit(counted, _labels(train))
    best = models[0]
    if dev:
        seen, wanted = words.transform(_texts(dev)), _labels(dev)
        best = max(models, key=lambda model: float(model.score(seen, wanted)))
    return list(best.predict(words.transform(_texts(test))))


def _texts(rows: Rows) -> list[str]:
    return [row["text"] for row in rows]


def _labels(rows: Rows) -> list[Any]:
    return [row["label"] for row in rows]


def _usual_tags(train: Rows, dev: Rows, test: Rows) -> Answers:
    del dev
    seen: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for row in train:
        for word, tag in zip(row["words"], row["label"], strict=True):
            seen[word.casefold()][tag] += 1
    usual = {word: tags.most_common(1)[0][0] for word, tags in seen.items()}
    answers = [[usual.get(word.casefold(), "O") for word in row["words"]] for row in test]
    return {"test": answers, "majority": [["O"] * len(row["words"]) for row in test]}
