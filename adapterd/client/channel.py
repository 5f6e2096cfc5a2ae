"""The gRPC channel: its address, message limits, retries, keepalive and API key. Knows no call."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from adapterd.errors import ServerFailed
from adapterd.settings import ClientSettings, is_loopback

PREDICT_TIMEOUT_S = 60.0
MAX_MESSAGE_BYTES = 64 * 2**20

#: Only predictions are retried, because they are idempotent: an engine restart or a rolling
#: replacement of the server delays its callers and fails none of them.
_SERVICE_CONFIG = {
    "methodConfig": [
        {
            "name": [{"service": "adapterd.v1.Predictor"}],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.1s",
                "maxBackoff": "2s",
                "backoffMultiplier": 3,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}
CHANNEL_OPTIONS: tuple[tuple[str, str | int], ...] = (
    ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
    ("grpc.enable_retries", 1),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", 60_000),
)


def channel_options(target: str) -> tuple[tuple[str, str | int], ...]:
    return (*CHANNEL_OPTIONS, ("grpc.enable_http_proxy", 0 if is_loopback(target) else 1))


def warn_of_clear_key(settings: ClientSettings) -> None:
    """Warns at the line that made the client."""
    if settings.sends_key_in_clear:
        warnings.warn(
            f"The API key is sent to {settings.url or settings.grpc} without encryption; use an "
            "https:// address (docs/operations.md, TLS).",
            stacklevel=4,
        )


def metadata(settings: ClientSettings) -> tuple[tuple[str, str], ...]:
    return tuple(settings.authorization.items())


def read_target(url: str, info: Mapping[str, Any]) -> str:
    """The gRPC address that a server names in `/v1/info`. Raises ServerFailed."""
    grpc = info.get("grpc")
    if not isinstance(grpc, dict) or not isinstance(grpc.get("port"), int):
        raise ServerFailed(
            f"The server at {url} does not name its gRPC address, as releases before this one do "
            "not; pass it as grpc_target, or set ADAPTERD_GRPC beside ADAPTERD_URL."
        )
    if grpc.get("address"):
        return str(grpc["address"])
    host = urlsplit(url).hostname or ""
    return f"[{host}]:{grpc['port']}" if ":" in host else f"{host}:{grpc['port']}"
