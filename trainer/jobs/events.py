"""Events of a job. Knows no SQL and no engine.

`code` is for programs, dotted and stable, as `job.queued`, `phase.training` or `checkpoint.saved`;
`message` is for people; `data` holds the facts, as JSON.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

LEVELS = ("info", "warn", "error")
#: the codes of the events of an epoch, and of a checkpoint that a job can be continued from
EPOCH, CHECKPOINT = "training.epoch", "checkpoint.saved"
#: emitted once the version is published, with its ref
PUBLISHED = "version.published"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event of a job; `number` counts from 1 within the job and is 0 until it is stored."""

    code: str
    message: str
    created_at: float
    level: str = "info"
    data: dict[str, Any] = field(default_factory=dict)
    number: int = 0

    def __post_init__(self) -> None:
        assert self.level in LEVELS, self.level


class EmitEvent(Protocol):
    """Adds an event to the job."""

    def __call__(self, code: str, message: str, level: str = "info", **data: Any) -> None: ...
