"""The call that checks uploaded files, as a value like those of `calls`. Knows no channel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adapterd.calls.arguments import build_message, to_dict, to_struct
from adapterd.calls.call_options import TrainingOptions
from adapterd.calls.calls import Call
from adapterd.v1 import checks_pb2
from adapterd.values import FileCheck
from adapterd.wire.jobs import read_finding

__all__ = ["FileCheck", "check_file"]


def check_file(file_ids: Mapping[str, str], options: TrainingOptions) -> Call[FileCheck]:
    """`file_ids` as in `create_job`."""
    plain: dict[str, Any] = {**options, **to_dict("file_ids", file_ids)}
    plain.pop("promote", None)  # an option of the job, not of reading its files
    settings = to_struct("settings", plain.pop("settings", {}))
    request = build_message(checks_pb2.CheckFileRequest, **{"settings": settings, **plain})
    return Call(method=lambda s: s.checks.CheckFile, request=request, read=_read_check)


def _read_check(message: checks_pb2.FileCheck) -> FileCheck:
    return FileCheck(
        ok=message.ok,
        rows=dict(message.rows),
        kind=message.kind,
        findings=tuple(read_finding(finding) for finding in message.findings),
    )
