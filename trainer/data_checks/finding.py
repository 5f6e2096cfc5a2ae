"""A finding about a file: a code for programs, a sentence for people, and sample rows. Knows no
check.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from trainer.errors import BadDataset
from trainer.jobs.lease import Lease
from trainer.readers.example import Example
from trainer.readers.record import Notice

MAX_SAMPLES = 5
_MAX_CHARS = 80
_MAX_MESSAGE = 2000


class Severity(StrEnum):
    """An error refuses the job, a warning may cost quality, an info is only notable."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


#: levels of a job's events
_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warn", Severity.INFO: "info"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A row that shows what a finding means: its file, its line and the beginning of its text."""

    file: str
    line: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`count` rows or labels are affected; `samples` show a few of them."""

    code: str
    severity: Severity
    message: str
    count: int = 1
    samples: tuple[Sample, ...] = ()
    #: further facts for programs; JSON
    facts: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """It may repeat labels and names of columns, which may have any length."""
        if len(self.message) > _MAX_MESSAGE:
            object.__setattr__(self, "message", f"{self.message[: _MAX_MESSAGE - 1]}…")

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"severity": self.severity.value}


def sample(file: str, row: Example, text: str | None = None) -> Sample:
    return Sample(file=file, line=row.line, text=crop(row.text if text is None else text))


def samples(file: str, rows: Iterable[Example]) -> tuple[Sample, ...]:
    """Samples of the first few rows."""
    return tuple(sample(file, row) for row, _ in zip(rows, range(MAX_SAMPLES), strict=False))


def refusal_finding(file: str, errors: list[BadDataset]) -> Finding:
    """Errors of one code as one finding."""
    first = errors[0]
    num_more = len(errors) - 1
    more = f" {num_more} more {'line is' if num_more == 1 else 'lines are'} refused too."
    shown = [
        Sample(file=file, line=getattr(error, "line", 0), text=crop(str(error)))
        for error in errors[:MAX_SAMPLES]
    ]
    message = f"{first}{more if num_more else ''}"
    return Finding(
        code=first.code,
        severity=Severity.ERROR,
        message=message,
        count=len(errors),
        samples=tuple(each for each in shown if each.line),
    )


def notice_finding(file: str, notice: Notice) -> Finding:
    """A finding about a decision of the reader of the file's format."""
    return Finding(
        code="reading_choice",
        severity=Severity.INFO,
        message=notice.message,
        samples=(Sample(file=file, line=notice.line, text=crop(notice.message)),),
    )


def emit_findings(lease: Lease, findings: Iterable[Finding]) -> None:
    """Emits the findings as events of the job."""
    for finding in findings:
        fields = finding.to_json()
        facts = {name: fields[name] for name in ("count", "samples", "facts") if fields[name]}
        lease.emit(f"data.{finding.code}", finding.message, _LEVELS[finding.severity], **facts)


def crop(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= _MAX_CHARS else plain[: _MAX_CHARS - 1] + "…"
