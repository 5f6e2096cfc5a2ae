"""Checks labelled rows in this process with the trainer's own data checks.

Needs no server; without one there is no tokenizer.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from adapterd.cli.platform_packages import require_platform
from adapterd.errors import BadSetting
from adapterd.values import FileCheck, Finding, Sample

if TYPE_CHECKING:
    from adapterd.calls.call_options import TrainingOptions
    from trainer.jobs.values import JobSpec
    from trainer.pipeline.prepare import Examination

_SPLITS = {"file_id": "train", "dev_file_id": "dev", "test_file_id": "test"}


def check_locally(paths: dict[str, Path], options: TrainingOptions) -> FileCheck:
    """`paths` has `file_id` and optionally `dev_file_id`, `test_file_id`. Raises BadSetting."""
    require_platform()
    from trainer.pipeline.prepare import Source, examine

    spec = _job_spec(options)
    files = {
        _SPLITS[name]: Source(filename=path.name, read=path.read_bytes)
        for name, path in paths.items()
    }
    return _read_examination(examine(files, spec))


def _job_spec(options: TrainingOptions) -> JobSpec:
    from trainer import errors
    from trainer.heads import HEAD_DATA
    from trainer.jobs.values import JobSpec
    from trainer.settings.settings import TrainingSettings

    if options["head"] not in HEAD_DATA:
        raise BadSetting(f"head is {options['head']!r}; it must be one of {', '.join(HEAD_DATA)}.")
    try:
        settings = TrainingSettings.parse(options["settings"])
    except errors.BadSetting as error:
        raise BadSetting(str(error)) from error
    fields = {name: value for name, value in options.items() if value and name != "settings"}
    kind = [name for name in ("kind",) if name in fields]
    return JobSpec(
        tenant="", task="", file_id="", settings=settings,
        chosen=(*kind, *options["settings"]), **fields,  # type: ignore[arg-type]
    )  # fmt: skip


def _read_examination(examination: Examination) -> FileCheck:
    return FileCheck(
        ok=examination.error is None,
        rows=examination.rows,
        kind=examination.spec.kind,
        findings=tuple(
            Finding(
                code=finding.code,
                severity=finding.severity.value,
                message=finding.message,
                count=finding.count,
                samples=tuple(
                    Sample(file=s.file, line=s.line, text=s.text) for s in finding.samples
                ),
                facts=finding.facts,
            )
            for finding in examination.findings
        ),
    )
