"""Training jobs: submitting, listing, controlling and watching them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import fields
from typing import Any

from server.audit import note
from server.auth.caller import Caller
from server.errors import BadCall, BadParameter, Draining
from server.health import Health, State
from server.pools.pools import OPERATOR, Pools
from server.service.inputs.text import check_text
from server.service.page import Page, check_limit, page_of
from server.service.resources.job_feed import JobFeed
from server.service.views import JobEventView, JobView, job_event_view, job_view
from trainer.jobs.values import Job, JobSpec
from trainer.pipeline.estimate import Estimate
from trainer.settings.settings import TrainingSettings
from trainer.trainer import Trainer

#: the fields of a job that a caller may set; never the tenant
JOB_FIELDS = frozenset(field.name for field in fields(JobSpec)) - {
    "tenant",
    "chosen",
}
#: proxies and clients close streams without messages
_QUIET_S = 3.0
MAX_NOTES, MAX_NOTE_NAME, MAX_NOTE = 16, 64, 512


#: a job, and a page of its events after a number
Reading = tuple[JobView, Page[JobEventView]]


class JobService:
    """Calls the trainer in threads, because its methods block."""

    def __init__(
        self, trainer: Trainer, health: Health, pools: Pools, feed: JobFeed[Reading]
    ) -> None:
        self._trainer = trainer
        self._pools = pools
        self._health = health
        self._feed = feed
        health.on_change.append(self._on_health)

    async def create(self, caller: Caller, spec_fields: Mapping[str, Any]) -> JobView:
        """`spec_fields` are fields of `JobSpec` by name.

        The dataset is read and checked before the job is queued.
        """
        spec = job_spec(caller.tenant, spec_fields)
        job = job_view(
            await self._pools.checks.run_cancellable(
                caller.tenant, lambda gone: self._trainer.submit(spec, gone)
            )
        )
        note("job.created", "a job was submitted", caller, ref=job.task, job=job.id)
        return job

    async def estimate(self, caller: Caller, spec_fields: Mapping[str, Any]) -> Estimate:
        """The estimate of the job that `create` would queue. Raises the same errors."""
        spec = job_spec(caller.tenant, spec_fields)
        return await self._pools.checks.run_cancellable(
            caller.tenant, lambda gone: self._trainer.estimate(spec, gone)
        )

    async def get(self, caller: Caller, job_id: str) -> JobView:
        return job_view(await self._pools.lookups.run_for(caller.tenant, self._trainer.get, job_id))

    async def list(
        self,
        caller: Caller,
        after: str | None = None,
        limit: int = 0,
        metadata: Mapping[str, str] | None = None,
        id_prefix: str = "",
    ) -> Page[JobView]:
        limit = check_limit(limit)
        check_text(id_prefix, "id_prefix")
        jobs = await self._pools.lookups.run_for(
            caller.tenant,
            self._trainer.list,
            after,
            limit + 1,
            check_metadata(metadata or {}),
            id_prefix,
        )
        return page_of(jobs, limit, job_view)

    async def cancel(self, caller: Caller, job_id: str) -> JobView:
        return await self._control(caller, job_id, self._trainer.cancel, "job.cancel", "end")

    async def pause(self, caller: Caller, job_id: str) -> JobView:
        return await self._control(caller, job_id, self._trainer.pause, "job.pause", "pause")

    async def resume(self, caller: Caller, job_id: str) -> JobView:
        return await self._control(caller, job_id, self._trainer.resume, "job.resume", "go on")

    async def _control(
        self,
        caller: Caller,
        job_id: str,
        control: Callable[[str, str], Job],
        action: str,
        request: str,
    ) -> JobView:
        job = job_view(await self._pools.writes.run_for(caller.tenant, control, job_id))
        note(action, f"a job was told to {request}", caller, ref=job.task, job=job.id)
        return job

    async def events(
        self,
        caller: Caller,
        job_id: str,
        after: int | None = None,
        limit: int = 0,
        *,
        newest_first: bool = False,
        codes: Sequence[str] = (),
    ) -> Page[JobEventView]:
        """`after` is the last number of the previous page, in the requested order."""
        limit = check_limit(limit)
        events = await self._pools.lookups.run_for(
            caller.tenant,
            self._trainer.events,
            job_id,
            after=after,
            limit=limit + 1,
            newest_first=newest_first,
            codes=codes,
        )
        return page_of(events, limit, job_event_view)

    async def updates(
        self, caller: Caller, job_id: str, after: int = 0
    ) -> AsyncGenerator[JobView | JobEventView | None, None]:
        """The job's events after `after` and the job itself, then each new event and change until
        the job has ended; None after `_QUIET_S` without any. Raises Draining when the server
        drains, and Overloaded if the tenant has too many streams.
        """

        async def read(after: int) -> Reading:
            return await self.get(caller, job_id), await self.events(caller, job_id, after)

        seen = -1
        with self._feed.watching(caller.tenant, job_id, read) as watched:
            while True:
                job, page = await watched.read(after)
                for event in page.items:
                    after = event.number
                    yield event
                if job.revision != seen and not page.has_more:
                    seen = job.revision
                    yield job
                if job.ended and not page.has_more:
                    return
                if self._health.is_draining:
                    raise Draining
                if not page.has_more and not await watched.change(_QUIET_S):
                    yield None

    async def follow(
        self, caller: Caller, job_id: str, after: int = 0
    ) -> AsyncGenerator[JobEventView | None, None]:
        """Only the events; None now and then while there is none."""
        async with aclosing(self.updates(caller, job_id, after)) as updates:
            async for update in updates:
                if not isinstance(update, JobView):
                    yield update

    async def watch(self, caller: Caller, job_id: str) -> AsyncIterator[JobView]:
        """Only the job."""
        async with aclosing(self.updates(caller, job_id)) as updates:
            async for update in updates:
                if isinstance(update, JobView):
                    yield update

    async def _on_health(self, state: State) -> None:
        if state is State.DRAINING:
            self._feed.wake_all()

    async def counts(self) -> Mapping[str, int]:
        """Jobs of all tenants by status, for the metrics."""
        return await self._pools.lookups.run(OPERATOR, self._trainer.counts)


def job_spec(tenant: str, spec_fields: Mapping[str, Any]) -> JobSpec:
    """Raises BadCall and BadSetting."""
    unknown = sorted(spec_fields.keys() - JOB_FIELDS)
    if unknown:
        raise BadCall(f"A job has no {', '.join(unknown)}; it has {', '.join(sorted(JOB_FIELDS))}.")
    missing = [name for name in ("file_id", "task") if not spec_fields.get(name)]
    if missing:  # gRPC sends an empty string for a missing field
        raise BadParameter(f"A job needs {' and '.join(missing)}.", param=missing[0])
    for name, value in spec_fields.items():
        check_text(value, name)
    check_metadata(spec_fields.get("metadata", {}))
    settings = TrainingSettings.parse(spec_fields.get("settings", {}))
    # gRPC sends an empty string for a missing kind
    chosen = (*(["kind"] if spec_fields.get("kind") else []), *spec_fields.get("settings", {}))
    return JobSpec(**{**spec_fields, "tenant": tenant, "settings": settings, "chosen": chosen})


def check_metadata(metadata: Mapping[str, str]) -> Mapping[str, str]:
    """Checks OpenAI's limits, and that names can be used in a query."""
    if len(metadata) > MAX_NOTES:
        raise _bad_metadata(f"has {len(metadata)} entries; at most {MAX_NOTES} are allowed")
    check_text(metadata, "metadata")
    for name, value in metadata.items():
        if not 0 < len(name) <= MAX_NOTE_NAME or '"' in name:
            raise _bad_metadata(
                f"has the name {name[:80]!r}; "
                f"a name has 1 to {MAX_NOTE_NAME} characters and no quote"
            )
        if len(value) > MAX_NOTE:
            raise _bad_metadata(
                f"has {len(value)} characters in {name!r}; at most {MAX_NOTE} are allowed"
            )
    return metadata


def _bad_metadata(what: str) -> BadParameter:
    return BadParameter(f"metadata {what}.", param="metadata")
