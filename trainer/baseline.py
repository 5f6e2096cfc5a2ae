"""What a bag of words reaches on the same rows: TF-IDF and a linear model, the majority, or each
word's usual tag.

Runs in a short-lived child (`python -m trainer.baseline`, JSON in, JSON out): scikit-learn is slow
to import, holds the interpreter lock while it counts words, and is worth nothing to a serving
process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np

from trainer.example import Example
from trainer.heads import HEAD_DATA
from trainer.split import Split

Baseline = dict[str, Any]
Rows = list[dict[str, Any]]
#: what the model answers to the test rows, and what guessing alike every time answers
Compare = Callable[[Rows, Rows, Rows], tuple[list[Any], list[Any]]]

_TICK_S = 0.25
_WORD = r"(?u)\w+|[^\w\s]"

#: the first is taken where nothing chooses
_LOGISTIC_C = (10.0, 1.0, 100.0)
_RIDGE_ALPHA = (1.0, 0.1, 10.0)


def baseline_of(
    head: str,
    split: Split,
    *,
    timeout_s: float,
    waiting: Callable[[], None] = lambda: None,
) -> Baseline:
    """{"name", "test": metrics, "majority": metrics}; or {"name", "error"} when the child failed or
    took too long.

    `waiting` is called a few times a second and may raise to give up.
    """
    name = HEAD_DATA[head].baseline
    parts = {"train": split.train, "dev": split.dev, "test": split.test}
    question = {"head": head} | {name: [_wire(row) for row in rows] for name, rows in parts.items()}
    try:
        answer = _ask_child(json.dumps(question).encode(), timeout_s, waiting)
        return {"name": name, **answer}
    except (ChildProcessError, TimeoutError) as error:
        return {"name": name, "error": str(error)}


def compute(head: str, train: Rows, dev: Rows, test: Rows) -> Baseline:
    """The child's work."""
    truth = [row["label"] for row in test]
    compare: dict[str, Compare] = {
        "classify": _several if isinstance(truth[0], list) else _logistic,
        "regress": _ridge,
        "tag": _usual_tags,
        "rerank": _cosines,
        "embed": _cosines if truth[0] is not None else _partners,
    }
    answers, plain = compare[head](train, dev, test)
    measure = HEAD_DATA[head].measure
    return {"test": measure(truth, answers), "majority": measure(truth, plain)}


def _wire(row: Example) -> dict[str, Any]:
    text = row.text if row.pair is None else f"{row.text} {row.pair}"
    both = (row.text, row.pair)
    return {"text": text, "both": both, "words": row.words, "label": row.label}


def _ask_child(question: bytes, timeout_s: float, waiting: Callable[[], None]) -> Baseline:
    # files rather than pipes: a pipe fills up, and whoever waits on one cannot look up meanwhile
    with TemporaryFile() as asked, TemporaryFile() as answered, TemporaryFile() as errors:
        asked.write(question)
        asked.seek(0)
        code = _run_child(asked, answered, errors, timeout_s, waiting)
        answered.seek(0)
        errors.seek(0)
        if code:
            said = errors.read().decode(errors="replace").strip()[-300:]
            raise ChildProcessError(f"The baseline failed: {said}")
        answer: Baseline = json.load(answered)
    return answer


def _run_child(
    asked: IO[bytes],
    answered: IO[bytes],
    errors: IO[bytes],
    timeout_s: float,
    waiting: Callable[[], None],
) -> int:
    command = [sys.executable, "-m", "trainer.baseline"]
    # the package's own parent folder, so that the child finds it however this process did
    root = Path(__file__).resolve().parent.parent
    with subprocess.Popen(  # noqa: S603 our own module
        command, stdin=asked, stdout=answered, stderr=errors, cwd=root
    ) as child:
        try:
            return _wait(child, timeout_s, waiting)
        finally:
            child.kill()


def _wait(child: subprocess.Popen[bytes], timeout_s: float, waiting: Callable[[], None]) -> int:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        try:
            return child.wait(timeout=_TICK_S)
        except subprocess.TimeoutExpired:
            waiting()
    raise TimeoutError(f"The baseline took longer than {timeout_s:g} seconds.")


def _logistic(train: Rows, dev: Rows, test: Rows) -> tuple[list[str], list[str]]:
    from sklearn.linear_model import LogisticRegression

    labels = _labels(train)
    models = [LogisticRegression(max_iter=1000, C=strength) for strength in _LOGISTIC_C]
    majority = Counter(sorted(labels)).most_common(1)[0][0]
    return [str(answer) for answer in _fitted(models, train, dev, test)], [majority] * len(test)


def _several(train: Rows, dev: Rows, test: Rows) -> tuple[list[list[str]], list[list[str]]]:
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
    return answers, [majority] * len(test)


def _cosines(train: Rows, dev: Rows, test: Rows) -> tuple[list[float], list[float]]:
    """How many of its rarer words a pair shares; constant, nothing is told apart."""
    del dev
    left, right = _weighed(train, test)
    cosines = np.asarray(left.multiply(right).sum(axis=1)).ravel()
    return [float(cosine) for cosine in cosines], [0.0] * len(test)


def _partners(train: Rows, dev: Rows, test: Rows) -> tuple[list[int], list[float]]:
    from trainer.heads.embed import partner_ranks

    del dev
    left, right = _weighed(train, test)
    return partner_ranks(left.toarray(), right.toarray()), [(len(test) + 1) / 2] * len(test)


def _weighed(train: Rows, test: Rows) -> tuple[Any, Any]:
    from sklearn.feature_extraction.text import TfidfVectorizer

    words = TfidfVectorizer(token_pattern=_WORD)
    words.fit([text for row in train for text in row["both"]])
    return tuple(words.transform([row["both"][side] for row in test]) for side in (0, 1))


def _ridge(train: Rows, dev: Rows, test: Rows) -> tuple[list[float], list[float]]:
    from sklearn.linear_model import Ridge

    values = _labels(train)
    models = [Ridge(alpha=penalty) for penalty in _RIDGE_ALPHA]
    answers = [float(answer) for answer in _fitted(models, train, dev, test)]
    return answers, [sum(values) / len(values)] * len(test)


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


def _usual_tags(train: Rows, dev: Rows, test: Rows) -> tuple[list[list[str]], list[list[str]]]:
    del dev
    seen: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for row in train:
        for word, tag in zip(row["words"], row["label"], strict=True):
            seen[word.casefold()][tag] += 1
    usual = {word: tags.most_common(1)[0][0] for word, tags in seen.items()}
    answers = [[usual.get(word.casefold(), "O") for word in row["words"]] for row in test]
    return answers, [["O"] * len(row["words"]) for row in test]


def main() -> None:
    os.nice(5)  # the child must not take time from the engine that serves beside it
    question = json.load(sys.stdin)
    json.dump(compute(**question), sys.stdout)


if __name__ == "__main__":
    main()
