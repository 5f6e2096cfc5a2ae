"""Each adjustment and each cut against transformers' own classes, or OpenAI's formula."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from engine.generation.sampling import sample_tokens
from engine.generation.sampling.logits_processors import apply_logits_processors
from engine.generation.sampling.truncation import truncate, truncate_sorted
from engine.port import Sampling
from tests.engine.generation.sampling.sampling_inputs import random_logits, sample_one, sampler

WORDS = 500
CUTS = [
    {"top_k": 1},
    {"top_k": 40},
    {"top_k": 10_000},
    {"top_p": 1e-9},
    {"top_p": 0.4},
    {"top_p": 0.95},
    {"min_p": 0.05},
    {"min_p": 1.0},
    {"top_k": 30, "top_p": 0.8},
    {"top_k": 30, "top_p": 0.8, "min_p": 0.2},
    {"top_p": 0.99, "min_p": 0.001},
]
LOGITS: dict[str, Callable[[int], Tensor]] = {
    "spread": lambda seed: random_logits(1, WORDS, seed)[0],
    "peaked": lambda seed: random_logits(1, WORDS, seed)[0] * 6,
    "tied": lambda seed: random_logits(1, WORDS, seed)[0].round(),
    "all_tied": lambda seed: torch.zeros(WORDS),
    "ruled_out": lambda seed: torch.where(
        torch.arange(WORDS) % 7 == seed % 7, random_logits(1, WORDS, seed)[0], -float("inf")
    ),
    "many": lambda seed: random_logits(1, 4100, seed)[0],
    "one_word": lambda seed: random_logits(1, 1, seed)[0],
}


def stock_kept(logits: Tensor, setting: dict, temperature: float) -> Tensor:
    """What transformers keeps, and what is as likely as the last of it."""
    warpers = LogitsProcessorList([TemperatureLogitsWarper(temperature)])
    if setting.get("top_k"):
        warpers.append(TopKLogitsWarper(setting["top_k"]))
    if setting.get("top_p", 1) < 1:
        warpers.append(TopPLogitsWarper(setting["top_p"]))
    if setting.get("min_p"):
        warpers.append(MinPLogitsWarper(setting["min_p"]))
    left = warpers(torch.zeros(1, 1, dtype=torch.long), logits[None])[0] > -float("inf")
    return logits >= logits[left].min()


def weights(logits: Tensor, temperature: float) -> Tensor:
    return ((logits - logits.max()) / temperature).exp()[None]


def kept(shares: Tensor, *settings: Sampling) -> Tensor:
    """What still has a weight when it was cut, on a processor and as on a device."""
    one_by_one, together = shares.clone(), shares.clone()
    truncate(one_by_one, shares.sum(-1), settings)
    truncate_sorted(together, settings)
    assert torch.equal(one_by_one, together)
    assert torch.equal(one_by_one, torch.where(one_by_one > 0, shares, 0))
    return one_by_one > 0


@pytest.mark.parametrize("setting", CUTS, ids=str)
@pytest.mark.parametrize("kind", LOGITS)
def test_a_cut_keeps_what_transformers_keeps(kind: str, setting: dict) -> None:
    for seed, temperature in enumerate((1.0, 0.5, 1.5)):
        logits = LOGITS[kind](seed)
        shares = weights(logits, temperature)
        wanted = stock_kept(logits, setting, temperature) & (shares[0] > 0)
        assert torch.equal(kept(shares, Sampling(temperature=temperature, **setting))[0], wanted)


def test_rows_of_different_cuts_are_cut_together_as_each_alone() -> None:
    shares = torch.cat([weights(row, 1.0) for row in random_logits(len(CUTS) + 1, WORDS)])
    settings = [Sampling(temperature=1.0, **setting) for setting in [*CUTS, {}]]
    alone = [kept(row[None], setting) for row, setting in zip(shares, settings, strict=True)]
    assert torch.equal(kept(shares, *settings), torch.cat(alone))


@pytest.mark.parametrize("setting", CUTS, ids=str)
def test_drawn_tokens_are_among_those_that_transformers_keeps(setting: dict) -> None:
    logits = random_logits(1, WORDS, 8)
    rows = [sampler(temperature=1.3, seed=5, **setting) for _ in range(200)]
    chosen = sample_tokens(logits.expand(200, -1), rows, range(200))
    assert stock_kept(logits[0], setting, 1.3)[chosen.tokens].all()


@pytest.mark.parametrize("penalty", [0.5, 1.2, 5.0])
def test_repetition_is_penalised_as_in_transformers(penalty: float) -> None:
    logits = random_logits(2, WORDS)
    prompt, written = [3, 3, 9, 400], [9, 7, 7]
    wanted = RepetitionPenaltyLogitsProcessor(penalty)(
        torch.tensor([prompt + written]), logits[1:].clone()
    )
    apply_logits_processors(
        logits, [sampler(), sampler(prompt, written, repetition_penalty=penalty)]
    )
    assert torch.equal(logits[1:], wanted)


def test_presence_and_frequency_count_the_text_and_not_the_prompt() -> None:
    logits = random_logits(1, WORDS)
    wanted = logits.clone()
    wanted[0, 7] -= 0.5 + 3 * 0.25
    wanted[0, 9] -= 0.5 + 1 * 0.25
    row = sampler([7, 300], [7, 9, 7, 7], presence_penalty=0.5, frequency_penalty=0.25)
    apply_logits_processors(logits, [row])
    assert torch.allclose(logits, wanted, atol=1e-6)


def test_penalties_follow_the_bias_in_this_order() -> None:
    row = sampler([1], [1], logit_bias={1: 1.0}, repetition_penalty=2.0, frequency_penalty=0.5)
    logits = torch.tensor([[0.0, 3.0]])
    apply_logits_processors(logits, [row])
    assert logits.tolist() == [[0.0, (3.0 + 1.0) / 2 - 0.5]]


def test_the_prompt_is_penalised_for_repetition_and_not_for_its_presence() -> None:
    logits = torch.full((1, 4), 2.0)
    apply_logits_processors(
        logits, [sampler([1], [2], repetition_penalty=2.0, presence_penalty=0.5)]
    )
    assert logits.tolist() == [[2.0, 1.0, 0.5, 2.0]]


def test_a_long_text_is_counted_as_a_short_one() -> None:
    written = [token % 90 for token in range(1000)]
    logits = torch.zeros(1, 100)
    apply_logits_processors(logits, [sampler([], written, frequency_penalty=1.0)])
    counts = torch.bincount(torch.tensor(written), minlength=100)
    assert torch.equal(-logits[0], counts.float())


def test_each_row_has_its_own_bias() -> None:
    logits = torch.zeros(3, 4)
    rows = [sampler(logit_bias={1: 2.0, 3: -1.0}), sampler(), sampler(logit_bias={0: 5.0})]
    assert sample_tokens(logits, rows, [0] * 3).tokens == [1, 0, 0]
    apply_logits_processors(logits, rows)
    assert logits.tolist() == [[0, 2, 0, -1], [0, 0, 0, 0], [5, 0, 0, 0]]


def test_logprobs_are_of_raw_logits_with_as_many_others_as_asked() -> None:
    logits = random_logits(1, WORDS)[0]
    wanted = logits.log_softmax(-1)
    row = sampler(temperature=0.7, top_k=3, logit_bias={4: 90.0}, logprobs=3)
    noted = sample_one(logits, row).logprobs[0]
    assert noted.logprob == pytest.approx(float(wanted[4]), abs=1e-4)
    assert [token for token, _ in noted.top] == wanted.topk(3).indices.tolist()
    assert [value for _, value in noted.top] == pytest.approx(wanted.topk(3).values.tolist())


@pytest.mark.parametrize("words", [130, 128 * 40, 128 * 40 + 77])
def test_the_likeliest_tokens_are_found_wherever_they_are(words: int) -> None:
    logits = random_logits(6, words)
    logits[3, -2:] = 40.0
    noted = sample_tokens(logits, [sampler(logprobs=20) for _ in range(6)], [0] * 6).logprobs
    wanted = logits.log_softmax(-1).topk(20).values
    for row, note in enumerate(noted):
        assert [value for _, value in note.top] == pytest.approx(wanted[row].tolist(), abs=1e-5)
        named = logits.log_softmax(-1)[row, [token for token, _ in note.top]]
        assert torch.allclose(named, wanted[row], atol=1e-5)
        assert len({token for token, _ in note.top}) == 20


def test_logprobs_come_to_the_rows_that_asked() -> None:
    rows = [sampler(logprobs=n) for n in (-1, 0, 2, -1, 5)]
    noted = sample_tokens(random_logits(5, WORDS), rows, [0] * 5).logprobs
    assert [None if note is None else len(note.top) for note in noted] == [None, 0, 2, None, 5]
