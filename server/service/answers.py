"""Converts the results of the engine to the answers for a caller, input by input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

from adapters_registry.values import Version
from engine.errors import EngineError
from engine.heads import GENERATION_HEADS, PredictionHead, find_head
from engine.heads.head import AnswerOptions
from engine.port import Array, Failure, SequenceOutput
from server.dispatch.entry import Answer
from server.errors import BadCall
from server.service.completion import CompletionChunk, CompletionToken
from server.service.inputs.tokenization import Outputs, TextRow
from server.service.resolved_model import ResolvedModel
from server.service.values import Composed, Parameters, Prediction, RowError, Timing


@dataclass(frozen=True, slots=True, kw_only=True)
class CallResult:
    """Outputs by input, and their cost. `parts` are the versions, with weights, whose adapters
    replaced the model's own.
    """

    outputs: Outputs
    rows: Sequence[TextRow]
    answers: Sequence[Answer]
    parts: Sequence[tuple[Version, float]]
    tokenized_at: float

    def prediction(self, model: ResolvedModel, started: float, ended: float) -> Prediction:
        """The answer to the caller, with the times of the call."""
        return Prediction(
            task=model.name,
            version=model.number,
            digest=model.digest,
            head=model.kind,
            composed=[Composed.of(part, weight) for part, weight in self.parts],
            outputs=[output for output in self.outputs if output is not None],
            num_tokens=self.num_tokens,
            timing=Timing(
                tokenize_ms=(self.tokenized_at - started) * 1e3,
                queue_ms=max((answer.queue_s for answer in self.answers), default=0.0) * 1e3,
                compute_ms=max((answer.compute_s for answer in self.answers), default=0.0) * 1e3,
                total_ms=(ended - started) * 1e3,
            ),
        )

    @property
    def num_tokens(self) -> int:
        return sum(row.encoding.num_tokens for row in self.rows)


_PURPOSES = {
    "normalize": "embeddings",
    "dimensions": "embeddings",
    "max_tokens": "generated text",
}


def check_parameters(model: ResolvedModel, parameters: Parameters) -> None:
    """Refuses parameters that have no effect on the model's head, instead of ignoring them."""
    kind = find_head(model.head)
    for name, purpose in _PURPOSES.items():
        if getattr(parameters, name) is not None and name not in kind.settings:
            raise BadCall(
                f"The parameter {name} is for {purpose}; {model.name} has the head {kind.name}."
            )
    if parameters.sampling_params is not None and not model.generates:
        raise BadCall(f"Sampling is for generated text; {model.name} has the head {kind.name}.")
    check_compose(model, parameters)


def check_compose(model: ResolvedModel, parameters: Parameters) -> None:
    if parameters.compose and model.version is None:
        raise BadCall(
            f"compose combines adapters under the head of a task; {model.name} is the base."
        )


def read_answers(
    kind: PredictionHead,
    head: Mapping[str, Any],
    rows: Sequence[TextRow],
    answers: Sequence[Answer],
    parameters: Parameters,
    outputs: Outputs,
) -> None:
    """Fills in the output of each row; a long row is several rows of the engine."""
    results = iter([result for answer in answers for result in answer.rows])
    options = AnswerOptions(
        raw_scores=parameters.raw_scores,
        normalize=parameters.normalize,
        dimensions=parameters.dimensions,
    )
    for row in rows:
        pieces = list(islice(results, max(1, len(row.encoding.windows))))
        outputs[row.position] = _answer_of(kind, head, row, pieces, options)


def _answer_of(
    kind: PredictionHead,
    head: Mapping[str, Any],
    row: TextRow,
    pieces: Sequence[Array | Failure | SequenceOutput],
    options: AnswerOptions,
) -> dict[str, Any] | RowError:
    failed = next((piece for piece in pieces if isinstance(piece, Failure)), None)
    if failed is not None:
        return RowError(code=failed.code, message=failed.message)
    parts = [piece.numpy() for piece in pieces if isinstance(piece, Array)]
    try:
        logits = kind.merge_logits(parts, [row.encoding])
        return kind.decode(logits, dict(head), row.encoding, row.text, options)
    except EngineError as error:
        return RowError(code=error.code, message=str(error))


def completion_output(
    completion: CompletionChunk, head: Mapping[str, Any]
) -> dict[str, Any] | RowError:
    """The output of a whole completion, as its head parses it."""
    if completion.error is not None:
        return completion.error
    assert completion.usage is not None, "the last chunk of a completion counts its tokens"
    output: dict[str, Any] = {"text": completion.text, "finish_reason": completion.finish}
    output["usage"] = asdict(completion.usage)
    if completion.tokens:
        output["logprobs"] = [render_token(token) for token in completion.tokens]
    return output | GENERATION_HEADS[head["kind"]].parse(completion.text, head)


def render_token(token: CompletionToken) -> dict[str, Any]:
    return {
        "token": token.chosen.text,
        "logprob": token.chosen.logprob,
        "top": [{"token": other.text, "logprob": other.logprob} for other in token.top],
    }
