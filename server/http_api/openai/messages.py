"""The conversation of a chat call: its messages, tools and template variables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.errors import BadMessage
from engine.text.conversation import read_conversation
from server.errors import BadParameter
from server.http_api.openai.body import Body

TOOLS = frozenset({"tools", "tool_choice", "parallel_tool_calls"})
#: the reason why a call cannot force the use of a tool
_FORCED = "what is written is free; only none and auto can be chosen"


def conversation(body: Body) -> dict[str, Any]:
    """The call's one input. Raises BadParameter."""
    arguments = {
        "messages": body.fields.get("messages"),
        "tools": _tools(body),
        "chat_template_kwargs": _variables(body),
    }
    try:
        read_conversation(*arguments.values())
    except BadMessage as error:
        raise BadParameter(f"{error}.", param=error.where) from error
    return {name: value for name, value in arguments.items() if value is not None}


def _tools(body: Body) -> Any:
    """The template shows the tools to the model, whose output is always text."""
    choice = body.fields.get("tool_choice", "auto")
    if choice not in ("auto", "none"):
        raise BadParameter(f"tool_choice: {_FORCED}.", param="tool_choice")
    return None if choice == "none" else body.fields.get("tools")


def _variables(body: Body) -> Any:
    """The template's variables. The template decides what `reasoning_effort` means, as in vLLM."""
    variables = body.fields.get("chat_template_kwargs")
    if "reasoning_effort" not in body.fields or not isinstance(variables, Mapping | None):
        return variables
    return {**(variables or {}), "reasoning_effort": body.text("reasoning_effort")}
