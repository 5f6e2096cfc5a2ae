"""The tables of heads: those that predict from logits, and those that generate text.

A new head is one file here and one line in `PREDICTION_HEADS` or `GENERATION_HEADS`; siblings do
not know each other. Torch-free, except inside the methods that train.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.errors import BadAdapter
from engine.heads.classify import ClassifyHead
from engine.heads.embed import EmbedHead
from engine.heads.generate import GenerationHead
from engine.heads.head import Head, PredictionHead
from engine.heads.regress import RegressHead
from engine.heads.rerank import RerankHead
from engine.heads.span import SpanHead
from engine.heads.tag import TagHead

PREDICTION_HEADS: dict[str, PredictionHead] = {
    head.name: head
    for head in (
        ClassifyHead(),
        TagHead(),
        RegressHead(),
        SpanHead(),
        EmbedHead(),
        RerankHead(),
    )
}

GENERATION_HEADS: dict[str, GenerationHead] = {head.name: head for head in (GenerationHead(),)}

HEADS: dict[str, Head] = {**PREDICTION_HEADS, **GENERATION_HEADS}


def find_head(head: Mapping[str, Any]) -> Head:
    """The head that settings name; raises BadAdapter with the list of known heads."""
    name = head.get("kind")
    if not isinstance(name, str) or name not in HEADS:
        raise BadAdapter(f"the head is {name!r}; this engine knows {', '.join(HEADS)}")
    return HEADS[name]


def is_generation(name: object) -> bool:
    """Whether a head's name is that of one that generates text."""
    return isinstance(name, str) and name in GENERATION_HEADS


__all__ = [
    "GENERATION_HEADS",
    "HEADS",
    "PREDICTION_HEADS",
    "GenerationHead",
    "Head",
    "PredictionHead",
    "find_head",
    "is_generation",
]
