"""Encodes examples of texts to generate as rows of the engine. Knows the base's prompts; no split
and no epoch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from engine.errors import BadRow
from engine.heads.generate import MOST_TOKENS
from engine.text.prompts import PromptCompletion, Prompter
from trainer.errors import BadLine
from trainer.heads.encoded import EncodedRow, Piece
from trainer.readers.example import Example

#: a version may generate this many tokens more than the longest answer
_ROOM = 8


def encode_prompt_rows(
    examples: Sequence[Example], head: dict[str, Any], prompter: Prompter, max_tokens: int
) -> list[EncodedRow]:
    """In order. Raises BadLine for a conversation that the base's chat template cannot render."""
    encoded = list[EncodedRow]()
    for example in examples:
        try:
            encoded.append(_encode(example, head, prompter, max_tokens))
        except BadRow as error:
            raise BadLine(f"Line {example.line}: {error}.", line=example.line) from error
    return encoded


def fit_max_tokens(head: dict[str, Any], rows: Sequence[EncodedRow]) -> dict[str, Any]:
    """The head's settings, with a `max_tokens` that allows every answer of these rows."""
    longest = max((row.answer_tokens for row in rows), default=0)
    return head | {"max_tokens": min(MOST_TOKENS, max(head["max_tokens"], longest + _ROOM))}


def _encode(
    example: Example, head: dict[str, Any], prompter: Prompter, max_tokens: int
) -> EncodedRow:
    """Every answer that is trained on is a piece. The label becomes the last answer as the base
    decodes it, which generated answers are compared with.
    """
    lessons = prompt_completions(example, head, prompter)
    fitting = [lesson.within(max_tokens) for lesson in lessons]
    last = lessons[-1]
    return EncodedRow(
        pieces=tuple(Piece(ids=each.ids, type_ids=None, target=each.target) for each in fitting),
        example=replace(example, label=prompter.text(last.completion)),
        truncated=any(a is not b for a, b in zip(fitting, lessons, strict=True)),
        prompt_ids=tuple(fitting[-1].prompt),
        answer_tokens=len(last.completion),
    )


def prompt_completions(
    example: Example, head: dict[str, Any], prompter: Prompter
) -> list[PromptCompletion]:
    """One per answer that is trained on. Raises the engine's BadRow."""
    if not example.turns:
        return [prompter.encode_example(example.text, str(example.label), head)]
    return [prompter.encode_example(turn.prompt, turn.answer, head) for turn in example.turns]
