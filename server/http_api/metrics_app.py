"""The metrics port: `/metrics` in the format a scraper asks for, and nothing else."""

from __future__ import annotations

import gzip
from collections.abc import Awaitable, Callable

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder, gzip_accepted
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

#: more would save little, and a scrape is compressed on the event loop
_GZIP_LEVEL = 1


def build_metrics_app(
    registry: CollectorRegistry, refresh: Callable[[], Awaitable[None]]
) -> ASGIApp:
    """`refresh` updates the metrics that are counted elsewhere, before each scrape."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if scope["path"] != "/metrics":
            answer = Response("Only /metrics is here.\n", 404, media_type="text/plain")
        elif scope["method"] not in ("GET", "HEAD"):
            answer = Response("", 405, {"allow": "GET, HEAD"})
        else:
            await refresh()
            answer = _render(registry, Headers(scope=scope))
        await answer(scope, receive, send)

    return app


def _render(registry: CollectorRegistry, request_headers: Headers) -> Response:
    """The metrics in OpenMetrics or in Prometheus's text format, by the scraper's `Accept`."""
    encode, content_type = choose_encoder(request_headers.get("accept", ""))
    content, headers = encode(registry), {"content-type": content_type, "vary": "accept"}
    if gzip_accepted(request_headers.get("accept-encoding", "")):
        content = gzip.compress(content, _GZIP_LEVEL)
        headers["content-encoding"] = "gzip"
    return Response(content, headers=headers)
