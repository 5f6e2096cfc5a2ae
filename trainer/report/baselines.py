"""The baselines: what models without the base predict for the test rows. Runs in the child;
computes no metric.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

import numpy as np

from engine.heads.generate import parse_number

#: `EvidenceRow`, or a part of one
Rows = list[Any]
#: the predictions for the test rows, by rival: "test", the trained one; "majority", the same answer
#: for every row; others by their names
Answers = dict[str, list[Any]]

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")
_WORD = r"(?u)\w+|[^\w\s]"
#: dev rows choose among them; without dev rows it is the first
_LOGISTIC_C = (10.0, 1.0, 100.0)
_RIDGE_ALPHA = (1.0, 0.1, 10.0)
#: the cosines of as many rows at a time as fit into so many MiB
_WORKING_MIB = 64
_MOST_DECIMALS = 12
#: of heads whose answers are classes
_CLASS_METRICS = ("f1_per_class", "f1_per_label", "f1_per_type")


def baseline_answers(head: str, train: Rows, dev: Rows, test: Rows) -> Answers:
    is_multi_label = isinstance(test[0]["label"], list)
    predict: dict[str, Callable[[Rows, Rows, Rows], Answers]] = {
        "classify": _predict_label_lists if is_multi_label else _predict_labels,
        "regress": _predict_values,
        "tag": _predict_tags,
        "rerank": _predict_similarities,
        "embed": _rank_partners if test[0]["label"] is None else _predict_similarities,
        "generate": _predict_texts,
        "span": _predict_spans,
    }
    return predict[head](train, dev, test)


def name_rival(rival: str, model: str | None, metrics: Mapping[str, Any]) -> str:
    """For sentences and tables. `metrics` are the rival's; `model` names the trained one."""
    if rival == "test":
        return str(model)
    if rival == "majority":
        has_classes = any(name in metrics for name in _CLASS_METRICS)
        return "majority class" if has_classes else "constant answer"
    return "copy of the input" if rival == "copy" else rival


def _predict_labels(train: Rows, dev: Rows, test: Rows) -> Answers:
    from sklearn.linear_model import LogisticRegression

    labels = _list_labels(train)
    models = [LogisticRegression(max_iter=1000, C=strength) for strength in _LOGISTIC_C]
    majority = Counter(sorted(labels)).most_common(1)[0][0]
    answers = [str(answer) for answer in _predict_by_best(models, train, dev, test)]
    return {"test": answers, "majority": [majority] * len(test)}


def _predict_label_lists(train: Rows, dev: Rows, test: Rows) -> Answers:
    """A model for each label; the majority has the labels that at least half of the rows have."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    del dev
    words = TfidfVectorizer(ngram_range=(1, 2), token_pattern=_WORD)
    seen, unseen = words.fit_transform(_list_texts(train)), words.transform(_list_texts(test))
    answers: list[list[str]] = [[] for _ in test]
    majority: list[str] = []
    for label in sorted({label for row in train for label in row["label"]}):
        has_label = [label in row["label"] for row in train]
        majority += [label] if sum(has_label) * 2 >= len(has_label) else []
        if len(set(has_label)) == 1:
            predictions = [has_label[0]] * len(test)
        else:
            model = LogisticRegression(max_iter=1000, C=_LOGISTIC_C[0])
            predictions = [bool(yes) for yes in model.fit(seen, has_label).predict(unseen)]
        for answer, yes in zip(answers, predictions, strict=True):
            answer += [label] if yes else []
    return {"test": answers, "majority": [majority] * len(test)}


def _predict_similarities(train: Rows, dev: Rows, test: Rows) -> Answers:
    """The cosine of the two texts of a pair, over words weighted by TF-IDF."""
    del dev
    left, right = _vectorize_pairs(train, test)
    cosines = np.asarray(left.multiply(right).sum(axis=1)).ravel()
    return {"test": [float(cosine) for cosine in cosines], "majority": [0.0] * len(test)}


def _rank_partners(train: Rows, dev: Rows, test: Rows) -> Answers:
    from trainer.heads.embed import partner_ranks

    del dev
    left, right = _vectorize_pairs(train, test)
    ranks = partner_ranks(left, right)
    return {"test": ranks, "majority": [(len(test) + 1) / 2] * len(test)}


def _vectorize_pairs(train: Rows, test: Rows) -> tuple[Any, Any]:
    from sklearn.feature_extraction.text import TfidfVectorizer

    words = TfidfVectorizer(token_pattern=_WORD)
    words.fit([text for row in train for text in row["both"]])
    return tuple(words.transform([row["both"][side] for row in test]) for side in (0, 1))


def _predict_values(train: Rows, dev: Rows, test: Rows) -> Answers:
    from sklearn.linear_model import Ridge

    values = _list_labels(train)
    models = [Ridge(alpha=penalty) for penalty in _RIDGE_ALPHA]
    answers = [float(answer) for answer in _predict_by_best(models, train, dev, test)]
    return {"test": answers, "majority": [sum(values) / len(values)] * len(test)}


def _predict_spans(train: Rows, dev: Rows, test: Rows) -> Answers:
    """The sentence of the context that is most similar to the question; the majority has none."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    del dev
    words = TfidfVectorizer(token_pattern=_WORD)
    words.fit([text for row in train for text in row["both"]])
    answers = []
    for row in test:
        question, context = row["both"]
        parts = [part.strip() for part in _SENTENCE_END.split(context)]
        sentences = [part for part in parts if part] or [context]
        similar = words.transform(sentences) @ words.transform([question]).T
        answers.append(sentences[int(np.asarray(similar.todense()).argmax())])
    return {"test": answers, "majority": [""] * len(test)}


