"""Answers as stretches of a context: which tokens, which characters, and when none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from engine.errors import BadAdapter
from engine.heads.head import AnswerOptions
from engine.heads.span import SpanHead, best_span
from engine.port import LossOptions
from engine.text.windows import Windows
from tests.engine.texts import letter_tokenizer, word_tokenizer

CONTEXT = "anna lives in new york and works"
HEAD = SpanHead().check({"kind": "span"})
SURE = SpanHead().check({"kind": "span", "no_answer": False})
ENCODING = word_tokenizer().encode("lives in", CONTEXT)  # [CLS] 2 words [SEP] 7 words [SEP]


def logits(**at: tuple[float, float]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Zeros, but for start and end at token `t<number>`."""
    made = np.zeros((len(ENCODING.ids), 2), np.float32)
    for name, pair in at.items():
        made[int(name[1:])] = pair
    return made


def answer(given: Any, head: dict[str, Any] = HEAD, **wanted: Any) -> dict[str, Any]:
    return SpanHead().decode(given, head, ENCODING, CONTEXT, AnswerOptions(**wanted))


def test_an_answer_has_text_characters_and_score() -> None:
    found = answer(logits(t7=(9, 0), t8=(0, 9)))
    assert found.pop("score") > 0.99
    assert found == {"text": "new york", "start": 14, "end": 22}


def test_a_span_never_ends_before_it_starts() -> None:
    found = answer(logits(t8=(9, 0), t7=(0, 9)))
    assert found["start"] < found["end"]


def test_the_question_is_never_the_answer() -> None:
    found = answer(logits(t1=(99, 99), t10=(9, 9)))
    assert found["text"] == "works"


def test_the_first_token_s_logits_say_that_there_is_no_answer() -> None:
    found = answer(logits(t0=(9, 9), t7=(5, 5)))
    assert found.pop("score") > 0.9
    assert found == {"text": "", "start": 0, "end": 0}


def test_a_head_that_knows_no_such_thing_always_answers() -> None:
    assert answer(logits(t0=(9, 9), t7=(5, 5)), SURE)["text"] == "new"


def test_the_threshold_says_how_much_surer_no_answer_must_be() -> None:
    head = SpanHead().check({"kind": "span", "threshold": 8.5})
    assert answer(logits(t0=(9, 9), t7=(5, 5)), head)["text"] == "new"


def test_raw_scores_are_sums_of_logits() -> None:
    assert answer(logits(t7=(9, 0), t8=(0, 8)), raw_scores=True)["score"] == 17.0


def test_the_best_span_is_that_of_trying_them_all() -> None:
    random = np.random.default_rng(3)
    for _ in range(50):
        given = random.normal(size=(len(ENCODING.ids), 2)).astype(np.float32)
        tried = [
            (float(given[a, 0]) + float(given[b, 1]), a, b)
            for a in range(4, 11)
            for b in range(a, min(a + 3, 11))
        ]
        found = best_span(given, ENCODING, 3)
        assert found is not None
        assert found[0] == pytest.approx(max(tried)[0])
        assert found[1:] == max(tried)[1:]


@pytest.mark.parametrize("make", [word_tokenizer, letter_tokenizer])
def test_what_a_target_says_decoding_gives_back(make: Any) -> None:
    encoding = make().encode("lives in", CONTEXT)
    ((start, end),) = SpanHead().targets([("new york", 14)], [encoding], HEAD)
    given = np.zeros((len(encoding.ids), 2), np.float32)
    given[start, 0] = given[end, 1] = 9
    found = SpanHead().decode(given, HEAD, encoding, CONTEXT, AnswerOptions())
    assert (found["text"], found["start"], found["end"]) == ("new york", 14, 22)


def test_no_answer_is_trained_at_the_first_token() -> None:
    assert SpanHead().targets([], [ENCODING], HEAD) == [[0, 0]]


def test_windows_without_the_answer_are_trained_to_have_none() -> None:
    context = " ".join(["and"] * 30 + ["new", "york"] + ["and"] * 30)
    encoding = word_tokenizer(24).encode("lives in", context, windows=Windows())
    answers = [("new york", context.index("new"))]
    targets = SpanHead().targets(answers, [encoding], HEAD)
    with_answer = [i for i, target in enumerate(targets) if target != [0, 0]]
    assert len(targets) == len(encoding.windows) > len(with_answer) > 0
    for i in with_answer:
        start, end = (encoding.windows[i][place] for place in targets[i])
        assert encoding.offsets[start][0] == answers[0][1]
        assert encoding.offsets[end][1] == answers[0][1] + len("new york")
    sure = SpanHead().targets(answers, [encoding], SURE)
    assert {tuple(t) for i, t in enumerate(sure) if i not in with_answer} == {(-100, -100)}


def test_no_answer_must_be_said_by_every_window() -> None:
    context = " ".join(["and"] * 60)
    encoding = word_tokenizer(24).encode("lives in", context, windows=Windows())
    parts = [np.zeros((len(ids), 2), np.float32) for ids, _ in encoding.rows]
    for number, made in enumerate(parts):
        made[0] = 5 + number
    merged = SpanHead().merge_logits(parts, [encoding])
    assert merged.shape == (len(encoding.ids), 2)
    assert merged[0].tolist() == [5, 5]


def test_the_loss_is_the_mean_cross_entropy_of_starts_and_ends() -> None:
    torch.manual_seed(0)
    given, targets = torch.randn(9, 2), [[1, 2], [0, 0]]
    rows = torch.split(given, [5, 4])
    each = [
        torch.nn.functional.cross_entropy(row[:, side][None], torch.tensor([target[side]]))
        for row, target in zip(rows, targets, strict=True)
        for side in (0, 1)
    ]
    found = SpanHead().loss(given, targets, [5, 4], HEAD, LossOptions())
    assert found.item() == pytest.approx(torch.stack(each).mean().item())


@pytest.mark.parametrize(
    "head",
    [
        {"max_answer_tokens": 0},
        {"max_answer_tokens": 4097},
        {"no_answer": "yes"},
        {"window": 4},
        {"input": "pair"},
    ],
)
def test_bad_settings_are_refused(head: dict[str, Any]) -> None:
    with pytest.raises(BadAdapter, match=next(iter(head))):
        SpanHead().check({"kind": "span", **head})
