"""The events of one job as a stream. Which shape an event has is decided by the route."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any

from starlette.responses import Response

from server.auth.caller import Caller
from server.http_api.event_stream import EventStream
from server.http_api.openai_error import document
from server.service.resources.jobs import JobService
from server.service.views import JobEventView

RenderEvent = Callable[[JobEventView], Mapping[str, Any]]


async def job_stream(
    jobs: JobService, caller: Caller, job_id: str, after: int, render_event: RenderEvent
) -> Response:
    await jobs.get(caller, job_id)  # an unknown job is answered by the status

    async def objects() -> AsyncGenerator[Mapping[str, Any] | None, None]:
        async with aclosing(jobs.follow(caller, job_id, after)) as events:
            async for event in events:
                yield None if event is None else render_event(event)

    # the routes of both APIs stream an error in OpenAI's shape
    return EventStream(objects(), lambda: None, {}, render_error=document)
