"""Health and info over HTTP."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from server.health import Health, State
from server.http_api.route import GuardedRoute, ServiceOf
from server.http_api.schemas import StateOut
from server.service.views import InfoView

router = APIRouter(route_class=GuardedRoute, tags=["status"])


@router.get("/health/live", response_model_exclude_none=True)
async def live() -> StateOut:
    """200 while the server's event loop turns."""
    return StateOut(status="live")


@router.get("/health/ready", response_model_exclude_none=True, responses={503: {"model": StateOut}})
async def ready(request: Request, response: Response) -> StateOut:
    """200 if calls should be sent here, 503 while starting, draining or without an engine that
    computes. `trainer` says why no job is run here, where none is.
    """
    health: Health = request.app.state.health
    if health.state is not State.READY:
        response.status_code = 503
    return StateOut(status=str(health.state), reason=health.reason, trainer=health.trainer)


@router.get("/v1/info")
async def info(service: ServiceOf) -> InfoView:
    """The base this server holds, and how it computes."""
    return service.info
