"""From what the engine answered to what a caller reads, input by input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from typing import Any

from engine.errors import EngineError
from engine.heads import GENERATION_HEADS, PredictionHead, find_head
from engine.heads.head import AnswerOptions
from engine.port import Array, Failure, SequenceOutput
from server.dispatch.entry import Answer
from server.errors import BadCall
from server.service.completion import CompletionChunk, CompletionToken
from server.service.inputs.tokenization import Outputs, TextRow
from server.service.target import ResolvedModel
from server.service.values import Parameters, RowError

_OF_SOME_HEADS = {
    "normalize": "embeddings", "dimensions": "embeddings", "max_tokens": "written text",
}  # fmt: skip


def check_parameters(author: ResolvedModel, parameters: Parameters) -> None:
    """What shapes the answers of one head must not be silently without effect elsewhere."""
    kind = find_head(author.head)
    for name, purpose in _OF_SOME_HEADS.items():
        if getattr(parameters, name) is not None and name not in kind.settings:
            raise BadCall(f"The parameter {name} is for {purpose}; {author.name} is {kind.name}.")
    if parameters.wanted is not None and not author.generates:
        raise BadCall(f"Sampling is for written text; {author.name} is {kind.name}.")
    check_compose(author, parameters)


def check_compose(author: ResolvedModel, parameters: Parameters) -> None:
    if parameters.compose and author.version is None:
        raise BadCall(
            f"compose puts adapters together under the head of a task; {author.name} is the base."
        )


def read_answers(
    kind: PredictionHead,
    head: Mapping[str, Any],
    rows: Sequence[TextRow],
    answers: Sequence[Answer],
    parameters: Parameters,
    outputs: Outputs,
) -> None:
    """Fill in what each row answers; a row may have been several of the engine's."""
    results = iter([result for answer in answers for result in answer.rows])
    wanted = AnswerOptions(
        raw_scores=parameters.raw_scores,
        normalize=parameters.normalize,
        dimensions=parameters.dimensions,
    )
    for row in rows:
        pieces = list(islice(results, max(1, len(row.encoding.windows))))
        outputs[row.position] = _answer_of(kind, head, row, pieces, wanted)


def _answer_of(
    kind: PredictionHead,
    head: Mapping[str, Any],
    row: TextRow,
    pieces: Sequence[Array | Failure | SequenceOutput],
    wanted: AnswerOptions,
) -> dict[str, Any] | RowError:
    failed = next((piece for piece in pieces if isinstance(piece, Failure)), None)
    if failed is not None:
        return RowError(code=failed.code, message=failed.message)
    parts = [piece.numpy() for piece in pieces if isinstance(piece, Array)]
    try:
        logits = kind.merge_logits(parts, [row.encoding])
        return kind.decode(logits, dict(head), row.encoding, row.text, wanted)
    except EngineError as error:
        return RowError(code=error.code, message=str(error))


def written_output(piece: CompletionChunk, head: Mapping[str, Any]) -> dict[str, Any] | RowError:
    """A whole text as its task gives it."""
    if piece.error is not None:
        return piece.error
    assert piece.usage is not None, "the last piece of a text counts its tokens"
    output: dict[str, Any] = {"text": piece.text, "finish_reason": piece.finish}
    output["usage"] = asdict(piece.usage)
    if piece.tokens:
        output["logprobs"] = [shown_token(token) for token in piece.tokens]
    return output | GENERATION_HEADS[head["kind"]].parse(piece.text, head)


def shown_token(token: CompletionToken) -> dict[str, Any]:
    return {
        "token": token.chosen.text,
        "logprob": token.chosen.logprob,
        "top": [{"token": other.text, "logprob": other.logprob} for other in token.top],
    }
