"""Looking at an uploaded file as a job would, without a job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from server.auth.caller import Caller
from server.pools.work_pool import WorkPool
from server.service.resources.jobs import job_spec
from trainer.pipeline.job_checks import Checked
from trainer.trainer import Trainer

#: nothing is trained, so no task is named
_NO_TASK = "check"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckView:
    """What submitting a job would say of its files. `ok`: it would be queued."""

    file_id: str
    ok: bool
    #: of the file, and of train, dev and test where it can be split
    rows: Mapping[str, int]
    #: what would be trained, which is not always all that was asked for
    kind: str
    findings: Sequence[Mapping[str, Any]]


class CheckService:
    """Over the trainer, whose calls block, so they run in threads."""

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
