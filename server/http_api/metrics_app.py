"""The metrics port: `/metrics` in the format a scraper asks for, and the health for probes that
have no certificate to show.
"""

from __future__ import annotations

import gzip
from collections.abc import Awaitable, Callable

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder, gzip_accepted
from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from server.health import Health, State

#: more would save little, and a scrape is compressed on the event loop
_GZIP_LEVEL = 1


def build_metrics_app(
    registry: CollectorRegistry, refresh: Callable[[], Awaitable[None]], health: Health
) -> ASGIApp:
    """`refresh` updates the metrics that are counted elsewhere, before each scrape."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if scope["path"] not in ("/metrics", "/health/live", "/health/ready"):
            text = "Only /metrics, /health/live and /health/ready are here.\n"
            answer = Response(text, 404, media_type="text/plain")
        elif scope["method"] not in ("GET", "HEAD"):
            answer = Response("", 405, {"allow": "GET, HEAD"})
        elif scope["path"] == "/health/live":
            answer = JSONResponse({"status": "live"})
        elif scope["path"] == "/health/ready":
            answer = _render_health(health)
        else:
            await refresh()
            answer = _render(registry, Headers(scope=scope))
        await answer(scope, receive, send)

    return app


def _render_health(health: Health) -> Response:
    """As on the HTTP port."""
    facts = {"status": str(health.state), "reason": health.reason, "trainer": health.trainer}
    body = {name: fact for name, fact in facts.items() if fact is not None}
    return JSONResponse(body, 200 if health.state is State.READY else 503)


def _render(registry: CollectorRegistry, request_headers: Headers) -> Response:
    """The metrics in OpenMetrics or in Prometheus's text format, by the scraper's `Accept`."""
    encode, content_type = choose_encoder(request_headers.get("accept", ""))
    content, headers = encode(registry), {"content-type": content_type, "vary": "accept"}
    if gzip_accepted(request_headers.get("accept-encoding", "")):
        content = gzip.compress(content, _GZIP_LEVEL)
        headers["content-encoding"] = "gzip"
    return Response(content, headers=headers)
