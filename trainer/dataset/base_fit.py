"""Whether a base can encode, and generate, the rows of a file, so that a job does not fail on them
after it has started. Computes only tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from engine.errors import BadAdapter, BadRow
from engine.heads import is_generation
from engine.heads.span import SpanHead
from engine.port import EngineInfo
from engine.text.prompts import PromptCompletion, Prompter
from engine.text.tokenizer import Tokenizer
from trainer.dataset.encode import encode_examples
from trainer.dataset.prompt_rows import prompt_completions
from trainer.errors import BadLine
from trainer.heads.encoded import EncodedRow
from trainer.readers.example import Example
from trainer.readers.fields import short_repr

#: rendering and encoding an answer takes half a millisecond, so of a larger file only this many
#: rows are checked, spread evenly
_MAX_GENERATION_ROWS = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Misfits:
    """Rows that cannot be trained on, and rows whose answers change when they are encoded."""

    refused: list[BadLine]
    #: rows with their answers after encoding and decoding
    rewritten: list[tuple[Example, str]]


def find_misfits(
    examples: Sequence[Example],
    head: dict[str, Any],
    info: EngineInfo,
    tokenizer: Tokenizer,
    limit: int | None,
    most: int,
) -> Misfits:
    """Encodes the rows as training does; stops after `most` refused rows."""
    refused, rewritten = list[BadLine](), list[tuple[Example, str]]()
    checked = _find_problems(examples, head, info, tokenizer, limit)
    for example, problem in checked:
        if isinstance(problem, BadLine):
            refused.append(problem)
        elif problem is not None:
            rewritten.append((example, problem))
        if len(refused) >= most:
            break
    return Misfits(refused=refused, rewritten=rewritten)


def _find_problems(
    examples: Sequence[Example],
    head: dict[str, Any],
    info: EngineInfo,
    tokenizer: Tokenizer,
    limit: int | None,
) -> Iterator[tuple[Example, BadLine | str | None]]:
    """Each row with its error, its changed answer, or None."""
    if is_generation(head["kind"]):
        prompter = Prompter(info, tokenizer)
        for example in examples[:: max(1, -(-len(examples) // _MAX_GENERATION_ROWS))]:
            yield example, _check_generation_row(example, head, info, tokenizer, prompter)
    elif head["kind"] == SpanHead.name or not _always_fits(info, tokenizer):
        for example in examples:
            yield example, _check_prediction_row(example, head, info, tokenizer, limit)


def _always_fits(info: EngineInfo, tokenizer: Tokenizer) -> bool:
    """Whether every token has an embedding, and every row has a token."""
    return tokenizer.largest_id < (info.num_embeddings or tokenizer.largest_id + 1) and bool(
        tokenizer.ids("", special=True)
    )


def _check_prediction_row(
    example: Example,
    head: dict[str, Any],
    info: EngineInfo,
    tokenizer: Tokenizer,
    limit: int | None,
) -> BadLine | None:
    try:
        (row,) = encode_examples([example], head, tokenizer, limit)
    except (BadAdapter, BadRow) as error:
        return _bad_line(example, f"{error}.")
    if any(not piece.ids for piece in row.pieces):
        return _bad_line(example, "the tokenizer of the base makes no token of the text.")
    if head["kind"] == SpanHead.name and (answer := _cut_answer(example, row)):
        return _bad_line(
            example,
            f"no window of tokens contains the whole answer {short_repr(answer)}: the answer or "
            "the question is too long, or the tokenizer of the base makes no token of the answer.",
        )
    return _check_embeddings(
        example, [i for piece in row.pieces for i in piece.ids], info, tokenizer
    )


def _cut_answer(example: Example, row: EncodedRow) -> str | None:
    """The answer of a span row that would be trained as a row without an answer, because all
    targets are the first token of a window.
    """
    if not isinstance(example.label, tuple) or not example.label:
        return None
    return None if any(piece.target[0] > 0 for piece in row.pieces) else example.label[0][0]


def _check_generation_row(
    example: Example,
    head: dict[str, Any],
    info: EngineInfo,
    tokenizer: Tokenizer,
    prompter: Prompter,
) -> BadLine | str | None:
    try:
        lessons = prompt_completions(example, head, prompter)
    except BadRow as error:
        return _bad_line(example, f"{error}.")
    for lesson in lessons:
        if not lesson.prompt:
            return _bad_line(example, "the tokenizer of the base makes no token of the prompt.")
        if not prompter.text(lesson.completion).strip():
            return _bad_line(example, "the tokenizer of the base makes no token of the answer.")
        problem = _check_embeddings(example, [*lesson.prompt, *lesson.completion], info, tokenizer)
        if problem is not None:
            return problem
    return _rewritten_answer(example, lessons[-1], prompter)


def _rewritten_answer(example: Example, lesson: PromptCompletion, prompter: Prompter) -> str | None:
    """The answer that will be generated, where it differs from the row's."""
    if example.turns and set(example.turns[-1].answer) & {"tool_calls", "reasoning_content"}:
        return None  # the chat template renders them in its own format
    text = prompter.text(lesson.completion)
    return None if text.strip() == str(example.label).strip() else text


def _check_embeddings(
    example: Example, ids: Sequence[int], info: EngineInfo, tokenizer: Tokenizer
) -> BadLine | None:
    beyond = [i for i in ids if info.num_embeddings and i >= info.num_embeddings]
    if not beyond:
        return None
    return _bad_line(
        example,
        f"its tokenizer makes the token {tokenizer.piece(beyond[0])!r} of this row, but the base, "
        f"with {info.num_embeddings} embeddings, has none for it.",
    )


def _bad_line(example: Example, problem: str) -> BadLine:
    return BadLine(f"Line {example.line}: {problem}", line=example.line)
