"""What the API's description says of the fields of OpenAI's bodies. The same name means the same on
every route. Reading and refusing them is for the bodies.
"""

from __future__ import annotations

from typing import Any

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
_PENALTY = {"type": "number", "minimum": -2, "maximum": 2}
_OBJECTS = {"type": "array", "items": _OBJECT}
#: those that are not here may be anything, which the body reads as it stands
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
    **dict.fromkeys(("presence_penalty", "frequency_penalty"), _PENALTY),
    **dict.fromkeys(("prompt", "input"), _PROMPTS),
    "messages": {
        "type": "array",
        "minItems": 1,
        "items": {"type": "object", "required": ["role"], "properties": {"role": _TEXT}},
    },
    "tools": _OBJECTS,
    "temperature": {"type": "number", "minimum": 0, "maximum": 2},
    "top_p": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
    "min_p": {"type": "number", "minimum": 0, "maximum": 1},
    "top_k": {"type": "integer", "minimum": -1},
    "repetition_penalty": {"type": "number", "minimum": 0.01, "maximum": 100},
    "logit_bias": {"type": "object", "additionalProperties": _NUMBER},
    "seed": _WHOLE,
    "top_logprobs": {"type": "integer", "minimum": 0, "maximum": 20},
    "stop": {"anyOf": [_TEXT, {"type": "array", "items": _TEXT, "maxItems": 16}]},
    "stop_token_ids": _IDS,
    "stream_options": {"type": "object", "properties": {"include_usage": _FLAG}},
    "encoding_format": {"type": "string", "enum": ["float", "base64"]},
    "truncate_prompt_tokens": {"type": "integer", "minimum": -1},
    "guided_regex": _TEXT,
    "guided_choice": {"type": "array", "items": _TEXT, "minItems": 1},
    "min_tokens": {"type": "integer", "const": 0},
    "verbosity": {"type": "string", "const": "medium"},
}


def described(name: str) -> dict[str, Any]:
    """Its schema; null is as if it were left out."""
    found = _FIELDS.get(name)
    return {"anyOf": [found, {"type": "null"}]} if found else {}
