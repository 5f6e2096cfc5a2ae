"""Checking an uploaded file over HTTP."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from server.http_api.predict import while_connected
from server.http_api.route import CallerOf, FileRoute, ServiceOf
from server.http_api.schemas import Body, Whole
from server.service.resources.checks import CheckView

router = APIRouter(route_class=FileRoute, tags=["files"])


class CheckBody(Body):
    """How a job would read the file. What is left out gets the trainer's own default."""

    head: str | None = None
    dev_file_id: str | None = None
    test_file_id: str | None = None
    text_column: str | None = None
    text_pair_column: str | None = None
    label_column: str | None = None
    split_seed: Whole | None = None
    kind: str | None = None
    pooling: str | None = None
    settings: dict[str, Any] | None = None


@router.post("/v1/files/{file_id}/check")
async def check_file(
    request: Request, file_id: str, body: CheckBody, caller: CallerOf, service: ServiceOf
) -> CheckView:
    """What the data checks find in the file: findings with their severity; nothing is queued.

    A file that a job would be refused for is answered all the same, with `ok` false.
    """
    fields = body.model_dump(exclude_none=True)
    checking = service.checks.create(caller, {**fields, "file_id": file_id})
    return await while_connected(request, checking)
