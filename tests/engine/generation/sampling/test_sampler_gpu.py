"""The same tokens on a device as on a processor."""

from __future__ import annotations

import pytest
import torch

from engine.generation.sampling import RowSampler, sample_tokens
from engine.grammar import Grammars, grammar_of
from engine.port import Sampling
from tests.engine.generation.sampling.sampling_inputs import random_logits, sampler
from tests.engine.generation.sampling.vocabularies import END, byte_level

WORDS = 32_100

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def rows() -> list[RowSampler]:
    grammars = Grammars(byte_level(), [END])
    held = Sampling(grammar=grammar_of({"regex": "[a-z]+"}), temperature=1.0, seed=4)
    return [
        sampler(),
        sampler(temperature=1.0, seed=1),
        sampler(temperature=0.7, top_p=0.9, seed=2),
        sampler(temperature=0.7, top_k=40, seed=3, logprobs=4),
        sampler(temperature=1.5, top_k=40, top_p=0.8, min_p=0.01, seed=3),
        sampler([1, 2], [3, 4, 4], repetition_penalty=1.3, frequency_penalty=0.5),
        sampler(logit_bias={77: 60.0}, logprobs=0),
        RowSampler(held, [], [END], grammars),
    ]


def test_a_mixed_batch_gets_the_tokens_it_gets_on_a_processor() -> None:
    for position in range(20):
        logits = random_logits(8, WORDS, position)
        here = sample_tokens(logits, rows(), [position] * 8)
        there = sample_tokens(logits.cuda(), rows(), [position] * 8)
        assert there.tokens == here.tokens
        assert there.failures == here.failures == {}
        assert there.logprobs[3].top[0][1] == pytest.approx(here.logprobs[3].top[0][1], abs=1e-4)


def test_a_row_that_is_not_finite_is_named_there_too() -> None:
    logits = random_logits(8, WORDS).cuda()
    logits[2, 5] = float("nan")
    chosen = sample_tokens(logits, rows(), [0] * 8)
    assert list(chosen.failures) == [2]
    assert chosen.finite == [row != 2 for row in range(8)]
