"""What may be said of a call beyond what it needs; the server knows the defaults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict


class TrainingOptions(TypedDict, total=False):
    """What may be said of a training beyond its task and data; the server knows the defaults."""

    head: str
    text_column: str
    text_pair_column: str
    label_column: str
    split_seed: int
    promote: bool
    kind: str
    pooling: str
    settings: Mapping[str, Any]
    metadata: Mapping[str, str]
    suffix: str


class AdapterOptions(TypedDict, total=False):
    """What may be said of a registered adapter beyond its files."""

    head: str
    labels: Sequence[str]
    pooling: str
    head_settings: Mapping[str, Any]
    promote: bool
    note: str
    other_base: bool


class GenerationOptions(TypedDict, total=False):
    """How a text may be wanted; the server knows the defaults (docs/generation.md)."""

    temperature: float
    top_k: int
    top_p: float
    min_p: float
    repetition_penalty: float
    presence_penalty: float
    frequency_penalty: float
    logit_bias: Mapping[str, float]
    seed: int
    stop: str | Sequence[str]
    stop_token_ids: Sequence[int]
    ignore_eos: bool
    logprobs: int
    response_format: Mapping[str, Any]
    structured_outputs: Mapping[str, Any]
    max_tokens: int
    priority: str
    compose: Sequence[Mapping[str, Any]]


class PredictOptions(GenerationOptions, total=False):
    """How an answer may be wanted; the task's head knows the defaults.

    `compose` lists adapters that act in place of the task's own: [{"ref": …, "weight": …}].
    """

    raw_scores: bool
    truncate: bool
    normalize: bool
    dimensions: int
