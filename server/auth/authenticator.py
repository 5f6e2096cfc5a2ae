"""Authenticates calls of both transports: credentials and headers, or a signed link, in; a `Caller`
out.
"""

from __future__ import annotations

import re
import secrets
from typing import Protocol

from server.auth.caller import Caller, Role
from server.auth.key import Key
from server.auth.signed_link import LinkSigner
from server.errors import Forbidden, LinkRefused, Unauthenticated

DEFAULT_TENANT = "default"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)


class Keys(Protocol):
    """The keys of a file or of a database, in memory."""

    def check(self, token: str) -> Key:
        """The key of a token. Raises Unauthenticated."""
        ...

    def find(self, key_id: str) -> Key | None:
        """The key as it is now; None once it was revoked or has expired."""
        ...


class Authenticator:
    """Without keys every caller is the tenant `default`; the settings then allow only a
    loopback address.
    """

    def __init__(self, keys: Keys | None, links: LinkSigner) -> None:
        self._keys = keys
        self._links = links

    @property
    def is_open(self) -> bool:
        return self._keys is None

    def caller(
        self, authorization: str | None, request_id: str, deadline: float | None = None
    ) -> Caller:
        """The caller that the key belongs to. Raises Unauthenticated.

        The tenant comes from the key alone, never from another header.
        """
        if self._keys is None:
            return Caller(
                tenant=DEFAULT_TENANT,
                key_id="",
                role=Role.ADMIN,
                request_id=request_id,
                deadline=deadline,
            )
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated
        key = self._keys.check(token.strip())
        return Caller(
            tenant=key.tenant,
            key_id=key.id,
            role=Role[key.role.upper()],
            request_id=request_id,
            deadline=deadline,
        )

    def make_link(self, caller: Caller, path: str) -> tuple[str, int]:
        """A URL, without scheme and host, that opens this path for a while without a key, and the
        time when it expires.
        """
        link, url = self._links.make(path=path, tenant=caller.tenant, key_id=caller.key_id)
        return url, link.expires_at

    def link_caller(self, path: str, query: str, request_id: str) -> Caller:
        """The caller of a request that was made with a link: its tenant, and nothing but reading.
        Raises LinkRefused, also once the key that made the link was revoked.
        """
        link = self._links.read(path, query)
        if self._tenant_of(link.key_id) != link.tenant:
            raise LinkRefused("The API key that this link was made with is no longer valid.")
        return Caller(tenant=link.tenant, key_id=link.key_id, role=Role.READ, request_id=request_id)

    def _tenant_of(self, key_id: str) -> str | None:
        """None for a key that does not exist any more."""
        if self._keys is None:
            return DEFAULT_TENANT
        key = self._keys.find(key_id)
        return key.tenant if key else None

    def confirm(self, caller: Caller) -> None:
        """Checks the key again during a long call: raises Unauthenticated once the key was revoked
        or its tenant or role changed.
        """
        if self._keys is None:
            return
        key = self._keys.find(caller.key_id)
        if key is None or (key.tenant, key.role) != (caller.tenant, caller.role.name.lower()):
            raise Unauthenticated("The API key was revoked during this call.")


def require(caller: Caller, role: Role) -> None:
    """Raises Forbidden."""
    if caller.role < role:
        raise Forbidden(
            f"The key {caller.key_id} has the role {caller.role.name.lower()}; "
            f"this call needs the role {role.name.lower()}."
        )


def request_id_of(header: str | None) -> str:
    """The caller's own id if it is safe to log, otherwise a new one."""
    return header if header and _REQUEST_ID.fullmatch(header) else secrets.token_hex(8)
