"""The states of a job and the legal transitions between them. Knows no SQL and no engine.

     submit           claim              finish
(new) ───▶ queued ───────────▶ running ──┬──▶ succeeded
            ▲ │ ▲                │ │     └──▶ failed
            │ │ └── give back ───┘ │
     resume │ │ pause        pause │
            │ ▼                    │
           paused ◀────────────────┘

cancel: queued, running or paused ──▶ cancelled
a record that cannot be read: queued ──▶ failed
"""

from __future__ import annotations

from enum import StrEnum

#: a job is not tried again after this many lost attempts that saved nothing new
MAX_IDLE_ATTEMPTS = 2


class Status(StrEnum):
    """The state of a job."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        return not TRANSITIONS[self]


class Phase(StrEnum):
    """What a running job is doing."""

    WAITING = "waiting"
    VALIDATING = "validating"
    TOKENIZING = "tokenizing"
    SEARCHING = "searching"
    TRAINING = "training"
    EVALUATING = "evaluating"
    REPORTING = "reporting"
    PUBLISHING = "publishing"
    DONE = "done"


class JobSignal(StrEnum):
    """What the owner of a running job asked for; its worker carries it out."""

    CANCEL = "cancel"
    PAUSE = "pause"


TRANSITIONS: dict[Status, frozenset[Status]] = {
    Status.QUEUED: frozenset({Status.RUNNING, Status.PAUSED, Status.CANCELLED, Status.FAILED}),
    Status.RUNNING: frozenset(
        {Status.SUCCEEDED, Status.FAILED, Status.CANCELLED, Status.QUEUED, Status.PAUSED}
    ),
    Status.PAUSED: frozenset({Status.QUEUED, Status.CANCELLED}),
    Status.SUCCEEDED: frozenset(),
    Status.FAILED: frozenset(),
    Status.CANCELLED: frozenset(),
}


#: the message of the event of each final state
ENDS = {
    Status.SUCCEEDED: "The job succeeded.",
    Status.FAILED: "The job failed.",
    Status.CANCELLED: "The job was cancelled.",
}


def sources(target: Status) -> list[Status]:
    """The states from which a job may move to `target`."""
    return [status for status, targets in TRANSITIONS.items() if target in targets]
