"""The boundary of the engine as a page: the steps that go in, the results that come out.

Owns the message types and their codec. Everything here is plain data, encoded as msgpack, and torch-free, so that the
front door can hold the port without paying for the engine. Weights never cross it: they are read by path, checked
against their sha256.

The caller of the port owns every decision (which rows, which slot holds which digest); the engine owns every tensor.
"""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from engine.errors import ERRORS, EngineError


class Message(msgspec.Struct, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    """Base of everything that crosses the port."""


# ---------------------------------------------------------------- values


class Site(Message, frozen=True, kw_only=True):
    """A linear of the base where an adapter may attach."""

    name: str
    layer: int
    in_features: int
    out_features: int


class EngineInfo(Message, frozen=True, kw_only=True):
    """What a running engine says of itself once the base is resident."""

    base: str
    fingerprint: str
    family: str
    hidden_size: int
    num_layers: int
    max_tokens: int
    dtype: str
    device: str
    num_threads: int
    packed: bool
    num_slots: int
    slot_bytes: int
    sites: list[Site]
    sublayers: list[str]
    kinds: list[str]
    heads: list[str]
    tokenizer_json: str
    numerics_reason: str = ""


class Array(Message, frozen=True, kw_only=True):
    """A float32 array in row-major bytes."""

    shape: list[int]
    data: bytes

    @classmethod
    def of(cls, array: NDArray[np.float32]) -> Array:
        return cls(shape=list(array.shape), data=np.ascontiguousarray(array, np.float32).tobytes())

    def numpy(self) -> NDArray[np.float32]:
        return np.frombuffer(self.data, np.float32).reshape(self.shape)


class Row(Message, frozen=True, kw_only=True):
    """One request's tokens and the slot that answers them. Slot 0 is the bare base: it answers hidden states."""

    ids: list[int]
    type_ids: list[int] | None = None
    slot: int = 0


class Failure(Message, frozen=True, kw_only=True):
    """Why a row or a step has no result: a code of `engine.errors.ERRORS` and a sentence."""

    code: str
    message: str


class File(Message, frozen=True, kw_only=True):
    """A file of a version, by role; `sha256` is checked while it is read (empty: staging, not yet hashed)."""

    role: str
    path: str
    sha256: str = ""


# ---------------------------------------------------------------- steps in


class Load(Message, frozen=True, kw_only=True):
    """Read a version's files, check them against base and sites, keep them in host memory under `digest`.

    `semantics` is the manifest's own part as `Inspect` returned it: kind, kind_config, sites, head.
    """

    digest: str
    semantics: dict[str, Any]
    files: list[File]


class Unload(Message, frozen=True, kw_only=True):
    """Drop a digest from host memory and from any slot."""

    digest: str


class Inspect(Message, frozen=True, kw_only=True):
    """Check a staged adapter directory against this base and say what it is; loads nothing.

    `head` overrides or completes what the directory says of its head:
    {"kind": "classify"|"tag"|"regress", "labels": [...], "pooling": "native"|"mean"}.
    """

    directory: str
    head: dict[str, Any] | None = None


class Predict(Message, frozen=True, kw_only=True):
    """Place digests into slots, then run all rows in one forward."""

    rows: list[Row]
    place: dict[int, str] = {}


class Evict(Message, frozen=True, kw_only=True):
    """Empty slots."""

    slots: list[int]


class OpenTraining(Message, frozen=True, kw_only=True):
    """Take a slot of its own for a fresh adapter and head with fp32 masters and an optimizer."""

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


class Train(Message, frozen=True, kw_only=True):
    """One optimizer step on one micro-batch. `keys` name rows for the frozen-activation cache.

    Targets per head: classify, the label's index; regress, the value; tag, one label index per token (-100: ignored).
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


class Save(Message, frozen=True, kw_only=True):
    """Write the slot's adapter and head as a version directory (safetensors and JSON)."""

    slot: int
    directory: str


class CloseTraining(Message, frozen=True, kw_only=True):
    """Give the slot and its optimizer back."""

    slot: int


class Stats(Message, frozen=True, kw_only=True):
    """Ask what is resident and placed."""


Step = (
    Load
    | Unload
    | Inspect
    | Predict
    | Evict
    | OpenTraining
    | Train
    | Snapshot
    | Restore
    | Save
    | CloseTraining
    | Stats
)

# ---------------------------------------------------------------- results out


class Done(Message, frozen=True, kw_only=True):
    """The step has nothing more to say."""


class Loaded(Message, frozen=True, kw_only=True):
    """A digest is resident; `num_bytes` is what a slot of it costs."""

    num_bytes: int


class Inspected(Message, frozen=True, kw_only=True):
    """What a directory holds: `semantics` goes into the manifest as it is; `files` maps role to file name."""

    semantics: dict[str, Any]
    files: dict[str, str]
    num_parameters: int


class Predicted(Message, frozen=True, kw_only=True):
    """One result per row, in order: an array (logits or hidden states) or a failure."""

    rows: list[Array | Failure]
    forward_s: float
    num_tokens: int
    num_adapters: int


class TrainingOpened(Message, frozen=True, kw_only=True):
    """The slot a job trains in, and how much of the model it trains."""

    slot: int
    num_trainable: int
    num_base: int


class Trained(Message, frozen=True, kw_only=True):
    """The mean loss over the step's targets, and the gradient's norm before clipping."""

    loss: float
    grad_norm: float


class Saved(Message, frozen=True, kw_only=True):
    """What was written, in the words of `Inspected`. `unmoved` names trained tensors that never moved."""

    semantics: dict[str, Any]
    files: dict[str, str]
    unmoved: list[str]


class Resident(Message, frozen=True, kw_only=True):
    """What the engine holds now."""

    loaded: dict[str, int]
    placed: dict[int, str]
    training: list[int]
    cache_bytes: int


Result = (
    Done
    | Loaded
    | Inspected
    | Predicted
    | TrainingOpened
    | Trained
    | Saved
    | Resident
    | Failure
    | EngineInfo
)


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

    `submit` never blocks. The future ends with a result, or raises the `EngineError` its failure names; when the
    engine dies it raises `EngineGone` and a fresh engine with nothing loaded takes its place (`generation` grows).
    Steps run in order within a class; `Train` steps yield to every other step between micro-batches.
    """

    @property
    def info(self) -> EngineInfo: ...

    @property
    def generation(self) -> int: ...

    def submit(self, step: Step) -> Future[Result]: ...

    def close(self) -> None: ...


def settle(future: Future[Result], result: Result) -> None:
    """End a future with a result, or with the error a failure names."""
    if isinstance(result, Failure):
        future.set_exception(ERRORS.get(result.code, EngineError)(result.message))
    else:
        future.set_result(result)
