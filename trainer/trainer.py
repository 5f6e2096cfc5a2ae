"""The trainer as others hold it: submit, look, cancel, and run one job. Knows no transport
and no thread.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from adapters_registry import errors as registry_errors
from adapters_registry.audit.actor import Actor, ActorKind, acting
from adapters_registry.errors import RegistryError
from adapters_registry.registry import Registry
from adapters_registry.values import Version
from engine.errors import EngineError, EngineGone
from engine.port import EnginePort
from engine.text.tokenizer import Tokenizer
from trainer.data_checks.embedder import Embedder
from trainer.errors import (
    Busy,
    Cancelled,
    LeaseLost,
    Paused,
    Stopping,
    StorageBusy,
    StorageUnavailable,
    TrainerError,
)
from trainer.jobs.events import PUBLISHED, Event
from trainer.jobs.file_store import FileStore
from trainer.jobs.lease import Lease
from trainer.jobs.result_file import put_result_file
from trainer.jobs.states import Status
from trainer.jobs.store import SUBMITTED, JobStore
from trainer.jobs.values import Claim, Job, JobSpec
from trainer.pipeline.estimate import Estimate, estimate
from trainer.pipeline.job_checks import Checked, JobChecks, in_process_job_checks
from trainer.pipeline.job_run import JobRun, Tools
from trainer.training.checkpoints import Checkpoints

_log = logging.getLogger(__name__)
_SWEEP_EVERY_S = 3600.0
#: a failed job's last checkpoint stays so long, for whoever wants to know why it failed
_KEEP_FAILED_S = 7 * 24 * 3600.0
#: after which another attempt may succeed
_PASSING = (
    EngineGone,
    StorageBusy,
    StorageUnavailable,
    registry_errors.StorageBusy,
    registry_errors.StorageReadOnly,  # a database that is a replica until a failover has ended
    registry_errors.StorageUnavailable,
)


class Trainer:
    """Jobs over one engine. Everything about a job is in the store, so that any process can look at
    it.
    """

    def __init__(
        self,
        port: EnginePort,
        registry: Registry,
        store: JobStore,
        files: FileStore,
        tokenizer: Tokenizer,
        clock: Callable[[], float] = time.monotonic,
        *,
        checkpoints: Checkpoints,
        checkpoint_s: float = 30.0,
        proof_slot: int | None = None,
        lease_s: float = 30.0,
        poll_s: float = 0.5,
        report_timeout_s: float = 120.0,
        max_rows: int = 50_000_000,
        checks: JobChecks | None = None,
    ) -> None:
        """`checks` are where files are read before a job queues; none: in this process."""
        #: rings when a job was queued here: a worker need not ask the store again and again
        self.submitted = threading.Event()
        self._measuring = threading.Lock()
        self._swept_at: float | None = None
        self._store = store
        self._lease_s, self._poll_s = lease_s, poll_s
        # two processes may have the same number on hosts of the same name
        self._worker = f"{socket.gethostname()}:{uuid.uuid4().hex}"
        self._actor = Actor(kind=ActorKind.WORKER, name=self._worker)
        self._tools = Tools(
            port=port,
            registry=registry,
            files=files,
            tokenizer=tokenizer,
            clock=clock,
            proof_slot=port.info.num_slots if proof_slot is None else proof_slot,
            report_timeout_s=report_timeout_s,
            embedder=Embedder(port, tokenizer),
            checkpoints=checkpoints,
            checkpoint_s=checkpoint_s,
        )
        self._checks = checks or in_process_job_checks(files, port.info, tokenizer, max_rows, clock)

    def submit(self, spec: JobSpec, cancelled: threading.Event | None = None) -> Job:
        """Check everything that can be checked, then queue. Raises BadName, BadSetting, BadDataset
        or UnknownFile; setting `cancelled` ends the checks.
        """
        self._checks.admit(spec, cancelled)
        info = self._tools.port.info
        spec = replace(spec, base={"fingerprint": info.fingerprint, "name": info.base})
        job = self._store.submit(f"job-{uuid.uuid4().hex}", spec)
        self.submitted.set()
        return job

    def estimate(self, spec: JobSpec, cancelled: threading.Event | None = None) -> Estimate:
        """What the job would take. Raises what `submit` would, and Busy while another is being
        measured: both would come out too slow.
        """
        sample, tools = self._checks.sample(spec, cancelled), self._tools
        if not self._measuring.acquire(blocking=False):
            raise Busy
        try:
            return estimate(sample, tools.port, tools.tokenizer, tools.clock)
        finally:
            self._measuring.release()

    def check(self, spec: JobSpec, cancelled: threading.Event | None = None) -> Checked:
        """What a job's files are like, as submitting it would say, without a job. Raises BadSetting
        or UnknownFile.
        """
        return self._checks.check(spec, cancelled)

    def get(self, tenant: str, job_id: str) -> Job:
        return self._store.job(tenant, job_id)

    def cancel(self, tenant: str, job_id: str) -> Job:
        """A queued job ends at once, a running one within a step or so. Raises JobEnded."""
        job = self._store.cancel(tenant, job_id)
        if job.status.ended:  # no worker is there to see to it
            self._tools.checkpoints.drop(job_id)
        return job

    def pause(self, tenant: str, job_id: str) -> Job:
        """A queued job at once, a running one within a step or so. Raises JobEnded."""
        return self._store.pause(tenant, job_id)

    def resume(self, tenant: str, job_id: str) -> Job:
        """Back to the queue. Raises JobEnded."""
        job = self._store.resume(tenant, job_id)
        self.submitted.set()
        return job

    def events(self, tenant: str, job_id: str, /, **page: Any) -> Sequence[Event]:
        """A page, as `EventTable.list` has it."""
        return self._store.list_events(tenant, job_id, **page)

    def counts(self) -> dict[str, int]:
        """Jobs of all tenants by status."""
        return self._store.count_jobs()

    def list(
        self,
        tenant: str,
        after: str | None = None,
        limit: int = 100,
        metadata: Mapping[str, str] | None = None,
        id_prefix: str = "",
    ) -> Sequence[Job]:
        """Newest first; `after` is the last id of the page before."""
        return self._store.list_jobs(tenant, after, limit, metadata, id_prefix)

    def run_once(self, stop: threading.Event | None = None) -> bool:
        """Claim one job and run it to its end; False when none waits. Setting `stop` gives the job
        back.
        """
        if not self._tools.port.is_alive:  # an attempt on a base that is not back yet is in vain
            return False
        with acting(self._actor):
            claim = self._store.claim(self._worker, self._lease_s)
        if claim is None:
            self._sweep()
            return False
        _log_event("job.claimed", claim.job)
        try:
            with acting(replace(self._actor, on_behalf_of=self._find_submitter(claim.job))):
                self._run(claim, stop or threading.Event())
        except LeaseLost as error:
            _log_event("job.lost", claim.job, error)  # whoever holds the job now ends it
        return True

    def _find_submitter(self, job: Job) -> Actor | None:
        """Who submitted the job, by the audit log; None of one from before there was any."""
        try:
            event = self._tools.registry.audit.find_first(job.tenant, job.id, SUBMITTED)
        except RegistryError as error:  # nothing that the job itself needs
            _log_event("job.submitter_unknown", job, error)
            return None
        return None if event is None else event.actor

    def _run(self, claim: Claim, stop: threading.Event) -> None:
        lease = Lease(self._store, claim, lease_s=self._lease_s, poll_s=self._poll_s, stop=stop)
        try:
            with lease:
                version, result = JobRun(self._tools, claim.job, lease).run()
                _emit_published(version, result, lease)
                files = put_result_file(self._tools.files, claim.job, result, lease.emit)
        except LeaseLost:
            raise
        except Exception as error:  # noqa: BLE001 the worker outlives any job, and no job may be left without an end
            self._give_up(claim, error)
        else:
            named = {
                "version": version.number,
                "digest": version.digest,
                "result": {**result, "result_files": files},
            }
            self._store.finish(claim, Status.SUCCEEDED, progress=1.0, **named)
            self._tools.checkpoints.drop(claim.job.id)
            _log_event("job.succeeded", claim.job)

    def _give_up(self, claim: Claim, error: Exception) -> None:
        match error:
            case Cancelled():
                self._store.finish(claim, Status.CANCELLED)
                self._tools.checkpoints.drop(claim.job.id)
            case Paused():
                self._store.set_aside(claim)
            case Stopping():
                self._store.give_back(claim, keep_attempt=False)
            case error if isinstance(error, _PASSING) and self._store.may_try_again(claim):
                self._store.give_back(claim, keep_attempt=True)
            case TrainerError() | EngineError() | RegistryError():
                self._fail(claim, error.code, str(error))
            case _:
                _log.error(
                    "a job failed unexpectedly",
                    exc_info=error,
                    extra=_facts("job.failed", claim.job),
                )
                self._fail(
                    claim,
                    "internal",
                    "The job failed with an internal error; see the server's log.",
                )
        _log_event("job.given_up", claim.job, error)

    def _fail(self, claim: Claim, code: str, message: str) -> None:
        self._store.finish(claim, Status.FAILED, error_code=code, error_message=message)
        self._tools.checkpoints.keep(claim.job.id)

    def _sweep(self) -> None:
        """Now and then, of what ended jobs left."""
        now = self._tools.clock()
        if self._swept_at is None or now - self._swept_at > _SWEEP_EVERY_S:
            self._swept_at = now
            self._tools.checkpoints.sweep(self._store.unfinished_ids(), _KEEP_FAILED_S)


def _emit_published(version: Version, result: dict[str, Any], lease: Lease) -> None:
    ref = f"{version.task}@{version.number}"
    best = next((e for e in result.get("epochs", ()) if e["best"]), {"step": 0})
    losses: dict[str, Any] = {n: best[n] for n in best.keys() & {"step", "loss", "dev_loss"}}
    facts = {"ref": ref, "digest": version.digest, "metrics": result["metrics"]["test"]}
    message = f"{ref} was published."
    if result["already_published"]:
        message = f"The result is identical to {ref}: nothing new was published."
    lease.emit(PUBLISHED, message, **facts, **losses)


def _facts(action: str, job: Job) -> dict[str, str]:
    return {"action": action, "tenant": job.tenant, "ref": job.spec.task, "job": job.id}


def _log_event(action: str, job: Job, error: Exception | None = None) -> None:
    reason = f": {type(error).__name__}" if error else ""
    _log.info("%s%s", action, reason, extra=_facts(action, job))
