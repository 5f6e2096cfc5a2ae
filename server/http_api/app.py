"""The HTTP application: the routers of all resources behind the middleware that checks access."""

from __future__ import annotations

from functools import partial

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp

from server.auth.authenticator import Authenticator
from server.config import Settings
from server.health import Health
from server.http_api import (
    aliases,
    audit_trail,
    checks,
    docs_page,
    files,
    jobs,
    predict,
    predict_many,
    status,
    tasks,
    tenant,
    versions,
)
from server.http_api.error_shape import OPENAI
from server.http_api.middleware import AccessMiddleware
from server.http_api.openai import chat, completions, embeddings, fine_tuning, models
from server.http_api.openai_error import no_such_route
from server.http_api.openapi.document import describe
from server.http_api.problem import http_fault
from server.http_api.route import allowed_methods, check_routes, error_shape_of
from server.limits import body_limits
from server.metrics.metrics import Metrics
from server.service.service import Service


def build_routes(service: Service | None, health: Health, version: str) -> FastAPI:
    """All routes, without the middleware. Without a service they can be listed, not called."""
    app = FastAPI(title="adapterd", version=version, docs_url=None, redoc_url=None)
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
        audit_trail,
        tenant,
        status,
        docs_page,
        *openai,
    ):
        # the routes themselves, not a router within a router: what is live can then be listed
        app.router.routes.extend(part.router.routes)
    check_routes(app)
    app.openapi = partial(describe, app)  # type: ignore[method-assign]

    async def refuse(request: Request, error: Exception) -> Response:
        fault, shape = http_fault(error), error_shape_of(app, request.scope)
        if fault.code == "no_such_route" and shape is OPENAI:
            fault = no_such_route(request.url.path)
        response = shape.render(fault, request.state.request_id)
        if response.status_code == 405:
            response.headers["allow"] = allowed_methods(app, request.scope)
        return response

    app.add_exception_handler(HTTPException, refuse)
    return app


def build_app(
    *,
    service: Service,
    authenticator: Authenticator,
    health: Health,
    metrics: Metrics,
    settings: Settings,
) -> ASGIApp:
    app = build_routes(service, health, service.info.version)
    app.state.authenticator = authenticator
    return AccessMiddleware(
        app,
        error_shape_of=partial(error_shape_of, app),
        authenticator=authenticator,
        health=health,
        metrics=metrics,
        limits=body_limits(settings),
        allowed_hosts=frozenset(settings.allowed_hosts),
    )
