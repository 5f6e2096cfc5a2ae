"""Limits of calls, bodies and connections, built from the settings."""

from __future__ import annotations

from dataclasses import dataclass

from engine.port import EngineInfo
from server.auth.caller import Caller
from server.config import Settings
from server.dispatch.batch_scheduler import BatchLimits
from server.dispatch.generation_budget import GenerationLimits
from server.dispatch.request_queue import QueueLimits
from server.dispatch.token_budget import TokenBudget
from server.errors import BadCall, TooManyInputs
from trainer.sandbox.limits import ChildLimits

#: an upload without progress for this long is aborted
STALL_S = 30.0

#: streams of all callers that watch the health over gRPC, which needs no key
MOST_HEALTH_WATCHES = 1024
#: tokens of one queue entry, if its rows are short
_ENTRY_TOKENS = 256
#: that generate at once: with more, each waits longer for its next token
_MAX_SEQUENCES = 128
#: the slowest rate of a body, beyond the time that every body gets
_BODY_BYTES_PER_S = 16 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyLimits:
    """Per HTTP request."""

    max_bytes: int
    max_upload_bytes: int
    #: the time that every body gets
    total_s: float
    stall_s: float = STALL_S

    def allowed_s(self, num_bytes: int) -> float:
        """How long a body may take after `num_bytes` of it have arrived."""
        return self.total_s + num_bytes / _BODY_BYTES_PER_S


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """Limits of connections at one HTTP port."""

    total: int
    per_address: int
    #: from a request's first byte, or the connection's opening, to the end of its head
    head_s: float
    #: between two requests
    idle_s: float
    #: a peer that reads nothing of its answer for this long is disconnected
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
    #: the most tokens and rows of one queue entry
    entry_tokens: int
    entry_rows: int

    def deadline(self, caller: Caller, now: float) -> float:
        """When a call that arrives now must be answered: the earlier of the caller's deadline and
        the server's time limit.
        """
        latest = now + self.timeout_s
        return latest if caller.deadline is None else min(latest, caller.deadline)

    def check(self, num_inputs: int) -> None:
        """Raises BadCall or TooManyInputs."""
        if not num_inputs:
            raise BadCall("The call has no inputs.")
        if num_inputs > self.max_inputs:
            raise TooManyInputs(
                f"The call has {num_inputs} inputs; "
                f"this server accepts at most {self.max_inputs} per call."
            )


def call_limits(settings: Settings) -> CallLimits:
    return CallLimits(
        max_inputs=settings.max_inputs_per_call,
        max_chars=settings.max_input_chars,
        timeout_s=settings.predict_timeout_s,
        # large calls are split, so that small ones are scheduled in between, batches are well
        # filled, and an entry fits where slow hardware makes forwards short
        entry_tokens=max(1, min(_ENTRY_TOKENS, settings.max_batch_tokens // 4)),
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
        # one address never uses all connections
        per_address=max(1, min(settings.max_connections_per_address, total * 3 // 4)),
        head_s=settings.head_timeout_s,
        idle_s=settings.idle_timeout_s,
    )


def upload_limits(settings: Settings) -> UploadLimits:
    return UploadLimits(max_bytes=settings.max_upload_bytes)


def check_limits(settings: Settings) -> ChildLimits:
    """More wall time than processor time, because the child runs with low priority."""
    return ChildLimits(
        memory_bytes=settings.check_bytes, cpu_s=settings.check_s, wall_s=4 * settings.check_s
    )


def batch_limits(settings: Settings, num_slots: int) -> BatchLimits:
    return BatchLimits(
        max_tokens=settings.max_batch_tokens,
        max_rows=settings.max_batch_rows,
        num_slots=num_slots,
        slot_bytes=settings.slot_bytes,
    )


def token_budget(settings: Settings) -> TokenBudget:
    return TokenBudget(settings.max_batch_tokens, settings.batch_target_s)


def generation_limits(settings: Settings, info: EngineInfo, num_slots: int) -> GenerationLimits:
    return GenerationLimits(
        max_rows=min(settings.max_batch_rows, _MAX_SEQUENCES),
        num_blocks=info.num_blocks,
        block_tokens=info.block_tokens,
        max_writing_tokens=settings.max_writing_tokens,
        # the other half stays free for batches
        max_adapters=max(1, num_slots // 2),
        max_adapter_bytes=settings.slot_bytes // 2,
    )


def queue_limits(settings: Settings, info: EngineInfo) -> QueueLimits:
    return QueueLimits(
        max_rows=settings.max_queue_rows,
        max_tokens=settings.max_queue_tokens,
        slot_bytes=settings.slot_bytes,
        base_bytes=max(1, info.num_parameters * (4 if info.dtype == "float32" else 2)),
        weights=settings.tenant_weights or {},
    )
