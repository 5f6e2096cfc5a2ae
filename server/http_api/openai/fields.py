"""The schemas of the fields of OpenAI's bodies, for the API's description. A name means the same on
every route. The fields are parsed and checked elsewhere.
"""

from __future__ import annotations

from typing import Any

from engine.port.sampling_limits import BOUNDS
from server.service.sampling_params import MAX_STOPS

#: OpenAI's, lower than what the engine takes
MAX_TEMPERATURE = 2
_TEXT = {"type": "string"}
_FLAG = {"type": "boolean"}
_OBJECT = {"type": "object"}
_NUMBER = {"type": "number"}
_WHOLE = {"type": "integer"}
_COUNT = {"type": "integer", "minimum": 1}
_IDS = {"type": "array", "items": {"type": "integer", "minimum": 0}}
_PROMPTS = {
    "anyOf": [
        _TEXT,
        {"type": "array", "items": _TEXT, "minItems": 1},
        {**_IDS, "minItems": 1},
        {"type": "array", "items": {**_IDS, "minItems": 1}, "minItems": 1},
    ]
}
_OBJECTS = {"type": "array", "items": _OBJECT}


def _number(kind: str, name: str) -> dict[str, Any]:
    least, most = BOUNDS[name]
    return {"type": kind, "minimum": least, "maximum": most}


#: a field that is not here may have any value
_FIELDS: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("model", "user", "suffix", "input_type", "reasoning_effort"), _TEXT),
    **dict.fromkeys(
        (
            "stream",
            "echo",
            "truncate",
            "ignore_eos",
            "skip_special_tokens",
            "store",
            "include_stop_str_in_output",
            "parallel_tool_calls",
        ),
        _FLAG,
    ),
    **dict.fromkeys(("max_tokens", "max_completion_tokens", "n", "best_of", "dimensions"), _COUNT),
    **dict.fromkeys(
        ("response_format", "structured_outputs", "chat_template_kwargs", "metadata"), _OBJECT
    ),
    "presence_penalty": _number("number", "presence_penalty"),
    "frequency_penalty": _number("number", "frequency_penalty"),
    **dict.fromkeys(("prompt", "input"), _PROMPTS),
    "messages": {
        "type": "array",
        "minItems": 1,
        "items": {"type": "object", "required": ["role"], "properties": {"role": _TEXT}},
    },
    "tools": _OBJECTS,
    "temperature": {**_number("number", "temperature"), "maximum": MAX_TEMPERATURE},
    "top_p": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
    "min_p": _number("number", "min_p"),
    "top_k": {"type": "integer", "minimum": -1},
    "repetition_penalty": _number("number", "repetition_penalty"),
    "logit_bias": {"type": "object", "additionalProperties": _NUMBER},
    "seed": _WHOLE,
    "top_logprobs": {**_number("integer", "logprobs"), "minimum": 0},
    "stop": {"anyOf": [_TEXT, {"type": "array", "items": _TEXT, "maxItems": MAX_STOPS}]},
    "stop_token_ids": _IDS,
    "stream_options": {"type": "object", "properties": {"include_usage": _FLAG}},
    "encoding_format": {"type": "string", "enum": ["float", "base64"]},
    "truncate_prompt_tokens": {"type": "integer", "minimum": -1},
    "guided_regex": _TEXT,
    "guided_choice": {"type": "array", "items": _TEXT, "minItems": 1},
    "min_tokens": {"type": "integer", "const": 0},
    "verbosity": {"type": "string", "const": "medium"},
}


def describe_field(name: str) -> dict[str, Any]:
    """The schema of a field. Null is the same as left out."""
    schema = _FIELDS.get(name)
    return {"anyOf": [schema, {"type": "null"}]} if schema else {}
