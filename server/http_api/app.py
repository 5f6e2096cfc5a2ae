"""The HTTP application: routers by resource behind the gate, and the metrics application on its own
port.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from server.config import Settings
from server.doorkeeper import Doorkeeper
from server.health import Health
from server.http_api import (
    aliases,
    checks,
    files,
    jobs,
    predict,
    predict_many,
    status,
    tasks,
    versions,
)
from server.http_api.gate import Gate
from server.http_api.openai import chat, completions, embeddings, fine_tuning, models
from server.http_api.problem import http_fault
from server.http_api.refusal import refusal
from server.http_api.route import check_routes
from server.limits import body_limits
from server.metrics import Metrics
from server.service.service import Service

_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def build_routes(service: Service | None, health: Health, version: str) -> FastAPI:
    """All routes, not yet behind the gate. Without a service it can only be looked at."""
    app = FastAPI(
        title="adapterd", version=version, redoc_url=None, swagger_ui_oauth2_redirect_url=None
    )
    app.state.service = service
    app.state.health = health
    openai = (completions, chat, embeddings, models, fine_tuning)
    for part in (
        predict,
        predict_many,
        tasks,
        versions,
        aliases,
        jobs,
        files,
        checks,
        status,
        *openai,
    ):
        # the routes themselves, not a router within a router: what is live can then be listed
        app.router.routes.extend(part.router.routes)
    check_routes(app)

    async def refuse(request: Request, error: Exception) -> Response:
        return refusal(http_fault(error), request.url.path, request.state.request_id)

    app.add_exception_handler(HTTPException, refuse)
    return app


def build_app(
    *,
    service: Service,
    doorkeeper: Doorkeeper,
    health: Health,
    metrics: Metrics,
    settings: Settings,
) -> ASGIApp:
    return Gate(
        build_routes(service, health, service.info.version),
        doorkeeper=doorkeeper,
        health=health,
        metrics=metrics,
        limits=body_limits(settings),
        allowed_hosts=frozenset(settings.allowed_hosts),
    )


def build_metrics_app(render: Callable[[], Awaitable[bytes]]) -> ASGIApp:
    """`/metrics` and nothing else."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if scope["path"] == "/metrics" and scope["method"] in ("GET", "HEAD"):
            answer = Response(await render(), media_type=_METRICS_TYPE)
        else:
            answer = Response("Only /metrics is here.\n", 404, media_type="text/plain")
        await answer(scope, receive, send)

    return app
