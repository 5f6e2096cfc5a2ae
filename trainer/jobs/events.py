"""What is told of a job while it goes on. Knows no SQL and no engine.

`code` is for programs, dotted and stable, as `job.queued`, `phase.training` or `checkpoint.saved`;
`message` is for people; `data` holds the facts, as JSON.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

LEVELS = ("info", "warn", "error")
#: what `Lease.emit` is given for each epoch, and for each state from which a job can go on
EPOCH, CHECKPOINT = "training.epoch", "checkpoint.saved"
#: told once the version is there, with its ref
PUBLISHED = "version.published"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that was told of a job; `number` counts from 1 within it, 0 until it is stored."""

    code: str
    message: str
    created_at: float
    level: str = "info"
    data: dict[str, Any] = field(default_factory=dict)
    number: int = 0

    def __post_init__(self) -> None:
        assert self.level in LEVELS, self.level


class EmitEvent(Protocol):
    """How an event is told of the job."""

    def __call__(self, code: str, message: str, level: str = "info", **data: Any) -> None: ...
