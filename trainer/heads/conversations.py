"""Rows that are conversations: chat messages in the format of OpenAI's fine-tuning files, read as
the chat route reads them. Knows the fields of a record; no template and no token.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from engine.errors import BadMessage
from engine.text.conversation import Conversation, Message, read_conversation
from trainer.errors import BadLine
from trainer.readers.example import Example, Turn
from trainer.readers.fields import sane, short_repr
from trainer.readers.json_text import parse_json
from trainer.readers.reader import Record

_TOOLS, _KWARGS, _WEIGHT = "tools", "chat_template_kwargs", "weight"


def conversation_row(record: Record, column: str, completion: str | None = None) -> Example:
    """A row of messages, or of a prompt of messages with its completion in another column. Raises
    BadLine.
    """
    where, raw_messages = record.place, _from_json(record.fields[column])
    if completion is not None:
        column, raw_messages = (
            f"{column} and {completion}",
            [*raw_messages, *_completion_messages(record.fields[completion])],
        )
    if not isinstance(raw_messages, list) or len(raw_messages) < 2:
        raise BadLine(
            f"{where}: {column} must be a list of at least two messages, of which the last is by "
            "the assistant.",
            line=record.line,
        )
    weights, messages = _without_weights(raw_messages, record)
    try:
        fields = record.fields
        whole = read_conversation(
            messages, _from_json(fields.get(_TOOLS)), _from_json(fields.get(_KWARGS))
        )
    except BadMessage as error:
        raise BadLine(f"{where}: {error}.", line=record.line) from error
    for message in whole.messages:
        _check(message, record)
    return _example(whole, _learned_numbers(whole.messages, weights, record), record)


def _from_json(value: object) -> Any:
    """Parses a string of JSON, as tables and data sets with various tools contain them."""
    if not isinstance(value, str):
        return value
    try:
        return parse_json(value)
    except ValueError:
        return value  # the caller's error names its type


def _completion_messages(completion: object) -> list[Any]:
    if isinstance(completion, str):
        return [{"role": "assistant", "content": completion}]
    return completion if isinstance(completion, list) else [completion]


def _without_weights(
    raw_messages: Sequence[object], record: Record
) -> tuple[list[int | None], list[object]]:
    """OpenAI's weights, which mark the messages to train on, and the messages without them."""
    weights, messages = list[int | None](), list[object]()
    for number, message in enumerate(raw_messages):
        weight = message.get(_WEIGHT) if isinstance(message, Mapping) else None
        if weight is not None:
            assert isinstance(message, Mapping)
            where = f"{record.place}: messages[{number}].{_WEIGHT}"
            if message.get("role") != "assistant":
                raise BadLine(
                    f"{where} is only allowed for messages of the assistant; this message has the "
                    f"role {short_repr(message.get('role'))}.",
                    line=record.line,
                )
            if isinstance(weight, bool) or weight not in (0, 1):
                raise BadLine(
                    f"{where} is {short_repr(weight)}; it must be 0 or 1.", line=record.line
                )
        weights.append(None if weight is None else int(weight))
        messages.append(
            {name: value for name, value in message.items() if name != _WEIGHT}
            if isinstance(message, Mapping)
            else message
        )
    return weights, messages


def _learned_numbers(
    messages: Sequence[Message], weights: Sequence[int | None], record: Record
) -> list[int]:
    """The indices of the messages to train on: those of weight 1, and the last one unless its
    weight is 0.
    """
    last = len(messages) - 1
    if messages[last]["role"] != "assistant":
        raise BadLine(
            f"{record.place}: the last message is by {messages[last]['role']}; it must be by the "
            "assistant, whose message is trained on.",
            line=record.line,
        )
    learned = [i for i, weight in enumerate(weights) if weight or (i == last and weight is None)]
    if not learned:
        raise BadLine(
            f"{record.place}: no message has a {_WEIGHT} of 1, so there is nothing to train on; "
            "leave the row out.",
            line=record.line,
        )
    if learned[0] == 0:
        raise BadLine(
            f"{record.place}: messages[0] is by the assistant; a message by another role must come "
            "before it.",
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
            prompt=Conversation(
                messages=whole.messages[:number],
                tools=whole.tools,
                template_kwargs=whole.template_kwargs,
            ),
            answer=whole.messages[number],
        )
        for number in learned
    )
    prompt = turns[-1].prompt.messages
    text = "\n".join(f"{message['role']}: {_message_text(message)}" for message in prompt)
    return Example(line=record.line, text=text, label=_message_text(turns[-1].answer), turns=turns)


def _message_text(message: Message) -> str:
    """The content and tool calls of a message, or else its reasoning."""
    calls = [json.dumps(call["function"]) for call in message.get("tool_calls", [])]
    content = [message["content"]] if message["content"] else []
    return "\n".join([*content, *calls]) or str(message.get("reasoning_content", ""))
