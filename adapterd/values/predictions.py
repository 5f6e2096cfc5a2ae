"""What predict calls answer: predictions, completions and their parts. Knows no wire format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from adapterd.errors import RowFailed, TaskFailed


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One input of a `span` task."""

    question: str
    context: str


# ---------------------------------------------------------------- outputs, one type per head


@dataclass(frozen=True, slots=True, kw_only=True)
class Classification:
    """The most likely label and every label's probability, or its logit if raw scores were
    requested. `labels` are the labels of a multi-label task that reached its threshold.
    """

    label: str
    score: float
    scores: Mapping[str, float]
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """A tagged span of the input; `start` and `end` are character offsets, `end` exclusive."""

    label: str
    start: int
    end: int
    text: str
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Tags:
    """The entities of one input, in order."""

    entities: tuple[Entity, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A number, in the units of the training labels."""

    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The characters of the context that answer the question; an empty text if nothing does."""

    text: str
    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedding:
    """A text as a vector."""

    embedding: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Relevance:
    """How well the second text of a pair answers the first."""

    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenLogprob:
    """A token, its log probability, and the most likely tokens at its position."""

    token: str
    logprob: float
    top: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class RowError:
    """Why one input of a call has no answer."""

    code: str
    message: str


Output = Classification | Tags | Value | Span | Embedding | Relevance | Completion | RowError


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionChunk:
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
class Timing:
    """How long each stage of a call took, in milliseconds of the server's clock."""

    tokenize_ms: float
    queue_ms: float
    compute_ms: float
    total_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ComposedAdapter:
    """A version whose adapter took part in a composition, and its weight."""

    task: str
    version: int
    digest: str
    weight: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """One output per input, in order, all computed by the version that `digest` identifies.

    In a composition, that version's head runs over the adapters listed in `composed`.
    """

    task: str
    version: int
    digest: str
    outputs: tuple[Output, ...]
    timing: Timing
    composed: tuple[ComposedAdapter, ...] = ()

    def raise_for_rows(self) -> Prediction:
        """Returns itself if every input has an answer, else raises RowFailed for the first."""
        for number, output in enumerate(self.outputs):
            if isinstance(output, RowError):
                raise RowFailed(f"input {number}: {output.message}", problem=output.code)
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskError:
    """Why one task of a call has no answer; `task` is the ref as it was sent."""

    task: str
    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictions:
    """One result per task of the call, in order. The stages of `timing` are the slowest task's."""

    results: tuple[Prediction | TaskError, ...]
    timing: Timing

    def raise_for_tasks(self) -> tuple[Prediction, ...]:
        """The results if every task answered, else raises TaskFailed for the first error."""
        for result in self.results:
            if isinstance(result, TaskError):
                raise TaskFailed(f"{result.task}: {result.message}", problem=result.code)
        return tuple(result for result in self.results if isinstance(result, Prediction))
