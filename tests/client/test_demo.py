"""The demonstration's own judgement: what it calls dropped or mixed, and where its rows lie."""

from __future__ import annotations

import io
import json
import shlex
from collections import Counter

import pytest
from rich.console import Console

from adapterd.demo.ending import print_next_steps, print_what_to_try
from adapterd.demo.labelled import REVIEW_SCORE, SENTIMENT, demo_texts, labelled_file
from adapterd.demo.metrics_page import MetricsPage
from adapterd.demo.spawned import Addresses
from adapterd.demo.swap import Answer, CallerLoop, SwapResult
from adapterd.errors import BadSetting
from adapterd.values import Classification, Prediction, Timing
from tests.documents.test_pages import problem_of

ALONE = {("mood", 1, "text"): 0.9, ("mood", 2, "text"): 0.2}


def _answer(version: int, score: float, *, sent_at: float = 0.0) -> Answer:
    output = Classification(label="bad", score=score, scores={"bad": score, "good": 1 - score})
    timing = Timing(tokenize_ms=0, queue_ms=0, compute_ms=0, total_ms=0)
    prediction = Prediction(
        task="mood", version=version, digest=f"d{version}", outputs=(output,), timing=timing
    )
    return Answer(task="mood", text="text", sent_at=sent_at, prediction=prediction)


def _judge(*answers: Answer) -> SwapResult:
    loop = CallerLoop(None, ["mood"], ["text"], lambda: 0.0)  # type: ignore[arg-type]
    loop._answers.extend(answers)
    return loop.evaluate("mood", ALONE, swapped_at=10.0)


def test_answers_that_are_their_version_s_own_are_clean() -> None:
    result = _judge(_answer(1, 0.9), _answer(1, 0.91, sent_at=9.9), _answer(2, 0.2, sent_at=11.0))
    assert result.is_clean
    assert result.by_version == {(1, "d1"): 2, (2, "d2"): 1}


def test_an_answer_with_another_version_s_numbers_is_mixed() -> None:
    assert _judge(_answer(1, 0.2)).mixed == 1


def test_an_old_answer_to_a_call_made_after_the_swap_is_mixed() -> None:
    assert _judge(_answer(1, 0.9, sent_at=10.5)).mixed == 1


def test_a_call_without_an_answer_is_dropped() -> None:
    lost = Answer(task="mood", text="text", sent_at=0.0, prediction=None)
    assert _judge(lost, _answer(1, 0.9)).dropped == 1


def test_silence_is_not_clean() -> None:
    assert not _judge().is_clean


def test_forwards_of_one_adapter_are_told_from_mixed_ones() -> None:
    text = (
        "# TYPE adapterd_batch_adapters histogram\n"
        'adapterd_batch_adapters_bucket{le="1.0"} 3.0\n'
        'adapterd_batch_adapters_bucket{le="2.0"} 5.0\n'
        'adapterd_batch_adapters_bucket{le="+Inf"} 5.0\n'
        "adapterd_batch_adapters_count 5.0\n"
        "adapterd_batch_adapters_sum 7.0\n"
    )
    assert MetricsPage(text=text).count_forwards() == (5, 2)
    assert MetricsPage(text=text).lines() == [
        "adapterd_batch_adapters_count 5.0",
        "adapterd_batch_adapters_sum 7.0",
    ]


def test_the_labelled_sets_are_whole() -> None:
    rows = [json.loads(line) for line in labelled_file(SENTIMENT).read_text().splitlines()]
    labels = Counter(row["label"] for row in rows)
    assert len(rows) == 1200
    assert set(labels) == {"positive", "negative"}
    scores = [json.loads(line) for line in labelled_file(REVIEW_SCORE).read_text().splitlines()]
    assert len(scores) == 900
    assert all(-4 <= row["score"] <= 4 for row in scores)
    assert len(demo_texts()) == 1800


def test_a_set_that_is_missing_says_where_it_was_looked_for() -> None:
    with pytest.raises(BadSetting, match="examples"):
        labelled_file("nothing.jsonl")


def test_the_commands_that_the_demo_proposes_exist() -> None:
    console = Console(file=io.StringIO(), width=200)
    at = Addresses(http="http://127.0.0.1:1", grpc="127.0.0.1:2", metrics="http://127.0.0.1:3")
    print_what_to_try(console, at)
    print_next_steps(console)
    lines = [shlex.split(line, comments=True) for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]
    commands = [words[1:] for words in lines if words and words[0].endswith("adapterd")]
    assert len(commands) == 7
    assert [problem_of(command) for command in commands] == [None] * len(commands)
