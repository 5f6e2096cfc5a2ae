"""The gRPC channel's options: message limits, retries, keepalive and API key. Knows no call."""

from __future__ import annotations

import json

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


def metadata(settings: ClientSettings) -> tuple[tuple[str, str], ...]:
    return tuple(settings.authorization.items())
