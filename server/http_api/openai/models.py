"""`GET /v1/models`: the base, and every task, version and alias, as models one can name."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from adapters_registry.ref import Ref
from server.errors import BadParameter
from server.http_api.route import CallerOf, OpenAIRoute, ServiceOf
from server.service.resources.models import ModelView

router = APIRouter(route_class=OpenAIRoute, tags=["openai"])


@router.get("/v1/models")
async def models(service: ServiceOf, caller: CallerOf) -> dict[str, Any]:
    """OpenAI's list of models."""
    views = await service.models.list(caller)
    return {"object": "list", "data": [_render(view) for view in views]}


@router.get("/v1/models/{ref:path}")
async def model(ref: str, service: ServiceOf, caller: CallerOf) -> dict[str, Any]:
    """One of them."""
    return _render(await service.models.get(caller, ref))


@router.delete("/v1/models/{ref:path}")
async def delete_model(ref: str, service: ServiceOf, caller: CallerOf) -> dict[str, Any]:
    """Delete a version (`task@7`) that no alias points to, or a task with all its versions."""
    view = await service.models.get(caller, ref)
    if view.parent is None:
        raise BadParameter(f"{ref!r} is the base, which cannot be deleted.", param="model")
    named = Ref.parse(ref)
    if named.alias is not None:
        raise BadParameter(
            f"{ref!r} is an alias, no model of its own: delete its version, or the task.",
            param="model",
        )
    if named.version is None:
        await service.tasks.delete(caller, named.task)
    else:
        await service.adapters.delete(caller, named.task, named.version)
    return {"id": ref, "object": "model", "deleted": True}


def _render(view: ModelView) -> dict[str, Any]:
    """With the fields by which vLLM tells adapters from bases."""
    return {
        "id": view.ref,
        "object": "model",
        "created": int(view.created_at),
        "owned_by": "adapterd",
        "root": view.root,
        "parent": view.parent,
        "max_model_len": view.max_tokens,
    }
