"""The bag-of-words baseline, in its child process."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.trainer.build import examples
from trainer.baseline import baseline_of, compute
from trainer.errors import Cancelled
from trainer.example import Example
from trainer.split import Split, split_examples

TWEETS = Path(__file__).parents[3] / "shared" / "data" / "tweets.jsonl"


def small_split(head: str = "classify") -> Split:
    labels = ["glad", "sad"] * 20 if head == "classify" else [1.0, 2.0] * 20
    texts = [f"{'yay' if i % 2 == 0 else 'boo'} {i}" for i in range(40)]
    rows = examples(labels, texts)
    return split_examples(rows, head=head, seed=0, dev_share=0.1, test_share=0.2)


def test_the_child_answers_with_both_its_model_and_the_majority() -> None:
    found = baseline_of("classify", small_split(), timeout_s=60)
    assert found["name"] == "tfidf+logistic"
    assert found["test"]["accuracy"] == 1.0
    assert found["majority"]["accuracy"] == 0.5


def test_this_process_stays_without_scikit_learn() -> None:
    import subprocess

    code = "import sys, trainer.trainer, trainer.worker; print(sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    assert not {"torch", "transformers", "sklearn", "scipy"} & set(eval(loaded))


def test_a_child_that_takes_too_long_is_said_so_and_does_not_fail_the_job() -> None:
    found = baseline_of("classify", small_split(), timeout_s=0)
    assert found == {
        "name": "tfidf+logistic",
        "error": "The baseline took longer than 0 seconds.",
    }


def test_a_child_that_fails_is_said_so() -> None:
    found = baseline_of("classify", Split(train=[], dev=[], test=[]), timeout_s=60)
    assert "The baseline failed" in found["error"]


def test_rows_that_no_pipe_holds_at_once_reach_the_child() -> None:
    """More than a pipe takes, while the child is still importing: the question must not stall."""
    filler = " ".join(f"word{i}" for i in range(2000))
    texts = [f"{'yay' if i % 2 == 0 else 'boo'} {i} {filler}" for i in range(100)]
    rows = examples(["glad", "sad"] * 50, texts)
    split = split_examples(rows, head="classify", seed=0, dev_share=0.1, test_share=0.2)
    assert "error" not in baseline_of("classify", split, timeout_s=60)


def test_a_cancelled_job_does_not_wait_for_its_baseline() -> None:
    def waiting() -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        baseline_of("classify", small_split(), timeout_s=60, waiting=waiting)


def test_values_have_a_ridge_and_a_mean() -> None:
    split = small_split("regress")
    parts = [[{"text": r.text, "label": r.label} for r in p] for p in (split.train, split.dev)]
    found = compute("regress", parts[0], [], parts[1])
    assert found["test"]["rmse"] < found["majority"]["rmse"]
    assert found["majority"]["pearson"] is None


def test_tags_have_each_words_usual_tag() -> None:
    train = [{"words": ["Ann", "ran"], "label": ["B-a", "O"]}]
    test = [{"words": ["ann", "sat"], "label": ["B-a", "O"]}]
    found = compute("tag", train, [], test)
    assert (found["test"]["f1"], found["majority"]["f1"]) == (1.0, 0.0)


def written(texts: list[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"text": text, "asked": text, "label": label} for text, label in texts]


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


def test_of_a_conversation_the_last_message_is_what_is_copied() -> None:
    turns = (("system", "repeat"), ("user", "hello"))
    rows = [
        Example(line=i, text="user: hello", label="hello" if i else "other", turns=turns)
        for i in range(4)
    ]
    found = baseline_of("generate", Split(train=rows, dev=[], test=rows[1:]), timeout_s=60)
    assert found["name"] == "tfidf+nearest"
    assert found["copy"]["exact_match"] == 1.0


@pytest.mark.skipif(not TWEETS.exists(), reason="the shared data is not here")
def test_tweets_come_near_what_is_known_of_them() -> None:
    raw = [json.loads(line) for line in TWEETS.read_text().splitlines()]
    rows = [
        Example(line=i, text=row["text"], label="good" if row["score"] > 0 else "bad")
        for i, row in enumerate(raw)
        if abs(row["score"]) > 0.3
    ]
    split = split_examples(rows, head="classify", seed=0, dev_share=0.1, test_share=0.2)
    found = baseline_of("classify", split, timeout_s=60)
    assert found["test"]["accuracy"] == pytest.approx(0.843, abs=0.02)
    assert found["majority"]["accuracy"] == pytest.approx(0.691, abs=0.02)
