"""Training jobs, their events and their estimates. Knows no wire format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from adapterd.values.checks import Finding
from adapterd.values.result import Result

END_STATES = ("succeeded", "failed", "cancelled")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job(Result):
    """The current state of a training job; `result` gains entries while the job runs."""

    id: str
    task: str
    status: str
    phase: str
    progress: float
    eta_s: float | None
    created_at: float
    finished_at: float | None
    version: int | None
    digest: str | None
    result: Mapping[str, Any]
    error_code: str | None
    error_message: str | None
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def has_ended(self) -> bool:
        return self.status in END_STATES


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEvent(Result):
    """One event of a job. `code` is dotted and stable; `number` counts from 1."""

    number: int
    created_at: float
    level: str
    code: str
    message: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class PresetEstimate(Result):
    """What the same job would take with a preset; `chosen`: it is the job's own."""

    preset: str
    summary: str
    seconds: float
    chosen: bool
    #: its score on the sets of the project's benchmark, beside the default's
    measured: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate(Result):
    """What a job would need if none of its runs stops early; `basis` says how it was estimated."""

    steps: int
    tokens: int
    seconds: float
    basis: str
    rows: Mapping[str, int]
    trainable_parameters: int
    slot_bytes: int
    optimizer_bytes: int
    cache_bytes: int
    warnings: Sequence[str]
    #: what a check of the files reports, the warnings among them
    findings: Sequence[Finding] = ()
    #: the cheapest first
    presets: Sequence[PresetEstimate] = ()
