"""The messages of a chat call, as prompts are made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from server.errors import BadParameter

#: OpenAI's newer name for instructions
_ROLES = {"developer": "system", "system": "system", "user": "user", "assistant": "assistant"}


def conversation(given: Any) -> dict[str, Any]:
    """The call's one input. Raises BadParameter."""
    if not isinstance(given, list) or not given:
        raise BadParameter("messages must be a list of at least one message.", param="messages")
    return {"messages": [_message(each, f"messages[{i}]") for i, each in enumerate(given)]}


def _message(given: Any, where: str) -> dict[str, str]:
    if not isinstance(given, Mapping):
        raise BadParameter(f"{where} must be an object of role and content.", param=where)
    # an answer that comes back as a message names all that it could have held
    said = {name: value for name, value in given.items() if value not in (None, [])}
    # who of several speaks: it is part of the shape, and no chat template here reads it
    if not isinstance(said.pop("name", ""), str):
        raise BadParameter(f"The name of {where} must be a string.", param=where)
    if set(said) - {"role", "content"}:
        name = min(set(said) - {"role", "content"})
        raise BadParameter(
            f"{where} holds {name[:64]!r}; here messages have a role and text.", param=where
        )
    role = said.get("role")
    if not isinstance(role, str) or role not in _ROLES:
        raise BadParameter(
            f"The role of {where} is {str(role)[:64]!r}; it must be one of {', '.join(_ROLES)}.",
            param=where,
        )
    return {"role": _ROLES[role], "content": _content(said.get("content"), where)}


def _content(given: Any, where: str) -> str:
    if isinstance(given, str):
        return given
    if isinstance(given, list) and all(_is_text(part) for part in given):
        return "".join(part["text"] for part in given)
    raise BadParameter(
        f"The content of {where} must be a string, or a list of parts of the type text.",
        param=where,
    )


def _is_text(part: Any) -> bool:
    return (
        isinstance(part, Mapping)
        and part.get("type") == "text"
        and isinstance(part.get("text"), str)
    )
