"""Reads a job's row into a value, as far as this release can: a damaged row, or one of another
release, has an error that says why and does not block other jobs. Knows no SQL.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, replace
from functools import cache
from typing import Any, get_type_hints

import msgspec
import sqlalchemy as sa

from trainer.errors import BadSetting, UnreadableJob
from trainer.jobs.states import Phase, Status
from trainer.jobs.values import Job, JobSpec
from trainer.settings.settings import TrainingSettings

#: the values of columns that cannot be read
_INSTEAD: dict[str, Any] = {
    "status": Status.FAILED,
    "phase": Phase.DONE,
    "progress": 0.0,
    "created_at": 0.0,
    "attempt": 0,
    "result": {},
    "revision": 0,
}
#: columns that hold one of a few words; a newer release may have more
_WORDS = ("status", "phase")


def job_of(row: sa.Row[Any]) -> Job:
    """The readable columns of the row. What cannot be read becomes the job's error, unless it has
    one already.
    """
    notes = _Notes()
    spec = spec_of(row.spec, row.tenant, notes)
    job = Job(**_columns(row, notes), spec=spec)
    problem = notes.problem
    if problem is None or job.error_code is not None:
        return job
    return replace(job, error_code=problem.code, error_message=str(problem))


def problem_of(row: sa.Row[Any]) -> UnreadableJob | None:
    """Why this release cannot run the job; None where it can."""
    notes = _Notes()
    _columns(row, notes)
    spec_of(row.spec, row.tenant, notes)
    return notes.problem


def spec_of(raw: Any, tenant: str, notes: _Notes | None = None) -> JobSpec:
    """Reads the output of `JobSpec.to_json`; a field that cannot be read gets its default and a
    note.
    """
    notes = notes or _Notes()
    content = raw if isinstance(raw, Mapping) else {}
    values: dict[str, Any] = {"task": "", "file_id": "", "tenant": tenant}
    for name, kind in _kinds(JobSpec).items():
        if name in content and name != "settings":
            try:
                values[name] = msgspec.convert(content[name], kind)
            except msgspec.ValidationError:
                notes.damaged.append(f"{name} cannot be read")
    notes.damaged += [f"{name} is missing" for name in _required_fields() if name not in content]
    notes.unknown += [f"it does not know {n[:64]!r}" for n in content if n not in _kinds(JobSpec)]
    return JobSpec(**values, settings=_settings(content.get("settings", {}), notes))


class _Notes:
    """The parts of a row that could not be read."""

    def __init__(self) -> None:
        self.unknown: list[str] = []
        self.damaged: list[str] = []

    @property
    def problem(self) -> UnreadableJob | None:
        if self.damaged:
            return UnreadableJob(f"The job's record is damaged: {'; '.join(self.damaged[:5])}.")
        if self.unknown:
            return UnreadableJob(
                f"This release cannot run the job: {'; '.join(self.unknown[:5])}. The job waits "
                "for a worker of the release that it was submitted to; cancel it if there is none.",
                newer=True,
            )
        return None


def _columns(row: sa.Row[Any], notes: _Notes) -> dict[str, Any]:
    columns = {}
    for name, kind in _kinds(Job).items():
        if name == "spec":
            continue
        value = getattr(row, name)
        try:
            columns[name] = msgspec.convert(value, kind)
        except msgspec.ValidationError:
            columns[name] = _INSTEAD.get(name)
            if name in _WORDS and isinstance(value, str):
                notes.unknown.append(f"it does not know the {name} {value[:64]!r}")
            else:
                notes.damaged.append(f"{name} cannot be read")
    return columns


def _settings(raw: Any, notes: _Notes) -> TrainingSettings:
    """Settings that this release does not know are left out and noted."""
    if not isinstance(raw, Mapping):
        notes.damaged.append("settings cannot be read")
        return TrainingSettings()
    if "preset" not in raw and raw.get("layers", ...) is None:
        raw = {**raw, "layers": "half"}  # the default of the release that stored it
    try:
        return TrainingSettings.parse(raw)
    except BadSetting:
        return TrainingSettings.parse({k: v for k, v in raw.items() if _is_known(k, v, notes)})


def _is_known(name: str, value: Any, notes: _Notes) -> bool:
    try:
        TrainingSettings.parse({name: value})
    except BadSetting as error:
        notes.unknown.append(str(error).split(";")[0].rstrip(".")[:200])
        return False
    return True


@cache
def _kinds(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


@cache
def _required_fields() -> tuple[str, ...]:
    return tuple(
        each.name
        for each in fields(JobSpec)
        if each.default is MISSING and each.default_factory is MISSING
    )
