"""What a head is: the settings it accepts, how its logits become an answer, its loss.

Knows no family and no slot. Torch is imported only inside the methods that compute with it: the
front door decodes answers and must stay light.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.errors import BadAdapter
from engine.tokenizer import Encoding

if TYPE_CHECKING:
    from torch import Tensor

POOLINGS: tuple[str, ...] = ("native", "cls", "mean", "last")
#: the target of a token that is not trained on
IGNORED = -100

Logits = NDArray[np.float32]


class HeadKind(Protocol):
    """One kind of head. `head` is always the settings that `check` returned."""

    name: str
    #: one vector of logits per token rather than per row
    per_token: bool
    #: how it may pool; a head that answers per token reads them all, and is native
    poolings: tuple[str, ...]

    def check(self, head: dict[str, Any]) -> dict[str, Any]:
        """The settings, complete and normal; raises BadAdapter."""
        ...

    def num_outputs(self, head: dict[str, Any]) -> int:
        """How many logits."""
        ...

    def target(self, label: Any, encoding: Encoding, head: dict[str, Any]) -> Any:
        """A dataset label as `Train.targets` wants it; raises BadAdapter for an unknown label."""
        ...

    def loss(
        self, logits: Tensor, targets: list[Any], lengths: list[int], head: dict[str, Any]
    ) -> Tensor:
        """Mean over the targets.

        `logits` is [rows, outputs], or [tokens, outputs] when `per_token`.
        """
        ...

    def decode(
        self,
        logits: Logits,
        head: dict[str, Any],
        encoding: Encoding,
        text: str,
        raw_scores: bool = False,
    ) -> dict[str, Any]:
        """The answer for one row: logits [outputs], or [tokens, outputs] when `per_token`."""
        ...


def checked_pooling(head: dict[str, Any]) -> str:
    pooling = str(head.get("pooling") or "native")
    if pooling not in POOLINGS:
        raise BadAdapter(f"pooling is {pooling!r}; this engine knows {', '.join(POOLINGS)}")
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


def softmax(logits: Logits) -> NDArray[np.float64]:
    """Over the last axis."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    result: NDArray[np.float64] = shifted / shifted.sum(axis=-1, keepdims=True)
    return result
