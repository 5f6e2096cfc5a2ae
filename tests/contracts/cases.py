"""Families × kinds × heads, from the engine's own tables; every pair of them in the quick run.

A kind with variants that compute differently stands here once for each.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

import pytest

from engine.families import FAMILIES
from engine.heads import HEADS, PREDICTION_HEADS
from engine.heads.head import POOLINGS

LABELS = {
    "classify": ["red", "green", "blue"],
    "tag": ["O", "B-x", "I-x"],
}

#: a name for each way to compute -> its kind and settings
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "lora": ("lora", {"rank": 4}),
    "dora": ("lora", {"rank": 4, "dora": True}),
    "lora-biases": ("lora", {"rank": 4, "lora_bias": True, "bias": "lora_only"}),
    "bottleneck": ("bottleneck", {"reduction": 4}),
    "pfeiffer": ("bottleneck", {"reduction": 4, "variant": "pfeiffer"}),
    "parallel": ("bottleneck", {"reduction": 4, "variant": "parallel"}),
    "ia3": ("ia3", {}),
    "bias": ("bias", {}),
    "head_only": ("head_only", {}),
}


@dataclass(frozen=True, slots=True)
class Case:
    """One combination. `variant` is a name of `VARIANTS`."""

    family: str
    variant: str
    head: str
    pooling: str

    def __str__(self) -> str:
        return "-".join((self.family, self.variant, self.head, self.pooling))

    @property
    def kind(self) -> str:
        return VARIANTS[self.variant][0]

    @property
    def kind_settings(self) -> dict[str, Any]:
        return dict(VARIANTS[self.variant][1])

    @property
    def head_settings(self) -> dict[str, Any]:
        labels = {"labels": LABELS[self.head]} if self.head in LABELS else {}
        return {"kind": self.head, "pooling": self.pooling, **labels}

    @property
    def values(self) -> tuple[str, ...]:
        return (self.family, self.variant, self.head, self.pooling)


def all_cases() -> list[Case]:
    heads = list(PREDICTION_HEADS)  # those that generate have no logits: test_generate.py
    combinations_ = product(FAMILIES, VARIANTS, heads, POOLINGS)
    return [Case(*c) for c in combinations_ if _exists(*c)]


def _exists(family: str, variant: str, head: str, pooling: str) -> bool:
    """A decoder's first token has seen none of the others, so it answers for no row; an encoder
    with a decoder writes, and nothing else; a head without weights and no adapter make no version.
    """
    architecture = FAMILIES[family].architecture
    blind = architecture == "decoder" and pooling == "cls"
    nothing = variant == "head_only" and HEADS[head].bare
    silent = architecture == "seq2seq"
    return pooling in HEADS[head].poolings and not (blind or nothing or silent)


def pairwise(cases: list[Case]) -> set[Case]:
    """Greedily, cases that together hold every pair of values any case holds."""
    missing = {pair for case in cases for pair in _pairs(case)}
    chosen: set[Case] = set()
    while missing:
        best = max(cases, key=lambda case: len(missing & _pairs(case)))
        chosen.add(best)
        missing -= _pairs(best)
    return chosen


def params() -> list[Any]:
    """Every case, those beyond the pairwise choice marked slow."""
    quick = pairwise(all_cases())
    return [
        pytest.param(case, id=str(case), marks=() if case in quick else pytest.mark.slow)
        for case in all_cases()
    ]


def _pairs(case: Case) -> set[tuple[tuple[int, str], tuple[int, str]]]:
    return set(combinations(enumerate(case.values), 2))
