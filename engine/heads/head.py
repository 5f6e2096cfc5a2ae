"""What a head is: the settings it accepts, how its logits become an answer, and its loss.

Knows no family and no slot. Torch is imported only inside the methods that compute with it, because
the server decodes answers without torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.errors import BadAdapter
from engine.port import LossOptions
from engine.text.tokenizer import Encoding
from engine.text.windows import Windows, merge_tokens, window_problem

if TYPE_CHECKING:
    from torch import Tensor

#: the usual first, then what serves where a base cannot have it
POOLINGS: tuple[str, ...] = ("native", "mean", "cls", "last")

Logits = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerOptions:
    """How an answer is wanted; each head reads what concerns it.

    None leaves the choice to the head's own settings.
    """

    raw_scores: bool = False
    normalize: bool | None = None
    dimensions: int | None = None


class Head(Protocol):
    """What every head has, whether it predicts or generates. `head` is always the settings that
    `check` returned.
    """

    name: str
    #: one vector of logits per token rather than per row; long texts become windows
    per_token: bool
    #: the poolings it allows, its default first; a head that answers per token is native only
    poolings: tuple[str, ...]
    #: the inputs it takes, its default first: `text`, a `pair`, a `question` about a text
    inputs: tuple[str, ...]
    #: names of all its settings
    settings: tuple[str, ...]
    #: the head of a stock model that native pooling means, by its name in `Family.native_heads`
    native_as: str
    #: PEFT's name for the task of such a model
    peft_task: str
    #: trained on pairs whose two texts are rows of their own
    trains_apart: bool
    #: it has no weights of its own
    bare: bool

    def check(self, head: dict[str, Any]) -> dict[str, Any]:
        """The settings, complete and normal; raises BadAdapter."""
        ...

    def loss(
        self,
        logits: Tensor,
        targets: list[Any],
        lengths: list[int],
        head: dict[str, Any],
        options: LossOptions,
    ) -> Tensor:
        """Mean over the targets.

        `logits` is [rows, outputs], or [tokens, outputs] when `per_token`.
        """
        ...


class PredictionHead(Head, Protocol):
    """A head whose answer is computed from the logits of one forward."""

    def num_outputs(self, head: dict[str, Any]) -> int:
        """How many logits; 0 for a head without weights, which answers what it pools."""
        ...

    def targets(self, label: Any, encodings: Sequence[Encoding], head: dict[str, Any]) -> list[Any]:
        """A dataset label as `Train.targets` takes it, one for each row of the encodings.

        Raises BadAdapter for an unknown label.
        """
        ...

    def merge_logits(self, parts: Sequence[Logits], encodings: Sequence[Encoding]) -> Logits:
        """The logits of all rows of one input, as those of a single row."""
        ...

    def decode(
        self,
        logits: Logits,
        head: dict[str, Any],
        encoding: Encoding,
        text: str,
        options: AnswerOptions,
    ) -> dict[str, Any]:
        """The answer for one input: logits [outputs], or [tokens, outputs] when `per_token`.

        `text` is the text that the answer's character offsets refer to.
        """
        ...


class RowHead:
    """What heads that answer once per row have in common."""

    per_token = False
    poolings: tuple[str, ...] = POOLINGS
    inputs: tuple[str, ...] = ("text", "pair")
    native_as = "classify"
    peft_task = "SEQ_CLS"
    trains_apart = False
    bare = False

    def merge_logits(self, parts: Sequence[Logits], encodings: Sequence[Encoding]) -> Logits:
        del encodings
        return parts[0]


class TokenHead:
    """What heads that answer per token have in common: long texts are read through windows."""

    per_token = True
    poolings: tuple[str, ...] = ("native",)
    trains_apart = False
    bare = False

    def merge_logits(self, parts: Sequence[Logits], encodings: Sequence[Encoding]) -> Logits:
        windows = encodings[0].windows
        return merge_tokens(parts, windows) if windows else parts[0]


def windows_of(head: dict[str, Any]) -> Windows | None:
    """How a head wants long texts cut; None where they are too long for it."""
    if "window" not in head:
        return None
    return Windows(tokens=head["window"], stride=head["stride"])


def input_of(head: dict[str, Any]) -> str:
    """What a task with this head may be asked about."""
    return str(head.get("input", "text"))


def checked_windows(head: dict[str, Any]) -> dict[str, Any]:
    settings = {"window": head.get("window"), "stride": head.get("stride")}
    if problem := window_problem(settings["window"], settings["stride"]):
        raise BadAdapter(f"of a {head.get('kind')} head, {problem}")
    return settings


def checked_input(head: dict[str, Any], inputs: tuple[str, ...]) -> str:
    input_kind = head.get("input") or inputs[0]
    if input_kind not in inputs:
        raise BadAdapter(
            f"input is {input_kind!r}; a {head.get('kind')} head takes {' or '.join(inputs)}"
        )
    return str(input_kind)


def checked_pooling(head: dict[str, Any], poolings: tuple[str, ...] = POOLINGS) -> str:
    pooling = str(head.get("pooling") or poolings[0])
    if pooling not in poolings:
        known = ", ".join(poolings)
        raise BadAdapter(f"pooling is {pooling!r}; a {head.get('kind')} head knows {known}")
    return pooling


def checked_labels(head: dict[str, Any], at_least: int) -> list[str]:
    labels = head.get("labels")
    if not isinstance(labels, list) or not all(
        isinstance(label, str) and label for label in labels
    ):
        raise BadAdapter(
            f"a {head.get('kind')} head needs labels, a list of names; it has {labels!r}"
        )
    if len(set(labels)) != len(labels):
        raise BadAdapter(f"the labels name something twice: {labels}")
    if len(labels) < at_least:
        raise BadAdapter(
            f"a {head.get('kind')} head needs at least {at_least} labels; it has {len(labels)}"
        )
    return labels


def checked_flag(head: dict[str, Any], name: str, usual: bool) -> bool:
    value = head.get(name, usual)
    if not isinstance(value, bool):
        raise BadAdapter(f"{name} of a {head.get('kind')} head is {value!r}; it is true or false")
    return value


def checked_number(head: dict[str, Any], name: str, usual: float, low: float, high: float) -> float:
    value = head.get(name, usual)
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise BadAdapter(
            f"{name} of a {head.get('kind')} head is {value!r}; "
            f"it must be between {low:g} and {high:g}"
        )
    return float(value)


def softmax(logits: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Over the last axis."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    result: NDArray[np.float64] = shifted / shifted.sum(axis=-1, keepdims=True)
    return result


def sigmoid(logits: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    half = np.tanh(logits.astype(np.float64) / 2)
    result: NDArray[np.float64] = (1 + half) / 2
    return result
