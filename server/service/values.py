"""The values between transports and the service. Knows no protobuf, JSON or web framework."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from adapters_registry.values import Version
from server.service.sampling_params import SamplingParams


class Priority(IntEnum):
    """Priority bands of the queue; lower runs first."""

    INTERACTIVE = 0
    BATCH = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """An adapter of a composition, as named by the caller."""

    ref: str
    weight: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """How to answer. `truncate` cuts inputs at the base's length rather than refusing them;
    `priority` is the band in which the call waits; `normalize` and `dimensions` shape embeddings;
    `max_tokens` lowers how many tokens may be generated; `compose` is what acts, weighted
    and summed, in place of the ref's own adapter, under the ref's own head.
    """

    raw_scores: bool = False
    normalize: bool | None = None
    dimensions: int | None = None
    truncate: bool = False
    priority: Priority = Priority.INTERACTIVE
    #: cut an input at so many tokens, with `truncate`
    cut_to: int | None = None
    #: what an embedded text is for, where the base has a prompt for it: query, document, …
    purpose: str = ""
    max_tokens: int | None = None
    sampling_params: SamplingParams | None = None
    compose: tuple[Part, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RowError:
    """Why one input failed; other inputs of the call may succeed."""

    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Durations of a call. Queue and compute are those of the slowest row."""

    tokenize_ms: float
    queue_ms: float
    compute_ms: float
    total_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Composed:
    """A version whose adapter is part of a composition."""

    task: str
    version: int
    digest: str
    weight: float

    @classmethod
    def of(cls, version: Version, weight: float) -> Composed:
        return cls(task=version.task, version=version.number, digest=version.digest, weight=weight)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """The answer to one call, by one version or by its head with the adapters of `composed`."""

    task: str
    version: int
    digest: str
    head: str
    outputs: list[dict[str, Any] | RowError]
    timing: Timing
    #: input tokens
    num_tokens: int = 0
    composed: list[Composed] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFailure:
    """Why one task of a call failed; others may succeed. `task` is the ref of the call."""

    task: str
    error: Exception


@dataclass(frozen=True, slots=True, kw_only=True)
class ManyPredictions:
    """One result per task, in order. Timing is that of the slowest task, except the total."""

    results: list[Prediction | TaskFailure]
    timing: Timing


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """The metadata of an uploaded adapter."""

    task: str
    head: str = ""
    labels: tuple[str, ...] = ()
    pooling: str = ""
    #: any other settings of the head, by name
    head_settings: Mapping[str, Any] = field(default_factory=dict)
    promote: bool = False
    note: str = ""
    #: accept it although its files name another base
    other_base: bool = False
    #: names of files in the adapter's directory that were not uploaded
    left_out: tuple[str, ...] = ()
    #: where the adapter is, as `hf:OWNER/NAME@REVISION`, if it does not come with the call
    source: str = ""
