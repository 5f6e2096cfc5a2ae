"""Unpacks archives of adapters in a child process with limits: what decompresses them was written
by others, and may be slow, greedy or wrong. `main` runs in the child process.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path

import msgspec

from adapters_registry.adapter_files.limits import Limits
from adapters_registry.adapter_files.staging import Staging
from adapters_registry.archives.unpack import unpack
from adapters_registry.errors import BadArchive
from adapters_registry.storage.disk import Disk
from engine.errors import EngineError
from server.errors import HungUp, Overloaded
from server.service.imports.child_places import ChildPlaces
from trainer.sandbox.fork_server import ChildEnded, End, ForkServer
from trainer.sandbox.limits import MIB, ChildLimits

_FUNCTION = f"{__name__}:main"
MODULES = (__name__,)
#: zstd's history is the largest that it holds; 2 GiB take seconds
LIMITS = ChildLimits(memory_bytes=256 * MIB, cpu_s=60, wall_s=240.0)
_MAX_CHILDREN = 2


class _Question(msgspec.Struct, frozen=True, kw_only=True):
    archive: str
    target: str
    limits: Limits


class ArchiveUnpacker:
    """Its method blocks, so each call runs in a thread."""

    def __init__(self, fork_server: ForkServer) -> None:
        self._fork_server = fork_server
        self._children = ChildPlaces(_MAX_CHILDREN)

    def unpack(self, staging: Staging, chunks: Iterable[bytes], gone: threading.Event) -> None:
        """The adapter's files into `staging`, or BadArtifact and nothing in it."""
        with staging.hold_archive(chunks) as archive:
            for name in self._read(archive, staging, gone):
                staging.leave_out(name)

    def _read(self, archive: Path, staging: Staging, gone: threading.Event) -> list[str]:
        question = _Question(archive=str(archive), target=str(staging.path), limits=staging.limits)
        argument = msgspec.msgpack.encode(question)
        try:
            with self._children.hold(gone):
                answer = self._fork_server.run(_FUNCTION, argument, LIMITS, gone)
        except ChildEnded as ended:
            raise _error_of(ended.end) from None
        return msgspec.msgpack.decode(answer, type=list[str])


def _error_of(end: End) -> Exception:
    match end:
        case End.CANCELLED:
            return HungUp()
        case End.KILLED:
            return Overloaded("Reading the archive was interrupted; try again.")
        case End.FAILED:
            return EngineError("the archive could not be unpacked")
        case _:
            return BadArchive(f"unpacking the archive takes more {end} than allowed")


# ---------------------------------------------------------------- in the child


def main(argument: bytes) -> bytes:
    """The names of what is left out."""
    question = msgspec.msgpack.decode(argument, type=_Question)
    archive, target = Path(question.archive), Path(question.target)
    return msgspec.msgpack.encode(unpack(archive, target, question.limits, Disk()))
