"""Inspects uploaded adapters: first in a child process with limits, then, one at a time, in the
engine. `main` runs in the child process.
"""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import msgspec

from adapters_registry.adapter_files.limits import Limits
from adapters_registry.adapter_files.reader import check_directory
from adapters_registry.adapter_files.staging import Staging
from engine.adapter_formats.footprint import Shape, check_footprint
from engine.errors import BadAdapter, EngineError
from engine.port import EngineInfo, EnginePort, Inspect, Inspected
from server.dispatch.residency import Residency
from server.errors import HungUp, Overloaded
from trainer.sandbox.fork_server import ChildEnded, End, ForkServer
from trainer.sandbox.limits import MIB, ChildLimits

_FUNCTION = f"{__name__}:main"
MODULES = (__name__,)
#: the child reads headers, settings and a few megabytes of values at a time; 1 GiB takes seconds
LIMITS = ChildLimits(memory_bytes=256 * MIB, cpu_s=60, wall_s=240.0)
_MAX_CHILDREN = 2
_ROOM_S = 10.0


class _Question(msgspec.Struct, frozen=True, kw_only=True):
    directory: str
    left_out: list[str]
    limits: Limits
    info: EngineInfo


class Inspector:
    """Its method blocks, so each call runs in a thread."""

    def __init__(
        self, *, port: EnginePort, residency: Residency, fork_server: ForkServer, host_bytes: int
    ) -> None:
        self._port, self._residency = port, residency
        self._fork_server, self._host_bytes = fork_server, host_bytes
        # the child needs only names and sizes of the base
        self._info = msgspec.structs.replace(port.info, tokenizer_json="", special_tokens={})
        self._children = threading.BoundedSemaphore(_MAX_CHILDREN)
        self._in_engine = threading.Lock()

    def inspect(
        self,
        staging: Staging,
        head: dict[str, Any] | None,
        *,
        other_base: bool,
        loop: asyncio.AbstractEventLoop,
        gone: threading.Event,
    ) -> Inspected:
        """`loop` is the event loop of the residency. Raises BadArtifact and BadAdapter, and HungUp
        once `gone` is set.
        """
        num_bytes = self._read(staging, gone)
        if num_bytes > self._host_bytes:
            raise BadAdapter(
                f"the adapter takes {num_bytes // MIB} MiB of memory; this server holds "
                f"{self._host_bytes // MIB} MiB of adapters (host_bytes)"
            )
        step = Inspect(directory=str(staging.path), head=head, other_base=other_base)
        with self._in_engine:
            if gone.is_set():
                raise HungUp
            asyncio.run_coroutine_threadsafe(self._make_room(num_bytes), loop).result(_ROOM_S)
            inspected = self._port.submit(step).result()
        if not isinstance(inspected, Inspected):
            raise EngineError(f"the engine answered an Inspect with {type(inspected).__name__}")
        return inspected

    async def _make_room(self, num_bytes: int) -> None:
        self._residency.make_room(num_bytes)

    def _read(self, staging: Staging, gone: threading.Event) -> int:
        question = _Question(
            directory=str(staging.path),
            left_out=staging.paths_left_out,
            limits=staging.limits,
            info=self._info,
        )
        argument = msgspec.msgpack.encode(question)
        try:
            with self._children:
                answer = self._fork_server.run(_FUNCTION, argument, LIMITS, gone)
        except ChildEnded as ended:
            raise _error_of(ended.end) from None
        return int.from_bytes(answer, "big")


def _error_of(end: End) -> Exception:
    match end:
        case End.CANCELLED:
            return HungUp()
        case End.KILLED:
            return Overloaded("Reading the adapter was interrupted; try again.")
        case End.FAILED:
            return EngineError("the adapter could not be inspected")
        case _:
            return BadAdapter(f"reading the adapter takes more {end} than allowed")


# ---------------------------------------------------------------- in the child


def main(argument: bytes) -> bytes:
    """The bytes that the adapter takes in memory."""
    question = msgspec.msgpack.decode(argument, type=_Question)
    directory, limits, left_out = Path(question.directory), question.limits, question.left_out
    # names and shapes first: no values are read of files that cannot be an adapter of this base
    headers = check_directory(directory, limits, left_out, values=False)
    shapes = [Shape(t.name, t.shape) for header in headers for t in header.tensors]
    num_bytes = check_footprint(shapes, question.info)
    check_directory(directory, limits, left_out)
    return num_bytes.to_bytes(8, "big")
