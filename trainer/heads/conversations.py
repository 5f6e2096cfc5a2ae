"""Rows that are conversations: chat messages as OpenAI's fine-tuning files have them, read as the
chat route reads them. Knows the fields of a record; no template and no token.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from engine.errors import BadMessage
from engine.text.conversation import Conversation, Message, read_conversation
from trainer.errors import BadLine
from trainer.readers.example import Example, Turn
from trainer.readers.fields import sane
from trainer.readers.json_text import parse_json
from trainer.readers.reader import Record

_TOOLS, _KWARGS, _WEIGHT = "tools", "chat_template_kwargs", "weight"


def conversation_row(record: Record, column: str, completion: str | None = None) -> Example:
    """A row of messages, or of a prompt that is messages and the completion of that name. Raises
    BadLine.
    """
    where, given = record.place, _from_json(record.fields[column])
    if completion is not None:
        column, given = f"{column} and {completion}", [*given, *_said(record.fields[completion])]
    if not isinstance(given, list) or len(given) < 2:
        raise BadLine(
            f"{where}: {column} must be a list of at least two messages, the last of them the "
            "assistant's.",
            line=record.line,
        )
    weights, messages = _without_weights(given, record)
    try:
        fields = record.fields
        whole = read_conversation(
            messages, _from_json(fields.get(_TOOLS)), _from_json(fields.get(_KWARGS))
        )
    except BadMessage as error:
        raise BadLine(f"{where}: {error}.", line=record.line) from error
    for message in whole.messages:
        _check(message, record)
    return _example(whole, _learned(whole.messages, weights, record), record)


def _from_json(value: object) -> Any:
    """What tables, and data sets with tools of many shapes, hold as a string of JSON."""
    if not isinstance(value, str):
        return value
    try:
        return parse_json(value)
    except ValueError:
        return value  # named as what it is


def _said(completion: object) -> list[Any]:
    if isinstance(completion, str):
        return [{"role": "assistant", "content": completion}]
    return completion if isinstance(completion, list) else [completion]


def _without_weights(
    given: Sequence[object], record: Record
) -> tuple[list[int | None], list[object]]:
    """OpenAI's mark of what is learned, which no template knows, and the messages without it."""
    weights, messages = list[int | None](), list[object]()
    for number, message in enumerate(given):
        weight = message.get(_WEIGHT) if isinstance(message, Mapping) else None
        if weight is not None:
            assert isinstance(message, Mapping)
            where = f"{record.place}: messages[{number}].{_WEIGHT}"
            if message.get("role") != "assistant":
                said = f"{where} is for messages of the assistant; this one is by another."
                raise BadLine(said, line=record.line)
            if isinstance(weight, bool) or weight not in (0, 1):
                raise BadLine(f"{where} is {weight!r}; it must be 0 or 1.", line=record.line)
        weights.append(None if weight is None else int(weight))
        messages.append(
            {name: value for name, value in message.items() if name != _WEIGHT}
            if isinstance(message, Mapping)
            else message
        )
    return weights, messages


def _learned(
    messages: Sequence[Message], weights: Sequence[int | None], record: Record
) -> list[int]:
    """Which messages: those of weight 1, and the last one unless its weight is 0."""
    last = len(messages) - 1
    if messages[last]["role"] != "assistant":
        raise BadLine(
            f"{record.place}: the last message is by {messages[last]['role']}; the assistant's is "
            "learned.",
            line=record.line,
        )
    learned = [i for i, weight in enumerate(weights) if weight or (i == last and weight is None)]
    if not learned:
        raise BadLine(
            f"{record.place}: no message has a {_WEIGHT} of 1, so nothing would be learned; leave "
            "the row out.",
            line=record.line,
        )
    if learned[0] == 0:
        raise BadLine(
            f"{record.place}: messages[0] is the assistant's, and nothing is asked before it.",
            line=record.line,
        )
    return learned


def _check(message: Message, record: Record) -> None:
    where, content = f"{record.place}: a message", message["content"]
    beside = {name: value for name, value in message.items() if name != "content"}
    if not content.strip() and not {"tool_calls", "reasoning_content"} & message.keys():
        raise BadLine(f"{where} is empty.", line=record.line)
    for text in (content, json.dumps(beside, ensure_ascii=False)):
        sane(text, where, record.line)


def _example(whole: Conversation, learned: Sequence[int], record: Record) -> Example:
    turns = tuple(
        Turn(
            asked=Conversation(
                messages=whole.messages[:number],
                tools=whole.tools,
                template_kwargs=whole.template_kwargs,
            ),
            answer=whole.messages[number],
        )
        for number in learned
    )
    asked = turns[-1].asked.messages
    text = "\n".join(f"{message['role']}: {_shown(message)}" for message in asked)
    return Example(line=record.line, text=text, label=_shown(turns[-1].answer), turns=turns)


def _shown(message: Message) -> str:
    """What is said, or else called."""
    calls = [json.dumps(call["function"]) for call in message.get("tool_calls", [])]
    said = [message["content"]] if message["content"] else []
    return "\n".join([*said, *calls]) or str(message.get("reasoning_content", ""))