def _predict_texts(train: Rows, dev: Rows, test: Rows) -> Answers:
    """The completion of the nearest training row, the most frequent completion, and the input
    itself. Completions that are all numbers are also predicted by regression.
    """
    majority = Counter(sorted(_list_labels(train))).most_common(1)[0][0]
    answers: Answers = {
        "test": _copy_nearest(train, test, majority),
        "majority": [majority] * len(test),
        "copy": [row["prompt"] for row in test],
    }
    if all(parse_number(label) is not None for label in _list_labels(train)):
        decimals = min(_MOST_DECIMALS, max(_count_decimals(label) for label in _list_labels(train)))
        values = _predict_values(_with_numbers(train), _with_numbers(dev), test)["test"]
        # -0.2 rounds to -0.0; plus zero it is written 0
        answers["ridge"] = [f"{round(value, decimals) + 0.0:.{decimals}f}" for value in values]
    return answers


def _copy_nearest(train: Rows, test: Rows, majority: str) -> list[str]:
    """Of a text that shares no word with any training row, the most frequent completion."""
    from sklearn import config_context
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.neighbors import NearestNeighbors

    words = TfidfVectorizer(ngram_range=(1, 2), token_pattern=_WORD)
    seen, labels = words.fit_transform(_list_texts(train)), _list_labels(train)
    near = NearestNeighbors(n_neighbors=1, metric="cosine").fit(seen)
    with config_context(working_memory=_WORKING_MIB):
        distances, rows = near.kneighbors(words.transform(_list_texts(test)))
    return [
        majority if distance >= 1 else labels[row]
        for distance, row in zip(distances[:, 0], rows[:, 0], strict=True)
    ]


def _with_numbers(rows: Rows) -> Rows:
    """The rows whose label is a number, with it as a number."""
    pairs = [(row, parse_number(row["label"])) for row in rows]
    return [row | {"label": number} for row, number in pairs if number is not None]


def _count_decimals(label: str) -> int:
    exponent = Decimal(label.strip()).as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _predict_by_best(models: list[Any], train: Rows, dev: Rows, test: Rows) -> Iterable[Any]:
    """The predictions of the model that is best on the dev rows, which also choose the adapter's
    epoch; of the first model without dev rows.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    words = TfidfVectorizer(ngram_range=(1, 2), token_pattern=_WORD)
    seen = words.fit_transform(_list_texts(train))
    for model in models[: None if dev else 1]:
        model.fit(seen, _list_labels(train))
    best = models[0]
    if dev:
        unseen, labels = words.transform(_list_texts(dev)), _list_labels(dev)
        best = max(models, key=lambda model: float(model.score(unseen, labels)))
    return list(best.predict(words.transform(_list_texts(test))))


def _list_texts(rows: Rows) -> list[str]:
    return [row["text"] for row in rows]


def _list_labels(rows: Rows) -> list[Any]:
    return [row["label"] for row in rows]


def _predict_tags(train: Rows, dev: Rows, test: Rows) -> Answers:
    """The most frequent tag of each word, in any case."""
    del dev
    tags_by_word: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for row in train:
        for word, tag in zip(row["words"], row["label"], strict=True):
            tags_by_word[word.casefold()][tag] += 1
    usual = {word: tags.most_common(1)[0][0] for word, tags in tags_by_word.items()}
    answers = [[usual.get(word.casefold(), "O") for word in row["words"]] for row in test]
    return {"test": answers, "majority": [["O"] * len(row["words"]) for row in test]}
