"""Whether a base can read, and write, the rows of a file: what would else end a job that has begun.
Computes nothing but tokens.
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
from trainer.readers.fields import shown

#: texts to write are rendered and encoded at half a millisecond each; of more than these, as many
#: are tried, spread evenly
_MOST_WRITTEN = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Misfits:
    """Rows that cannot be trained on, and rows that teach another answer than they give."""

    refused: list[BadLine]
    #: with what the answer reads like once the base has written it
    rewritten: list[tuple[Example, str]]


def misfits(
    examples: Sequence[Example],
    head: dict[str, Any],
    info: EngineInfo,
    tokenizer: Tokenizer,
    limit: int | None,
    most: int,
) -> Misfits:
    """Of the rows as training would encode them; no more than `most` are looked for."""
    refused, rewritten = list[BadLine](), list[tuple[Example, str]]()
    checked = _checked(examples, head, info, tokenizer, limit)
    for example, found in checked:
        if isinstance(found, BadLine):
            refused.append(found)
        elif found is not None:
            rewritten.append((example, found))
        if len(refused) >= most:
            break
    return Misfits(refused=refused, rewritten=rewritten)


def _checked(
    examples: Sequence[Example],
    head: dict[str, Any],
    info: EngineInfo,
    tokenizer: Tokenizer,
    limit: int | None,
) -> Iterator[tuple[Example, BadLine | str | None]]:
    """Each row, and what is wrong with it."""
    if is_generation(head["kind"]):
        prompter = Prompter(info, tokenizer)
        for example in examples[:: max(1, -(-len(examples) // _MOST_WRITTEN))]:
            yield example, _written_wrong(example, head, info, tokenizer, prompter)
    elif head["kind"] == SpanHead.name or not _always_fits(info, tokenizer):
        for example in examples:
            yield example, _read_wrong(example, head, info, tokenizer, limit)


def _always_fits(info: EngineInfo, tokenizer: Tokenizer) -> bool:
    """Every token has an embedding, and no row is without any."""
    return tokenizer.largest_id < (info.num_embeddings or tokenizer.largest_id + 1) and bool(
        tokenizer.ids("", special=True)
    )


def _read_wrong(
    example: Example,
    head: dict[str, Any],
    info: EngineInfo,
    tokenizer: Tokenizer,
    limit: int | None,
) -> BadLine | None:
    try:
        (row,) = encode_examples([example], head, tokenizer, limit)
    except (BadAdapter, BadRow) as error:
        return _bad(example, f"{error}.")
    if any(not piece.ids for piece in row.pieces):
        return _bad(example, "nothing of the text is left once the base's tokenizer has read it.")
    if head["kind"] == SpanHead.name and (answer := _cut_answer(example, row)):
        return _bad(
            example,
            f"the answer {shown(answer)} is whole in no stretch of tokens that the "
            "base reads at once: the answer or the question is too long, or the base's tokenizer "
            "leaves nothing of the answer.",
        )
    return _unembedded(example, [i for piece in row.pieces for i in piece.ids], info, tokenizer)


def _cut_answer(example: Example, row: EncodedRow) -> str | None:
    """The answer of a span row that would be learned as one without: its targets are the first
    token of each window, or none.
    """
    if not isinstance(example.label, tuple) or not example.label:
        return None
    return None if any(piece.target[0] > 0 for piece in row.pieces) else example.label[0][0]


def _written_wrong(
    example: Example,
    head: dict[str, Any],
    info: EngineInfo,
    tokenizer: Tokenizer,
    prompter: Prompter,
) -> BadLine | str | None:
    try:
        lessons = prompt_completions(example, head, prompter)
    except BadRow as error:
        return _bad(example, f"{error}.")
    for lesson in lessons:
        if not lesson.prompt:
            return _bad(example, "nothing of it is left once the base's tokenizer has read it.")
        if not prompter.text(lesson.completion).strip():
            return _bad(example, "the base's tokenizer has no tokens for what is to be written.")
        found = _unembedded(example, [*lesson.prompt, *lesson.completion], info, tokenizer)
        if found is not None:
            return found
    return _rewritten(example, lessons[-1], prompter)


def _rewritten(example: Example, lesson: PromptCompletion, prompter: Prompter) -> str | None:
    """What will be written, where it is not what the row says."""
    if example.turns and set(example.turns[-1].answer) & {"tool_calls", "reasoning_content"}:
        return None  # the template's own words for them
    text = prompter.text(lesson.completion)
    return None if text.strip() == str(example.label).strip() else text


def _unembedded(
    example: Example, ids: Sequence[int], info: EngineInfo, tokenizer: Tokenizer
) -> BadLine | None:
    beyond = [i for i in ids if info.num_embeddings and i >= info.num_embeddings]
    if not beyond:
        return None
    return _bad(
        example,
        f"the base has {info.num_embeddings} embeddings, and none for the token "
        f"{tokenizer.piece(beyond[0])!r} that its tokenizer makes of this row.",
    )


def _bad(example: Example, said: str) -> BadLine:
    return BadLine(f"Line {example.line}: {said}", line=example.line)
