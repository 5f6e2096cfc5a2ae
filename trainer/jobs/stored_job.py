"""A job's row as a value, as far as this release can read it: a row that another release wrote, or
that was damaged, says what is wrong with it and stands in nobody's way. Knows no SQL.
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

#: what stands for a column whose value cannot be read
_INSTEAD: dict[str, Any] = {
    "status": Status.FAILED, "phase": Phase.DONE, "progress": 0.0, "created_at": 0.0, "attempt": 0,
    "result": {}, "revision": 0,
}  # fmt: skip
#: columns that hold one of a few words, of which a newer release may have more
_WORDS = ("status", "phase")


def job_of(row: sa.Row[Any]) -> Job:
    """What can be read of the row. What cannot is the job's error, unless it has one already."""
    notes = _Notes()
    spec = spec_of(row.spec, row.tenant, notes)
    job = Job(**_columns(row, notes), spec=spec)
    problem = notes.problem
    if problem is None or job.error_code is not None:
        return job
    return replace(job, error_code=problem.code, error_message=str(problem))


def problem_of(row: sa.Row[Any]) -> UnreadableJob | None:
    """Why this release cannot run the job; none where it can."""
    notes = _Notes()
    _columns(row, notes)
    spec_of(row.spec, row.tenant, notes)
    return notes.problem


def spec_of(raw: Any, tenant: str, notes: _Notes | None = None) -> JobSpec:
    """Of `JobSpec.to_json`, read back from JSON; what cannot be read is left at its default, and
    noted.
    """
    notes = notes or _Notes()
    given = raw if isinstance(raw, Mapping) else {}
    values: dict[str, Any] = {"task": "", "file_id": "", "tenant": tenant}
    for name, kind in _kinds(JobSpec).items():
        if name in given and name != "settings":
            try:
                values[name] = msgspec.convert(given[name], kind)
            except msgspec.ValidationError:
                notes.damaged.append(f"{name} cannot be read")
    notes.damaged += [f"{name} is missing" for name in _required() if name not in given]
    notes.unknown += [f"it does not know {n[:64]!r}" for n in given if n not in _kinds(JobSpec)]
    return JobSpec(**values, settings=_settings(given.get("settings", {}), notes))


class _Notes:
    """What could not be read of a row."""

    def __init__(self) -> None:
        self.unknown: list[str] = []
        self.damaged: list[str] = []

    @property
    def problem(self) -> UnreadableJob | None:
        if self.damaged:
            return UnreadableJob(f"The job's record is damaged: {'; '.join(self.damaged[:5])}.")
        if self.unknown:
            return UnreadableJob(
                f"This release cannot run the job: {'; '.join(self.unknown[:5])}. It waits for a "
                "worker of the release that it was made for; cancel it if there is none.",
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
    """Those that this release knows, where it does not know all."""
    if not isinstance(raw, Mapping):
        notes.damaged.append("settings cannot be read")
        return TrainingSettings()
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
def _required() -> tuple[str, ...]:
    return tuple(
        each.name
        for each in fields(JobSpec)
        if each.default is MISSING and each.default_factory is MISSING
    )
