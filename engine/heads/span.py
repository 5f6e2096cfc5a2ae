"""Extractive question answering: the span of a context that answers a question, or none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import BadAdapter
from engine.heads.head import (
    AnswerOptions,
    Logits,
    TokenHead,
    checked_flag,
    checked_input,
    checked_number,
    checked_pooling,
    checked_windows,
    softmax,
)
from engine.port import IGNORED, LossOptions
from engine.text.tokenizer import Encoding

if TYPE_CHECKING:
    from torch import Tensor

_MAX_LOGIT = 1e30
_MOST_ANSWER_TOKENS = 4096
_CONTEXT = 1  # the segment of a question-and-context row that answers come from


class SpanHead(TokenHead):
    """Cross entropy of the answer's first and last token; the row's first token means no answer.

    With `no_answer` there is none when its logits exceed the best span's by more than `threshold`.
    """

    name = "span"
    inputs: tuple[str, ...] = ("question",)
    settings: tuple[str, ...] = (
        "pooling",
        "input",
        "window",
        "stride",
        "no_answer",
        "threshold",
        "max_answer_tokens",
    )
    native_as = "span"
    peft_task = "QUESTION_ANS"

    def check(self, head: dict[str, Any]) -> dict[str, Any]:
        longest = head.get("max_answer_tokens", 30)
        whole = isinstance(longest, int) and not isinstance(longest, bool)
        if not whole or not 1 <= longest <= _MOST_ANSWER_TOKENS:
            raise BadAdapter(
                f"max_answer_tokens of a span head is {longest!r}; "
                f"it counts from 1 to {_MOST_ANSWER_TOKENS}"
            )
        return {
            "kind": self.name,
            "pooling": checked_pooling(head, self.poolings),
            "input": checked_input(head, self.inputs),
            "no_answer": checked_flag(head, "no_answer", usual=True),
            "threshold": checked_number(head, "threshold", 0.0, -_MAX_LOGIT, _MAX_LOGIT),
            "max_answer_tokens": longest,
            **checked_windows(head),
        }

    def num_outputs(self, head: dict[str, Any]) -> int:
        del head
        return 2

    def targets(self, label: Any, encodings: Sequence[Encoding], head: dict[str, Any]) -> list[Any]:
        """`label` is a list of (answer, first character); the first one is trained on.

        A window without it is one without an answer.
        """
        encoding = encodings[0]
        tokens = self._answer_tokens(label, encoding) if label else None
        windows = encoding.windows or [list(range(len(encoding.ids)))]
        missing = [0, 0] if head["no_answer"] else [IGNORED, IGNORED]
        return [
            [window.index(tokens[0]), window.index(tokens[-1])]
            if tokens and tokens[0] in window and tokens[-1] in window
            else missing
            for window in windows
        ]

    def _answer_tokens(self, label: Any, encoding: Encoding) -> list[int]:
        answer, start = label[0]
        end = start + len(answer)
        return [
            i
            for i, (first, last) in enumerate(encoding.offsets)
            if encoding.segments[i] == _CONTEXT and last > first and first < end and last > start
        ]

    def loss(
        self,
        logits: Tensor,
        targets: list[Any],
        lengths: list[int],
        head: dict[str, Any],
        options: LossOptions,
    ) -> Tensor:
        import torch

        del head
        rows = [
            torch.nn.functional.cross_entropy(
                row.T,
                torch.tensor(target, device=logits.device),
                ignore_index=IGNORED,
                reduction="sum",
                label_smoothing=options.label_smoothing,
            )
            for row, target in zip(torch.split(logits, lengths), targets, strict=True)
        ]
        num_targets = sum(index != IGNORED for target in targets for index in target)
        total: Tensor = torch.stack(rows).sum()
        mean: Tensor = total / max(1, num_targets)
        return mean

    def merge_logits(self, parts: Sequence[Logits], encodings: Sequence[Encoding]) -> Logits:
        """There is no answer only where no window has one: the first token's least logits count."""
        merged = super().merge_logits(parts, encodings)
        if len(parts) > 1:
            merged[0] = min((part[0] for part in parts), key=lambda none: float(none.sum()))
        return merged

    def decode(
        self,
        logits: Logits,
        head: dict[str, Any],
        encoding: Encoding,
        text: str,
        options: AnswerOptions,
    ) -> dict[str, Any]:
        best = best_span(logits, encoding, head["max_answer_tokens"])
        none = float(logits[0].astype(np.float64).sum())
        if best is None or (head["no_answer"] and none - best[0] > head["threshold"]):
            score = none if options.raw_scores else _share(logits, encoding, 0, 0)
            return {"text": "", "start": 0, "end": 0, "score": score}
        total, first, last = best
        start, end = encoding.offsets[first][0], encoding.offsets[last][1]
        score = total if options.raw_scores else _share(logits, encoding, first, last)
        return {"text": text[start:end], "start": start, "end": end, "score": score}


def best_span(logits: Logits, encoding: Encoding, longest: int) -> tuple[float, int, int] | None:
    """The context's span of at most `longest` tokens with the largest sum of logits."""
    places = _places(encoding)
    if not len(places):
        return None
    starts, ends = logits[places].astype(np.float64).T
    best: tuple[float, int, int] | None = None
    for length in range(min(longest, len(places))):
        totals = starts[: len(places) - length] + ends[length:]
        first = int(totals.argmax())
        if best is None or totals[first] > best[0]:
            best = (float(totals[first]), int(places[first]), int(places[first + length]))
    return best


def _places(encoding: Encoding) -> NDArray[np.int64]:
    """The tokens of the context that cover characters."""
    return np.array(
        [
            i
            for i, (start, end) in enumerate(encoding.offsets)
            if encoding.segments[i] == _CONTEXT and end > start
        ],
        np.int64,
    )


def _share(logits: Logits, encoding: Encoding, first: int, last: int) -> float:
    """The probability of the span among all starts and all ends, no answer included."""
    places = np.concatenate([np.zeros(1, np.int64), _places(encoding)])
    shares = softmax(logits[places].T)
    at = {int(place): i for i, place in enumerate(places)}
    return float(shares[0][at[first]] * shares[1][at[last]])
