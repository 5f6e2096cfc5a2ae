"""The optional arguments of calls, as typed dictionaries. The server owns their defaults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict


class TrainingOptions(TypedDict, total=False):
    """Options of a training job besides its task and data."""

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
    """Options of a registration besides the adapter's files."""

    head: str
    labels: Sequence[str]
    pooling: str
    head_settings: Mapping[str, Any]
    promote: bool
    note: str
    other_base: bool
    #: hf:OWNER/NAME@REVISION, for an adapter that the server imports from its hub
    source: str


class GenerationOptions(TypedDict, total=False):
    """Sampling and stopping parameters of generation (docs/generation.md)."""

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
    """Options of a predict call; which apply depends on the task's head.

    `compose` lists adapters that replace the task's own: [{"ref": …, "weight": …}].
    """

    raw_scores: bool
    truncate: bool
    normalize: bool
    dimensions: int
