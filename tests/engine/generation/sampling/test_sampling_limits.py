"""What a `Sampling` may ask for, and the sentences that refuse the rest."""

from __future__ import annotations

import pytest

from engine.errors import BadRow
from engine.generation.sampling import RowSampler
from engine.port import Sampling
from engine.port.sampling_limits import check_sampling

NAN = float("nan")
INF = float("inf")


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"temperature": 2.0, "top_p": 1e-6, "min_p": 1.0, "top_k": 10**9},
        {"presence_penalty": -2.0, "frequency_penalty": 2.0, "repetition_penalty": 0.5},
        {"logit_bias": {0: -100.0, 9: 100.0}, "stop_ids": [9], "logprobs": 20, "seed": -1},
    ],
)
def test_values_within_their_bounds_pass(settings: dict) -> None:
    check_sampling(Sampling(**settings), num_words=10)


@pytest.mark.survival("C5")
@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"temperature": -0.1}, "temperature is -0.1, and must be from 0 to 100"),
        ({"temperature": NAN}, "temperature is nan, and must be from 0 to 100"),
        ({"temperature": INF}, "temperature is inf, and must be from 0 to 100"),
        ({"top_k": -1}, "top_k is -1, and must be at least 0"),
        ({"top_p": 0.0}, "top_p is 0.0, and must be above 0 and at most 1"),
        ({"top_p": 1.01}, "top_p is 1.01, and must be above 0 and at most 1"),
        ({"min_p": 1.5}, "min_p is 1.5, and must be from 0 to 1"),
        ({"repetition_penalty": 0.0}, "repetition_penalty is 0.0, and must be from 0.01 to 100"),
        ({"presence_penalty": 2.5}, "presence_penalty is 2.5, and must be from -2 to 2"),
        ({"frequency_penalty": -3.0}, "frequency_penalty is -3.0, and must be from -2 to 2"),
        ({"logprobs": 21}, "logprobs is 21, and must be from -1 to 20"),
        ({"logit_bias": {3: 101.0}}, "logit_bias of token 3 is 101.0, and must be from -100 to"),
        ({"logit_bias": {3: NAN}}, "logit_bias of token 3 is nan, and must be from -100 to 100"),
        ({"logit_bias": {-3: 1.0}}, "logit_bias names token -3, and tokens begin at 0"),
        ({"stop_ids": [-1]}, "stop_token_ids names token -1, and tokens begin at 0"),
        ({"stop_ids": [5] * 1025}, "stop_token_ids names 1025 tokens, and may name 1024 at most"),
        (
            {"logit_bias": dict.fromkeys(range(1025), 1.0)},
            "logit_bias names 1025 tokens, and may name 1024 at most",
        ),
    ],
)
def test_values_beyond_their_bounds_are_refused_with_both_named(
    settings: dict, sentence: str
) -> None:
    with pytest.raises(BadRow) as refused:
        check_sampling(Sampling(**settings))
    assert sentence in str(refused.value)


@pytest.mark.survival("C8")
@pytest.mark.parametrize("settings", [{"logit_bias": {10: 1.0}}, {"stop_ids": [10]}])
def test_a_token_beyond_the_vocabulary_is_refused_where_its_size_is_known(settings: dict) -> None:
    with pytest.raises(BadRow, match="token 10, and the base has 10 words"):
        check_sampling(Sampling(**settings), num_words=10)


def test_a_row_does_not_begin_with_a_value_beyond_its_bounds() -> None:
    with pytest.raises(BadRow, match="top_k is -4"):
        RowSampler(Sampling(top_k=-4), [], (), None)
