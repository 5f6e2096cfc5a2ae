"""What one call may ask for.

Built from the settings; the queue's own limits live with the queue.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.port import EngineInfo
from server.auth.caller import Caller
from server.config import Settings
from server.dispatch.batch_scheduler import BatchLimits
from server.dispatch.generation_scheduler import GenerationLimits
from server.dispatch.request_queue import QueueLimits
from server.errors import BadCall, TooManyInputs
from trainer.sandbox.limits import ChildLimits

#: an upload that stands still for so long is given up
STALL_S = 30.0


#: streams that watch the health over gRPC, of all callers: they ask for no key
MOST_HEALTH_WATCHES = 1024
#: a body must come faster than this, but for the time that any body has
_BODY_BYTES_PER_S = 16 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyLimits:
    """Per HTTP request."""

    max_bytes: int
    max_upload_bytes: int
    #: what the smallest body may take
    total_s: float
    stall_s: float = STALL_S

    def allowed_s(self, num_bytes: int) -> float:
        """How long a body may take of which so many bytes came."""
        return self.total_s + num_bytes / _BODY_BYTES_PER_S


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """What callers may hold open at one HTTP port."""

    total: int
    per_address: int
    #: from a request's first byte, or the connection's opening, to the end of its head
    head_s: float
    #: between two requests
    idle_s: float
    #: a peer that takes nothing of its answer for so long is cut off
    stall_s: float = STALL_S


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadLimits:
    """Per stream of files."""

    max_bytes: int
    stall_s: float = STALL_S


@dataclass(frozen=True, slots=True, kw_only=True)
class CallLimits:
    """Per predict call."""

    max_inputs: int
    max_chars: int
    timeout_s: float
    #: rows of one call that go through the queue together hold at most so many tokens
    entry_tokens: int
    entry_rows: int

    def deadline(self, caller: Caller, now: float) -> float:
        """When a call that comes now must be answered: the caller's own deadline, if it has one
        that is sooner than the server's time limit.
        """
        latest = now + self.timeout_s
        return latest if caller.deadline is None else min(latest, caller.deadline)

    def check(self, num_inputs: int) -> None:
        """Raises BadCall or TooManyInputs for a call of so many inputs."""
        if not num_inputs:
            raise BadCall("The call holds no inputs.")
        if num_inputs > self.max_inputs:
            raise TooManyInputs(
                f"The call holds {num_inputs} inputs; "
                f"this server takes at most {self.max_inputs} a call."
            )


def call_limits(settings: Settings) -> CallLimits:
    return CallLimits(
        max_inputs=settings.max_inputs_per_call,
        max_chars=settings.max_input_chars,
        timeout_s=settings.predict_timeout_s,
        # a quarter of a batch: large calls are split so that small ones get in between, and batches
        # fill well
        entry_tokens=max(1, settings.max_batch_tokens // 4),
        entry_rows=max(1, settings.max_batch_rows // 4),
    )


def body_limits(settings: Settings) -> BodyLimits:
    return BodyLimits(
        max_bytes=settings.max_body_bytes,
        max_upload_bytes=settings.max_upload_bytes,
        total_s=settings.body_timeout_s,
    )


def connection_limits(settings: Settings, total: int) -> ConnectionLimits:
    return ConnectionLimits(
        total=total,
        # an address alone never fills the port
        per_address=max(1, min(settings.max_connections_per_address, total * 3 // 4)),
        head_s=settings.head_timeout_s,
        idle_s=settings.idle_timeout_s,
    )


def upload_limits(settings: Settings) -> UploadLimits:
    return UploadLimits(max_bytes=settings.max_upload_bytes)


def check_limits(settings: Settings) -> ChildLimits:
    """On the clock more than of a processor: the child is to let everything else go first."""
    return ChildLimits(
        memory_bytes=settings.check_bytes, cpu_s=settings.check_s, wall_s=4 * settings.check_s
    )


def batch_limits(settings: Settings, num_slots: int) -> BatchLimits:
    return BatchLimits(
        max_tokens=settings.max_batch_tokens,
        max_rows=settings.max_batch_rows,
        ahead_tokens=settings.ahead_tokens,
        num_slots=num_slots,
        slot_bytes=settings.slot_bytes,
    )


def generation_limits(settings: Settings, info: EngineInfo, num_slots: int) -> GenerationLimits:
    return GenerationLimits(
        max_rows=settings.max_batch_rows,
        max_tokens=settings.max_batch_tokens,
        num_blocks=info.num_blocks,
        block_tokens=info.block_tokens,
        max_writing_tokens=settings.max_writing_tokens,
        # the other half stays free for batches, which come and go
        max_adapters=max(1, num_slots // 2),
    )


def queue_limits(settings: Settings) -> QueueLimits:
    return QueueLimits(
        max_rows=settings.max_queue_rows,
        max_tokens=settings.max_queue_tokens,
        slot_bytes=settings.slot_bytes,
    )
