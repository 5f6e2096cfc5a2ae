"""Where the client finds its server. Owns the client's only environment reads."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass
from urllib.parse import urlsplit

from adapterd.errors import BadSetting

DEFAULT_URL = "http://127.0.0.1:8000"
DEFAULT_GRPC = "127.0.0.1:8001"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSettings:
    """Addresses and key of one server."""

    url: str = DEFAULT_URL
    grpc: str = DEFAULT_GRPC
    api_key: str | None = None

    @classmethod
    def load(
        cls, *, url: str | None = None, grpc: str | None = None, api_key: str | None = None
    ) -> ClientSettings:
        """Argument, else ADAPTERD_URL, ADAPTERD_GRPC and ADAPTERD_API_KEY, else the default."""
        return cls(
            url=_checked_url(url or os.environ.get("ADAPTERD_URL") or DEFAULT_URL),
            grpc=_checked_target(grpc or os.environ.get("ADAPTERD_GRPC") or DEFAULT_GRPC),
            api_key=_checked_key(api_key or os.environ.get("ADAPTERD_API_KEY") or ""),
        )

    @property
    def authorization(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.api_key}"} if self.api_key else {}


def is_loopback(address: str) -> bool:
    """Whether a URL or a gRPC target leads to this machine, where no proxy is of use."""
    try:
        host = urlsplit(f"//{address.rpartition('//')[2].lstrip('/')}").hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def environment_without_settings() -> dict[str, str]:
    """This process's environment for a server that is set up by its flags alone."""
    return {name: value for name, value in os.environ.items() if not _is_ours(name)}


def _is_ours(name: str) -> bool:
    return name.upper().startswith("ADAPTERD_")


def _checked_url(url: str) -> str:
    if urlsplit(url).scheme not in ("http", "https"):
        raise BadSetting(f"ADAPTERD_URL is {url!r}; it must start with http:// or https://")
    return url.rstrip("/")


def _checked_target(target: str) -> str:
    if urlsplit(target).scheme in ("http", "https", "grpc", "grpcs"):
        raise BadSetting(f"ADAPTERD_GRPC is {target!r}; it is host:port, without a scheme")
    return target


def _checked_key(key: str) -> str | None:
    """A key out of a file often ends with its line, which no header may hold."""
    key = key.strip()
    if not (key.isascii() and key.isprintable()):
        raise BadSetting("ADAPTERD_API_KEY holds characters that no key has")
    return key or None
