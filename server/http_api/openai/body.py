"""The bodies of OpenAI's API: fields are checked, some are ignored, unknown ones are refused."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from server.errors import BadCall, BadParameter
from server.http_api.json_body import read_json
from server.http_api.openai.fields import MAX_TEMPERATURE, describe_field
from server.service import sampling_params

#: fields that name the user, or say how OpenAI stores, bills and routes the call: the answer does
#: not depend on them
IGNORED = frozenset(
    {
        "user",
        "metadata",
        "store",
        "service_tier",
        "safety_identifier",
        "prompt_cache_key",
        "prompt_cache_retention",
        "prediction",
    }
)
#: sampling parameters by the names of OpenAI and vLLM; `logprobs` differs by route
SAMPLING = frozenset(sampling_params.NAMES) - {"logprobs"}
#: parameters of OpenAI and vLLM that can only have their default here, and the reason
FIXED: dict[str, tuple[Any, str]] = {
    "min_tokens": (0, "a text ends where the model ends it; with ignore_eos at max_tokens"),
    "skip_special_tokens": (True, "special tokens are never part of a text"),
    "include_stop_str_in_output": (False, "a stop string is never part of a text"),
    "verbosity": ("medium", "say in the instructions how long an answer should be"),
}


class Body:
    """The fields of one body. Null is the same as left out."""

    def __init__(self, content: bytes, known: Collection[str]) -> None:
        fields = _parse(content)
        self.fields = {name: value for name, value in fields.items() if value is not None}
        for name in self.fields:
            if name not in known and name not in IGNORED:
                param = name[:64] if name.isprintable() else None  # half surrogates are not
                raise BadParameter(f"There is no parameter {name[:64]!r} here.", param=param)

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
        """The sampling parameters, with OpenAI's own limits checked."""
        for name, (default, reason) in FIXED.items():
            if name in self.fields and not _is_same(self.fields[name], default):
                raise BadParameter(f"{name} can only be {default!r}: {reason}.", param=name)
        temperature = self.fields.get("temperature")
        if isinstance(temperature, int | float) and temperature > MAX_TEMPERATURE:
            raise BadParameter(
                f"temperature is above {MAX_TEMPERATURE}; it must be from 0 to {MAX_TEMPERATURE}.",
                param="temperature",
            )
        return {name: value for name, value in self.fields.items() if name in SAMPLING}

    @property
    def includes_usage(self) -> bool:
        """Whether the last chunk of a stream has the usage."""
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


def describe_body(known: Collection[str], *required: str) -> dict[str, Any]:
    """A route's `openapi_extra`. The fields are explained in docs/generation.md."""
    schema = {
        "type": "object",
        "required": list(required),
        "additionalProperties": False,
        "properties": {name: describe_field(name) for name in sorted({*known, *IGNORED})},
    }
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def _is_same(value: object, default: object) -> bool:
    return type(value) is type(default) and value == default


def is_tokens(value: object) -> bool:
    """Whether it is a list of token ids. An empty list is not: it could be one of texts."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(token, int) and not isinstance(token, bool) for token in value)
    )


def _parse(content: bytes) -> dict[str, Any]:
    fields = read_json(content)
    if not isinstance(fields, dict):
        raise BadCall("The body must be a JSON object.")
    return fields
