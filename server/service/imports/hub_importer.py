"""Imports an adapter from a hub in a child process with limits on memory, time and bytes.

`main` runs in the child process, which is ended if the caller hangs up.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from adapters_registry.adapter_files.file_names import stored_name
from adapters_registry.adapter_files.limits import Limits
from adapters_registry.adapter_files.staging import Staging
from adapters_registry.errors import BadFileName, HubRefused, HubUnavailable, TooManyBytes
from adapters_registry.storage.disk import Disk
from engine.errors import EngineError
from server.errors import BadCall, HungUp, Overloaded
from server.service.imports.child_places import ChildPlaces
from server.service.imports.hub_repository import HubFile, HubRepository
from server.service.imports.hub_source import HubSource
from trainer.sandbox.fork_server import ChildEnded, End, ForkServer
from trainer.sandbox.limits import MIB, ChildLimits

_FUNCTION = f"{__name__}:main"
MODULES = (__name__,)
LIMITS = ChildLimits(memory_bytes=512 * MIB, cpu_s=120, wall_s=600.0)
_MAX_CHILDREN = 2


class _Question(msgspec.Struct, frozen=True, kw_only=True):
    hub: str
    hosts: list[str]
    repository: str
    revision: str
    target: str
    limits: Limits


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """What was downloaded: of which commit, and which of its files were not."""

    commit: str
    left_out: list[str]


class HubImporter:
    """Its method blocks, so each call runs in a thread."""

    def __init__(self, fork_server: ForkServer, hub: str | None, hosts: Sequence[str]) -> None:
        """Without a `hub`, nothing is imported and nothing is asked of any host."""
        self._fork_server = fork_server
        self._hub, self._hosts = hub, list(hosts)
        self._children = ChildPlaces(_MAX_CHILDREN)

    def download(
        self, staging: Staging, source: HubSource, tenant: str, gone: threading.Event
    ) -> str:
        """The adapter's files into `staging`; the commit they are of. Raises BadArtifact, and
        HubUnavailable. A slow hub must not hold every thread that uploads and exports need, so one
        import of a tenant runs at a time.
        """
        if self._hub is None:
            raise BadCall(
                "This server imports from no hub (import_hub). Download the adapter and register "
                "its directory."
            )
        question = _Question(
            hub=self._hub, hosts=self._hosts, repository=source.repository,
            revision=source.revision, target=str(staging.path), limits=staging.limits,
        )  # fmt: skip
        imported = self._ask(question, tenant, gone)
        for name in imported.left_out:
            staging.leave_out(name)
        return imported.commit

    def _ask(self, question: _Question, tenant: str, gone: threading.Event) -> Imported:
        argument = msgspec.msgpack.encode(question)
        try:
            with self._children.hold_alone(tenant, gone):
                answer = self._fork_server.run(_FUNCTION, argument, LIMITS, gone)
        except ChildEnded as ended:
            raise _error_of(ended.end) from None
        return msgspec.msgpack.decode(answer, type=Imported)


def _error_of(end: End) -> Exception:
    match end:
        case End.CANCELLED:
            return HungUp()
        case End.KILLED:
            return Overloaded("The import was interrupted; try again.")
        case End.FAILED:
            return EngineError("the adapter could not be imported")
        case End.TIME:
            return HubUnavailable(f"the import took more than {LIMITS.wall_s:.0f} s")
        case _:
            return HubRefused(f"the import takes more {end} than allowed")


# ---------------------------------------------------------------- in the child


def main(argument: bytes) -> bytes:
    question = msgspec.msgpack.decode(argument, type=_Question)
    source = HubSource(repository=question.repository, revision=question.revision)
    repository = HubRepository(question.hub, question.hosts)
    commit, files = repository.find(source)
    stored, left_out = _select(files, question.limits)
    disk, target = Disk(), Path(question.target)
    for name, file in stored.items():
        disk.write(target / name, _cap(file, repository.read(source, commit, file)))
    return msgspec.msgpack.encode(Imported(commit=commit, left_out=left_out))


def _select(files: Sequence[HubFile], limits: Limits) -> tuple[dict[str, HubFile], list[str]]:
    """The files of an adapter by the names they are stored under, and the names of the others."""
    stored: dict[str, HubFile] = {}
    left_out = []
    for file in files:
        name = stored_name(file.name)
        if name is None:
            left_out.append(file.name)
        elif name in stored:
            raise BadFileName(f"the repository has two files that are {name}", name=name)
        else:
            stored[name] = file
    sizes = [file.num_bytes for file in stored.values()]
    if len(left_out) > limits.max_left_out:
        raise TooManyBytes(
            f"more than {limits.max_left_out} files of the repository are none of an adapter"
        )
    if max(sizes, default=0) > limits.max_file_bytes or sum(sizes) > limits.max_total_bytes:
        raise TooManyBytes(
            f"the adapter has {sum(sizes)} bytes; the limit is {limits.max_total_bytes}, and "
            f"{limits.max_file_bytes} for one file"
        )
    return stored, left_out


def _cap(file: HubFile, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """No more than the hub said: its size was compared with the limits."""
    num_bytes = 0
    for chunk in chunks:
        num_bytes += len(chunk)
        if num_bytes > file.num_bytes:
            raise TooManyBytes(
                f"{file.name} is larger than the {file.num_bytes} bytes that the hub lists"
            )
        yield chunk
