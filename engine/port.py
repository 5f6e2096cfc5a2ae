"""The boundary of the engine as a page: the steps that go in, the results that come out.

Owns the steps and the codec, and gives the results of `engine.results` on. Everything here is plain
data, encoded as msgpack, and torch-free, so that the front door can hold the port without paying
for the engine. Weights never cross it: they are read by path, checked against their sha256.

The caller of the port owns every decision (which rows, which slot holds which digest); the engine
owns every tensor.
"""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any, Protocol

import msgspec

from engine.errors import ERRORS, EngineError
from engine.residency_steps import Compose, Inspect, Load, Unload
from engine.results import (
    Array,
    Checkpointed,
    Done,
    EngineInfo,
    Failure,
    File,
    Inspected,
    Loaded,
    LossOptions,
    Message,
    Predicted,
    Resident,
    Row,
    Saved,
    Site,
    Trained,
    TrainingOpened,
)
from engine.writing import Begin, Decoded, Release, Sampling, TokenLogprob, Write, Written

__all__ = [
    "Array", "Begin", "Checkpoint", "Checkpointed", "CloseTraining", "Compose", "Decoded", "Done",
    "EngineInfo", "EnginePort", "Envelope", "Evict", "Failure", "File", "Inspect", "Inspected",
    "Load", "Loaded", "LossOptions", "Message", "OpenTraining", "Predict", "Predicted", "Release",
    "Resident", "Restore", "Result", "Row", "Sampling", "Save", "Saved", "Site", "Snapshot",
    "Stats", "Step", "TokenLogprob", "Train", "Trained", "TrainingOpened", "Unload", "Write",
    "Written", "decode", "encode", "settle",
]  # fmt: skip

# ---------------------------------------------------------------- steps in


class Predict(Message, frozen=True, kw_only=True):
    """Place digests into slots, then run all rows in one forward."""

    rows: list[Row]
    place: dict[int, str] = msgspec.field(default_factory=dict)


class Evict(Message, frozen=True, kw_only=True):
    """Empty slots."""

    slots: list[int]


class OpenTraining(Message, frozen=True, kw_only=True):
    """Take a slot of its own for a fresh adapter and head with fp32 masters and an optimizer.

    `resume` names a directory that `Checkpoint` wrote of a training opened with the same settings:
    every later step then gives bit for bit what it would have given there.
    """

    kind: str
    kind_config: dict[str, Any]
    head: dict[str, Any]
    seed: int
    dropout: float = 0.1
    head_dropout: float = 0.1
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    cache_bytes: int = 256 * 2**20
    head_learning_rate_scale: float = 1.0
    loss: LossOptions = LossOptions()
    resume: str | None = None


class Train(Message, frozen=True, kw_only=True):
    """One optimizer step on one micro-batch. `keys` name rows for the frozen-activation cache.

    Targets are what the head's `targets` makes of labels; -100 is ignored.
    """

    slot: int
    rows: list[Row]
    keys: list[int]
    targets: list[Any]
    learning_rate: float
    step: int


class Snapshot(Message, frozen=True, kw_only=True):
    """Remember the slot's weights as the best so far."""

    slot: int


class Restore(Message, frozen=True, kw_only=True):
    """Go back to the last snapshot."""

    slot: int


class Checkpoint(Message, frozen=True, kw_only=True):
    """Write all that the slot's next steps depend on into a new directory: whole, or not at all."""

    slot: int
    directory: str


class Save(Message, frozen=True, kw_only=True):
    """Write the slot's adapter and head as a version directory (safetensors and JSON).

    `head` has settings that were found after training, such as a temperature.
    """

    slot: int
    directory: str
    head: dict[str, Any] = msgspec.field(default_factory=dict)


class CloseTraining(Message, frozen=True, kw_only=True):
    """Give the slot and its optimizer back."""

    slot: int


class Stats(Message, frozen=True, kw_only=True):
    """Ask what is resident and placed."""


Step = (
    Load
    | Compose
    | Unload
    | Inspect
    | Predict
    | Write
    | Release
    | Evict
    | OpenTraining
    | Train
    | Snapshot
    | Restore
    | Checkpoint
    | Save
    | CloseTraining
    | Stats
)

Result = (
    Done
    | Loaded
    | Inspected
    | Predicted
    | Decoded
    | TrainingOpened
    | Trained
    | Checkpointed
    | Saved
    | Resident
    | Failure
    | EngineInfo
)

# ---------------------------------------------------------------- across


class Envelope(msgspec.Struct, frozen=True, array_like=True):
    """A step or result with the number that pairs them."""

    number: int
    body: Step | Result


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Envelope)


def encode(envelope: Envelope) -> bytes:
    return _encoder.encode(envelope)


def decode(frame: bytes) -> Envelope:
    """Raises msgspec.DecodeError on anything that is not an envelope."""
    return _decoder.decode(frame)


class EnginePort(Protocol):
    """How everyone outside reaches the engine.

    `submit` never blocks. The future ends with a result, or raises the `EngineError` its failure
    names; when the engine dies it raises `EngineGone` and a fresh engine with nothing loaded takes
    its place (`generation` grows). Steps run in order within a class; `Train` steps yield to every
    other step between micro-batches.
    """

    @property
    def info(self) -> EngineInfo: ...

    @property
    def generation(self) -> int: ...

    @property
    def is_alive(self) -> bool:
        """Whether a step submitted now would be answered."""
        ...

    def submit(self, step: Step) -> Future[Result]: ...

    def close(self) -> None: ...


def settle(future: Future[Result], result: Result) -> None:
    """End a future with a result, or with the error a failure names."""
    if isinstance(result, Failure):
        future.set_exception(ERRORS.get(result.code, EngineError)(result.message))
    else:
        future.set_result(result)
