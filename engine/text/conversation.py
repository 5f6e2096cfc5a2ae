"""Parses conversations from calls and files into the messages that chat templates take.

One parser for every transport and for training rows. Knows no template, no token and no head.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.errors import BadMessage

#: one message with its role, its content as one text, and what else its role may have
Message = Mapping[str, Any]

#: the role as given, and as templates know it; `developer` is OpenAI's newer name for instructions
ROLES = {
    "developer": "system", "system": "system", "user": "user", "assistant": "assistant",
    "tool": "tool",
}  # fmt: skip
_ALWAYS = frozenset({"role", "content", "name"})
_MORE = {
    "assistant": frozenset({"tool_calls", "reasoning_content"}),
    "tool": frozenset({"tool_call_id"}),
}
_MOST_TOOLS = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """What a chat template is rendered with: messages up to what is to be written, the tools that
    the model may call, and variables of the template's own.
    """

    messages: tuple[Message, ...]
    tools: tuple[Mapping[str, Any], ...] = ()
    template_kwargs: Mapping[str, Any] = field(default_factory=dict)


def read_conversation(
    messages: object, tools: object = None, template_kwargs: object = None
) -> Conversation:
    """Raises BadMessage, whose `where` names the part that cannot be used."""
    if not isinstance(messages, Sequence) or isinstance(messages, str) or not messages:
        raise _bad("messages", "must be a list of at least one message")
    return Conversation(
        messages=tuple(read_message(each, f"messages[{i}]") for i, each in enumerate(messages)),
        tools=_tools(tools),
        template_kwargs=_template_kwargs(template_kwargs),
    )


def read_message(raw: object, where: str) -> dict[str, Any]:
    """One message. Raises BadMessage."""
    if not isinstance(raw, Mapping):
        raise _bad(where, "must be an object of role and content")
    # an answer that comes back as a message names all that it could have held
    fields = {name: value for name, value in raw.items() if value not in (None, [])}
    role = fields.get("role")
    if not isinstance(role, str) or role not in ROLES:
        shown = str(role)[:64]
        raise _bad(where, f"has the role {shown!r}; a role is one of {_join(ROLES)}")
    known = _ALWAYS | _MORE.get(role, frozenset())
    if unknown := sorted(str(name)[:64] for name in set(fields) - known):
        may = _join(sorted(known))
        raise _bad(where, f"holds {unknown[0]!r}; a message by {role} may hold {may}")
    message: dict[str, Any] = {"role": ROLES[role]}
    for name, value in fields.items():
        if name in _READERS:
            message[name] = _READERS[name](value, f"{where}.{name}")
    if "content" not in message:
        if not {"tool_calls", "reasoning_content"} & message.keys():
            raise _bad(where, "has no content")
        message["content"] = ""
    return message


def _content(value: object, where: str) -> str:
    """A text, or the parts of one."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(_is_text(part) for part in value):
        return "".join(part["text"] for part in value)
    raise _bad(where, "must be a string, or a list of parts of the type text")


def _is_text(part: object) -> bool:
    return (
        isinstance(part, Mapping)
        and part.get("type") == "text"
        and isinstance(part.get("text"), str)
    )


def _text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise _bad(where, "must be a string")
    return value


def _tool_calls(value: object, where: str) -> list[dict[str, Any]]:
    if not isinstance(value, list):
        raise _bad(where, "must be a list of calls")
    return [_tool_call(call, f"{where}[{i}]") for i, call in enumerate(value)]


def _tool_call(value: object, where: str) -> dict[str, Any]:
    function = value.get("function") if isinstance(value, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        raise _bad(where, "must be an object with a function, which has a name")
    assert isinstance(value, Mapping)
    named = {"id": _text(value["id"], f"{where}.id")} if value.get("id") is not None else {}
    arguments = _arguments(function.get("arguments", {}), f"{where}.function.arguments")
    return {
        **named,
        "type": "function",
        "function": {"name": function["name"], "arguments": arguments},
    }


def _arguments(value: object, where: str) -> Mapping[str, Any]:
    """Templates write them as JSON themselves, so OpenAI's string of JSON is read."""
    if isinstance(value, str):
        try:
            value = json.loads(value or "{}")
        except (ValueError, RecursionError) as error:
            raise _bad(where, f"is no JSON: {error}") from error
    if not isinstance(value, Mapping):
        raise _bad(where, "must be a JSON object")
    return value


def _tools(value: object) -> tuple[Mapping[str, Any], ...]:
    if value in (None, []):
        return ()
    if not isinstance(value, list) or len(value) > _MOST_TOOLS:
        raise _bad("tools", f"must be a list of at most {_MOST_TOOLS} tools")
    for i, tool in enumerate(value):
        function = tool.get("function") if isinstance(tool, Mapping) else None
        named = isinstance(function, Mapping) and isinstance(function.get("name"), str)
        if not named or tool.get("type", "function") != "function":
            raise _bad(
                f"tools[{i}]", "must be an object of the type function, whose function has a name"
            )
    return tuple(value)


def _template_kwargs(value: object) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(
        isinstance(name, str) and name.isidentifier() for name in value
    ):
        raise _bad("chat_template_kwargs", "must be an object of names and values")
    return value


def _bad(where: str, what: str) -> BadMessage:
    return BadMessage(f"{where} {what}", where=where)


def _join(names: Sequence[str] | Mapping[str, str]) -> str:
    return ", ".join(names)


_READERS: dict[str, Callable[[object, str], Any]] = {
    "content": _content, "name": _text, "tool_call_id": _text, "reasoning_content": _text,
    "tool_calls": _tool_calls,
}  # fmt: skip
