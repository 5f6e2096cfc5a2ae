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
_IGNORED = "accepted and ignored"
#: what a field means; docs/generation.md says more
_MEANINGS = {
    "model": "a ref (`task`, `task@7`, `task@alias`), or `base`",
    "messages": "the conversation, with the roles system, user, assistant and tool",
    "prompt": "a string, a list of strings, token ids, or a list of token id lists",
    "input": "a string, a list of strings, token ids, or a list of token id lists",
    "max_tokens": "the most tokens to generate",
    "max_completion_tokens": "the newer name of `max_tokens`",
    "temperature": "sampling temperature; 0 is greedy decoding",
    "top_p": "sample from the most likely tokens whose probabilities add up to this",
    "top_k": "sample from this many of the most likely tokens; -1 or 0: all",
    "min_p": "sample from tokens at least this times as likely as the most likely one",
    "presence_penalty": "subtracted once from the logits of generated tokens",
    "frequency_penalty": "subtracted per occurrence from the logits of generated tokens",
    "repetition_penalty": "penalty on tokens of the prompt and of the generated text; 1: none",
    "logit_bias": "values that are added to the logits of token ids",
    "seed": "the same seed generates the same text",
    "n": "texts per prompt",
    "best_of": "must equal `n`",
    "stop": "strings that end the text and are not part of it",
    "stop_token_ids": "token ids that end the text",
    "ignore_eos": "do not stop at the base's own end tokens",
    "stream": "send the text as server-sent events while it is generated",
    "stream_options": "`include_usage` adds token counts at the end of a stream",
    "echo": "repeat the prompt before its completion",
    "logprobs": "return log probabilities: a number for completions, true or false for chat",
    "top_logprobs": "how many of the most likely tokens to return per position",
    "response_format": "`json_object`, or `json_schema` with a schema that the text must follow",
    "structured_outputs": "vLLM's: one of `json`, `json_object`, `regex`, `choice`",
    "guided_json": "vLLM's older name of `structured_outputs.json`",
    "guided_regex": "vLLM's older name of `structured_outputs.regex`",
    "guided_choice": "vLLM's older name of `structured_outputs.choice`",
    "tools": "tools that the chat template shows to the model; calls are not parsed",
    "tool_choice": "`auto` or `none`",
    "parallel_tool_calls": _IGNORED,
    "chat_template_kwargs": "variables of the chat template",
    "reasoning_effort": "a variable of the chat template",
    "encoding_format": "how vectors are encoded",
    "dimensions": "shortens the vectors to this length",
    "truncate": "cut inputs that are longer than the base reads",
    "truncate_prompt_tokens": "cut inputs to this many tokens; -1: as many as the base reads",
    "input_type": "names one of the base's own prompts, such as `query`",
    "suffix": "refused",
    "modalities": "only `text`",
    "functions": "refused; the older name of `tools`",
    "function_call": "refused; the older name of `tool_choice`",
    "min_tokens": "only 0",
    "skip_special_tokens": "only true",
    "include_stop_str_in_output": "only false",
    "verbosity": "only `medium`",
}


def describe_field(name: str) -> dict[str, Any]:
    """The schema of a field. Null is the same as left out."""
    meaning = {"description": _MEANINGS.get(name, _IGNORED)}
    schema = _FIELDS.get(name)
    return {"anyOf": [schema, {"type": "null"}], **meaning} if schema else meaning
