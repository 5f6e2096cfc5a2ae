"""The result of checking labelled rows before a training. Knows no wire format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from adapterd.values.result import Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample(Result):
    """A row that illustrates a finding."""

    file: str
    line: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding(Result):
    """One finding. `severity`: an error prevents a job, a warning may cost quality, an info is
    only worth knowing (docs/data.md lists the codes).
    """

    code: str
    severity: str
    message: str
    count: int
    samples: tuple[Sample, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileCheck(Result):
    """What a job on these files would report. `ok`: it would be queued; `kind`: the adapter kind
    it would train.
    """

    ok: bool
    rows: Mapping[str, int]
    kind: str
    findings: tuple[Finding, ...]
