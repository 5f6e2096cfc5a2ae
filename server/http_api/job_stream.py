"""The events of one job, streamed in whatever shape the route shows them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any

from starlette.responses import Response

from server.auth.caller import Caller
from server.http_api.event_stream import EventStream
from server.service.resources.jobs import JobService
from server.service.views import JobEventView

Show = Callable[[JobEventView], Mapping[str, Any]]


async def job_stream(
    jobs: JobService, caller: Caller, job_id: str, after: int, show: Show
) -> Response:
    await jobs.get(caller, job_id)  # what is not there is told by the status

    async def shown() -> AsyncGenerator[Mapping[str, Any] | None, None]:
        async with aclosing(jobs.follow(caller, job_id, after)) as events:
            async for event in events:
                yield None if event is None else show(event)

    return EventStream(shown(), lambda: None, {})
