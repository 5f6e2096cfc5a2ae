"""A change as its caller names it, and as a row of the chain. Plain values and the hash that chains
them; knows no table.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from adapters_registry.audit.actor import Actor
from adapters_registry.manifest import canonical_json

#: the hash before the first row of a chain
GENESIS = "0" * 64


class Outcome(StrEnum):
    """Whether a change happened."""

    DONE = "done"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change of state. `tenant` is empty for what belongs to no tenant."""

    tenant: str
    #: what kind of thing, and what was done: `alias.promote`
    action: str
    #: which one: `mail@production`, `mail@3`, an id of a job, file or key
    target: str
    task: str = ""
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    #: why it was done or refused, or the verdict it rests on
    reason: str = ""
    outcome: Outcome = Outcome.DONE


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """A recorded change: who, when, and the hash of the row before it in the tenant's chain."""

    change: Change
    actor: Actor
    at: float
    sequence: int
    previous: str
    #: the text and the hash of a row that was read, whatever they are; none before it is stored
    stored: tuple[str, str] | None = field(default=None, compare=False, repr=False)

    @property
    def text(self) -> str:
        """The row as one line of JSON; its sha256 is the row's hash."""
        return self.stored[0] if self.stored else canonical_json(self.document()).decode()

    @property
    def hash(self) -> str:
        """As it was recorded: whoever edited the text did not make it this one's."""
        return self.stored[1] if self.stored else hash_row(self.text)

    def document(self) -> dict[str, Any]:
        change = self.change
        return {
            "tenant": change.tenant,
            "sequence": self.sequence,
            "at": self.at,
            "actor": self.actor.document(),
            "action": change.action,
            "target": change.target,
            "task": change.task,
            "before": None if change.before is None else dict(change.before),
            "after": None if change.after is None else dict(change.after),
            "reason": change.reason,
            "outcome": str(change.outcome),
            "previous": self.previous,
        }

    @classmethod
    def parse(cls, text: str, recorded_hash: str) -> AuditEvent:
        """Of a row. Raises ValueError, TypeError or KeyError on what `text` did not make."""
        facts = json.loads(text)
        change = Change(
            tenant=facts["tenant"],
            action=facts["action"],
            target=facts["target"],
            task=facts["task"],
            before=facts["before"],
            after=facts["after"],
            reason=facts["reason"],
            outcome=Outcome(facts["outcome"]),
        )
        return cls(
            change=change,
            actor=Actor.parse(facts["actor"]),
            at=facts["at"],
            sequence=facts["sequence"],
            previous=facts["previous"],
            stored=(text, recorded_hash),
        )


def hash_row(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
