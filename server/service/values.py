"""What crosses between a transport and the service.

Plain values; no protobuf, no JSON, no web framework.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any


class Role(IntEnum):
    """What a key may do; each role includes the ones before it."""

    READ = 1
    USE = 2
    ADMIN = 3


class Priority(IntEnum):
    """Bands of the queue; lower goes first."""

    INTERACTIVE = 0
    BATCH = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks. `deadline` is a moment of the event loop's clock."""

    tenant: str
    key_id: str
    role: Role
    request_id: str
    deadline: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """How to answer. `truncate` cuts inputs at the base's length rather than refusing them;
    `priority` is the band in which the call waits; `normalize` and `dimensions` shape embeddings.
    """

    raw_scores: bool = False
    normalize: bool | None = None
    dimensions: int | None = None
    truncate: bool = False
    priority: Priority = Priority.INTERACTIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class RowError:
    """Why one input has no answer, while its neighbours may."""

    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Where the time went. Queue and compute are the slowest row's."""

    tokenize_ms: float
    queue_ms: float
    compute_ms: float
    total_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """The answer to one call, all of it from the one version named here."""

    task: str
    version: int
    digest: str
    head: str
    outputs: list[dict[str, Any] | RowError]
    timing: Timing


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """What comes with an adapter's files."""

    task: str
    head: str = ""
    labels: tuple[str, ...] = ()
    pooling: str = ""
    #: any other settings of the head, by name
    head_settings: Mapping[str, Any] = field(default_factory=dict)
    promote: bool = False
    note: str = ""
