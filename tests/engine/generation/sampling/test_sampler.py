"""One token per row, whatever shares the batch."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from engine.generation.sampling import sample_tokens
from engine.generation.sampling.draw import draw_tokens, uniform
from engine.port import Sampling
from tests.engine.generation.sampling.sampling_inputs import random_logits, sample_one, sampler

WORDS = 600

ROW_SETTINGS = st.fixed_dictionaries(
    {"seed": st.integers(0, 2**40)},
    optional={
        "temperature": st.sampled_from([0.0, 0.3, 1.0, 1.7]),
        "top_k": st.sampled_from([0, 1, 7, 5000]),
        "top_p": st.sampled_from([0.2, 0.9, 1.0]),
        "min_p": st.sampled_from([0.0, 0.02]),
        "repetition_penalty": st.sampled_from([1.0, 1.3]),
        "frequency_penalty": st.sampled_from([0.0, 0.7]),
        "logit_bias": st.dictionaries(st.integers(0, WORDS - 1), st.floats(-5, 5), max_size=4),
        "logprobs": st.integers(-1, 4),
    },
)


def test_a_batch_of_greedy_rows_gets_each_rows_likeliest_token() -> None:
    logits = random_logits(5, WORDS)
    chosen = sample_tokens(logits, [sampler() for _ in range(5)], [0] * 5)
    assert chosen.tokens == logits.argmax(-1).tolist()
    assert chosen.finite == [True] * 5
    assert chosen.logprobs == [None] * 5
    assert chosen.failures == {}


def test_logits_of_lower_precision_are_read_too() -> None:
    logits = random_logits(3, WORDS).bfloat16()
    chosen = sample_tokens(
        logits, [sampler(), sampler(temperature=1.0, top_k=1), sampler()], [0] * 3
    )
    assert chosen.tokens == logits.float().argmax(-1).tolist()


def test_choosing_leaves_the_logits_as_they_were() -> None:
    logits = random_logits(2, WORDS)
    before = logits.clone()
    rows = [
        sampler(temperature=1.0, top_p=0.5, logit_bias={3: 2.0}),
        sampler([1, 2], [3], repetition_penalty=1.5, logprobs=2),
    ]
    sample_tokens(logits, rows, [0, 1])
    assert torch.equal(logits, before)


@settings(max_examples=60, deadline=None)
@given(st.lists(ROW_SETTINGS, min_size=1, max_size=6), st.integers(0, 1000), st.randoms())
def test_a_row_gets_the_same_token_alone_and_in_any_batch_in_any_order(rows, seed, random) -> None:
    logits = random_logits(len(rows), WORDS, seed)
    history = [[random.randrange(WORDS) for _ in range(random.randrange(9))] for _ in rows]

    def row(i: int):
        return sampler(history[i], history[i][::2], **rows[i])

    alone = [sample_one(logits[i], row(i), len(history[i])) for i in range(len(rows))]
    order = list(range(len(rows)))
    random.shuffle(order)
    together = sample_tokens(
        logits[order], [row(i) for i in order], [len(history[i]) for i in order]
    )
    for place, i in enumerate(order):
        assert together.tokens[place] == alone[i].tokens[0]


@pytest.mark.survival("D5")
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize(
    "settings_of_rows", [{}, {"temperature": 1.0, "top_p": 0.9}, {"logit_bias": {1: 1.0}}]
)
def test_a_row_that_is_not_finite_is_named_and_its_neighbours_are_well(
    bad: float, settings_of_rows: dict
) -> None:
    logits = random_logits(3, WORDS)
    rows = [sampler(seed=i, logprobs=1, **settings_of_rows) for i in range(3)]
    before = sample_tokens(logits, rows, [4] * 3)
    logits[1, 17] = bad
    after = sample_tokens(logits, rows, [4] * 3)
    assert after.finite == [True, False, True]
    assert {row: failure.code for row, failure in after.failures.items()} == {
        1: "non_finite_result"
    }
    for row in (0, 2):
        assert (after.tokens[row], after.logprobs[row]) == (
            before.tokens[row],
            before.logprobs[row],
        )


def test_a_sum_that_overflows_does_not_make_a_row_of_numbers_fail() -> None:
    logits = torch.full((1, 8), 3e38)
    assert sample_tokens(logits, [sampler()], [0]).finite == [True]


def test_a_vocabulary_of_one_word_leaves_nothing_to_choose() -> None:
    row = sampler(temperature=2.0, top_k=3, top_p=0.1, min_p=0.5, logprobs=3)
    chosen = sample_one(torch.tensor([-4.0]), row)
    assert chosen.tokens == [0]
    assert chosen.logprobs[0].top == [(0, 0.0)]


def test_a_bias_beyond_the_vocabulary_fails_its_own_row_only() -> None:
    logits = random_logits(2, 10)
    chosen = sample_tokens(
        logits, [sampler(logit_bias={10: 1.0}), sampler(temperature=1.0)], [0, 0]
    )
    assert list(chosen.failures) == [0]
    assert chosen.failures[0].code == "bad_row"
    assert "token 10" in chosen.failures[0].message
    assert "10 words" in chosen.failures[0].message


@pytest.mark.parametrize(
    ("cut", "kept"),
    [
        ({}, [0, 1, 2, 3, 4, 5]),
        ({"top_k": 3}, [1, 3, 5]),
        ({"top_p": 0.75}, [3, 5, 1]),
        ({"min_p": 0.4}, [3, 5]),
        ({"top_k": 4, "top_p": 0.6}, [3, 5]),
    ],
)
def test_drawn_tokens_come_as_often_as_they_are_likely(cut: dict, kept: list[int]) -> None:
    shares = torch.tensor([0.05, 0.15, 0.08, 0.45, 0.07, 0.2])
    num = 4000
    logits = (shares.log() * 0.5).expand(num, -1)
    rows = [sampler(temperature=0.5, seed=91, **cut) for _ in range(num)]
    counts = Counter(sample_tokens(logits, rows, range(num)).tokens)
    wanted = [float(shares[token]) for token in kept]
    assert set(counts) == set(kept)
    expected = [num * share / sum(wanted) for share in wanted]
    assert chisquare([counts[token] for token in kept], expected).pvalue > 0.01


@settings(max_examples=80, deadline=None)
@given(
    st.integers(1, 1500),
    st.integers(0, 1000),
    st.sampled_from([0.2, 0.7, 1.0, 2.5]),
    st.floats(0, 1, exclude_max=True),
)
def test_a_drawn_token_is_where_its_share_of_the_total_lies(
    words: int, seed: int, temperature: float, share: float
) -> None:
    logits = random_logits(1, words, seed)
    token = int(draw_tokens(logits, [Sampling(temperature=temperature)], [share])[0])
    ends = (logits[0].double() / temperature).softmax(-1).cumsum(-1)
    before = float(ends[token - 1]) if token else 0.0
    assert before - 1e-6 <= share <= float(ends[token]) + 1e-6


@pytest.mark.parametrize("share", [0.0, 0.5, 1 - 2**-52])
def test_no_share_leads_to_a_token_that_was_ruled_out(share: float) -> None:
    logits = torch.full((1, 1000), -float("inf"))
    logits[0, 300] = logits[0, 600] = -5.0
    setting = Sampling(temperature=1.0)
    assert int(draw_tokens(logits, [setting], [share])[0]) == (300 if share < 0.5 else 600)


def test_rounding_at_the_end_of_the_total_leads_to_no_token_that_was_ruled_out() -> None:
    """Blocks are summed in float32 and their words in float64: at the end they disagree."""
    logits = random_logits(40, 600)
    logits[:, 200:] = -float("inf")
    tokens = draw_tokens(logits, [Sampling(temperature=1.0)] * 40, [1 - 2**-52] * 40)
    assert (tokens < 200).all()


def test_draws_of_seeds_and_of_places_are_even_and_unlike() -> None:
    for draws in (
        [uniform(5, p) for p in range(8000)],
        [uniform(s, 3) for s in range(-4000, 4000)],
    ):
        assert len(set(draws)) == 8000
        assert 0 <= min(draws) <= max(draws) < 1
        assert chisquare([*Counter(int(20 * d) for d in draws).values()]).pvalue > 0.01
        pairs = Counter((a > 0.5, b > 0.5) for a, b in pairwise(draws))
        assert chisquare([*pairs.values()]).pvalue > 0.01


@pytest.mark.parametrize("temperature", [1e-30, 1e-50, 5e-324])
def test_a_row_with_a_low_temperature_writes_its_likeliest_token(temperature: float) -> None:
    logits = random_logits(1, 50_257)[0]
    assert sample_one(logits, sampler(temperature=temperature)).tokens == [int(logits.argmax())]


def test_one_seed_writes_otherwise_at_each_place() -> None:
    logits = torch.zeros(WORDS)
    row = sampler(temperature=1.0, seed=3)
    assert len({sample_one(logits, row, p).tokens[0] for p in range(30)}) > 20
