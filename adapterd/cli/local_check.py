"""Checks labelled rows in this process with the checks that a server runs before it queues a job.

Needs no server, and so has no base: what depends on one is named in a finding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapterd.cli.platform_packages import require_platform
from adapterd.errors import BadSetting
from adapterd.values import FileCheck, Finding, Sample

if TYPE_CHECKING:
    from adapterd.calls.call_options import TrainingOptions
    from trainer.jobs.values import FileRecord
    from trainer.pipeline.job_checks import Checked

_TENANT = "local"
#: a check needs no task
_TASK = "check"


def check_locally(paths: dict[str, Path], options: TrainingOptions) -> FileCheck:
    """`paths` has `file_id` and optionally `dev_file_id`, `test_file_id`. Raises BadSetting."""
    require_platform()
    from server.config import Settings
    from server.errors import BadCall
    from server.service.resources.jobs import job_spec
    from trainer import errors
    from trainer.pipeline.job_checks import in_process_job_checks

    fields = {name: value for name, value in options.items() if value}
    max_rows = Settings.model_fields["max_job_rows"].default
    checks = in_process_job_checks(_LocalFiles(paths=paths), None, None, max_rows)
    try:
        spec = job_spec(_TENANT, {"task": _TASK, **{name: name for name in paths}, **fields})
        return _read_checked(checks.check(spec))
    except (errors.BadSetting, BadCall) as error:
        raise BadSetting(str(error)) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class _LocalFiles:
    """The files of a check by the field of a job that names them."""

    paths: Mapping[str, Path]

    def get(self, tenant: str, file_id: str) -> FileRecord:
        from trainer.jobs.values import FileRecord

        return FileRecord(
            id=file_id,
            tenant=tenant,
            filename=self.paths[file_id].name,
            purpose="",
            bytes=0,
            sha256="",
            created_at=0.0,
        )

    def read(self, tenant: str, file_id: str) -> bytes:
        del tenant
        return self.paths[file_id].read_bytes()


def _read_checked(checked: Checked) -> FileCheck:
    return FileCheck(
        ok=checked.ok,
        rows=checked.rows,
        kind=checked.kind,
        findings=tuple(_read_finding(finding) for finding in checked.findings),
    )


def _read_finding(finding: dict[str, Any]) -> Finding:
    samples = tuple(Sample(**sample) for sample in finding["samples"])
    return Finding(**{**finding, "samples": samples})
