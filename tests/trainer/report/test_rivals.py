"""The rivals of an adapter: what models without the base reach on the same rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.trainer.build import examples
from trainer.dataset.split import Split, split_examples
from trainer.report.baselines import baseline_answers, name_rival
from trainer.report.test_metrics import compute_metrics

TWEETS = Path(__file__).parents[4] / "shared" / "data" / "tweets.jsonl"


def compute(head: str, train: Any, dev: Any, test: Any) -> dict[str, Any]:
    truth = [row["label"] for row in test]
    answers = baseline_answers(head, train, dev, test)
    return {name: compute_metrics(head, truth, given) for name, given in answers.items()}


def small_split(head: str = "classify") -> Split:
    labels = ["glad", "sad"] * 20 if head == "classify" else [1.0, 2.0] * 20
    texts = [f"{'yay' if i % 2 == 0 else 'boo'} {i}" for i in range(40)]
    rows = examples(labels, texts)
    return split_examples(rows, head=head, seed=0, dev_share=0.1, test_share=0.2)


def test_values_have_a_ridge_and_a_mean() -> None:
    split = small_split("regress")
    parts = [[{"text": r.text, "label": r.label} for r in p] for p in (split.train, split.dev)]
    found = compute("regress", parts[0], [], parts[1])
    assert found["test"]["rmse"] < found["majority"]["rmse"]
    assert found["majority"]["pearson"] is None


def test_a_constant_answer_is_a_class_only_where_there_are_classes() -> None:
    assert name_rival("majority", "ridge", {"f1_per_class": {}}) == "majority class"
    assert name_rival("majority", "ridge", {"rmse": 1.0}) == "constant answer"
    assert name_rival("test", "tfidf+ridge", {}) == "tfidf+ridge"


def test_tags_have_each_words_usual_tag() -> None:
    train = [{"words": ["Ann", "ran"], "label": ["B-a", "O"]}]
    test = [{"words": ["ann", "sat"], "label": ["B-a", "O"]}]
    found = compute("tag", train, [], test)
    assert (found["test"]["f1"], found["majority"]["f1"]) == (1.0, 0.0)


def wired(rows: list[Any]) -> list[dict[str, Any]]:
    return [{"text": row.text, "label": row.label} for row in rows]


def written(texts: list[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"text": text, "prompt": text, "label": label} for text, label in texts]


def test_texts_are_written_as_that_of_the_training_row_most_alike() -> None:
    train = written([("red car", "buy red"), ("blue car", "buy blue"), ("blue bus", "buy blue")])
    test = written([("a red car", "buy red"), ("blue bus now", "buy blue"), ("zebra", "buy red")])
    found = compute("generate", train, [], test)
    assert found["test"]["exact_match"] == pytest.approx(2 / 3)  # no word shared: the usual one
    assert found["majority"]["exact_match"] == pytest.approx(1 / 3)
    assert found["test"]["word_f1"] > found["majority"]["word_f1"]
    assert set(found) == {"test", "majority", "copy"}


def test_a_task_that_only_copies_is_known_by_its_copy_baseline() -> None:
    train = written([(f"say {i}", f"say {i}") for i in range(5)])
    test = written([("say 9", "say 9"), ("say 8", "say 8")])
    found = compute("generate", train, [], test)
    assert (found["copy"]["exact_match"], found["test"]["exact_match"]) == (1.0, 0.0)


def test_written_numbers_have_a_ridge_with_as_many_decimals_as_they_have() -> None:
    train = written([(f"{'good' if i % 2 else 'bad'} x{i}", f"{i % 2 - 1}") for i in range(20)])
    test = written([("good y", "0"), ("bad y", "-1")])
    found = compute("generate", train, train[:4], test)
    assert found["ridge"]["exact_match"] == 1.0
    assert found["ridge"]["rmse"] < found["majority"]["rmse"]
    assert "numbers_read" not in found["copy"] or found["copy"]["numbers_read"] == 0


def test_a_question_has_the_sentence_most_like_it_and_no_answer_at_all() -> None:
    context = "Ann lives in Rome. Bob keeps bees. Nobody swims."
    row = {"both": ["where does Ann live", context], "label": [["Rome", 13]], "text": ""}
    found = compute("span", [row], [], [row])
    assert found["test"] == {"exact_match": 0.0, "f1": pytest.approx(0.4)}
    assert found["majority"]["f1"] == 0.0


@pytest.mark.skipif(not TWEETS.exists(), reason="the shared data is not here")
def test_tweets_come_near_what_is_known_of_them() -> None:
    raw = [json.loads(line) for line in TWEETS.read_text().splitlines()]
    named = [
        (row["text"], "good" if row["score"] > 0 else "bad")
        for row in raw
        if abs(row["score"]) > 0.3
    ]
    rows = examples([label for _, label in named], [text for text, _ in named])
    split = split_examples(rows, head="classify", seed=0, dev_share=0.1, test_share=0.2)
    found = compute("classify", *(wired(part) for part in (split.train, split.dev, split.test)))
    assert found["test"]["accuracy"] == pytest.approx(0.843, abs=0.02)
    assert found["majority"]["accuracy"] == pytest.approx(0.691, abs=0.02)
