"""An API key as it is kept, and its token, which is shown once and never stored. Knows neither file
nor table.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from adapters_registry.errors import BadName
from adapters_registry.ref import check_name
from server.auth.caller import Role
from server.errors import BadKey, Unauthenticated

PREFIX = "adk"
_NO_HASH = "0" * 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key: whose it is, and the hash of its secret."""

    id: str
    tenant: str
    role: str
    hash: str
    created_at: float
    #: by the wall clock; None: until it is revoked
    expires_at: float | None = None


def make_key(tenant: str, role: str, now: float, expires_at: float | None) -> tuple[Key, str]:
    """A new key and its token. Raises BadKey."""
    secret = secrets.token_hex(32)
    key = Key(
        id=secrets.token_hex(6),
        tenant=check_tenant(tenant),
        role=check_role(role),
        hash=_hash(secret),
        created_at=now,
        expires_at=expires_at,
    )
    return key, f"{PREFIX}_{key.id}_{secret}"


def match_key(keys: Mapping[str, Key], token: str, now: float) -> Key:
    """The key of a token. Raises Unauthenticated."""
    prefix, _, rest = token.partition("_")
    key_id, _, secret = rest.partition("_")
    key = keys.get(key_id)
    # compared even if there is no such key, so that timing does not reveal which ids exist
    matches = hmac.compare_digest(_hash(secret), key.hash if key else _NO_HASH)
    if key is None or not matches or prefix != PREFIX or not is_valid(key, now):
        raise Unauthenticated
    return key


def is_valid(key: Key, now: float) -> bool:
    return key.expires_at is None or now < key.expires_at


def check_tenant(tenant: str) -> str:
    try:
        return check_name(tenant, "tenant")
    except BadName as error:
        raise BadKey(str(error)) from error


def check_role(role: str) -> str:
    if role.upper() not in Role.__members__:
        raise BadKey(
            f"the role is {role!r}; it must be one of {', '.join(r.name.lower() for r in Role)}"
        )
    return role


def _hash(secret: str) -> str:
    # the secret is 32 random bytes, so one round of SHA-256 is as good as a slow hash, and cheap on
    # every call
    return hashlib.sha256(secret.encode()).hexdigest()
