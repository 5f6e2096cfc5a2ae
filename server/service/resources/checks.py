"""Checks an uploaded file as submitting a job would. Queues nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from server.auth.caller import Caller
from server.pools.work_pool import WorkPool
from server.service.resources.jobs import job_spec
from trainer.pipeline.job_checks import Checked
from trainer.trainer import Trainer

#: a check needs no task
_NO_TASK = "check"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckView:
    """The findings about the files of a job. `ok`: the job would be queued."""

    file_id: str
    ok: bool
    #: rows of the file, and of train, dev and test if it can be split
    rows: Mapping[str, int]
    #: the adapter kind that would be trained, which may differ from the requested one
    kind: str
    findings: Sequence[Mapping[str, Any]]


class CheckService:
    """Calls the trainer in threads, because its methods block."""

    def __init__(self, trainer: Trainer, checks: WorkPool) -> None:
        self._trainer = trainer
        self._checks = checks

    async def create(self, caller: Caller, spec_fields: Mapping[str, Any]) -> CheckView:
        """`spec_fields` are fields of `JobSpec` by name, `file_id` among them."""
        spec = job_spec(caller.tenant, {"task": _NO_TASK, **spec_fields})
        checked = await self._checks.run_cancellable(
            caller.tenant, lambda gone: self._trainer.check(spec, gone)
        )
        return _view(spec.file_id, checked)


def _view(file_id: str, checked: Checked) -> CheckView:
    return CheckView(
        file_id=file_id,
        ok=checked.ok,
        rows=checked.rows,
        kind=checked.kind,
        findings=checked.findings,
    )
