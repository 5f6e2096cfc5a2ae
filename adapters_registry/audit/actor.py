"""Who acts, and how it reaches the place that records a change: by the context of the call, across
threads too. Knows no key, no transport and no table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class ActorKind(StrEnum):
    """By what right somebody acts."""

    #: a caller of the API, by its key
    CALLER = "caller"
    #: a person at a machine of the platform, by a command
    OPERATOR = "operator"
    #: a worker, on a job of somebody else
    WORKER = "worker"
    #: the platform by itself
    SYSTEM = "system"


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """`name` is the id of a key, of a worker, or the name of a user of the machine."""

    kind: ActorKind
    name: str = ""
    tenant: str = ""
    request_id: str = ""
    #: whose job a worker does
    on_behalf_of: Actor | None = None

    def document(self) -> dict[str, Any]:
        """As JSON, without what is empty."""
        facts = {"kind": str(self.kind), "name": self.name, "tenant": self.tenant}
        facts["request_id"] = self.request_id
        plain: dict[str, Any] = {name: value for name, value in facts.items() if value}
        if self.on_behalf_of is not None:
            plain["on_behalf_of"] = self.on_behalf_of.document()
        return plain

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> Actor:
        """What `document` made. Raises ValueError and TypeError on anything else."""
        facts = dict(document)
        owner = facts.pop("on_behalf_of", None)
        kind = ActorKind(facts.pop("kind", ""))
        return cls(kind=kind, on_behalf_of=None if owner is None else cls.parse(owner), **facts)


SYSTEM = Actor(kind=ActorKind.SYSTEM)
_ACTOR: ContextVar[Actor] = ContextVar("actor", default=SYSTEM)


def current_actor() -> Actor:
    """The platform itself, where nobody said who acts."""
    return _ACTOR.get()


@contextmanager
def acting(actor: Actor) -> Iterator[None]:
    """Within it, changes are recorded as this actor's."""
    token = _ACTOR.set(actor)
    try:
        yield
    finally:
        _ACTOR.reset(token)


def act_from_now(actor: Actor) -> None:
    """For the rest of this context: of a call whose task is its own."""
    _ACTOR.set(actor)
