"""Runs the checks of jobs in child processes with limits, so that one tenant's file neither slows
the others nor exhausts the memory; a file that exceeds a limit is refused. Knows no queue.

`main` runs in the child.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import msgspec

from engine.port import EngineInfo
from engine.text.tokenizer import Tokenizer
from trainer.data_checks.finding import refusal_finding
from trainer.errors import BadDataset, UnknownFile
from trainer.jobs.file_store import FileStore
from trainer.jobs.job_files import JobFiles
from trainer.jobs.stored_job import spec_of
from trainer.jobs.values import FileRecord, JobSpec
from trainer.pipeline.job_checks import (
    CheckCancelled,
    Checked,
    CheckFailed,
    ReaderCrashed,
    TooMuchMemory,
    TooMuchTime,
    in_process_job_checks,
)
from trainer.pipeline.sample import Sample
from trainer.sandbox.fork_server import ChildEnded, End, ForkServer
from trainer.sandbox.limits import MIB, ChildLimits

_FUNCTION = f"{__name__}:main"
#: what a fork server should have loaded
MODULES = (__name__,)


class _Question(msgspec.Struct, frozen=True, kw_only=True):
    """`of` names a method of `JobChecks`; `info` is the base's, encoded."""

    of: str
    spec: dict[str, Any]
    records: dict[str, FileRecord]
    paths: dict[str, str]
    info: bytes
    max_rows: int


class SandboxedJobChecks:
    """Each check in a child of its own."""

    def __init__(
        self,
        *,
        fork_server: ForkServer,
        files: FileStore,
        info: EngineInfo,
        max_rows: int,
        limits: ChildLimits,
    ) -> None:
        self._fork_server, self._files, self._limits = fork_server, files, limits
        self._info, self._max_rows = msgspec.msgpack.encode(info), max_rows

    def check(self, spec: JobSpec, cancelled: threading.Event | None = None) -> Checked:
        try:
            answer = self._ask("check", spec, cancelled)
        except BadDataset as error:  # said of a file like any fault of it
            finding = refusal_finding(self._files.get(spec.tenant, spec.file_id).filename, [error])
            return Checked(ok=False, rows={"file": 0}, kind=spec.kind, findings=[finding.to_json()])
        return msgspec.msgpack.decode(answer, type=Checked)

    def admit(self, spec: JobSpec, cancelled: threading.Event | None = None) -> None:
        self._ask("admit", spec, cancelled)

    def sample(self, spec: JobSpec, cancelled: threading.Event | None = None) -> Sample:
        return msgspec.msgpack.decode(self._ask("sample", spec, cancelled), type=Sample)

    def _ask(self, of: str, spec: JobSpec, cancelled: threading.Event | None) -> bytes:
        records = self._records(spec)
        question = _Question(
            of=of,
            spec=spec.to_json(),
            records=records,
            paths={each: str(self._files.path(spec.tenant, each)) for each in records},
            info=self._info,
            max_rows=self._max_rows,
        )
        argument = msgspec.msgpack.encode(question)
        try:
            return self._fork_server.run(_FUNCTION, argument, self._limits, cancelled)
        except ChildEnded as ended:
            raise _refusal(ended) from None

    def _records(self, spec: JobSpec) -> dict[str, FileRecord]:
        """Those that are there: of the others the child says that they are not, where it is their
        turn.
        """
        records = {}
        for file_id in spec.file_ids:
            try:
                records[file_id] = self._files.get(spec.tenant, file_id)
            except UnknownFile:
                continue
        return records


def _refusal(ended: ChildEnded) -> Exception:
    limits = ended.limits
    match ended.end:
        case End.MEMORY:
            return TooMuchMemory(
                f"The files need more than {limits.memory_bytes // MIB} MiB of memory to be read "
                "and checked; train on a sample of the rows, or on shorter ones."
            )
        case End.TIME:
            return TooMuchTime(
                f"The files take more than {limits.cpu_s} s of a processor, or {limits.wall_s:g} s "
                "in all, to be read and checked; train on a sample of the rows."
            )
        case End.CRASHED:
            return ReaderCrashed()
        case End.CANCELLED:
            return CheckCancelled()
        case End.KILLED:
            return CheckFailed()
        case _:  # a fault of ours; its words are on this process's standard error
            return ChildProcessError("a check of files failed")


# ---------------------------------------------------------------- in the child


def main(argument: bytes) -> bytes:
    question = msgspec.msgpack.decode(argument, type=_Question)
    info = msgspec.msgpack.decode(question.info, type=EngineInfo)
    files = JobFiles(
        records=question.records,
        paths={file_id: Path(path) for file_id, path in question.paths.items()},
    )
    tokenizer = Tokenizer(info.tokenizer_json, info.max_tokens)
    checks = in_process_job_checks(files, info, tokenizer, question.max_rows)
    answer = getattr(checks, question.of)(spec_of(question.spec, question.spec["tenant"]))
    return msgspec.msgpack.encode(answer, enc_hook=_plain)


def _plain(value: object) -> object:
    """Facts of findings may hold numpy's numbers."""
    item = getattr(value, "item", None)
    return item() if item is not None else str(value)
