"""What a check of labelled rows gives back: plain frozen values. Knows no wire format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A row that shows what a finding means."""

    file: str
    line: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing found out: an error refuses a job, a warning may cost quality, an info is only
    worth knowing (docs/data.md lists the codes).
    """

    code: str
    severity: str
    message: str
    count: int
    samples: tuple[Sample, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileCheck:
    """What submitting a job would say of its files. `ok`: it would be queued; `kind` is what it
    would train.
    """

    ok: bool
    rows: Mapping[str, int]
    kind: str
    findings: tuple[Finding, ...]
