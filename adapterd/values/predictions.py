"""What predict calls answer: predictions, completions and their parts. Knows no wire format."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapterd.errors import RowFailed, TaskFailed
from adapterd.values.result import Result, to_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Question(Result):
    """One input of a `span` task."""

    question: str
    context: str


# ---------------------------------------------------------------- outputs, one type per head


@dataclass(frozen=True, slots=True, kw_only=True)
class Classification(Result):
    """The most likely label and every label's probability, or its logit if raw scores were
    requested. `labels` are the labels of a multi-label task that reached its threshold.
    """

    label: str
    score: float
    scores: Mapping[str, float]
    labels: tuple[str, ...] = ()
    multi_label: bool = False

    def to_dict(self) -> dict[str, Any]:
        shared = {"label": self.label, "score": self.score, "scores": dict(self.scores)}
        return {**shared, "labels": list(self.labels)} if self.multi_label else shared


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity(Result):
    """A tagged span of the input; `start` and `end` are character offsets, `end` exclusive."""

    label: str
    start: int
    end: int
    text: str
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Tags(Result):
    """The entities of one input, in order."""

    entities: tuple[Entity, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Value(Result):
    """A number, in the units of the training labels."""

    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Span(Result):
    """The characters of the context that answer the question; an empty text if nothing does."""

    text: str
    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedding(Result):
    """A text as a vector."""

    embedding: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Relevance(Result):
    """How well the second text of a pair answers the first."""

    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenLogprob(Result):
    """A token, its log probability, and the most likely tokens at its position."""

    token: str
    logprob: float
    top: tuple[TokenLogprob, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        top = [{"token": other.token, "logprob": other.logprob} for other in self.top]
        return {"token": self.token, "logprob": self.logprob, "top": top}


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion(Result):
    """A generated text. `finish_reason` is `stop` or `length`; `value` is the number parsed from
    the text if the task reads one; `tokens` is filled if logprobs were requested.
    """

    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    value: float | None = None
    tokens: tuple[TokenLogprob, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        counts = ("prompt_tokens", "completion_tokens", "cached_tokens")
        shape: dict[str, Any] = {"text": self.text, "finish_reason": self.finish_reason}
        shape["usage"] = {name: getattr(self, name) for name in counts}
        if self.tokens:
            shape["logprobs"] = to_json(self.tokens)
        return shape if self.value is None else {**shape, "value": self.value}


@dataclass(frozen=True, slots=True, kw_only=True)
class RowError(Result):
    """Why one input of a call has no answer."""

    code: str
    message: str

    def to_dict(self) -> dict[str, Any]:
        return {"error": {"code": self.code, "message": self.message}}

    def __getattr__(self, name: str) -> Any:
        """What an answer would have had: the error says why there is none."""
        if name.startswith("_") or name in ("code", "message"):
            raise AttributeError(name)
        raise AttributeError(
            f"This input has no answer, so it has no {name!r}: {self.message} [{self.code}]. "
            "raise_for_errors() of the prediction raises this error."
        )


Output = Classification | Tags | Value | Span | Embedding | Relevance | Completion | RowError


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionChunk(Result):
    """The next part of a streamed completion; `input` is the index of the input it belongs to.

    The last chunk of an input has the finish reason and the token counts, or the error.
    """

    task: str
    version: int
    digest: str
    input: int
    text: str
    tokens: tuple[TokenLogprob, ...] = ()
    finish_reason: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    error: RowError | None = None


# ---------------------------------------------------------------- answers of calls


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing(Result):
    """How long each stage of a call took, in milliseconds of the server's clock."""

    tokenize_ms: float
    queue_ms: float
    compute_ms: float
    total_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ComposedAdapter(Result):
    """A version whose adapter took part in a composition, and its weight."""

    task: str
    version: int
    digest: str
    weight: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction(Result):
    """One output per input, in order, all computed by the version that `digest` identifies.

    In a composition, that version's head runs over the adapters listed in `composed`.
    """

    task: str
    version: int
    digest: str
    outputs: tuple[Output, ...]
    timing: Timing
    composed: tuple[ComposedAdapter, ...] = ()

    @property
    def errors(self) -> dict[int, RowError]:
        """The errors of the inputs without an answer, by the index of the input."""
        return {n: out for n, out in enumerate(self.outputs) if isinstance(out, RowError)}

    def raise_for_errors(self) -> Prediction:
        """Returns itself if every input has an answer, else raises RowFailed.

        >>> client.predict("mood", ["what a day", ""]).raise_for_errors()
        Traceback (most recent call last):
        adapterd.errors.RowFailed: input 1: The input is empty.
        """
        if errors := self.errors:
            number, first = next(iter(errors.items()))
            count = f"{len(errors)} of {len(self.outputs)} inputs have no answer; the first is "
            where = f"{count if len(errors) > 1 else ''}input {number}: {first.message}"
            raise RowFailed(where, problem=first.code)
        return self

    def raise_for_rows(self) -> Prediction:
        """The name of the last release for `raise_for_errors`."""
        _warn_renamed("Prediction.raise_for_rows")
        return self.raise_for_errors()

    def to_dict(self) -> dict[str, Any]:
        shape = {name: to_json(value) for name, value in self.list_fields()}
        if not self.composed:
            del shape["composed"]
        return shape


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskError(Result):
    """Why one task of a call has no answer; `task` is the ref as it was sent."""

    task: str
    code: str
    message: str

    def to_dict(self) -> dict[str, Any]:
        return {"task": self.task, "error": {"code": self.code, "message": self.message}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictions(Result):
    """One result per task of the call, in order. The stages of `timing` are the slowest task's."""

    results: tuple[Prediction | TaskError, ...]
    timing: Timing

    def raise_for_errors(self) -> tuple[Prediction, ...]:
        """The results if every task has an answer to every input, else raises TaskFailed for the
        first task without answers, or RowFailed for the first input without one.
        """
        return tuple(result.raise_for_errors() for result in self.raise_for_tasks())

    def raise_for_tasks(self) -> tuple[Prediction, ...]:
        """The results if every task answered, else raises TaskFailed for the first error."""
        for result in self.results:
            if isinstance(result, TaskError):
                raise TaskFailed(f"{result.task}: {result.message}", problem=result.code)
        return tuple(result for result in self.results if isinstance(result, Prediction))

    def to_dict(self) -> dict[str, Any]:
        results = [_without_timing(result.to_dict()) for result in self.results]
        return {"results": results, "timing": self.timing.to_dict()}


def _without_timing(shape: dict[str, Any]) -> dict[str, Any]:
    """HTTP says the times of a call once, not for every task of it."""
    return {name: value for name, value in shape.items() if name != "timing"}


def _warn_renamed(name: str) -> None:
    warnings.warn(
        f"{name} is now raise_for_errors; the old name goes with the next release",
        DeprecationWarning,
        stacklevel=3,
    )
