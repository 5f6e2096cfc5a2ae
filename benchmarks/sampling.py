"""Time of sampling the next tokens of a batch, by the sampling parameters of its rows.

`make bench` or `python -m benchmarks.sampling`. Logits are synthetic: peaked like a language
model's, with a few hundred likely tokens and a long tail, or flat, where top-p keeps thousands. The
peer is transformers' logits processors with `multinomial`, for a batch of equal rows.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import (
    LogitsProcessorList,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from benchmarks.measure import conditions, interleave, medians, table
from engine.generation.sampling import RowSampler, sample_tokens
from engine.port import Sampling

WARM: dict[str, Any] = {"temperature": 0.8}
MIXED: list[dict[str, Any]] = [
    {},
    WARM | {"top_p": 0.9},
    WARM | {"top_k": 50},
    WARM | {"min_p": 0.05, "repetition_penalty": 1.1},
]
BATCHES: dict[str, list[dict[str, Any]]] = {
    "greedy": [{}],
    "greedy, repetition and frequency penalties": [
        {"repetition_penalty": 1.1, "frequency_penalty": 0.5}
    ],
    "greedy, 5 logprobs": [{"logprobs": 5}],
    "temperature": [WARM],
    "temperature, top-k 50": [WARM | {"top_k": 50}],
    "temperature, top-p 0.9": [WARM | {"top_p": 0.9}],
    "a quarter each: greedy, top-p, top-k, min-p with penalty": MIXED,
}
STOCK = {
    "temperature, top-k 50": [TemperatureLogitsWarper(0.8), TopKLogitsWarper(50)],
    "temperature, top-p 0.9": [TemperatureLogitsWarper(0.8), TopPLogitsWarper(0.9)],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--words", type=int, default=49_152)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(conditions())
    print(f"{args.rows} rows, a vocabulary of {args.words} tokens, 32 generated; median ms\n")
    columns = [
        _measure(like(args.rows, args.words), args.rounds) for like in (make_peaked, make_flat)
    ]
    rows = [[name, *(_ms(column, name) for column in columns)] for name in BATCHES]
    rows += [
        [f"transformers: {name}", *(_ms(c, f"stock {name}") for c in columns)] for name in STOCK
    ]
    print(table(["rows", "peaked logits", "flat logits"], rows))


def make_flat(num_rows: int, num_words: int) -> Tensor:
    return torch.randn(num_rows, num_words, generator=torch.Generator().manual_seed(0)) * 2


def make_peaked(num_rows: int, num_words: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    likely = torch.randint(0, num_words, (num_rows, 200), generator=generator)
    heights = torch.rand(num_rows, 200, generator=generator) * 14
    return make_flat(num_rows, num_words).scatter_add_(1, likely, heights)


def _measure(logits: Tensor, rounds: int) -> dict[str, float]:
    ways = {name: _ours(logits, settings) for name, settings in BATCHES.items()}
    ways |= {f"stock {name}": _stock(logits, name) for name in STOCK}
    return medians(interleave(ways, rounds))


def _ours(logits: Tensor, settings: Sequence[dict[str, Any]]) -> Callable[[], object]:
    num_rows, num_words = logits.shape
    rows = [
        RowSampler(Sampling(seed=row, **settings[row % len(settings)]), range(100), (), None)
        for row in range(num_rows)
    ]
    for row in rows:
        for place in range(32):
            row.accept(place * 977 % num_words)
    return lambda: sample_tokens(logits, rows, [32] * num_rows)


def _stock(logits: Tensor, name: str) -> Callable[[], object]:
    processors, ids = LogitsProcessorList(STOCK[name]), torch.zeros(len(logits), 1).long()
    return lambda: torch.multinomial(processors(ids, logits).softmax(-1), 1).tolist()


def _ms(seconds: dict[str, float], name: str) -> str:
    return f"{seconds[name] * 1e3:.1f}"


if __name__ == "__main__":
    main()
