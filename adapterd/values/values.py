"""What the client gives back: plain frozen values. Knows no wire format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from adapterd.errors import RowFailed, TaskFailed
from adapterd.values.composed import Composed
from adapterd.values.generated import RowError as RowError
from adapterd.values.generated import WrittenText as WrittenText

ENDED = ("succeeded", "failed", "cancelled")


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One input of a span task."""

    question: str
    context: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Classification:
    """The likeliest label and every label's probability, or logits if raw scores were asked for.

    `labels` are those of a multi-label task that reached its threshold.
    """

    label: str
    score: float
    scores: Mapping[str, float]
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """A tagged stretch of the input; `start` and `end` count its characters, end exclusive."""

    label: str
    start: int
    end: int
    text: str
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Tags:
    """The entities of one input, in order."""

    entities: tuple[Entity, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A number, in the units of the training labels."""

    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The characters of the context that answer the question; no text where nothing does."""

    text: str
    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedding:
    """A text as a vector."""

    embedding: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Relevance:
    """How well the second text of a pair answers the first."""

    score: float


Output = Classification | Tags | Value | Span | Embedding | Relevance | WrittenText | RowError


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Where a call's time went, in milliseconds of the server's clock."""

    tokenize_ms: float
    queue_ms: float
    compute_ms: float
    total_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """One output per input, in order, all from the one version that `digest` names, or from its
    head over the adapters that `composed` names.
    """

    task: str
    version: int
    digest: str
    outputs: tuple[Output, ...]
    timing: Timing
    composed: tuple[Composed, ...] = ()

    def raise_for_rows(self) -> Prediction:
        """Itself if every input has an answer. Raises RowFailed for the first that has none."""
        for number, output in enumerate(self.outputs):
            if isinstance(output, RowError):
                raise RowFailed(f"input {number}: {output.message}", problem=output.code)
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskError:
    """Why one task of a call has no answer; `task` is the ref as it was asked."""

    task: str
    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictions:
    """One result per task asked, in order; timing is the slowest task's, but for the total."""

    results: tuple[Prediction | TaskError, ...]
    timing: Timing

    def raise_for_tasks(self) -> tuple[Prediction, ...]:
        """The results if every task answered. Raises TaskFailed for the first that did not."""
        for result in self.results:
            if isinstance(result, TaskError):
                raise TaskFailed(f"{result.task}: {result.message}", problem=result.code)
        return tuple(result for result in self.results if isinstance(result, Prediction))


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A task and where its aliases point."""

    task: str
    head: str
    latest_version: int
    aliases: Mapping[str, int]
    created_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One immutable published adapter of a task."""

    task: str
    version: int
    digest: str
    kind: str
    head: str
    labels: tuple[str, ...]
    num_parameters: int
    num_bytes: int
    created_at: float
    source: str
    aliases: tuple[str, ...]
    lineage: Mapping[str, Any] = field(default_factory=dict)
    #: of a registered version: what was in its directory and is no part of it
    left_out: tuple[str, ...] = ()
    #: of a registered version: what its files leave in doubt
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Alias:
    """A movable name and the version it points at."""

    task: str
    alias: str
    version: int
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AliasEvent:
    """One move of an alias."""

    version: int
    previous_version: int | None
    at: float
    action: str


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """An uploaded file."""

    id: str
    filename: str
    bytes: int
    created_at: float
    purpose: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A training job as it stands; `result` fills as the job learns it."""

    id: str
    task: str
    status: str
    phase: str
    progress: float
    eta_s: float | None
    created_at: float
    finished_at: float | None
    version: int | None
    digest: str | None
    result: Mapping[str, Any]
    error_code: str | None
    error_message: str | None
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def has_ended(self) -> bool:
        return self.status in ENDED
