"""Reading bodies of OpenAI's shapes: what is known, what may stay unread, and all else refused."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from server.errors import BadCall, BadParameter
from server.http_api.json_body import read_json
from server.http_api.openai.fields import described
from server.service import sampling_params

#: what only says who asks or how OpenAI keeps, bills and routes the call: the answer is the same
HARMLESS = frozenset({
    "user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key",
    "prompt_cache_retention", "prediction",
})  # fmt: skip
#: how a text is wanted, by the names that OpenAI and vLLM gave; `logprobs` differs by route
SAMPLING = frozenset(sampling_params.NAMES) - {"logprobs"}
#: what others take, and here has one value, with which nothing changes: why there is no other
FIXED: dict[str, tuple[Any, str]] = {
    "min_tokens": (0, "a text ends where the model ends it; with ignore_eos at max_tokens"),
    "skip_special_tokens": (True, "special tokens are never part of a text"),
    "include_stop_str_in_output": (False, "a stop string is never part of a text"),
    "verbosity": ("medium", "say in the instructions how long an answer should be"),
}
_MOST_TEMPERATURE = 2


class Body:
    """The fields of one body; null is as if left out."""

    def __init__(self, content: bytes, known: Collection[str]) -> None:
        fields = _parsed(content)
        self.fields = {name: value for name, value in fields.items() if value is not None}
        for name in self.fields:
            if name not in known and name not in HARMLESS:
                shown = name[:64] if name.isprintable() else None  # half surrogates are not
                raise BadParameter(f"There is no parameter {name[:64]!r} here.", param=shown)

    def text(self, name: str) -> str:
        value = self.fields.get(name)
        if not isinstance(value, str) or not value:
            raise BadParameter(f"{name} must be a string.", param=name)
        return value

    def flag(self, name: str) -> bool:
        value = self.fields.get(name, False)
        if not isinstance(value, bool):
            raise BadParameter(f"{name} must be true or false.", param=name)
        return value

    def count(self, name: str, least: int = 1) -> int | None:
        value = self.fields.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            raise BadParameter(f"{name} must be a whole number.", param=name)
        if value < least:
            raise BadParameter(f"{name} is {value}; it must be {least} or more.", param=name)
        return value

    def sampling(self) -> dict[str, Any]:
        for name, (only, reason) in FIXED.items():
            if name in self.fields and not _is(self.fields[name], only):
                raise BadParameter(f"{name} can only be {only!r}: {reason}.", param=name)
        heat = self.fields.get("temperature")
        if isinstance(heat, int | float) and heat > _MOST_TEMPERATURE:
            raise BadParameter(
                f"temperature is above {_MOST_TEMPERATURE}; it must be from 0 to that.",
                param="temperature",
            )
        return {name: value for name, value in self.fields.items() if name in SAMPLING}

    @property
    def includes_usage(self) -> bool:
        """Whether a stream ends with the counts of tokens."""
        options = self.fields.get("stream_options", {})
        if not isinstance(options, Mapping):
            raise BadParameter("stream_options must be an object.", param="stream_options")
        if options and not self.flag("stream"):
            raise BadParameter("stream_options need stream.", param="stream_options")
        for name, value in options.items():
            if name not in ("include_usage", "include_obfuscation") or not isinstance(value, bool):
                raise BadParameter(
                    f"stream_options has no {str(name)[:64]!r} of that kind.",
                    param="stream_options",
                )
        return bool(options.get("include_usage"))


def documented(known: Collection[str], *required: str) -> dict[str, Any]:
    """What the API's description says of a body; docs/generation.md says more."""
    schema = {
        "type": "object", "required": list(required), "additionalProperties": False,
        "properties": {name: described(name) for name in sorted({*known, *HARMLESS})},
    }  # fmt: skip
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def _is(value: object, only: object) -> bool:
    return type(value) is type(only) and value == only


def is_tokens(value: object) -> bool:
    """A list of token ids; not an empty one, which says nothing of what it lists."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(token, int) and not isinstance(token, bool) for token in value)
    )


def _parsed(content: bytes) -> dict[str, Any]:
    fields = read_json(content)
    if not isinstance(fields, dict):
        raise BadCall("The body must be a JSON object.")
    return fields
