"""What the port returns: the results of steps and the values they consist of.

Plain data, torch-free. `engine.port` re-exports these names; import them from there.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from engine.errors import BadRow

#: the target of a token that is not trained on, as PyTorch's losses have it
IGNORED = -100
#: what a token takes in a row
TOKEN_BYTES = 4


class Message(msgspec.Struct, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    """Base of everything that crosses the port."""


class Row(Message, frozen=True, kw_only=True):
    """One request's tokens and the slot that answers them. `Row.of` makes one of lists.

    Tokens and their types, where a row has any, are int32 in bytes, so that a batch of them is read
    and packed without an object of Python for each. Slot 0 is the bare base: it answers hidden
    states, or with a `pooling` (cls, mean, last) one vector of them.
    """

    tokens: bytes
    types: bytes = b""
    slot: int = 0
    pooling: str | None = None

    @classmethod
    def of(
        cls,
        *,
        ids: Sequence[int],
        type_ids: Sequence[int] | None = None,
        slot: int = 0,
        pooling: str | None = None,
    ) -> Row:
        types = b"" if type_ids is None else _int32(type_ids)
        return cls(tokens=_int32(ids), types=types, slot=slot, pooling=pooling)

    @property
    def num_tokens(self) -> int:
        return len(self.tokens) // TOKEN_BYTES

    @property
    def ids(self) -> list[int]:
        return array("i", self.tokens).tolist()

    @property
    def type_ids(self) -> list[int] | None:
        return array("i", self.types).tolist() if self.types else None


def _int32(numbers: Sequence[int]) -> bytes:
    try:
        return array("i", numbers).tobytes()
    except OverflowError as error:
        raise BadRow("the row has a token id that is no 32-bit integer") from error


class Site(Message, frozen=True, kw_only=True):
    """A linear of the base where an adapter may attach."""

    name: str
    layer: int
    in_features: int
    out_features: int


class BaseEmbedding(Message, frozen=True, kw_only=True):
    """How the base embeds a text by itself; `problem` says why it does not, "" where it does.

    `prompts` are put before a text by the name of its purpose, `default_prompt` where none is
    named. Texts longer than `max_tokens` are too long.
    """

    pooling: str = ""
    normalize: bool = True
    max_tokens: int = 0
    prompts: dict[str, str] = msgspec.field(default_factory=dict)
    default_prompt: str = ""
    problem: str = ""


class EngineInfo(Message, frozen=True, kw_only=True):
    """What a running engine says of itself once the base is resident."""

    base: str
    fingerprint: str
    family: str
    hidden_size: int
    num_layers: int
    num_parameters: int
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
    #: by head, those that this base can have
    poolings: dict[str, list[str]]
    tokenizer_json: str
    numerics_reason: str = ""
    #: whether a row has the same bits alone and in any batch
    exact: bool = False
    #: layers below a training's lowest are computed once per row and kept
    ranged: bool = True
    #: the base's own templates for conversations by name, with the special tokens they name
    chat_templates: dict[str, str] = msgspec.field(default_factory=dict)
    special_tokens: dict[str, str] = msgspec.field(default_factory=dict)
    #: the tokens that end a generated text
    end_ids: list[int] = msgspec.field(default_factory=list)
    #: token ids from here on have no embedding; 0 where nobody knows
    num_embeddings: int = 0
    #: keys and values of rows that write are held in so many blocks of so many tokens; no blocks:
    #: each row holds its own as long as it runs
    num_blocks: int = 0
    block_tokens: int = 16
    #: physical cores that its process may use, and devices like its own
    num_cores: int = 1
    num_devices: int = 1
    embedding: BaseEmbedding = BaseEmbedding(problem="it does not say how")


class Array(Message, frozen=True, kw_only=True):
    """A float32 array in row-major bytes."""

    shape: list[int]
    data: bytes

    @classmethod
    def of(cls, array: NDArray[np.float32]) -> Array:
        return cls(shape=list(array.shape), data=np.ascontiguousarray(array, np.float32).tobytes())

    def numpy(self) -> NDArray[np.float32]:
        return np.frombuffer(self.data, np.float32).reshape(self.shape)


class Failure(Message, frozen=True, kw_only=True):
    """Why a row or a step has no result: a code of `engine.errors.ERRORS` and a sentence."""

    code: str
    message: str


class File(Message, frozen=True, kw_only=True):
    """A file of a version, by role; `sha256` is checked on reading (empty: not yet hashed)."""

    role: str
    path: str
    sha256: str = ""


class LossOptions(Message, frozen=True, kw_only=True):
    """How a head's loss counts; weights are in the order of its labels, none: all alike."""

    class_weights: list[float] = msgspec.field(default_factory=list)
    label_smoothing: float = 0.0


class Done(Message, frozen=True, kw_only=True):
    """The step has nothing more to say."""


class Loaded(Message, frozen=True, kw_only=True):
    """A digest is resident; `num_bytes` is what a slot of it costs, `host_bytes` what it takes in
    host memory.
    """

    num_bytes: int
    host_bytes: int = 0


class Inspected(Message, frozen=True, kw_only=True):
    """What a directory holds.

    `semantics` goes into the manifest as it is; `files` maps role to file name. `other_base` is the
    base that the files name, where it was insisted that this one serves them.
    """

    semantics: dict[str, Any]
    files: dict[str, str]
    num_parameters: int
    warnings: list[str] = msgspec.field(default_factory=list)
    other_base: str = ""


class Predicted(Message, frozen=True, kw_only=True):
    """One result per row, in order: an array (logits or hidden states) or a failure."""

    rows: list[Array | Failure]
    forward_s: float
    #: that were computed: equal texts of the bare base are computed once
    num_tokens: int
    num_adapters: int


class TrainingOpened(Message, frozen=True, kw_only=True):
    """The slot a job trains in, and how much of the model it trains.

    `num_steps` were taken already where it goes on from a checkpoint.
    """

    slot: int
    num_trainable: int
    num_steps: int = 0


class Trained(Message, frozen=True, kw_only=True):
    """The mean loss over the step's targets, and the gradient's norm before clipping."""

    loss: float
    grad_norm: float


class Checkpointed(Message, frozen=True, kw_only=True):
    """A checkpoint was written, after so many optimizer steps."""

    num_steps: int
    num_bytes: int


class Saved(Message, frozen=True, kw_only=True):
    """What was written, in the words of `Inspected`.

    `unmoved` names trained tensors that never moved.
    """

    semantics: dict[str, Any]
    files: dict[str, str]
    unmoved: list[str]


class EngineStats(Message, frozen=True, kw_only=True):
    """What the engine holds now."""

    loaded: dict[str, int]
    placed: dict[int, str]
    training: list[int]
    cache_bytes: int
    #: keys of rows that write
    running: list[int] = msgspec.field(default_factory=list)
    #: blocks of keys and values that running rows hold, and how many there are
    used_blocks: int = 0
    num_blocks: int = 0
