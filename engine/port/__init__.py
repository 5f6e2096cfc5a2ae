"""The interface of the engine on one page: the steps that go in and the results that come out.

Owns the steps and the codec, and re-exports the results of `engine.port.messages`. Everything here
is plain data, encoded as msgpack, and torch-free, so that the server can use the port without
loading torch. Weights never cross it: they are read by path and checked against their sha256.

The caller of the port owns every decision (which rows, which slot holds which digest); the engine
owns every tensor.
"""

from __future__ import annotations

from concurrent.futures import Future
from typing import Protocol

import msgspec

from engine.errors import ERRORS, EngineError
from engine.port.adapter_steps import Compose, Inspect, Load, Unload
from engine.port.generation_steps import (
    FreeSequences,
    Generate,
    Generated,
    Sampling,
    SequenceOutput,
    StartSequence,
    TokenLogprob,
)
from engine.port.messages import (
    IGNORED,
    TOKEN_BYTES,
    Array,
    BaseEmbedding,
    Checkpointed,
    Done,
    EngineInfo,
    EngineStats,
    Failure,
    File,
    Inspected,
    Loaded,
    LossOptions,
    Message,
    Predicted,
    Row,
    Saved,
    Site,
    Trained,
    TrainingOpened,
)
from engine.port.training_steps import (
    Average,
    Checkpoint,
    CloseTraining,
    Fill,
    Forget,
    OpenTraining,
    Restore,
    Save,
    Snapshot,
    Train,
)

__all__ = [
    "IGNORED",
    "TOKEN_BYTES",
    "Array",
    "Average",
    "BaseEmbedding",
    "Checkpoint",
    "Checkpointed",
    "CloseTraining",
    "Compose",
    "Done",
    "EngineInfo",
    "EnginePort",
    "EngineStats",
    "Envelope",
    "Evict",
    "Failure",
    "File",
    "Fill",
    "Forget",
    "FreeSequences",
    "Generate",
    "Generated",
    "Inspect",
    "Inspected",
    "Load",
    "Loaded",
    "LossOptions",
    "Message",
    "OpenTraining",
    "Predict",
    "Predicted",
    "Restore",
    "Result",
    "Row",
    "Sampling",
    "Save",
    "Saved",
    "SequenceOutput",
    "Site",
    "Snapshot",
    "StartSequence",
    "Stats",
    "Step",
    "TokenLogprob",
    "Train",
    "Trained",
    "TrainingOpened",
    "Unload",
    "decode",
    "encode",
    "is_background",
    "settle",
]

# ---------------------------------------------------------------- steps in


class Predict(Message, frozen=True, kw_only=True):
    """Place digests into slots, then run all rows in one forward.

    With `keys` all rows are of one training slot, and start at what was filled under them.
    `background`: nobody waits for it but a training.
    """

    rows: list[Row]
    place: dict[int, str] = msgspec.field(default_factory=dict)
    keys: list[int] = msgspec.field(default_factory=list)
    background: bool = False


class Evict(Message, frozen=True, kw_only=True):
    """Empty slots."""

    slots: list[int]


class Stats(Message, frozen=True, kw_only=True):
    """Ask what is resident and placed."""


Step = (
    Load
    | Compose
    | Unload
    | Inspect
    | Predict
    | Generate
    | FreeSequences
    | Evict
    | OpenTraining
    | Fill
    | Forget
    | Train
    | Snapshot
    | Restore
    | Average
    | Checkpoint
    | Save
    | CloseTraining
    | Stats
)


#: they change a training slot, or wait for a disk: in their order, and never before a call
_OF_TRAINING = (
    OpenTraining | Fill | Train | Snapshot | Restore | Average | Checkpoint | Save | CloseTraining
)


def is_background(step: Message) -> bool:
    """Whether it belongs to training, which gives way to calls."""
    if isinstance(step, Predict | Generate):
        return step.background
    return isinstance(step, _OF_TRAINING)


Result = (
    Done
    | Loaded
    | Inspected
    | Predicted
    | Generated
    | TrainingOpened
    | Trained
    | Checkpointed
    | Saved
    | EngineStats
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
    its place (`generation` grows). Steps run in order within a class; training (`is_background`)
    yields to every other step, on a CPU between two products, on a device between two parts of a
    step. What `Load` and `Inspect` read is read beside the steps that run, so they may end after
    later ones: `Load` and `Unload` of one digest keep their order, and whoever places it waits for
    the end of its `Load`.
    """

    @property
    def info(self) -> EngineInfo: ...

    @property
    def generation(self) -> int: ...

    @property
    def pid(self) -> int:
        """The process that computes; this one, where the engine is a thread or a fake."""
        ...

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
