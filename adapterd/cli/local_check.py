"""A check of labelled rows in this process, by the trainer's own doctor. No server, and so no
tokenizer.
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

_PARTS = {"file_id": "train", "dev_file_id": "dev", "test_file_id": "test"}


def local_check(paths: dict[str, Path], options: TrainingOptions) -> FileCheck:
    """`paths` holds `file_id` and maybe `dev_file_id` and `test_file_id`. Raises BadSetting."""
    require_platform()
    from trainer.pipeline.prepare import Source, examine

    spec = _spec(options)
    files = {
        _PARTS[name]: Source(filename=path.name, read=path.read_bytes)
        for name, path in paths.items()
    }
    return _value(examine(files, spec))


def _spec(options: TrainingOptions) -> JobSpec:
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
    given = {name: value for name, value in options.items() if value and name != "settings"}
    kind = [name for name in ("kind",) if name in given]
    return JobSpec(
        tenant="", task="", file_id="", settings=settings,
        chosen=(*kind, *options["settings"]), **given,  # type: ignore[arg-type]
    )  # fmt: skip


def _value(examination: Examination) -> FileCheck:
    return FileCheck(
        ok=examination.error is None,
        rows=examination.rows,
        kind=examination.spec.kind,
        findings=tuple(
            Finding(
                code=each.code,
                severity=each.severity.value,
                message=each.message,
                count=each.count,
                samples=tuple(Sample(file=s.file, line=s.line, text=s.text) for s in each.samples),
                facts=each.facts,
            )
            for each in examination.findings
        ),
    )
