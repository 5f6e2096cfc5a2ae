"""The caller of a request and its role. Plain values; knows no key and no transport."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from adapters_registry.audit.actor import Actor, ActorKind


class Role(IntEnum):
    """What a key may do; each role includes the ones before it."""

    READ = 1
    USE = 2
    ADMIN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """The tenant, key and role of a request. `deadline` is a time of the event loop's clock."""

    tenant: str
    key_id: str
    role: Role
    request_id: str
    deadline: float | None = None

    @property
    def actor(self) -> Actor:
        """As the audit log names it."""
        return Actor(
            kind=ActorKind.CALLER,
            name=self.key_id,
            tenant=self.tenant,
            request_id=self.request_id,
        )
