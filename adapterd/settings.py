"""The client's settings. The only module of the client that reads the environment."""

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
    """The addresses of one server, and the API key for it."""

    url: str = DEFAULT_URL
    grpc: str = DEFAULT_GRPC
    api_key: str | None = None

    @classmethod
    def load(
        cls, *, url: str | None = None, grpc: str | None = None, api_key: str | None = None
    ) -> ClientSettings:
        """Argument, else ADAPTERD_URL, ADAPTERD_GRPC and ADAPTERD_API_KEY, else the default."""
        return cls(
            url=_check_url(url or os.environ.get("ADAPTERD_URL") or DEFAULT_URL),
            grpc=_check_target(grpc or os.environ.get("ADAPTERD_GRPC") or DEFAULT_GRPC),
            api_key=_check_key(api_key or os.environ.get("ADAPTERD_API_KEY") or ""),
        )

    @property
    def authorization(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.api_key}"} if self.api_key else {}


def is_loopback(address: str) -> bool:
    """Whether a URL or gRPC target is this machine, which is never reached through a proxy."""
    try:
        host = urlsplit(f"//{address.rpartition('//')[2].lstrip('/')}").hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def environment_without_settings() -> dict[str, str]:
    """This process's environment without adapterd's variables, for a server set up by flags."""
    return {name: value for name, value in os.environ.items() if not _is_ours(name)}


def _is_ours(name: str) -> bool:
    return name.upper().startswith("ADAPTERD_")


def _check_url(url: str) -> str:
    if urlsplit(url).scheme not in ("http", "https"):
        raise BadSetting(f"ADAPTERD_URL is {url!r}; it must start with http:// or https://")
    return url.rstrip("/")


def _check_target(target: str) -> str:
    if urlsplit(target).scheme in ("http", "https", "grpc", "grpcs"):
        raise BadSetting(f"ADAPTERD_GRPC is {target!r}; it must be host:port, without a scheme")
    return target


def _check_key(key: str) -> str | None:
    """The key without the newline that it often has when read from a file."""
    key = key.strip()
    if not (key.isascii() and key.isprintable()):
        raise BadSetting("ADAPTERD_API_KEY contains characters that no API key has")
    return key or None
