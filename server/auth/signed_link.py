"""Short-lived links that open one path without a key, for browsers. They are signed with a secret
that all servers of a shared state know. Knows no route.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlencode

from server.errors import LinkRefused

#: long enough to open a page that loads nothing else
LIFETIME_S = 300
#: the part of the query that makes it one of a link
SIGNATURE = "signature"
#: what is signed begins with it, so that a signature means nothing anywhere else
_PURPOSE = "adapterd signed link 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedLink:
    """What a link permits: to read one path as a tenant, until a time. `key_id` is the key that it
    was made with; empty on a server without keys.
    """

    path: str
    tenant: str
    key_id: str
    expires_at: int


class LinkSigner:
    """Makes and checks links."""

    def __init__(self, secret: Callable[[], bytes], clock: Callable[[], float] = time.time) -> None:
        """`secret` is called for each link, from memory."""
        self._secret = secret
        self._clock = clock

    def make(self, *, path: str, tenant: str, key_id: str) -> tuple[SignedLink, str]:
        """A link, and its URL without scheme and host."""
        expires_at = int(self._clock()) + LIFETIME_S
        link = SignedLink(path=path, tenant=tenant, key_id=key_id, expires_at=expires_at)
        query = {
            "tenant": tenant, "key": key_id, "expires": expires_at, SIGNATURE: self._sign(link),
        }  # fmt: skip
        return link, f"{path}?{urlencode(query)}"

    def read(self, path: str, query: str) -> SignedLink:
        """The link that a request was made with. Raises LinkRefused."""
        link, signature = _parse(path, query)
        if not hmac.compare_digest(self._sign(link).encode(), signature.encode()):
            raise LinkRefused
        if self._clock() >= link.expires_at:
            ended = datetime.fromtimestamp(link.expires_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            raise LinkRefused(
                f"The link expired at {ended}; make a new one with "
                "`adapterd adapters report REF --open`."
            )
        return link

    def _sign(self, link: SignedLink) -> str:
        parts = [_PURPOSE, link.path, link.tenant, link.key_id, link.expires_at]
        return hmac.new(self._secret(), json.dumps(parts).encode(), hashlib.sha256).hexdigest()


def has_signature(query: str) -> bool:
    return SIGNATURE in parse_qs(query)


def _parse(path: str, query: str) -> tuple[SignedLink, str]:
    """Raises LinkRefused unless each part is there once."""
    parts = parse_qs(query, keep_blank_values=True)
    values = [parts.get(name, []) for name in ("tenant", "key", "expires", SIGNATURE)]
    if any(len(value) != 1 for value in values):
        raise LinkRefused
    (tenant,), (key_id,), (expires,), (signature,) = values
    if not (expires.isascii() and expires.isdigit() and len(expires) < 12):
        raise LinkRefused
    link = SignedLink(path=path, tenant=tenant, key_id=key_id, expires_at=int(expires))
    return link, signature
